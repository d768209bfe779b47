# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The C{flocknode} command: keys, and what a running node is doing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

import attrs
from rich.console import Console

from flocknode import __version__, addresses, config, control, keys, report
from flocknode.errors import ConfigError, FlocknodeError


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
        description="Keys of a flocknode, and what a running one is doing."
        " The node itself runs as 'twistd flocknode'.",
    )
    parser.add_argument("--version", action="version", version=f"flocknode {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    status = commands.add_parser("status", help="show what a running node is doing")
    _add_config(status)
    status.add_argument("--state", metavar="FOLDER", help="its state folder, instead of --config")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=_status)

    actions = commands.add_parser("keys", help="make, show and add keys").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    create = actions.add_parser("create", help="make this node's key pair")
    create.add_argument(
        "hostname",
        nargs="*",
        help="where others reach this node, such as tcp://192.0.2.10:5671"
        " [default: those of the configuration file]",
    )
    create.set_defaults(run=_create)
    show = actions.add_parser("show", help="show the public keys that are there")
    show.set_defaults(run=_show)
    add = actions.add_parser("add", help="let another node in")
    add.add_argument("node", help="where it is reached")
    add.add_argument("key", help="its public key, 40 characters, in single quotes")
    add.set_defaults(run=_add)
    for command in (create, show, add):
        _add_config(command)
        command.add_argument("--keystore", metavar="FILE", help="others' public keys")
        command.add_argument("--privatekey", metavar="FILE", help="this node's own key pairs")
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", help="configuration file of the node")


def _configured(options: argparse.Namespace) -> config.Config | None:
    """The configuration that is named, or the default one if there is one."""
    if options.config is None and not os.path.exists(config.default_file()):
        return None
    return config.load(options.config)


def _files(options: argparse.Namespace) -> tuple[str, str]:
    """
    Which keystore and private key file are meant.
    """
    settings = None
    if options.keystore is None or options.privatekey is None:
        settings = _configured(options)
    keystore = settings.keystore if settings else config.default_keystore()
    private = settings.privatekey if settings else config.default_privatekey()
    return options.keystore or keystore, options.privatekey or private


def _endpoint(text: str) -> str:
    try:
        return addresses.normal(text, os.getcwd())
    except ValueError as error:
        raise ConfigError(f"{text}: {error}") from None


def _console() -> Console:
    # what goes into a pipe is not folded
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _create(options: argparse.Namespace) -> None:
    hostnames = tuple(_endpoint(text) for text in options.hostname)
    if not hostnames:
        settings = _configured(options)
        if settings is None:
            raise ConfigError(
                "there is no configuration file yet, so name where others reach this node:"
                " flocknode keys create tcp://192.0.2.10:5671"
            )
        hostnames = settings.hostnames
    private = _files(options)[1]
    pairs = keys.create(private, hostnames)
    print(f"The key pair is in {private}, which nobody else may read.")
    print("On every other machine of the flock run:")
    for hostname, pair in pairs.items():
        endpoint = hostname
        for everywhere in ("tcp://0.0.0.0:", "tcp://[::]:"):
            endpoint = endpoint.replace(everywhere, "tcp://<address of this machine>:")
        # no character of Z85 means anything between single quotes
        print(f"  flocknode keys add {endpoint} '{pair.public}'")


def _show(options: argparse.Namespace) -> None:
    keystore, private = _files(options)
    own = keys.read_pairs(private) if os.path.exists(private) else {}
    others = keys.read_keystore(keystore) if os.path.exists(keystore) else {}
    if not own and not others:
        raise ConfigError(f"there are no keys yet, neither in {private} nor in {keystore}")
    mine = {endpoint: pair.public for endpoint, pair in own.items()}
    report.show_keys(_console(), mine, others)


def _add(options: argparse.Namespace) -> None:
    keystore = _files(options)[0]
    endpoint = _endpoint(options.node)
    if keys.add(keystore, endpoint, options.key):
        print(f"{endpoint} is in {keystore} now; a running node sees it when it is started anew.")
    else:
        print(f"{endpoint} was in {keystore} with this key already.")


def _status(options: argparse.Namespace) -> None:
    if options.state is not None:
        state = os.path.abspath(options.state)
    else:
        settings = _configured(options)
        state = settings.state if settings else config.default_state()
    status = control.ask_status(state)
    if options.json:
        print(json.dumps(attrs.asdict(status), indent=1))
    else:
        report.show_status(_console(), status)
