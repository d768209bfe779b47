# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.messages}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.flock.interfaces import MemberId
from flocknode.flock.messages import (
    FRAME_HEADER,
    FRAME_SIZES,
    NO_RECORD_START,
    frame_topic,
    parse_frame,
)

ME = MemberId(bytes(range(16)))


def frame(
    used: int = 5, start: int = 0, size: int = 4117, topic: bytes = b"\0", code: bytes = b"200 "
) -> bytes:
    """A frame as bytes, right or wrong."""
    header = FRAME_HEADER.pack(topic + ME, code, 7, 8, 9, used, start)
    return (header + b"hello").ljust(size, b"\0")


class FrameTests(SynchronousTestCase):
    """Parsing frames."""

    def test_the_layout_is_that_of_the_specification(self) -> None:
        message = (
            b"\0" + ME + b"200 " + bytes.fromhex("00000007 0000000000000008 00000009 00000005")
        )
        self.assertEqual(frame()[:41], message + bytes(0))
        self.assertEqual(frame()[41:50], bytes(4) + b"hello")

    def test_it_starts_with_what_its_receiver_subscribes_to(self) -> None:
        self.assertTrue(frame().startswith(frame_topic(ME)))

    def test_all_fields_are_found(self) -> None:
        parsed = parse_frame(frame(start=2))
        self.assertEqual(
            (parsed.receiver, parsed.epoch, parsed.sequence, parsed.slot, parsed.start),
            (ME, 7, 8, 9, 2),
        )
        self.assertEqual(bytes(parsed.payload), b"hello")

    def test_no_record_may_start_in_it(self) -> None:
        self.assertIsNone(parse_frame(frame(start=NO_RECORD_START)).start)

    def test_an_empty_frame_has_no_payload(self) -> None:
        self.assertEqual(len(parse_frame(frame(used=0, start=NO_RECORD_START)).payload), 0)

    def test_it_has_one_of_three_sizes(self) -> None:
        self.assertEqual(FRAME_SIZES, (4117, 16_405, 65_557))
        with self.assertRaises(ProtocolError):
            parse_frame(frame(size=4118))

    def test_it_cannot_use_more_than_it_has(self) -> None:
        with self.assertRaises(ProtocolError):
            parse_frame(frame(used=4117 - FRAME_HEADER.size + 1))

    def test_a_record_cannot_start_behind_the_payload(self) -> None:
        with self.assertRaises(ProtocolError):
            parse_frame(frame(used=5, start=5))

    def test_it_has_its_own_topic_and_code(self) -> None:
        for wrong in (frame(topic=b"1"), frame(code=b"210 ")):
            with self.assertRaises(ProtocolError):
                parse_frame(wrong)

    @given(st.binary(max_size=FRAME_HEADER.size), st.sampled_from((*FRAME_SIZES, 0, 44, 4118)))
    def test_any_bytes_are_a_frame_or_a_protocol_error(self, head: bytes, size: int) -> None:
        try:
            parsed = parse_frame(head.ljust(size, b"\xff")[:size])
        except ProtocolError:
            return
        self.assertLess(parsed.start or 0, len(parsed.payload) + 1)
