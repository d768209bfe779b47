# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How neighbours are asked for their index and their files, whichever program they
are.

 - An index is C{g=forban/index}; to goforban, where that is not found, also
   C{g=/forban/index}.  Another flocknode has a better one.
 - A path is written as both servers understand it, and if that is not found as
   the original does (L{flocknode.forban.protocol.names}).
 - goforban answers 200 with a listing in HTML for what it cannot decode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flocknode.errors import NeighbourError, ProtocolError
from flocknode.forban.fetch.asker import Asker, Unreachable
from flocknode.forban.fetch.body import PIECE, Sink
from flocknode.forban.fetch.heads import Head
from flocknode.forban.fetch.reading import MOST_BYTES, MOST_JSONL_BYTES, JsonlReader, TextReader
from flocknode.forban.near.neighbours import Neighbour
from flocknode.forban.protocol import names
from flocknode.forban.protocol.remote import RemoteFile, RemoteIndex

T = TypeVar("T")

_BEYOND = 4 * PIECE
# Bytes that may be on their way when a reader says that it is enough.


async def _ask(
    asker: Asker,
    neighbour: Neighbour,
    query: str,
    choose: Callable[[Head], Sink[T] | None],
    most: int,
    *,
    headers: dict[str, str] | None = None,
) -> tuple[Head, T | None]:
    """At the first address that can be reached."""
    for address, _ in neighbour.addresses[:-1]:
        try:
            return await asker.ask(address, query, choose, most, headers=headers)
        except Unreachable:
            continue
    return await asker.ask(neighbour.addresses[-1][0], query, choose, most, headers=headers)


async def ask_better_index(
    asker: Asker, neighbour: Neighbour, key: bytes | None = None
) -> RemoteIndex | None:
    """
    The index with hashes, which only a flocknode has.

    @param key: that was agreed upon, if one was.
    @return: L{None}: it has none.
    @raise NeighbourError: no answer.
    """

    def choose(head: Head) -> Sink[RemoteIndex] | None:
        is_one = head.code == 200 and head.type != "text/html" and not head.coded
        return JsonlReader(neighbour.uuid, key) if is_one else None

    try:
        most = MOST_JSONL_BYTES + _BEYOND
        return (await _ask(asker, neighbour, "g=forban/index.jsonl", choose, most))[1]
    except ProtocolError:
        return None


async def ask_index(
    asker: Asker, neighbour: Neighbour, key: bytes | None = None
) -> RemoteIndex:
    """
    The index that every node has.

    @raise NeighbourError: no answer, or no index.
    """

    def choose(head: Head) -> Sink[RemoteIndex] | None:
        is_one = head.code == 200 and head.type != "text/html" and not head.coded
        return TextReader(neighbour.uuid, neighbour.hmac, key) if is_one else None

    code = 0
    for query in ("g=forban/index", "g=/forban/index"):
        try:
            head, index = await _ask(asker, neighbour, query, choose, MOST_BYTES + _BEYOND)
        except ProtocolError as error:
            raise NeighbourError(f"Its index cannot be used: {error}") from error
        if index is not None:
            return index
        code = head.code
    raise NeighbourError(f"It shows no index (its answer was {code}).")


async def ask_file(
    asker: Asker,
    neighbour: Neighbour,
    file: RemoteFile,
    begin: Callable[[Head, int], Sink[T] | None],
    *,
    offset: int = 0,
    validator: str = "",
) -> T:
    """
    One file.

    @param begin: makes what takes it, from the head and the number of the first
        byte that comes; or nothing does.
    @param offset: bytes that are here already; C{validator}: what they were
        known by (L{Head.validator}), if anything.
    @raise NeighbourError: it does not come, or not as its index says.
    """

    def choose(head: Head) -> Sink[T] | None:
        first = _first_byte(head, file.size, offset)
        return None if first is None else begin(head, first)

    headers: dict[str, str] = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    code = 0
    forms = dict.fromkeys((names.encode_for_any(file.path), names.encode(file.path)))
    for form in forms:
        head, result = await _ask(
            asker, neighbour, f"g={form}&f=b64e", choose, file.size, headers=headers
        )
        if result is not None:
            return result
        code = head.code
    raise NeighbourError(f"It does not give a file of its index (its answer was {code}).")


def _first_byte(head: Head, size: int, offset: int) -> int | None:
    """
    The number of the first byte of an answer; L{None}: it is not this file.

    @param size: of the whole; C{offset}: where it was asked to begin.
    """
    if head.coded:
        return None
    if head.code == 206:
        is_rest = offset > 0 and head.range == (offset, size)
        return offset if is_rest and head.length in (None, size - offset) else None
    if head.code != 200 or head.length not in (None, size):
        return None
    # A listing that happens to have the right length is told by its hash, or not
    # at all; one of unknown length by this.
    if head.type == "text/html" and not head.named and head.length is None:
        return None
    return 0
