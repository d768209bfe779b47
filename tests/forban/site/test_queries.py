# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
URLs are understood however the three programs write them.
"""

from __future__ import annotations

import base64
import contextlib
import re
from urllib.parse import quote, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.forban.protocol import names
from flocknode.forban.site.queries import asked_path, disposition, number, parse_query

PATH = b"a>>?/\xc3\xbc, b.txt"
# In Base64 it has both of the characters in which the alphabets differ.


def asked(uri: bytes) -> bytes:
    """The path that a URI asks for."""
    return asked_path(parse_query(uri))


class WhatIsAskedFor(SynchronousTestCase):
    """C{/s/?g=…}"""

    def test_every_way_to_write_it_is_understood(self) -> None:
        standard = base64.b64encode(PATH)
        self.assertTrue(b"+" in standard or b"/" in standard)
        for written in (
            names.encode(PATH).encode(),
            names.encode_for_any(PATH).encode(),
            standard,
            standard.rstrip(b"="),
            standard.replace(b"=", b"!"),
            quote(standard, safe="").encode(),
            base64.urlsafe_b64encode(PATH),
            base64.urlsafe_b64encode(PATH).replace(b"=", b"%21"),
        ):
            self.assertEqual(asked(b"/s/?g=%s&f=b64e" % written), PATH, written)

    def test_any_f_means_that_it_is_encoded(self) -> None:
        for field in (b"f=b64e", b"f=b64", b"f=", b"f", b"f=0"):
            self.assertEqual(asked(b"/s/?%s&g=YQ" % field), b"a", field)
        self.assertEqual(asked(b"/s/?g=YQ"), b"YQ")

    def test_a_plain_path_is_taken_as_it_is(self) -> None:
        self.assertEqual(asked(b"/s/?g=forban/index"), b"forban/index")
        self.assertEqual(asked(b"/s/?g=/forban/index"), b"forban/index")
        self.assertEqual(asked(b"/s/?g=a+b%2Bc;d%00%ff"), b"a b+c;d\0\xff")

    def test_the_first_counts(self) -> None:
        self.assertEqual(asked(b"/s/?g=a&g=b"), b"a")

    def test_without_a_name_nothing_is_asked_for(self) -> None:
        for uri in (b"/s/", b"/s/?", b"/s/?f=b64e", b"/s/?g=%C3&f=b64e", b"/s/?g=!!!!A&f=1"):
            with self.assertRaises(ProtocolError):
                asked(uri)

    @given(st.binary(max_size=80))
    def test_any_name_is_a_path_or_one_error(self, name: bytes) -> None:
        with contextlib.suppress(ProtocolError):
            asked(b"/s/?f=b64e&g=" + name)
        asked(b"/s/?g=" + name)

    @given(st.binary(min_size=1, max_size=80))
    def test_what_is_linked_to_is_what_is_asked_for(self, path: bytes) -> None:
        for encode in (names.encode, names.encode_for_any):
            uri = f"/s/?g={encode(path)}&f=b64e".encode()
            self.assertEqual(asked(uri), path.lstrip(b"/"))


class Numbers(SynchronousTestCase):
    """They stay within their bounds."""

    def test_a_number_is_moved_into_its_bounds(self) -> None:
        self.assertEqual(number(b"7", 5, 60), 7)
        self.assertEqual(number(b"0", 5, 60), 5)
        self.assertEqual(number(b"9" * 10_000, 5, 60), 60)

    def test_what_is_none_is_none(self) -> None:
        for text in (b"", b"-1", b"1.5", b"x", "٣".encode()):
            self.assertIsNone(number(text, 5, 60), text)


class WhatAFileIsCalled(SynchronousTestCase):
    """Content-Disposition"""

    def test_it_is_kept_by_the_last_part_of_its_path(self) -> None:
        self.assertEqual(
            disposition(b"a/b c.txt"),
            b"attachment; filename=\"b c.txt\"; filename*=UTF-8''b%20c.txt",
        )

    @given(st.binary(min_size=1, max_size=60).filter(lambda path: b"/" not in path))
    def test_nothing_breaks_out_of_it(self, name: bytes) -> None:
        found = re.fullmatch(
            rb"""attachment; filename="([^"\\%/;\x00-\x1f\x7f-\xff]*)"; """
            rb"""filename\*=UTF-8''([A-Za-z0-9_.~%-]*)""",
            disposition(b"folder/" + name),
        )
        assert found is not None
        self.assertEqual(unquote_to_bytes(found.group(2)), name)
        self.assertEqual(len(found.group(1)), len(name))
