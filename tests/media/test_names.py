# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.media.names}.
"""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.media.names import Spot, is_spot, matches, parse, unescape


class NamesTests(SynchronousTestCase):
    def test_a_folder_on_a_medium(self) -> None:
        self.assertEqual(
            parse("label:FIELDKIT/papers/new"), Spot("label", b"FIELDKIT", (b"papers", b"new"))
        )

    def test_the_whole_medium(self) -> None:
        for text in ("uuid:1234-ABCD", "uuid:1234-ABCD/", "uuid:1234-ABCD//./"):
            self.assertEqual(parse(text), Spot("uuid", b"1234-ABCD"))

    def test_names_may_be_written_plainly_or_as_udev_does(self) -> None:
        self.assertEqual(parse("label:My Stick/x"), parse(r"label:My\x20Stick/x"))
        self.assertEqual(parse(r"label:a\x2fb/x"), Spot("label", b"a/b", (b"x",)))

    def test_what_names_nothing_or_leads_elsewhere_is_refused(self) -> None:
        for text in (
            *("label:", "label:/x", "uuid:", "x", "disk:X/y", "label:a/../b", "label:a\nb"),
            *(r"label:a\x00b", "label:" + "x" * 256, "label:a/" + "x" * 256),
        ):
            self.assertRaises(ValueError, parse, text)

    def test_paths_are_no_spots(self) -> None:
        for text in ("~/papers", "/a:b", "papers", "labels:x", "./label:x"):
            self.assertFalse(is_spot(text))
        self.assertTrue(is_spot("label:FIELDKIT") and is_spot("uuid:"))

    def test_the_name_that_udev_made_of_it_is_found(self) -> None:
        self.assertTrue(matches(parse("label:My Stick"), rb"My\x20Stick"))
        self.assertTrue(matches(parse("label:Öl"), "Öl".encode()))
        self.assertFalse(matches(parse("label:FIELDKIT"), b"fieldkit"))

    def test_ids_are_found_in_capitals_or_not(self) -> None:
        self.assertTrue(matches(parse("uuid:1234-abcd"), b"1234-ABCD"))
        self.assertFalse(matches(parse("uuid:1234-abcd"), b"1234-ABCE"))

    def test_escapes_are_bytes(self) -> None:
        self.assertEqual(unescape(rb"a\x20\xc3\xa9\x5cx20"), b"a \xc3\xa9\\x20")

    @given(st.text(max_size=60))
    def test_whatever_is_written_is_a_spot_or_refused_and_can_be_written_again(
        self, text: str
    ) -> None:
        for kind in ("label:", "uuid:", ""):
            with contextlib.suppress(ValueError):
                spot = parse(kind + text)
                self.assertEqual(parse(str(spot)), spot)
