# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The index of a Forban node: a file a line, C{relative/path,size}, in UTF-8.

Nothing is escaped; the last comma of a line divides it.  One bad line ends the
process of either other program, so what cannot be written strictly is left out
(L{is_listable}).  What is read may be anything: L{parse_line}.  Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import attrs

from flocknode.box.paths import check_path
from flocknode.box.values import Path
from flocknode.errors import PathError, ProtocolError

KEY = b"forban"
"""Of the hash of an index, where no other key is agreed upon.  (The original's
README has it with a capital, its program has not.)"""

LONGEST_LINE = 8192
"""Bytes: a path of 4095 and a number, with room."""

LONGEST_NAME = 245
"""Bytes of a file's name: the original writes each file to one whose name is ten
longer first, and its process ends when there can be no such name."""

LARGEST = 1 << 50
"""Bytes of a file in an index: greater ones are a mistake or a lie."""


@attrs.frozen
class Item:
    """
    A file of an index.

    @ivar path: a safe path below a box.
    @ivar size: bytes.
    """

    path: Path
    size: int


def is_listable(path: bytes) -> bool:
    """
    Can this path stand in an index, and shall it?  Hidden files shall not, nor
    Forban's own in C{forban/}, nor what ends whoever reads of it
    (L{LONGEST_NAME}).
    """
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if any(c in text for c in "\n\r"):
        return False
    components = path.split(b"/")
    if len(components[-1]) > LONGEST_NAME:
        return False
    return components[0] != b"forban" and not any(
        component.startswith(b".") for component in components
    )


def encode(items: Iterable[Item]) -> bytes:
    """
    The text of an index.

    @param items: L{is_listable}, all of them; they stay in their order.
    """
    return b"".join(b"%s,%d\n" % (item.path, item.size) for item in items)


def parse_line(line: bytes) -> Item | None:
    """
    @param line: without its end.
    @return: L{None}: there is nothing in it to fetch: an empty line, or a file
        that L{is_listable} leaves out.
    @raise ProtocolError: that is no line of an index, or no safe path.
    """
    if len(line) > LONGEST_LINE:
        raise ProtocolError("A line of an index that is too long.")
    line = line.rstrip(b"\r")
    if not line:
        return None
    path, comma, size = line.rpartition(b",")
    size = size.strip()
    if not comma or not size.isdigit() or len(size) > 16 or int(size) > LARGEST:
        raise ProtocolError("A line of an index without a size.")
    path = path.lstrip(b"/")
    try:
        safe = check_path(path)
    except PathError as error:
        raise ProtocolError(str(error)) from None
    return Item(safe, int(size)) if is_listable(safe) else None


def index_hmac(index: bytes, key: bytes = KEY) -> str:
    """
    What an announcement says of an index: HMAC-SHA1 of its exact bytes, 40
    hexadecimal digits.  With the common key it only tells that something has
    changed; with one that is kept secret also by whom it was written.
    """
    return hmac.new(key, index, hashlib.sha1).hexdigest()
