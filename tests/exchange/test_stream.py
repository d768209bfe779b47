# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.stream}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.exchange.records import LENGTH, LONGEST
from flocknode.exchange.stream import RecordStream


def framed(*bodies: bytes) -> bytes:
    """Bodies with their lengths in front."""
    return b"".join(LENGTH.pack(len(body)) + body for body in bodies)


def fed(stream: RecordStream, data: bytes) -> list[bytes]:
    """What comes out when this goes in."""
    return [bytes(body) for body in stream.feed(data)]


class Cutting(SynchronousTestCase):
    """A stream of records."""

    @settings(max_examples=100)
    @given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 60), min_size=1))
    def test_the_same_records_come_however_it_is_cut(
        self, bodies: list[bytes], cuts: list[int]
    ) -> None:
        data = framed(*bodies)
        stream = RecordStream()
        got: list[bytes] = []
        at = turn = 0
        while at < len(data):
            size = cuts[turn % len(cuts)]
            got += fed(stream, data[at : at + size])
            at += size
            turn += 1
        self.assertEqual(got, bodies)
        self.assertEqual(stream.held, 0)

    def test_it_goes_on_at_a_record_after_bytes_are_missing(self) -> None:
        stream = RecordStream()
        self.assertEqual(fed(stream, framed(b"one", b"two")[:-1]), [b"one"])
        stream.restart()
        self.assertEqual(fed(stream, framed(b"three")), [b"three"])

    def test_the_longest_record_is_taken_and_no_longer_one(self) -> None:
        stream = RecordStream()
        self.assertEqual(fed(stream, framed(bytes(LONGEST))), [bytes(LONGEST)])
        self.assertRaises(ProtocolError, fed, stream, LENGTH.pack(LONGEST + 1))

    def test_records_before_a_length_that_cannot_be_are_given(self) -> None:
        stream = RecordStream()
        got = []
        with self.assertRaises(ProtocolError):
            for body in stream.feed(framed(b"one") + b"\xff" * 9):
                got.append(bytes(body))
        self.assertEqual(got, [b"one"])

    def test_a_broken_stream_is_deaf_and_holds_nothing_until_it_restarts(self) -> None:
        stream = RecordStream()
        self.assertRaises(ProtocolError, fed, stream, b"\xff" * 9)
        self.assertEqual(fed(stream, framed(b"one")), [])
        self.assertEqual(stream.held, 0)
        stream.restart()
        self.assertEqual(fed(stream, framed(b"two")), [b"two"])

    def test_it_holds_no_more_than_one_record(self) -> None:
        stream = RecordStream()
        data = framed(bytes(LONGEST))
        for at in range(0, len(data) - 1, 10_000):
            self.assertEqual(fed(stream, data[:-1][at : at + 10_000]), [])
        self.assertEqual(stream.held, len(data) - 1)
        self.assertEqual(len(fed(stream, b"\0" + framed(b"next")[:3])), 1)
        self.assertEqual(stream.held, 3)
