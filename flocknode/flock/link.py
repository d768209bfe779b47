# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A directed link's stream of records: L{Outgoing} cuts it into frames, and
L{Incoming} finds it again in the frames that arrive.

Records carry their length in front (u32, big-endian).  Which record is next is
decided at each record boundary: CONTROL before BULK.  A record that has begun
is finished first.  A length is never cut in two by the end of a frame; up to
three bytes stay unused instead.

A sender that forgets its queue in the middle of a record skips a sequence
number, so that the receiver takes it for what it is: a gap.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from flocknode.errors import ProtocolError
from flocknode.flock.interfaces import MemberId, Priority
from flocknode.flock.messages import (
    FRAME_CODE,
    FRAME_HEADER,
    NO_RECORD_START,
    Frame,
    frame_topic,
)

LENGTH: Final = struct.Struct(">I")
_HEADER_SIZE: Final = FRAME_HEADER.size
_pack: Final = FRAME_HEADER.pack


class Run(msgspec.Struct, frozen=True, gc=False):
    """
    Adjacent bytes of one queue.

    @ivar skip: bytes of C{view} that finish a record begun earlier; it may
        exceed the view if that record goes on behind it.
    """

    view: memoryview
    skip: int
    priority: int


class Built(msgspec.Struct, frozen=True, gc=False):
    """
    A frame that is ready to leave.

    @ivar generation: of the L{Outgoing} when it was built.
    @ivar sequence: the number it carries.
    @ivar runs: what it carries.
    """

    message: bytes
    generation: int
    sequence: int
    runs: tuple[Run, ...]


def check_records(records: bytes) -> None:
    """@raise ProtocolError: these are not whole length-prefixed records."""
    place, end = 0, len(records)
    while place + LENGTH.size <= end:
        place += LENGTH.size + LENGTH.unpack_from(records, place)[0]
    if place != end:
        raise ProtocolError("what is queued must be whole records, each behind its length")


