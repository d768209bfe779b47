# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The names of conflict siblings.

When two versions of a path meet and neither had seen the other, the lesser
one moves to a sibling whose name is made of nothing but the path and the
losing value.  So every box that meets the same two versions makes the same
sibling, and no name says who wrote what::

    notes/plan.txt -> notes/plan.conflict-20260131-093000-0123456789ab.txt
"""

from __future__ import annotations

import datetime
import posixpath
import re

from flocknode.box.paths import LONGEST_PATH
from flocknode.box.values import Path, Value

MAX_NAME = 255
"""Bytes in one component of a path: NAME_MAX of Linux, BSD and macOS."""

MAX_PATH = LONGEST_PATH
"""Bytes in a path below a box."""

MARK = b".conflict-"
"""In the name of every conflict sibling."""

_MAX_EXTENSION = 32
# What follows the last dot of a name is an extension only if it is this short
# (dot included); the stem can be cut to fit, the extension can not.

_SIBLING = re.compile(
    rb"(.+?)(?:\.conflict-[0-9]{8}-[0-9]{6}-[0-9a-f]{12}(?:-[1-9][0-9]{0,8})?)+"
    rb"(\.[^.]{0,%d})?" % (_MAX_EXTENSION - 1),
    re.DOTALL,
)

_EPOCH = datetime.datetime(1970, 1, 1)
_MAX_SECONDS = 2**63 // 10**9
# An mtime beyond what 64 bits of nanoseconds hold is named as the last one.


def _marker(value: Value) -> bytes:
    """The part of a sibling's name that the losing value determines."""
    seconds = value.mtime_ns // 10**9
    seconds = min(max(seconds, -_MAX_SECONDS), _MAX_SECONDS)
    when = _EPOCH + datetime.timedelta(seconds=seconds)
    return b".conflict-%s-%s" % (
        when.strftime("%Y%m%d-%H%M%S").encode("ascii"),
        value.content[:6].hex().encode("ascii"),
    )


def _cut(stem: bytes, limit: int) -> bytes:
    """
    The longest start of C{stem} that has at most C{limit} bytes and does not
    end within a UTF-8 code point.  What is not UTF-8 is cut at the limit.
    """
    if len(stem) <= limit:
        return stem
    for end in range(limit, max(limit - 4, -1), -1):
        if stem[end] & 0xC0 != 0x80:
            # A code point starts at C{end}, or the byte belongs to none.
            return stem[:end]
    return stem[:limit]


def conflict_name(name: bytes, value: Value, limit: int = MAX_NAME) -> bytes:
    """
    The name under which C{value}, which lost at C{name}, lives on.

    It differs from C{name}, always: a value that loses at the very name that
    was made for it goes to C{...-2}, then C{...-3}.  A value that is pushed on
    and on therefore never comes back to a name it has left, whatever gets cut.

    @param name: one component of a path, of any bytes.
    @param limit: at most so many bytes; at least
        L{shortest_limit}C{(name, value)}.
    """
    stem, extension = _split(name)
    marker = _marker(value)
    own = re.fullmatch(
        rb"(.*)" + re.escape(marker) + rb"(?:-([1-9][0-9]{0,8}))?",
        stem,
        re.DOTALL,
    )
    if own is not None:
        stem = own.group(1)
        marker += b"-%d" % (int(own.group(2) or 1) + 1)
    return _cut(stem, limit - len(marker) - len(extension)) + marker + extension


def shortest_limit(name: bytes, value: Value) -> int:
    """The least C{limit} that L{conflict_name} can keep."""
    # Ten more: "-" and the number of a value that loses again and again.
    return len(_marker(value)) + 10 + len(_split(name)[1])


def original(name: bytes) -> bytes | None:
    """
    Whose sibling this is, as far as its name says: of a name that was cut to
    fit, only the beginning is left.

    @param name: one component of a path.
    @return: the name without what L{conflict_name} has put into it, once or
        more often; L{None}: it is no sibling's name.
    """
    match = _SIBLING.fullmatch(name)
    return None if match is None else match[1] + (match[2] or b"")


def was_cut(name: bytes, candidate: bytes) -> bool:
    """Can C{name} be a sibling of C{candidate}, whose name was cut to fit?"""
    short = original(name)
    if short is None or len(name) <= MAX_NAME - 4 or original(candidate) is not None:
        return False
    stem, extension = _split(short)
    whole, same = _split(candidate)
    return extension == same and whole != stem and whole.startswith(stem)


def numbered_name(name: bytes, number: int) -> bytes:
    """C{plan (2).txt}: a plain name next to C{plan.txt}."""
    stem, extension = _split(name)
    tail = b" (%d)" % number + extension
    return _cut(stem, MAX_NAME - len(tail)) + tail


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Stem and last extension of a name; hidden files have no stem to lose."""
    stem, extension = posixpath.splitext(name)
    if len(extension) > _MAX_EXTENSION:
        return name, b""
    return stem, extension


def conflict_path(path: Path, value: Value) -> Path:
    """
    Where C{value}, which lost at C{path}, lives on: next to it, or, where
    that would be longer than L{MAX_PATH}, in the nearest folder above with
    room for the name.
    """
    folder, _, name = path.rpartition(b"/")
    shortest = shortest_limit(name, value)
    while folder and len(folder) + 1 + shortest > MAX_PATH:
        folder = folder.rpartition(b"/")[0]
    if not folder:
        return Path(conflict_name(name, value))
    limit = min(MAX_NAME, MAX_PATH - len(folder) - 1)
    return Path(folder + b"/" + conflict_name(name, value, limit))
