# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode keys}: make, show and add keys.
"""

from __future__ import annotations

import argparse
import os

from flocknode import addresses, config, keys, report
from flocknode.commands.common import Commands, add_config, configured, console
from flocknode.errors import ConfigError


def add(commands: Commands) -> None:
    """Declare it."""
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
        add_config(command)
        command.add_argument("--keystore", metavar="FILE", help="others' public keys")
        command.add_argument("--privatekey", metavar="FILE", help="this node's own key pairs")


def _files(options: argparse.Namespace) -> tuple[str, str]:
    """
    Which keystore and private key file are meant.
    """
    settings = None
    if options.keystore is None or options.privatekey is None:
        settings = configured(options)
    keystore = settings.keystore if settings else config.default_keystore()
    private = settings.privatekey if settings else config.default_privatekey()
    return options.keystore or keystore, options.privatekey or private


def _endpoint(text: str) -> str:
    try:
        return addresses.normal(text, os.getcwd())
    except ValueError as error:
        raise ConfigError(f"{text}: {error}") from None


def _create(options: argparse.Namespace) -> None:
    hostnames = tuple(_endpoint(text) for text in options.hostname)
    if not hostnames:
        settings = configured(options)
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
    report.show_keys(console(), mine, others)


def _add(options: argparse.Namespace) -> None:
    keystore = _files(options)[0]
    endpoint = _endpoint(options.node)
    if keys.add(keystore, endpoint, options.key):
        print(f"{endpoint} is in {keystore} now; a running node sees it when it is started anew.")
    else:
        print(f"{endpoint} was in {keystore} with this key already.")
