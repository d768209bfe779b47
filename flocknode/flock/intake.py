# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How the frames of one member come in: how many of each slot, how much in each slot's
time, and how quickly the burst with which some slots begin.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import attrs

from flocknode.flock.rate import (
    LAST_STEP,
    SLOT_SECONDS,
    burst_frames,
    frames_per_slot,
    has_burst,
)

REMEMBERED: Final = 6
"""Slots that it is remembered of what came."""
FIRSTS: Final = 16
"""Slots of which it is remembered when the first frame came."""
ENOUGH: Final = 3
"""Slots after which the earliest of them says when a first frame comes that nothing
delays."""

MOST_TIMES: Final = burst_frames(frames_per_slot(LAST_STEP))
"""Frames of a burst; no more are looked at, whatever a member sends."""
SLACK: Final = 0.02
"""Seconds later than that which a first frame may come and still count: delays on
the way differ."""


@attrs.define(eq=False)
class _Slot:
    """
    @ivar frames: of this slot that came.
    @ivar passed: bytes that came while it was on, of whichever slot they are.
    @ivar times: if it begins with a burst, when each of its frames came.
    """

    frames: int = 0
    passed: int = 0
    times: list[float] | None = None


_NONE: Final = _Slot()


class Intake:
    """
    Frames of one member, by the sender's slot.
    """

    __slots__ = ("_firsts", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._firsts: deque[float] = deque(maxlen=FIRSTS)

    def add(self, slot: int, after: float, size: int) -> None:
        """
        A frame of that slot came.

        @param after: seconds since the slot began, by this node's time.
        @param size: bytes.
        """
        seen = self._slots.get(slot) or self._begin(slot)
        if not seen.frames:
            self._firsts.append(after)
        seen.frames += 1
        if seen.times is not None and len(seen.times) < MOST_TIMES:
            seen.times.append(after)
        if 0 <= after < SLOT_SECONDS:
            seen.passed += size
        else:
            during = slot + math.floor(after / SLOT_SECONDS)
            (self._slots.get(during) or self._begin(during)).passed += size

    def count(self, slot: int) -> int:
        """Frames of a slot."""
        return self._slots.get(slot, _NONE).frames

    def passed(self, slot: int) -> int:
        """Bytes that came while a slot was on, of whichever slot they are."""
        return self._slots.get(slot, _NONE).passed

    def seconds(self, slot: int, frames: int) -> float | None:
        """
        How long the first frames of a slot with a burst took to come, from when
        the first of them could have come: neither a receiver that stood still for
        a while nor a queue that is never empty makes them seem quick.

        @return: None if it cannot be said.
        """
        times = self._slots.get(slot, _NONE).times
        if times is None or len(times) < frames or len(self._firsts) < ENOUGH:
            return None
        return times[frames - 1] - min(times[0], min(self._firsts) + SLACK)

    def renew(self) -> None:
        """The member's frames are at other times within a slot from now on."""
        self._firsts.clear()

    def clear(self) -> None:
        """It fell silent."""
        self._slots.clear()
        self._firsts.clear()

    def _begin(self, slot: int) -> _Slot:
        """Count what comes of, or during, one more slot."""
        begun = self._slots[slot] = _Slot(times=[] if has_burst(slot) else None)
        if len(self._slots) > REMEMBERED:
            del self._slots[next(iter(self._slots))]
        return begun
