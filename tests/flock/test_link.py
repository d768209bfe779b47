# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.link}."""

from __future__ import annotations

import struct

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.flock.interfaces import Priority
from flocknode.flock.link import Incoming, Outgoing
from flocknode.flock.messages import FRAME_HEADER, FRAME_SIZES, parse_frame
from tests.flock.support import IDS, record

CAPACITY = FRAME_SIZES[0] - FRAME_HEADER.size
CONTROL, BULK = Priority


class Ends:
    """Both ends of a link: what the receiver gets out of the frames."""

    def __init__(self) -> None:
        self.outgoing = Outgoing(IDS[1], 7)
        self.incoming = Incoming()
        self.stream = bytearray()
        self.records: list[bytes] = []
        self.gaps = self.fresh = 0

    def pass_on(self, message: bytes) -> None:
        """A frame arrives."""
        arrival = self.incoming.feed(parse_frame(message))
        if arrival is None:
            return
        self.gaps += arrival.gap
        self.fresh += arrival.fresh
        if arrival.gap or arrival.fresh:
            self.stream.clear()
        self.stream += arrival.data
        while len(self.stream) >= 4:
            (size,) = struct.unpack_from(">I", self.stream)
            if len(self.stream) < 4 + size:
                break
            self.records.append(bytes(self.stream[4 : 4 + size]))
            del self.stream[: 4 + size]

    def build(self, size: int = FRAME_SIZES[0], slot: int = 1) -> bytes:
        """The next frame leaves."""
        built = self.outgoing.build(slot, size)
        self.outgoing.sent(built)
        return built.message

    def carry(self, frames: int, size: int = FRAME_SIZES[0]) -> None:
        """Frames leave and arrive."""
        for _ in range(frames):
            self.pass_on(self.build(size))


class OutgoingTests(SynchronousTestCase):
    """Cutting records into frames."""

    def setUp(self) -> None:
        self.ends = Ends()
        self.outgoing = self.ends.outgoing

    def test_a_frame_has_its_size_whatever_it_carries(self) -> None:
        for size in FRAME_SIZES:
            self.assertEqual(len(self.ends.build(size)), size)
            self.outgoing.put(BULK, record(bytes(100)) * 1000)
            self.assertEqual(len(self.ends.build(size)), size)

    def test_what_is_not_used_is_zero(self) -> None:
        self.outgoing.put(BULK, record(b"x" * 10))
        message = self.ends.build()
        self.assertEqual(message[FRAME_HEADER.size + 14 :], bytes(CAPACITY - 14))

    def test_frames_are_numbered(self) -> None:
        frames = [parse_frame(self.ends.build()) for _ in range(3)]
        self.assertEqual([frame.sequence for frame in frames], [0, 1, 2])

    def test_a_frame_says_where_its_first_record_starts(self) -> None:
        self.outgoing.put(BULK, record(bytes(CAPACITY + 6)) + record(b"next"))
        starts = [parse_frame(self.ends.build()).start for _ in range(3)]
        self.assertEqual(starts, [0, 10, None])

    def test_control_leaves_before_bulk(self) -> None:
        self.outgoing.put(BULK, record(b"bulk"))
        self.outgoing.put(CONTROL, record(b"control"))
        self.ends.carry(1)
        self.assertEqual(self.ends.records, [b"control", b"bulk"])

    def test_a_record_that_has_begun_is_finished_before_control(self) -> None:
        self.outgoing.put(BULK, record(b"b" * CAPACITY) + record(b"more"))
        self.ends.carry(1)
        self.outgoing.put(CONTROL, record(b"control"))
        self.ends.carry(1)
        self.assertEqual(self.ends.records, [b"b" * CAPACITY, b"control", b"more"])

    def test_a_length_is_never_cut_in_two(self) -> None:
        for spare in range(4):
            ends = Ends()
            first = bytes(CAPACITY - 4 - spare)
            ends.outgoing.put(BULK, record(first) + record(b"next"))
            message = ends.build()
            self.assertEqual(len(parse_frame(message).payload), CAPACITY - spare)
            ends.pass_on(message)
            ends.carry(1)
            self.assertEqual(ends.records, [first, b"next"])

    def test_only_whole_records_can_be_queued(self) -> None:
        for wrong in (b"\0", b"\0\0\0\5abcd", record(b"good") + b"\0\0\0"):
            with self.assertRaises(ProtocolError):
                self.outgoing.put(BULK, wrong)
        self.assertEqual(self.outgoing.forget(), (0, 0))

    def test_bytes_that_left_are_counted_by_priority(self) -> None:
        self.outgoing.put(CONTROL, record(b"12"))
        self.outgoing.put(BULK, record(b"123"))
        built = self.outgoing.build(1, FRAME_SIZES[0])
        self.assertEqual(self.outgoing.sent(built), (6, 7))

    def test_what_could_not_leave_is_sent_next(self) -> None:
        bodies = [bytes([n]) * 3000 for n in range(6)]
        self.outgoing.put(BULK, b"".join(map(record, bodies)))
        frames = [self.outgoing.build(1, FRAME_SIZES[0]) for _ in range(3)]
        self.outgoing.sent(frames[0])
        self.ends.pass_on(frames[0].message)
        self.outgoing.put_back(frames[1:])
        self.ends.carry(4)
        self.assertEqual(self.ends.records, bodies)
        self.assertEqual(self.ends.gaps, 0)

    def test_what_could_not_leave_fits_into_smaller_frames_later(self) -> None:
        bodies = [bytes([n]) * 1000 for n in range(60)]
        self.outgoing.put(BULK, b"".join(map(record, bodies)))
        self.outgoing.put_back([self.outgoing.build(1, FRAME_SIZES[2])])
        self.ends.carry(20)
        self.assertEqual(self.ends.records, bodies)

    def test_forgetting_counts_what_was_built_but_did_not_leave(self) -> None:
        self.outgoing.put(CONTROL, record(b"12"))
        self.outgoing.put(BULK, record(bytes(9996)))
        self.outgoing.build(1, FRAME_SIZES[0])
        self.assertEqual(self.outgoing.forget(), (6, 10_000))
        self.assertEqual(self.outgoing.forget(), (0, 0))

    def test_a_receiver_notices_that_the_rest_of_a_record_was_forgotten(self) -> None:
        self.outgoing.put(BULK, record(bytes(9996)))
        self.ends.carry(1)
        self.outgoing.forget()
        self.outgoing.put(BULK, record(b"anew"))
        self.ends.carry(1)
        self.assertEqual((self.ends.records, self.ends.gaps), ([b"anew"], 1))


