# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode check}: is everything that a box holds what it was?
"""

from __future__ import annotations

import argparse

from flocknode import report
from flocknode.commands.common import Commands, add_node, ask
from flocknode.errors import FlocknodeError


def add(commands: Commands) -> None:
    """Declare it."""
    check = commands.add_parser(
        "check", help="read all of a box and say what is not as it was (exit code 1)"
    )
    check.add_argument("box", help="its name")
    check.add_argument(
        "--repair", action="store_true", help="fetch again what is not what it was"
    )
    check.add_argument("--stop", action="store_true", help="break off a check that is going on")
    add_node(check)
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> None:
    if options.stop:
        ask(options, "check_stop", box=options.box)
        return
    try:
        found = ask(options, "check", box=options.box, repair=options.repair)
    except KeyboardInterrupt:
        ask(options, "check_stop", box=options.box)
        raise
    print(
        f"{found['files']} files ({report.size(found['size'])})"
        f" and {found['kept']} old versions were read"
    )
    for path, reason in found["findings"]:
        print(report.plain(f"{path}: {reason}" if path else reason))
    if found["repairing"]:
        print(f"{found['repairing']} files are fetched again; see flocknode status")
    if found["wrong"]:
        raise FlocknodeError(f"{found['wrong']} things are not as they were")
