# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What stands behind the question mark of a URL, and what a file is called that is
handed out.  Pure.
"""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from flocknode.box.paths import split
from flocknode.errors import ProtocolError
from flocknode.forban.protocol import names

Query = dict[bytes, bytes]
"""Names and values.  Of one that is there twice the first counts."""


def parse_query(uri: bytes) -> Query:
    """
    @param uri: of a request, anything at all.
    """
    found: Query = {}
    for field in uri.partition(b"?")[2].split(b"&"):
        name, _, value = field.replace(b"+", b" ").partition(b"=")
        found.setdefault(unquote_to_bytes(name), unquote_to_bytes(value))
    return found


def asked_path(query: Query) -> bytes:
    """
    Which path C{/s/} is asked for.  With any C{f} it is encoded
    (L{flocknode.forban.protocol.names}), without one it is plain.

    @return: any bytes: to be looked up, never to be opened.
    @raise ProtocolError: none, or it cannot be decoded.
    """
    name = query.get(b"g")
    if name is None:
        raise ProtocolError("Nothing is asked for.")
    path = names.decode(name) if b"f" in query else name
    return path.lstrip(b"/")


def number(text: bytes, least: int, most: int) -> int | None:
    """
    @return: the number, moved into these bounds; L{None}: it is none.
    """
    if not text.isdigit():
        return None
    return max(least, min(int(text[:9]), most))


def disposition(path: bytes) -> bytes:
    """
    The value of Content-Disposition (RFC 6266) for a file: kept, not shown, by
    its name.
    """
    name = split(path)[1]
    plain = "".join(
        chr(c) if 32 <= c < 127 and chr(c) not in '"\\%/;' else "_" for c in name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode(
        "ascii"
    )
