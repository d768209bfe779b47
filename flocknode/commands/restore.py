# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode versions}: what is kept of a file; C{flocknode restore}: put it back.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re

from flocknode import report
from flocknode.commands.common import Commands, add_node, ask, console
from flocknode.errors import FlocknodeError

MANY = 10_000
"""Versions that the node lists at most, see L{flocknode.box.requests}."""

_ID = re.compile(r"[0-9a-f]{4,16}\Z")
_TIME = re.compile(r"[0-9]{4}-")


def add(commands: Commands) -> None:
    """Declare them."""
    versions = commands.add_parser(
        "versions", help="list what is kept of a file, or of all in a folder"
    )
    _add_path(versions)
    versions.add_argument("--json", action="store_true", help="for programs")
    versions.set_defaults(run=_versions)
    restore = commands.add_parser(
        "restore",
        help="put kept content back",
        description="Put kept content back. What is there now is kept, and the change goes to"
        " the other nodes like any other.",
    )
    _add_path(restore)
    restore.add_argument(
        "--at",
        metavar="WHEN",
        required=True,
        help="an id that 'flocknode versions' shows, or a time such as '2026-11-20 14:00':"
        " what was there then",
    )
    restore.add_argument(
        "--to", metavar="PATH", help="put it there instead; nothing may be there yet"
    )
    restore.set_defaults(run=_restore)


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("box", help="its name")
    parser.add_argument(
        "path", help="of a file or folder: in the box, or an absolute one ('.': all of the box)"
    )
    add_node(parser)


def _versions(options: argparse.Namespace) -> None:
    found = ask(options, "versions", box=options.box, path=options.path)
    if options.json:
        print(json.dumps(found, indent=1))
    elif found:
        report.show_versions(console(), found)
        if len(found) >= MANY:
            print("there may be older ones: name a file, or a folder further down")
    else:
        raise FlocknodeError(f"no earlier version of {report.plain(options.path)} is kept")


def when(text: str) -> str | float:
    """
    What follows C{--at}.

    @return: an id, or seconds since the epoch; a time without a zone is local.
    @raise FlocknodeError: it is neither.
    """
    text = text.strip()
    if _ID.match(text):
        return text
    try:
        if not _TIME.match(text):
            raise ValueError
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise FlocknodeError(
            f"--at {report.plain(text)}: expected an id that 'flocknode versions' shows, or a"
            " time such as '2026-11-20 14:00'"
        ) from None


def _restore(options: argparse.Namespace) -> None:
    done = ask(
        options,
        "restore",
        box=options.box,
        path=options.path,
        at=when(options.at),
        to=options.to,
    )
    for path in done["restored"]:
        print(f"restored {report.plain(path)}")
    problems = done["problems"]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise FlocknodeError(f"not all was restored: {report.plain(problems[0])}{more}")
