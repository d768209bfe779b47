# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the head of an answer says, as far as it matters here.
"""

from __future__ import annotations

import re
from typing import Any

import attrs
from twisted.web.http import stringToDatetime
from twisted.web.iweb import UNKNOWN_LENGTH

LONGEST_VALIDATOR = 256
"""Characters of an ETag that is kept."""

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@attrs.frozen
class Head:
    """
    @ivar code: of the status.
    @ivar length: bytes of the body, L{None} if it was not said.
    @ivar type: of the content, in lower case, without parameters.
    @ivar named: it is a file to be kept: it has a C{Content-Disposition}.
    @ivar coded: it is compressed, or otherwise not what it is.
    @ivar validator: what a later question can show to get the rest of the same
        file (C{If-Range}): a strong ETag or a date; or an empty string.
    @ivar range: (first byte, bytes of the whole) of a part; else L{None}.
    @ivar modified: seconds since the epoch, or L{None}.
    """

    code: int
    length: int | None = None
    type: str = ""
    named: bool = False
    coded: bool = False
    validator: str = ""
    range: tuple[int, int] | None = None
    modified: int | None = None


def head_of(response: Any) -> Head:
    """
    @param response: a L{twisted.web.iweb.IResponse}; anything may be in it.
    """

    def header(name: str) -> str:
        values = response.headers.getRawHeaders(name.encode("ascii")) or [b""]
        return str(values[0].decode("latin-1")).strip()

    length = None if response.length is UNKNOWN_LENGTH else int(response.length)
    found = _RANGE.fullmatch(header("Content-Range"))
    date = header("Last-Modified")
    etag = header("ETag")
    return Head(
        code=int(response.code),
        length=length,
        type=header("Content-Type").partition(";")[0].strip().lower(),
        named=bool(header("Content-Disposition")),
        coded=header("Content-Encoding").lower() not in ("", "identity"),
        validator=etag if _is_strong(etag) else date if _seconds(date) is not None else "",
        range=(int(found[1]), int(found[3])) if found else None,
        modified=_seconds(date),
    )


def _is_strong(etag: str) -> bool:
    return (
        len(etag) <= LONGEST_VALIDATOR
        and etag.startswith('"')
        and etag.endswith('"')
        and etag.isascii()
        and etag.isprintable()
    )


def _seconds(date: str) -> int | None:
    try:
        return int(stringToDatetime(date.encode("ascii"))) if date else None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, UnicodeEncodeError):
        return None
