# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Flock time: a clock that the members keep in common.

It is the member's own monotonic clock plus an offset.  Wall clocks only serve
the first of a flock, and may be hours apart.  Inside, flock time is in seconds
since 2020; a slot is 500 ms of it.

How far another's clock is ahead is estimated one way: the least of (received -
sent) over the last 64 heartbeats, which is the one that was delayed least.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from flocknode.errors import ProtocolError

EPOCH_2020_MS: Final = 1_577_836_800_000
"""2020-01-01T00:00:00Z in ms since 1970."""
SLOT: Final = 0.5
"""Seconds."""
WINDOW: Final = 64
"""Heartbeats that an estimate looks back on; 16 s."""
LAST_SLOT: Final = 0xFFFF_0000
"""In the year 2087; beyond it, slots do not fit into a heartbeat for long."""
LAST_START: Final = 60 * 365.25 * 86_400
"""Seconds since 2020; the year 2080.  No clock starts later, by itself or with
another's time, so that slots have numbers for seven years from then on."""
ASTRAY: Final = 4
"""Slots that a heartbeat's slot and time may differ by; a node's own are of the
same moment."""
SLEW: Final = 0.001
"""Seconds per second: the fastest that flock time is bent."""
TOLERANCE: Final = 0.2
"""Seconds; members whose times differ by more do not share their time.  Above
one-way delays that a flock works with at all (a call must be heard within
200 ms), far below a slot."""
SETTLING: Final = 6
"""Slots outside rounds in which, after a time was adopted, a better estimate is
adopted at once: the first heartbeat may have been delayed more than the others."""
STALE_AFTER: Final = 8
"""So many heartbeats in a row far above the least say that it is outdated; a
connection that stalls for a second does not."""


class Estimate:
    """
    What heartbeats of one member say about its clock.

    @ivar least: seconds: own monotonic clock minus the other's flock time, plus
        the least delay seen; infinite if nothing is known.
    """

    def __init__(self) -> None:
        self.least = math.inf
        self._samples: deque[float] = deque(maxlen=WINDOW)
        self._above = 0

    @property
    def known(self) -> bool:
        """Whether there is any."""
        return bool(self._samples)

    @property
    def certain(self) -> bool:
        """Whether the last heartbeat confirms it."""
        return self.known and not self._above

    def add(self, received: float, sent: float) -> None:
        """
        @param received: own monotonic clock.
        @param sent: the member's flock time.
        """
        sample = received - sent
        if sample > self.least + TOLERANCE:
            self._above += 1
            if self._above >= STALE_AFTER:
                self._samples.clear()
        else:
            self._above = 0
        samples = self._samples
        goes = samples[0] if len(samples) == WINDOW else math.inf
        samples.append(sample)
        if sample <= self.least:
            self.least = sample
        elif goes <= self.least or len(samples) == 1:
            # The least is gone, so look for another.
            self.least = min(samples)

    def clear(self) -> None:
        """The other's clock, or the way to it, is not what it was."""
        self._samples.clear()
        self.least = math.inf
        self._above = 0


class FlockTime:
    """
    One member's flock time.
    """

    def __init__(self, now: float, wall_ms: int) -> None:
        """
        @param now: monotonic seconds.
        @param wall_ms: ms since 1970.  A computer whose clock has no battery says
            1970, for which there are no slots: then flock time begins in 2020.
        """
        self._offset = min(max(0.0, shown_time(wall_ms)), LAST_START) - now
        self._adopted: Estimate | None = None
        self._settling = 0

    def at(self, now: float) -> float:
        """Seconds since 2020."""
        return now + self._offset

    def ms(self, now: float) -> int:
        """Milliseconds since 1970, as heartbeats show it (48 bits)."""
        return (int(self.at(now) * 1000) + EPOCH_2020_MS) & 0xFFFFFFFFFFFF

    def slot(self, now: float) -> int:
        """The slot at C{now}; a boundary belongs to the slot that it begins."""
        return min(max(0, math.floor((self.at(now) + 1e-6) / SLOT)), 0xFFFFFFFF)

    def boundary(self, slot: int) -> float:
        """Monotonic seconds at which a slot begins."""
        return slot * SLOT - self._offset

    def ahead_of(self, estimate: Estimate) -> float:
        """Seconds that this clock is ahead of the other; with its delay in it."""
        return self._offset + estimate.least

    def observe(self, estimate: Estimate, received: float, time_ms: int) -> None:
        """
        A heartbeat arrived.

        @param estimate: of its sender.
        @param time_ms: the flock time that it shows.
        """
        sent = shown_time(time_ms)
        if abs(self.at(received) - sent) <= TOLERANCE and not self.agrees_with(estimate):
            # It has come over to this time.
            estimate.clear()
        estimate.add(received, sent)

    def agrees_with(self, estimate: Estimate, *, shown: bool = False) -> bool:
        """
        Whether both share their time.

        @param shown: the other takes it that they do.  Then twice the
            difference is tolerated, since delays add to it on one side and not
            on the other.
        """
        tolerance = TOLERANCE * 2 if shown else TOLERANCE
        return abs(self._offset + estimate.least) <= tolerance

    def may_adopt(self, estimate: Estimate, now: float) -> bool:
        """Whether slots have numbers for years to come at the other's time."""
        return now - estimate.least <= LAST_START

    def adopt(self, estimate: Estimate) -> None:
        """Step to the other's time."""
        self._offset = -estimate.least
        self._adopted = estimate
        self._settling = SETTLING

    def correct(self, lowest: Estimate | None, elapsed: float) -> None:
        """
        Once a slot, outside rounds: bend towards the time of the lowest id.  As
        long as a time has just been adopted, step there; the lowest id itself,
        to the time of whomever it adopted it from.

        @param lowest: None if this node is it.
        @param elapsed: seconds since the last call.
        """
        reference = lowest
        if self._settling:
            self._settling -= 1
            reference = lowest or self._adopted
            most = math.inf
        else:
            most = SLEW * elapsed
        if reference is not None and self.agrees_with(reference, shown=True):
            self._offset -= max(-most, min(most, self.ahead_of(reference)))


def shown_time(time_ms: int) -> float:
    """Seconds since 2020 of what a heartbeat shows."""
    return (time_ms - EPOCH_2020_MS) / 1000


def check_fits(slot: int, time_ms: int) -> None:
    """
    Who shows times out of chance, or one at which slots have no numbers any
    more, must not be followed.

    @raise ProtocolError: no heartbeat that shows this slot can have been sent at
        this flock time.
    """
    shown = math.floor(shown_time(time_ms) / SLOT)
    if slot >= LAST_SLOT or abs(shown - slot) > ASTRAY:
        raise ProtocolError(f"slot {slot} is not that of its time")
