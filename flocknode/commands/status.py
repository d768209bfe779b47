# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode status}: what a running node is doing; C{flocknode rescan} and
C{flocknode confirm}.
"""

from __future__ import annotations

import argparse
import json

import attrs

from flocknode import control, report
from flocknode.commands.common import Commands, add_node, ask, console, state_folder


def add(commands: Commands) -> None:
    """Declare them."""
    status = commands.add_parser("status", help="show what a running node is doing")
    add_node(status)
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=_status)
    rescan = commands.add_parser("rescan", help="look at the whole folder of a box now")
    rescan.add_argument("box", help="its name")
    add_node(rescan)
    rescan.set_defaults(run=_rescan)
    confirm = commands.add_parser("confirm", help="let a box delete what waits to be confirmed")
    confirm.add_argument("box", help="its name")
    add_node(confirm)
    confirm.set_defaults(run=_confirm)


def _status(options: argparse.Namespace) -> None:
    status = control.ask_status(state_folder(options))
    if options.json:
        print(json.dumps(attrs.asdict(status), indent=1))
    else:
        report.show_status(console(), status)


def _rescan(options: argparse.Namespace) -> None:
    ask(options, "rescan", box=options.box)


def _confirm(options: argparse.Namespace) -> None:
    count = ask(options, "confirm", box=options.box)
    print(f"{count} files are deleted now." if count else "Nothing waits to be confirmed.")
