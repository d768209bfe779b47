# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Names, numbers and times as people read them.
"""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.near.neighbours import Address, Neighbour, Neighbours
from flocknode.forban.protocol.announcement import Announcement
from flocknode.forban.site.showing import ago, base_of, count_of, folder_link, size_of, text_of

UUID = "5e0c9a44-7d0f-4a43-8f64-0d6f3b3c6a10"


class Names(SynchronousTestCase):
    """They do nothing but be read."""

    def test_text_stays_as_it_is(self) -> None:
        for text in ("a b", "Straße", "שלום", "<b>&amp;", "👩\u200d🚀", "日本"):
            self.assertEqual(text_of(text), text)
            self.assertEqual(text_of(text.encode()), text)

    def test_what_cannot_be_seen_is_shown(self) -> None:
        for bad in "\0\x07\n\x7f\x85\u200e\u202e\u2066\ufeff\u2028\U000e0041\ue000":
            self.assertEqual(text_of(f"a{bad}b"), "a\ufffdb", hex(ord(bad)))
        self.assertEqual(text_of(b"a\xffb"), "a\ufffdb")

    @given(st.binary(max_size=40))
    def test_no_bytes_turn_or_hide_anything(self, name: bytes) -> None:
        for character in text_of(name):
            bidi = unicodedata.bidirectional(character)
            self.assertNotIn(bidi, {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
            self.assertNotEqual(unicodedata.category(character), "Cc")


class Numbers(SynchronousTestCase):
    """They are short, and stay with their units."""

    def test_sizes_are_rounded_to_what_can_be_read(self) -> None:
        for size, text in (
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_951, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1 << 50, "1.1 PB"),
            (20_000 << 50, "22518 PB"),
        ):
            self.assertEqual(size_of(size), text.replace(" ", "\N{NO-BREAK SPACE}"))

    def test_one_is_not_called_many(self) -> None:
        self.assertEqual(count_of(1, "file", "files"), "1\N{NO-BREAK SPACE}file")
        self.assertEqual(
            count_of(12345, "file", "files"),
            "12\N{NARROW NO-BREAK SPACE}345\N{NO-BREAK SPACE}files",
        )

    def test_times_are_rough(self) -> None:
        self.assertEqual(
            [ago(seconds) for seconds in (0, 14.9, 42, 100, 299)],
            ["just now", "just now", "42 s ago", "2 min ago", "5 min ago"],
        )


class Links(SynchronousTestCase):
    """They lead where a browser can go."""

    def heard(self, *hosts: str) -> Neighbour:
        """A neighbour that was heard at these addresses."""
        neighbours = Neighbours("own", lambda: 0.0)
        for host in hosts:
            neighbours.heard(Announcement(UUID), Address(host, 12555))
        found = neighbours.get(UUID)
        assert found is not None
        return found

    def test_a_neighbour_is_where_it_was_heard(self) -> None:
        self.assertEqual(base_of(self.heard("10.0.0.1")), "http://10.0.0.1:12555")
        self.assertEqual(base_of(self.heard("2001:db8::1")), "http://[2001:db8::1]:12555")

    def test_an_address_with_a_scope_is_nowhere(self) -> None:
        self.assertIsNone(base_of(self.heard("fe80::1%eth0")))
        self.assertEqual(base_of(self.heard("fe80::1%eth0", "10.0.0.1")), "http://10.0.0.1:12555")

    def test_any_folder_can_be_linked_to(self) -> None:
        self.assertEqual(folder_link("u"), "/l/u")
        self.assertEqual(folder_link("u", b'a b/"<&?#\xff'), "/l/u?p=a%20b/%22%3C%26%3F%23%FF")
