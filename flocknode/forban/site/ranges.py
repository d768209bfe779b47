# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which part of a file an HTTP request wants, if any: ranges and conditions of RFC
9110.  Pure.

One range is answered with that part.  Several, and whatever is no range, are
answered with the whole, as the RFC allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime

import attrs

_RANGE = re.compile(rb"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_ETAG = re.compile(rb'(?:W/)?("[^"]*")')


@attrs.frozen
class Held:
    """
    What there is.

    @ivar size: bytes.
    @ivar etag: strong, in its quotes; changes with each byte of the content.
    @ivar modified: seconds since the epoch, not in the future; L{None}: not told.
    """

    size: int
    etag: bytes
    modified: int | None = None


@attrs.frozen
class Part:
    """
    What is answered.

    @ivar code: 200 (the whole), 206 (a part), or without any of it 304 (it is
        known), 412 (it is another) or 416 (there is no such part).
    @ivar begin: where the part begins.
    @ivar length: its bytes.
    """

    code: int
    begin: int = 0
    length: int = 0


def wanted(held: Held, header: Callable[[bytes], bytes | None], partly: bool = True) -> Part:
    """
    @param header: a header of the request by its name, anything at all;
        L{None}: it has none.
    @param partly: may it be a part?  Only a GET may ask for one.
    """
    matching = header(b"if-match")
    unmodified = header(b"if-unmodified-since")
    if matching is not None:
        if not _any_of(matching, held.etag, strong=True):
            return Part(412)
    elif unmodified is not None and _is_later(held.modified, unmodified):
        return Part(412)
    known = header(b"if-none-match")
    since = header(b"if-modified-since")
    if known is not None:
        if _any_of(known, held.etag, strong=False):
            return Part(304)
    elif since is not None and _is_later(held.modified, since) is False:
        return Part(304)
    asked = header(b"range")
    if asked is None or not partly or not _is_same(held, header(b"if-range")):
        return Part(200, 0, held.size)
    return _part(held.size, asked)


def _part(size: int, asked: bytes) -> Part:
    whole = Part(200, 0, size)
    found = _RANGE.fullmatch(asked)
    if found is None:
        return whole
    first, last = found.groups()
    if first:
        begin = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < begin:
            return whole
        return Part(206, begin, end - begin + 1) if begin < size else Part(416)
    if not last:
        return whole
    length = min(int(last), size)
    if not int(last):
        return Part(416)
    # The end of what is empty is all of it; there is no way to say so with 206.
    return Part(206, size - length, length) if size else whole


def _is_same(held: Held, condition: bytes | None) -> bool:
    """Does If-Range let a part be sent?"""
    if condition is None:
        return True
    condition = condition.strip()
    if condition.endswith(b'"'):
        return condition == held.etag
    return held.modified is not None and parse_date(condition) == held.modified


def _any_of(listed: bytes, etag: bytes, strong: bool) -> bool:
    if listed.strip() == b"*":
        return True
    return any(
        found.group(1) == etag and not (strong and found.group(0).startswith(b"W/"))
        for found in _ETAG.finditer(listed)
    )


def _is_later(modified: int | None, date: bytes) -> bool | None:
    """Was it modified after that?  L{None}: nobody knows."""
    when = parse_date(date)
    return None if when is None or modified is None else modified > when


def parse_date(date: bytes) -> int | None:
    """
    @param date: of a header, anything at all.
    @return: seconds since the epoch; L{None}: it is none.
    """
    try:
        return int(parsedate_to_datetime(date.decode("ascii")).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def format_date(seconds: int) -> bytes:
    """As it stands in a header."""
    return formatdate(seconds, usegmt=True).encode("ascii")


def modified_of(mtime_ns: int, now: float) -> int:
    """
    What is told of a file's time: not the future, which HTTP forbids, and
    nothing before the epoch.

    @param mtime_ns: nanoseconds since the epoch.
    @param now: seconds since the epoch.
    @return: seconds since the epoch.
    """
    return max(0, min(mtime_ns // 1_000_000_000, int(now)))
