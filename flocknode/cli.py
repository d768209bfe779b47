# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The C{flocknode} command; its subcommands are in L{flocknode.commands}.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from flocknode import __version__
from flocknode.commands import check, conflicts, eject, forban, keys, restore, simulate, status
from flocknode.errors import FlocknodeError

COMMANDS = (status, restore, conflicts, check, eject, forban, keys, simulate)
"""Modules of L{flocknode.commands}, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @param arguments: without the command's name; C{None}: the process's own.
    @return: the exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except FlocknodeError as error:
        print(f"flocknode: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # whoever read the output has seen enough; nothing may be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flocknode",
        description="Keys of a flocknode, what a running one is doing, and what it keeps."
        " The node itself runs as 'twistd flocknode'.",
    )
    parser.add_argument("--version", action="version", version=f"flocknode {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    for command in COMMANDS:
        command.add(commands)
    return parser
