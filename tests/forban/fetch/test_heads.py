# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.heads}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from flocknode.forban.fetch.heads import Head, head_of

NAMES = (
    "Content-Type",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Range",
    "ETag",
    "Last-Modified",
)


def head(length: Any = 5, code: int = 200, **headers: bytes) -> Head:
    """Of a response with these headers, their names with C{_} for C{-}."""
    raw = Headers()
    for name, value in headers.items():
        raw.addRawHeader(name.replace("_", "-").encode(), value)
    return head_of(SimpleNamespace(code=code, length=length, headers=raw))


class Heads(SynchronousTestCase):
    """What the head of an answer says."""

    def test_a_plain_one(self) -> None:
        self.assertEqual(head(), Head(200, 5))
        self.assertEqual(head(UNKNOWN_LENGTH), Head(200, None))

    def test_the_type_is_without_its_parameters(self) -> None:
        self.assertEqual(head(Content_Type=b"Text/HTML; charset=utf-8").type, "text/html")

    def test_a_part_says_which(self) -> None:
        self.assertEqual(head(Content_Range=b"bytes 5-9/10").range, (5, 10))
        for bad in (b"bytes */10", b"bytes 5-9/*", b"5-9/10", b"bytes a-b/c", b""):
            self.assertIsNone(head(Content_Range=bad).range)

    def test_a_state_is_known_by_a_strong_tag_or_by_a_date(self) -> None:
        date = b"Sun, 06 Nov 1994 08:49:37 GMT"
        self.assertEqual(head(ETag=b'"abc"', Last_Modified=date).validator, '"abc"')
        self.assertEqual(head(Last_Modified=date).validator, date.decode())
        self.assertEqual(head(Last_Modified=date).modified, 784111777)
        for weak in (b'W/"abc"', b"abc", b'"' + b"x" * 500 + b'"', b'"a\x80"', b""):
            self.assertEqual(head(ETag=weak).validator, "")

    def test_what_is_compressed_is_not_what_it_is(self) -> None:
        self.assertTrue(head(Content_Encoding=b"gzip").coded)
        self.assertFalse(head(Content_Encoding=b"identity").coded)

    @given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=60)))
    def test_anything_gives_a_head(self, values: dict[str, bytes]) -> None:
        headers: Any = {name.replace("-", "_"): value for name, value in values.items()}
        found = head(**headers)
        self.assertEqual(found.code, 200)
        # What is shown to a server again must not end a line.
        self.assertTrue(found.validator.isprintable())
