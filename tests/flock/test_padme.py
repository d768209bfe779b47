# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.padme}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock import padme

LENGTHS = st.one_of(
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 40),
    st.integers(16, 62).map(lambda exponent: (1 << exponent) + 1),
    st.integers(16, 63).map(lambda exponent: (1 << exponent) - 1),
)


class PadmeTests(SynchronousTestCase):
    """Padded lengths and their codes."""

    def test_nothing_stays_nothing(self) -> None:
        self.assertEqual((padme.pad(0), padme.encode(0), padme.decode(0)), (0, 0, 0))

    def test_anything_else_is_at_least_64_kib(self) -> None:
        self.assertEqual(padme.pad(1), 65_536)
        self.assertEqual(padme.encode(1), 1)
        self.assertEqual(padme.decode(1), 65_536)

    def test_a_length_of_the_paper_is_rounded_as_there(self) -> None:
        """L = 100 000: E = 16, S = 5, z = 11."""
        self.assertEqual(padme.pad(100_000), 100_352)
        self.assertEqual(100_352 % 2048, 0)

    @given(LENGTHS)
    def test_at_most_twelve_percent_are_added(self, length: int) -> None:
        padded = padme.pad(length)
        self.assertGreaterEqual(padded, length)
        if length > padme.FLOOR:
            self.assertLessEqual(padded, length * 1.12)

    @given(LENGTHS)
    def test_a_code_stands_for_the_padded_length(self, length: int) -> None:
        code = padme.encode(length)
        self.assertEqual(padme.decode(code), padme.pad(length))
        self.assertLess(code, 1 << 16)

    @given(LENGTHS, LENGTHS)
    def test_codes_ascend_with_lengths(self, one: int, other: int) -> None:
        low, high = sorted((one, other))
        self.assertLessEqual(padme.encode(low), padme.encode(high))

    @given(st.integers(0, 0xFFFF))
    def test_every_code_has_a_length_that_is_padded_already(self, code: int) -> None:
        length = padme.decode(code)
        self.assertEqual(padme.pad(length), length)
        self.assertEqual(padme.encode(length), min(code, padme.LAST_CODE))

    def test_what_is_too_long_to_show_is_shown_as_the_longest(self) -> None:
        self.assertEqual(padme.decode(padme.encode(1 << 80)), padme.MOST)
