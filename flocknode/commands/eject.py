# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode eject}: let go of a box's medium, so that it can be unmounted.
"""

from __future__ import annotations

import argparse

from flocknode.commands.common import Commands, add_node, ask
from flocknode.report import plain


def add(commands: Commands) -> None:
    """Declare it."""
    eject = commands.add_parser(
        "eject",
        help="close a box, so that its medium can be unmounted",
        description="The box is offline until its medium was unmounted and mounted again,"
        " or until 'flocknode rescan' takes it up as it is.",
    )
    eject.add_argument("box", help="its name")
    add_node(eject)
    eject.set_defaults(run=_eject)


def _eject(options: argparse.Namespace) -> None:
    ask(options, "eject", box=options.box)
    print(f"box {plain(options.box)} is closed; its medium can be unmounted now")
