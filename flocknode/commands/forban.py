# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode forban}: what is shared with everybody on the local network, who else
is there, and fetching from them.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from flocknode import report
from flocknode.commands.common import Commands, add_node, ask, console
from flocknode.errors import FlocknodeError


def add(commands: Commands) -> None:
    """Declare them."""
    forban = commands.add_parser(
        "forban", help="what is public on the local network, and what others share there"
    )
    actions = forban.add_subparsers(title="actions", required=True, metavar="ACTION")
    status = actions.add_parser("status", help="what this node shares and fetches")
    _add_common(status)
    status.set_defaults(run=_status)
    neighbours = actions.add_parser("neighbours", help="who is there")
    _add_common(neighbours)
    neighbours.set_defaults(run=_neighbours)
    search = actions.add_parser("search", help="look for files, here and at the neighbours")
    search.add_argument("term", nargs="+", help="words that are in the path")
    _add_common(search)
    search.set_defaults(run=_search)
    get = actions.add_parser(
        "get", help="fetch a file of a neighbour into the public box, whatever the mode"
    )
    get.add_argument("uuid", help="of the neighbour, or how that begins")
    get.add_argument("path", help="as the neighbour lists it")
    add_node(get)
    get.set_defaults(run=_get)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_node(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def _shown(options: argparse.Namespace, found: Any) -> bool:
    if options.json:
        print(json.dumps(found, indent=1))
    return bool(options.json)


def _status(options: argparse.Namespace) -> None:
    found = ask(options, "forban_status")
    if not _shown(options, found):
        report.show_forban(console(), found)


def _neighbours(options: argparse.Namespace) -> None:
    found = ask(options, "forban_neighbours")
    if not _shown(options, found):
        report.show_neighbours(console(), found)


def _search(options: argparse.Namespace) -> None:
    term = " ".join(options.term)
    found = ask(options, "forban_search", term=term)
    if _shown(options, found):
        return
    if not found["hits"]:
        raise FlocknodeError(f"nobody who is here has a file like {report.plain(term)}")
    report.show_hits(console(), found["hits"])
    if found["more"]:
        print("there are more: say more words")


def _get(options: argparse.Namespace) -> None:
    done = ask(options, "forban_get", uuid=options.uuid, path=options.path)
    print(report.plain(done))
