# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode forban}: what is shared with everybody on the local network, who else
is there, and fetching from them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from flocknode.commands.common import Commands, add_node, ask, console
from flocknode.errors import FlocknodeError
from flocknode.report import plain, size, table


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
        for line in _lines(found):
            console().print(Text(line), soft_wrap=True)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    boxes = ", ".join(map(plain, found["boxes"]))
    sites = ", ".join(found["sites"]) or "nowhere"
    yield f"{plain(found['name'])} ({found['uuid']}), {found['mode']}"
    yield f"public: {boxes}: {found['files']} files, {size(found['size'])}"
    yield f"site: {sites}"
    yield f"neighbours: {found['neighbours']}"
    fetching = found["fetching"]
    quota = f" of {size(fetching['quota'])}" if fetching["quota"] else ""
    waiting = f", {fetching['waiting']} to enter their boxes later" if fetching["waiting"] else ""
    yield f"fetched: {fetching['fetched']} files, {size(fetching['today'])}{quota} today{waiting}"
    for transfer in fetching["transfers"]:
        of = size(transfer["size"])
        yield f"fetching {plain(transfer['path'])}: {size(transfer['received'])} of {of}"
    for medium in found["media"]:
        yield (
            f"medium {plain(medium['path'])}: {medium['state']}, {medium['imported']} files"
            f" imported, {medium['exported']} exported"
        )
        for path, problem in medium["problems"]:
            yield f"medium {plain(medium['path'])}: {plain(path)}: {plain(problem)}"
    problems = [*found["problems"], *found["announcing"]["problems"], fetching["error"]]
    yield from map(plain, filter(None, problems))


def _neighbours(options: argparse.Namespace) -> None:
    found = ask(options, "forban_neighbours")
    if _shown(options, found):
        return
    if not found:
        print("nobody else is here")
        return
    rows = table("uuid", "name", "address", "heard", "has")
    for each in found:
        has = "?" if each["files"] is None else f"{each['files']} files"
        has += ", by TLS" * each["tls"]
        if each["tampered"]:
            has = "an index that was not made with the key"
        elif each["error"]:
            has = each["error"] if each["files"] is None else f"{has}; {each['error']}"
        heard = f"{each['silent']:.0f} s ago"
        values = (each["uuid"], plain(each["name"]), each["address"], heard, plain(has))
        rows.add_row(*map(Text, values))
    console().print(rows)


def _search(options: argparse.Namespace) -> None:
    term = " ".join(options.term)
    found = ask(options, "forban_search", term=term)
    if _shown(options, found):
        return
    if not found["hits"]:
        raise FlocknodeError(f"nobody who is here has a file like {plain(term)}")
    rows = table("uuid", "name", "size", "path")
    for hit in found["hits"]:
        values = (hit["uuid"], plain(hit["name"]), size(hit["size"]), plain(hit["path"]))
        rows.add_row(*map(Text, values))
    console().print(rows)
    if found["more"]:
        print("there are more: say more words")


def _get(options: argparse.Namespace) -> None:
    done = ask(options, "forban_get", uuid=options.uuid, path=options.path)
    if done["path"] is None:
        print(f"it is here, and enters its box in {done['wait'] / 60:.0f} minutes")
    else:
        print(f"it is {plain(done['path'])} in its box")