@attrs.frozen
class Loss:
    """What happens to a frame on its way."""

    lost: bool
    size: int


class IncomingTests(SynchronousTestCase):
    """Finding records in frames."""

    def setUp(self) -> None:
        self.ends = Ends()
        self.outgoing = self.ends.outgoing

    def test_after_a_gap_it_goes_on_at_the_next_record(self) -> None:
        self.outgoing.put(BULK, record(bytes(9000)) + record(b"next"))
        self.ends.carry(1)
        self.ends.build()
        self.ends.carry(2)
        self.assertEqual((self.ends.records, self.ends.gaps), ([b"next"], 1))

    def test_a_gap_is_told_once(self) -> None:
        self.outgoing.put(BULK, record(bytes(30_000)))
        self.ends.carry(1)
        for _ in range(3):
            self.ends.build()
            self.ends.carry(1)
        self.assertEqual(self.ends.gaps, 1)

    def test_a_repeated_frame_is_ignored(self) -> None:
        self.outgoing.put(BULK, record(b"once"))
        message = self.ends.build()
        self.ends.pass_on(message)
        self.ends.pass_on(message)
        self.assertEqual(self.ends.records, [b"once"])

    def test_the_first_frame_may_be_in_the_middle_of_a_record(self) -> None:
        self.outgoing.put(BULK, record(bytes(5000)) + record(b"next"))
        self.ends.build()
        self.ends.carry(1)
        self.assertEqual((self.ends.records, self.ends.fresh), ([b"next"], 1))

    def test_a_new_epoch_is_a_new_stream(self) -> None:
        self.outgoing.put(BULK, record(bytes(5000)))
        self.ends.carry(1)
        self.ends.outgoing = Outgoing(IDS[1], 8)
        self.ends.outgoing.put(BULK, record(b"reborn"))
        self.ends.carry(1)
        self.assertEqual((self.ends.records, self.ends.fresh), ([b"reborn"], 2))
        self.assertEqual(self.ends.incoming.epoch, 8)

    def test_after_silence_the_same_epoch_is_new_too(self) -> None:
        self.ends.carry(1)
        self.ends.incoming.lost()
        self.ends.carry(1)
        self.assertEqual(self.ends.fresh, 2)

    def test_what_could_not_be_kept_is_skipped_to_the_next_record(self) -> None:
        self.outgoing.put(BULK, record(bytes(9000)) + record(b"next"))
        self.ends.carry(1)
        self.ends.incoming.skip()
        self.ends.stream.clear()
        self.ends.carry(2)
        self.assertEqual(self.ends.records, [b"next"])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 9000)), max_size=12),
        st.lists(
            st.builds(Loss, st.booleans(), st.sampled_from(FRAME_SIZES[:2])), max_size=10
        ),
        st.integers(1, 4),
    )
    def test_whatever_is_lost_only_whole_records_come_out_in_order(
        self, sizes: list[tuple[Priority, int]], fates: list[Loss], batch: int
    ) -> None:
        ends = Ends()
        sent: dict[Priority, list[bytes]] = {CONTROL: [], BULK: []}
        waiting = list(enumerate(sizes))
        for fate in [*fates, *[Loss(False, FRAME_SIZES[1])] * 30]:
            for number, (priority, size) in waiting[:batch]:
                body = bytes([priority, number]) + bytes(size)
                sent[priority].append(body)
                ends.outgoing.put(priority, record(body))
            del waiting[:batch]
            built = ends.outgoing.build(1, fate.size)
            if fate.lost and fate.size == FRAME_SIZES[1]:
                ends.outgoing.put_back([built])
                continue
            ends.outgoing.sent(built)
            if not fate.lost:
                ends.pass_on(built.message)
        for priority, bodies in sent.items():
            came = [body for body in ends.records if body[0] == priority]
            numbers = [bodies.index(body) for body in came]
            self.assertEqual(numbers, sorted(set(numbers)))
            if not any(fate.lost and fate.size == FRAME_SIZES[0] for fate in fates):
                self.assertEqual(came, bodies)
