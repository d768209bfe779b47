# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.protocol.names}.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import parse_qs, quote, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.forban.protocol.names import decode, encode, encode_for_any
from tests.forban.strategies import unhurried

HARD = b"\xfb\xef\xff?/~~>"
# Its Base64 has all that differs between the alphabets, and a digit to fill up.

DIALECTS: dict[str, Callable[[bytes], bytes]] = {
    "URL-safe, as the original": lambda path: encode(path).encode(),
    "for both": lambda path: unquote_to_bytes(encode_for_any(path)),
    "standard": base64.b64encode,
    "standard, with exclamation marks": lambda path: base64.b64encode(path).replace(b"=", b"!"),
    "URL-safe with equals signs": base64.urlsafe_b64encode,
    "without padding": lambda path: base64.urlsafe_b64encode(path).rstrip(b"="),
    "plus signs read as blanks": lambda path: base64.b64encode(path).replace(b"+", b" "),
    "percent-encoded": lambda path: unquote_to_bytes(quote(encode(path), safe="")),
}


class Written(SynchronousTestCase):
    def test_as_the_original_writes_it(self) -> None:
        self.assertEqual(encode(HARD), "--__Py9-fj4!")

    def test_as_both_servers_read_it(self) -> None:
        self.assertEqual(encode_for_any(HARD), "%2B%2B//Py9%2Bfj4!")

    @unhurried
    @given(st.binary())
    def test_it_can_stand_in_a_url(self, path: bytes) -> None:
        self.assertEqual(quote(encode(path), safe="!"), encode(path))
        query = parse_qs("g=" + encode_for_any(path), keep_blank_values=True)
        self.assertEqual(decode(query["g"][0].encode()), path)


class Read(SynchronousTestCase):
    @unhurried
    @given(st.binary(), st.sampled_from(sorted(DIALECTS)))
    def test_every_dialect_is_read(self, path: bytes, dialect: str) -> None:
        self.assertEqual(decode(DIALECTS[dialect](path)), path)

    def test_what_is_no_base64_is_refused(self) -> None:
        for name in (b"a", b"abcde", b"ab.d", b"../etc", b"\xff\xff\xff\xff", b"ab\ncd", b"%2Bab"):
            self.assertRaises(ProtocolError, decode, name)

    @unhurried
    @given(st.one_of(st.binary(), st.text(st.sampled_from("aB9+/-_ !=")).map(str.encode)))
    def test_any_bytes_are_a_path_or_refused(self, name: bytes) -> None:
        try:
            path = decode(name)
        except ProtocolError:
            return
        self.assertEqual(decode(encode(path).encode()), path)
