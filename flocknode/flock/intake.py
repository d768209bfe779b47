# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How the frames of one member come in: how many of each slot, how much in each slot's
time, and how quickly the burst with which some slots begin.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from flocknode.flock.rate import (
    LAST_STEP,
    SLOT_SECONDS,
    burst_frames,
    frames_per_slot,
    has_burst,
)

REMEMBERED: Final = 6
"""Slots that counts of frames are kept for."""
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


class Intake:
    """
    Frames of one member, by the sender's slot.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._passed: dict[int, int] = {}
        # Of the newest slot with a burst, when each of its frames came.
        self._slot = 0
        self._times: list[float] = []
        self._firsts: deque[float] = deque(maxlen=FIRSTS)

    def add(self, slot: int, after: float, size: int) -> None:
        """
        A frame of that slot came.

        @param after: seconds since the slot began, by this node's time.
        @param size: bytes.
        """
        during = slot + math.floor(after / SLOT_SECONDS)
        self._passed[during] = self._passed.get(during, 0) + size
        if len(self._passed) > REMEMBERED:
            del self._passed[next(iter(self._passed))]
        count = self._counts[slot] = self._counts.get(slot, 0) + 1
        if count == 1:
            self._firsts.append(after)
            if len(self._counts) > REMEMBERED:
                del self._counts[next(iter(self._counts))]
        if has_burst(slot):
            if slot != self._slot:
                self._slot = slot
                self._times.clear()
            if len(self._times) < MOST_TIMES:
                self._times.append(after)

    def count(self, slot: int) -> int:
        """Frames of a slot."""
        return self._counts.get(slot, 0)

    def passed(self, slot: int) -> int:
        """Bytes that came while a slot was on, of whichever slot they are."""
        return self._passed.get(slot, 0)

    def seconds(self, slot: int, frames: int) -> float | None:
        """
        How long the first frames of a slot with a burst took to come, from when
        the first of them could have come: neither a receiver that stood still for
        a while nor a queue that is never empty makes them seem quick.

        @return: None if it cannot be said.
        """
        if slot != self._slot or len(self._times) < frames or len(self._firsts) < ENOUGH:
            return None
        return self._times[frames - 1] - min(self._times[0], min(self._firsts) + SLACK)

    def renew(self) -> None:
        """The member's frames are at other times within a slot from now on."""
        self._firsts.clear()

    def clear(self) -> None:
        """It fell silent."""
        self._counts.clear()
        self._passed.clear()
        self._times.clear()
        self._firsts.clear()
