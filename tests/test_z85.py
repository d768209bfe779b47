# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.z85}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode import z85
from flocknode.errors import KeyFileError

HELLO = bytes([0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B])
"""The test case of ZeroMQ RFC 32."""

PUBLIC = bytes.fromhex("bb88471d65e2659b30c55a5321cebb5aab2b70a398645c26dca2b2fcb43fc518")
"""A public key of RFC 26's test keys, C{Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID}."""


class Z85(SynchronousTestCase):
    """Bytes to text and back."""

    def test_the_example_of_the_specification(self) -> None:
        self.assertEqual(z85.encode(HELLO), "HelloWorld")
        self.assertEqual(z85.decode("HelloWorld"), HELLO)

    def test_a_key_of_the_curve_specification(self) -> None:
        self.assertEqual(z85.encode(PUBLIC), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID")

    def test_the_largest_word_is_five_characters(self) -> None:
        self.assertEqual(z85.encode(b"\xff" * 4), "%nSc0")
        self.assertEqual(z85.decode("%nSc0"), b"\xff" * 4)

    def test_more_than_a_word_holds_is_refused(self) -> None:
        self.assertRaises(KeyFileError, z85.decode, "%nSc1")
        self.assertRaises(KeyFileError, z85.decode, "#####")

    def test_a_wrong_length_is_refused(self) -> None:
        self.assertRaises(KeyFileError, z85.decode, "Hello1")
        self.assertRaises(ValueError, z85.encode, b"12345")

    def test_other_characters_are_refused(self) -> None:
        for character in ' "\\,;_`|~\x00é':
            self.assertRaises(KeyFileError, z85.decode, "Hell" + character)

    @given(st.binary().map(lambda data: data[: len(data) // 4 * 4]))
    def test_what_was_encoded_decodes_to_itself(self, data: bytes) -> None:
        self.assertEqual(z85.decode(z85.encode(data)), data)

    @given(st.text(alphabet=z85.ALPHABET + " é", max_size=40))
    def test_any_text_decodes_to_what_encodes_to_it_or_is_refused(self, text: str) -> None:
        try:
            data = z85.decode(text)
        except KeyFileError:
            return
        self.assertEqual(z85.encode(data), text)
