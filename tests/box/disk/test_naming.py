# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.naming}.
"""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk.naming import DOUBTFUL, PLAIN, Naming

WINDOWS = Naming(
    case_sensitive=False, text_only=True, refused=DOUBTFUL, any_end=False, devices=False
)
MAC = Naming(case_sensitive=False, normalizing=True, text_only=True)


class NamingTests(SynchronousTestCase):
    """What disks make of names."""

    def test_what_windows_cannot_hold_is_said_in_a_sentence(self) -> None:
        for path, part in (
            (b"a:b", "with : in it"),
            (b"d/a?b/c", "with ? in it"),
            (b"tab\there", "control character"),
            (b"d./x", "ends in a dot or a space"),
            (b"x ", "ends in a dot or a space"),
            (b"\xff", "not UTF-8"),
        ):
            self.assertIn(part, WINDOWS.why_not(path))
            self.assertTrue(WINDOWS.why_not(path).endswith("rename it on another node."))
            self.assertEqual(PLAIN.why_not(path), "")

    def test_names_of_devices_are_known_whatever_follows_a_dot(self) -> None:
        for name in (b"con", b"CON", b"Aux.txt", b"com1", b"LPT9.a.b", b"nul .txt", b"d/prn"):
            self.assertIn("device", WINDOWS.why_not(name), name)
        for name in (b"console", b"com", b"com10", b"xcon", b"con-x.txt", b"a.con"):
            self.assertEqual(WINDOWS.why_not(name), "", name)

    def test_a_name_that_is_too_long_is_said(self) -> None:
        self.assertIn("too long", Naming(longest=143).why_not(b"d/" + b"x" * 144))
        self.assertEqual(Naming(longest=143).why_not(b"d/" + b"x" * 143), "")

    def test_who_normalises_folds_all_of_unicode_and_others_single_characters(self) -> None:
        composed, decomposed = "É".encode(), "e\u0301".encode()
        self.assertEqual(MAC.key(composed), MAC.key(decomposed))
        self.assertNotEqual(WINDOWS.key(composed), WINDOWS.key(decomposed))
        self.assertEqual(WINDOWS.key(composed), WINDOWS.key("é".encode()))
        self.assertEqual(MAC.key("ß".encode()), MAC.key(b"SS"))
        self.assertNotEqual(WINDOWS.key("ß".encode()), WINDOWS.key(b"SS"))

    @given(st.text(max_size=8))
    def test_all_spellings_of_a_name_have_one_key(self, text: str) -> None:
        spellings = {
            unicodedata.normalize(form, text).encode("utf-8", "surrogatepass")
            for form in ("NFC", "NFD")
        }
        self.assertEqual(len({MAC.key(each) for each in spellings}), 1)

    def test_names_that_are_no_text_have_keys_of_their_own(self) -> None:
        for naming in (PLAIN, WINDOWS, MAC):
            self.assertEqual(len({naming.key(name) for name in (b"\xff", b"\xfe", b"x")}), 3)
