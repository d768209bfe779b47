# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode conflicts}: which there are, and ending one.
"""

from __future__ import annotations

import argparse
import json

from flocknode import report
from flocknode.commands.common import Commands, add_node, ask, console
from flocknode.errors import FlocknodeError

KEEP = ("mine", "other", "both")
"""What can be kept, see L{flocknode.box.receive.resolving}."""


def add(commands: Commands) -> None:
    """Declare it."""
    parser = commands.add_parser(
        "conflicts",
        help="list conflicts, or end one",
        description="List conflicts; with --keep, end one. What goes is kept like any deleted"
        " file, and the change goes to the other nodes.",
    )
    parser.add_argument("box", nargs="?", help="its name [default: all boxes]")
    parser.add_argument(
        "--keep",
        nargs=2,
        metavar=("mine|other|both", "PATH"),
        help="PATH is the file, or one of its conflict copies. mine: the file stays, its"
        " conflict copies go; other: the conflict copy takes the file's place; both: each"
        " stays, the copy under a plain name such as 'plan (2).txt'",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    add_node(parser)
    parser.set_defaults(run=_conflicts)


def _conflicts(options: argparse.Namespace) -> None:
    if options.keep is not None:
        _resolve(options)
        return
    found = ask(options, "conflicts", box=options.box)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    if any(found["boxes"].values()):
        report.show_conflicts(console(), found["boxes"])
    elif not found["problems"]:
        print("no conflicts")
    for problem in found["problems"]:
        print(report.plain(problem))


def _resolve(options: argparse.Namespace) -> None:
    keep, path = options.keep
    if keep not in KEEP:
        raise FlocknodeError(f"--keep {report.plain(keep)}: expected mine, other or both")
    if options.box is None:
        raise FlocknodeError("--keep needs the name of the box: conflicts BOX --keep …")
    done = ask(options, "resolve", box=options.box, keep=keep, path=path)
    if options.json:
        print(json.dumps(done, indent=1))
        return
    if done["replaced"] is not None:
        print(f"replaced {report.plain(done['replaced'])}")
    for path in done["removed"]:
        print(f"removed {report.plain(path)}")
    for old, new in done["renamed"]:
        print(f"renamed {report.plain(old)} to {report.plain(new)}")
