# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What an entry from outside must be like before it may touch the index.  Pure.
"""

from __future__ import annotations

from flocknode.box.content import HASH_SIZE, LARGEST_CONTENT, block_hash, block_size_for
from flocknode.box.merge.history import MAX_SUPERSEDED, matches
from flocknode.box.paths import check_path
from flocknode.box.values import TOMBSTONE, Entry, Head, Kind
from flocknode.errors import ProtocolError

MAX_HEADS = 64
"""Announced entries are settled, so one is the rule."""

LONGEST_TARGET = 4095
"""Bytes of a symbolic link's target: C{PATH_MAX} of Linux without its NUL."""

_TIME = 1 << 63
_DEPTH = 1 << 62
_EMPTY = block_hash(b"")


def check_entry(entry: Entry) -> None:
    """
    @raise ProtocolError: if it is not an entry that a flocknode can announce:
        an unsafe path, a version whose id does not speak of its value, a value
        that no path can have, numbers out of range.
    """
    check_path(entry.path)
    history = entry.history
    if not 0 < len(history.heads) <= MAX_HEADS or len(history.superseded) > MAX_SUPERSEDED:
        raise ProtocolError("An entry with too few or too many versions.")
    for head in history.heads:
        _check_head(head)
    for id, depth in history.superseded:
        if len(id) != 16 or not 0 <= depth < _DEPTH:
            raise ProtocolError("An entry with a superseded version that cannot be.")
    if len(history.heads) == 1 and entry.block_size != block_size_for(history.heads[0].size):
        raise ProtocolError("An entry with blocks of another size than its content asks for.")


def _check_head(head: Head) -> None:
    value, size = head.value, head.size
    if not 0 <= head.depth < _DEPTH or not 0 <= size <= LARGEST_CONTENT:
        raise ProtocolError("A version with a number out of range.")
    if not -_TIME <= value.mtime_ns < _TIME or not 0 <= value.mode <= 0o777:
        raise ProtocolError("A version with a time or mode out of range.")
    if value.deleted:
        possible = value == TOMBSTONE and size == 0
    elif value.kind is Kind.DIRECTORY:
        possible = not value.content and value.mtime_ns == 0 and size == 0
    elif value.kind is Kind.SYMLINK:
        possible = _has_content(head) and value.mode == 0 and 0 < size <= LONGEST_TARGET
    else:
        possible = _has_content(head)
    if not possible:
        raise ProtocolError("A version with a value that no path can have.")
    if not matches(head):
        raise ProtocolError("A version whose id does not speak of its value.")


def _has_content(head: Head) -> bool:
    content = head.value.content
    return len(content) == HASH_SIZE and (content == _EMPTY) == (head.size == 0)
