# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Ranges and conditions mean what RFC 9110 says.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.site.ranges import (
    Held,
    Part,
    format_date,
    modified_of,
    parse_date,
    wanted,
)

HELD = Held(1000, b'"abc"', 1_700_000_000)
THEN = format_date(1_700_000_000)
BEFORE = format_date(1_699_999_999)
AFTER = format_date(1_700_000_001)
WHOLE = Part(200, 0, 1000)


def ask(held: Held = HELD, partly: bool = True, **headers: bytes) -> Part:
    """Headers by their names, with C{_} for C{-}."""
    return asked(headers, held, partly)


def asked(headers: dict[str, bytes], held: Held = HELD, partly: bool = True) -> Part:
    """The same."""
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return wanted(held, named.get, partly)


class Ranges(SynchronousTestCase):
    """One range is served, whatever else is not one."""

    def test_a_range_is_that_part(self) -> None:
        for asked, begin, length in (
            (b"bytes=0-0", 0, 1),
            (b"bytes=0-999", 0, 1000),
            (b"bytes=10-19", 10, 10),
            (b"Bytes= 10-19 ", 10, 10),
            (b"bytes=990-", 990, 10),
            (b"bytes=990-5000", 990, 10),
            (b"bytes=-10", 990, 10),
            (b"bytes=-5000", 0, 1000),
        ):
            self.assertEqual(ask(range=asked), Part(206, begin, length), asked)

    def test_what_is_behind_the_end_cannot_be_had(self) -> None:
        for asked in (b"bytes=1000-", b"bytes=1000-1001", b"bytes=-0", b"bytes=99999-"):
            self.assertEqual(ask(range=asked), Part(416), asked)

    def test_several_ranges_and_none_are_the_whole(self) -> None:
        for asked in (
            b"bytes=0-1,5-6", b"bytes=5-1", b"bytes=-", b"bytes=", b"lines=1-2", b"", b"bytes=a-b",
            b"bytes=--5", b"bytes=1-2-3", b"bytes=%s-" % (b"9" * 5000), b"bytes=\xd9\xa1-",
        ):  # fmt: skip
            self.assertEqual(ask(range=asked), WHOLE, asked)

    def test_a_head_has_no_ranges(self) -> None:
        self.assertEqual(ask(partly=False, range=b"bytes=1-2"), WHOLE)

    def test_an_empty_file_has_no_part(self) -> None:
        empty = Held(0, b'""')
        self.assertEqual(ask(empty, range=b"bytes=0-"), Part(416))
        self.assertEqual(ask(empty, range=b"bytes=-5"), Part(200, 0, 0))

    @given(st.binary(max_size=60) | st.from_regex(rb"bytes=[0-9,\- ]*"), st.integers(0, 50))
    def test_whatever_is_asked_for_lies_in_the_file(self, asked: bytes, size: int) -> None:
        part = ask(Held(size, b'"x"'), range=asked)
        if part.code == 206:
            self.assertGreater(part.length, 0)
            self.assertLessEqual(part.begin + part.length, size)
        else:
            self.assertIn(part, (Part(200, 0, size), Part(416)))


class Conditions(SynchronousTestCase):
    """What is known is not sent again; what was begun goes on only if it is the same."""

    def test_who_knows_it_is_told_so(self) -> None:
        for known in (b'"abc"', b'W/"abc"', b'"x", "abc"', b"*"):
            self.assertEqual(ask(if_none_match=known), Part(304), known)
        for other in (b'"x"', b"abc", b"", b'"ABC"'):
            self.assertEqual(ask(if_none_match=other), WHOLE, other)

    def test_time_counts_where_no_tag_is_named(self) -> None:
        self.assertEqual(ask(if_modified_since=THEN), Part(304))
        self.assertEqual(ask(if_modified_since=AFTER), Part(304))
        self.assertEqual(ask(if_modified_since=BEFORE), WHOLE)
        self.assertEqual(ask(if_modified_since=THEN, if_none_match=b'"x"'), WHOLE)
        self.assertEqual(ask(Held(1, b'"x"'), if_modified_since=AFTER), Part(200, 0, 1))

    def test_who_wants_only_the_same_gets_no_other(self) -> None:
        self.assertEqual(ask(if_match=b'"abc"'), WHOLE)
        self.assertEqual(ask(if_match=b"*"), WHOLE)
        self.assertEqual(ask(if_match=b'W/"abc"'), Part(412))
        self.assertEqual(ask(if_match=b'"x"'), Part(412))
        self.assertEqual(ask(if_unmodified_since=BEFORE), Part(412))
        self.assertEqual(ask(if_unmodified_since=THEN), WHOLE)

    def test_a_part_of_something_else_is_not_sent(self) -> None:
        part = Part(206, 5, 995)
        for same in (b'"abc"', b' "abc" ', THEN):
            self.assertEqual(ask(range=b"bytes=5-", if_range=same), part, same)
        for other in (b'"x"', b'W/"abc"', BEFORE, AFTER, b"", b"nonsense"):
            self.assertEqual(ask(range=b"bytes=5-", if_range=other), WHOLE, other)

    @given(st.dictionaries(
        st.sampled_from(
            ["range", "if_range", "if_match", "if_none_match", "if_modified_since",
             "if_unmodified_since"]
        ),
        st.binary(max_size=40) | st.sampled_from([b'"abc"', b"*", THEN, b"bytes=1-2"]),
    ))  # fmt: skip
    def test_any_headers_have_an_answer(self, headers: dict[str, bytes]) -> None:
        self.assertIn(asked(headers).code, (200, 206, 304, 412, 416))


class Dates(SynchronousTestCase):
    """They are written in one way, and read in all."""

    def test_what_is_written_is_read(self) -> None:
        self.assertEqual(format_date(784111777), b"Sun, 06 Nov 1994 08:49:37 GMT")
        for written in (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT"):
            self.assertEqual(parse_date(written), 784111777)

    @given(st.binary(max_size=60) | st.from_regex(rb"[A-Z][a-z]{2}, [0-9]+ Nov [0-9]+ [0-9:]+ .*"))
    def test_anything_is_a_date_or_none(self, date: bytes) -> None:
        self.assertIsInstance(parse_date(date), int | None)

    def test_no_time_is_told_that_is_to_come(self) -> None:
        self.assertEqual(modified_of(5_999_999_999, 10.0), 5)
        self.assertEqual(modified_of(50_000_000_000, 10.5), 10)
        self.assertEqual(modified_of(-(1 << 63), 10.0), 0)