class Outgoing:
    """
    What one member shall get.

    @ivar member: who.
    @ivar generation: how often the queue was forgotten.
    """

    __slots__ = (
        "_epoch",
        "_head",
        "_queues",
        "_sequence",
        "_topic",
        "_unbuilt",
        "_unsent",
        "generation",
        "member",
    )

    def __init__(self, member: MemberId, epoch: int) -> None:
        """@param epoch: of all this process' links."""
        self.member = member
        self.generation = 0
        self._topic = frame_topic(member)
        self._epoch = epoch
        self._sequence = 0
        self._queues: tuple[deque[Run], deque[Run]] = (deque(), deque())
        # What must leave before anything else: the rest of a record that has
        # begun, and payload that came back.
        self._head: deque[Run] = deque()
        # Bytes put and neither sent nor forgotten yet, by priority; and those of
        # them that are in no frame that was built.
        self._unsent = [0, 0]
        self._unbuilt = 0

    def put(self, priority: Priority, records: bytes) -> None:
        """@raise ProtocolError: see L{check_records}; nothing was queued."""
        check_records(records)
        if records:
            self._queues[priority].append(Run(memoryview(records), 0, priority))
            self._unsent[priority] += len(records)
            self._unbuilt += len(records)

    def build(self, slot: int, size: int) -> Built:
        """
        The next frame, full, partly filled or empty: one way for all three.

        @param size: of the whole message, topic included.
        """
        runs, used, start = self._take(size - _HEADER_SIZE)
        sequence = self._sequence
        self._sequence = sequence + 1
        header = _pack(self._topic, FRAME_CODE, self._epoch, sequence, slot, used, start)
        message = b"".join([header, *[run.view for run in runs]]).ljust(size, b"\0")
        return Built(message, self.generation, sequence, tuple(runs))

    def sent(self, built: Built) -> tuple[int, int]:
        """
        The frame has left.

        @return: bytes of each priority that are gone with it.
        """
        gone = [0, 0]
        for run in built.runs:
            gone[run.priority] += len(run.view)
        control, bulk = gone
        self._unsent[0] -= control
        self._unsent[1] -= bulk
        return control, bulk

    def put_back(self, frames: Sequence[Built]) -> None:
        """
        The last frames built, in their order, could not leave; they must all be
        of this generation.
        """
        if frames:
            self._sequence = frames[0].sequence
        for built in reversed(frames):
            self._head.extendleft(reversed(built.runs))
            self._unbuilt += sum(len(run.view) for run in built.runs)

    def forget(self) -> tuple[int, int]:
        """
        Drop all that has not left, frames already built included.

        @return: bytes of each priority.
        """
        gone = self._unsent[0], self._unsent[1]
        self._unsent = [0, 0]
        self._unbuilt = 0
        for queue in (*self._queues, self._head):
            queue.clear()
        self.generation += 1
        self._sequence += 1
        return gone

    def _take(self, room: int) -> tuple[list[Run], int, int]:
        """@return: what fits, how many bytes that is, the first record start."""
        runs: list[Run] = []
        used = 0
        start = NO_RECORD_START
        while room and used < self._unbuilt:
            queue = self._head or self._queues[0] or self._queues[1]
            run = queue.popleft()
            skip = run.skip
            size = len(run.view)
            if size > room or (room < LENGTH.size and not skip):
                run = self._cut(run, room, queue)
                size = len(run.view)
                if not size:
                    break
            if start == NO_RECORD_START and skip < size:
                start = used + skip
            runs.append(run)
            used += size
            room -= size
        self._unbuilt -= used
        return runs, used, start

    def _cut(self, run: Run, room: int, queue: deque[Run]) -> Run:
        """
        Put what does not fit into C{room} bytes back where it must come from.

        @return: what fits; nothing if it would be only a piece of a length.
        """
        view, place, priority = run.view, run.skip, run.priority
        cut = room
        while place < room:
            if room - place < LENGTH.size:
                cut = place
                break
            place += LENGTH.size + LENGTH.unpack_from(view, place)[0]
        rest = place - cut
        behind = view[cut:]
        if queue is self._head or not rest:
            queue.appendleft(Run(behind, rest, priority))
        else:
            if rest < len(behind):
                queue.appendleft(Run(behind[rest:], 0, priority))
            self._head.appendleft(Run(behind[:rest], rest, priority))
        return Run(view[:cut], run.skip, priority)


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """
    What a frame was.

    @ivar fresh: the first frame of a new epoch.
    @ivar gap: bytes are missing before what follows.
    @ivar data: the next bytes of the stream; may be empty.
    """

    fresh: bool
    gap: bool
    data: bytes | memoryview


class Incoming:
    """
    Frames of one member to this node.

    @ivar epoch: of its process; 0 until a frame was seen.
    """

    __slots__ = ("_expected", "_seeking", "epoch")

    def __init__(self) -> None:
        self.epoch = 0
        self._expected = 0
        self._seeking = True

    def feed(self, frame: Frame) -> Arrival | None:
        """@return: None if it is a repetition."""
        epoch, sequence, start = frame.epoch, frame.sequence, frame.start
        expected = self._expected
        fresh = epoch != self.epoch or not expected
        if fresh:
            self.epoch = epoch
            self._seeking = True
            gap = False
        elif sequence < expected:
            return None
        else:
            gap = sequence > expected and not self._seeking
            self._seeking = self._seeking or gap
        self._expected = sequence + 1
        if not self._seeking:
            return Arrival(fresh, gap, frame.payload)
        if start is None:
            return Arrival(fresh, gap, b"")
        self._seeking = False
        return Arrival(fresh, gap, frame.payload[start:])

    def skip(self) -> None:
        """What came last could not be kept: go on at the next record start."""
        self._seeking = True

    def lost(self) -> None:
        """The member fell silent: its next frame is taken as of a new epoch."""
        self._expected = 0
