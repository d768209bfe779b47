# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.protocol.items}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.paths import check_path
from flocknode.box.values import Path
from flocknode.errors import ProtocolError
from flocknode.forban.protocol.items import (
    LARGEST,
    LONGEST_LINE,
    LONGEST_NAME,
    Item,
    encode,
    index_hmac,
    is_listable,
    parse_line,
)
from tests.forban.strategies import items, unhurried


class Written(SynchronousTestCase):
    def test_a_line_is_a_path_a_comma_and_a_size(self) -> None:
        index = encode([Item(Path(b"b/c, d"), 7), Item(Path(b"a"), 0)])
        self.assertEqual(index, b"b/c, d,7\na,0\n")
        self.assertEqual(encode([]), b"")

    @unhurried
    @given(st.lists(items))
    def test_an_index_that_is_written_is_read_as_it_was(self, all: list[Item]) -> None:
        *lines, last = encode(all).split(b"\n")
        self.assertEqual(last, b"")
        self.assertEqual([parse_line(line) for line in lines], all)

    def test_what_may_stand_in_an_index(self) -> None:
        longest = b"d/" + b"x" * LONGEST_NAME
        for path in (
            b"a", b"a/b, c", "ä/ß".encode(), b"forbane/x", b"x/forban/y", b" a\t", longest
        ):  # fmt: skip
            self.assertTrue(is_listable(path), path)
        for path in (
            b".a",
            b"a/.b",
            b".a/b",
            b"forban",
            b"forban/index",
            b"a\nb,1",
            b"a\rb",
            b"\xff",
            b"d/" + b"x" * (LONGEST_NAME + 1),
            "\ud800".encode("utf-8", "surrogatepass"),
        ):
            self.assertFalse(is_listable(path), path)


class Read(SynchronousTestCase):
    def test_the_last_comma_divides(self) -> None:
        self.assertEqual(parse_line(b"a,1,b,22"), Item(Path(b"a,1,b"), 22))

    def test_the_ways_of_others_are_understood(self) -> None:
        for line in (b"a/b,5", b"/a/b,5", b"a/b,5\r", b"a/b, 5"):
            self.assertEqual(parse_line(line), Item(Path(b"a/b"), 5), line)

    def test_what_is_not_to_be_fetched_is_passed_over(self) -> None:
        for line in (b"", b"\r", b".hidden,1", b"a/.b,1", b"forban/index,99", b"/forban/x,1"):
            self.assertIsNone(parse_line(line), line)

    def test_paths_that_lead_elsewhere_are_refused(self) -> None:
        for path in (
            b"../x",
            b"a/../../x",
            b"a/..",
            b"./a",
            b"a//b",
            b"a/",
            b"/",
            b"a\0b",
            b".flocknode/box",
            b".FLOCKNODE/box",
            b"n" * 256,
            b"d/" * 2500 + b"f",
        ):
            self.assertRaises(ProtocolError, parse_line, path + b",1")

    def test_lines_without_a_size_are_refused(self) -> None:
        for line in (
            b"a",
            b"a,",
            b",",
            b",5",
            b"a,-1",
            b"a,+1",
            b"a,1.5",
            b"a,1_0",
            b"a,0x10",
            "a,\u0663".encode(),
            b"a,1e3",
            b"a,%d" % (LARGEST + 1),
            b"a," + b"9" * 5000,
            b"<html><body>404</body></html>",
        ):
            self.assertRaises(ProtocolError, parse_line, line)

    def test_a_line_that_is_too_long_is_refused_unread(self) -> None:
        self.assertRaises(ProtocolError, parse_line, b"\r" * (LONGEST_LINE + 1))

    @unhurried
    @given(
        st.one_of(
            st.binary(),
            st.binary().map(lambda data: data + b",12"),
            st.lists(st.sampled_from([b"a", b"..", b"", b".", b"forban", b"\xff", b"\0", b","]))
            .map(b"/".join)
            .map(lambda path: path + b",1"),
        )
    )
    def test_any_line_is_an_item_nothing_or_refused(self, line: bytes) -> None:
        try:
            found = parse_line(line)
        except ProtocolError:
            return
        if found is not None:
            self.assertEqual(check_path(found.path), found.path)
            self.assertTrue(is_listable(found.path))
            self.assertIn(b"%d" % found.size, line)


class Hashes(SynchronousTestCase):
    def test_the_common_key_is_written_small(self) -> None:
        # printf '' | openssl dgst -sha1 -hmac forban, and of b"a,1\n"
        self.assertEqual(index_hmac(b""), "600111f0623d39548e7c972b1fc64f18548d17c3")
        self.assertEqual(index_hmac(b"a,1\n"), "e21ff19bdd2e369347f51f3175c94943adf46211")

    def test_another_key_gives_another_hash(self) -> None:
        self.assertNotEqual(index_hmac(b"a,1\n", b"other"), index_hmac(b"a,1\n"))
