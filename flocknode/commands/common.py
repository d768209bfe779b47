# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What several subcommands need: which configuration, which running node.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from flocknode import config, control

Commands = Any
"""What L{argparse.ArgumentParser.add_subparsers} returns."""

Run = Callable[[argparse.Namespace], None]


def add_config(parser: argparse.ArgumentParser) -> None:
    """The command takes C{--config}."""
    parser.add_argument("-c", "--config", metavar="FILE", help="configuration file of the node")


def add_node(parser: argparse.ArgumentParser) -> None:
    """The command asks a running node: see L{ask}."""
    add_config(parser)
    parser.add_argument("--state", metavar="FOLDER", help="its state folder, instead of --config")


def configured(options: argparse.Namespace) -> config.Config | None:
    """The configuration that is named, or the default one if there is one."""
    if options.config is None and not os.path.exists(config.default_file()):
        return None
    return config.load(options.config)


def state_folder(options: argparse.Namespace) -> str:
    """The state folder of the node that is meant."""
    if options.state is not None:
        folder: str = os.path.abspath(options.state)
        return folder
    settings = configured(options)
    return settings.state if settings else config.default_state()


def ask(options: argparse.Namespace, command: str, **arguments: object) -> Any:
    """
    Ask the running node that is meant, for as long as it takes; as
    L{control.ask}.
    """
    return control.ask(state_folder(options), command, None, **arguments)


def console() -> Console:
    """Where results go."""
    # what goes into a pipe is not folded
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
