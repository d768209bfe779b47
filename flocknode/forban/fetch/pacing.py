# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How fast bodies may come, and how slowly.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable

STALLED = 30.0
"""Seconds without a byte after which nobody waits for the next one."""

SLOWEST = 1024
"""Bytes a second: who sends less during L{WINDOW} only holds a place."""

WINDOW = 60.0
"""Seconds."""

BURST = 1.0
"""Seconds of the rate that may come at once after a pause."""


class Pace:
    """
    Whether a body still comes.  Time in which this side does not read does not
    count.

    @param now: seconds.
    """

    def __init__(self, now: float) -> None:
        # Seconds of reading before it began again, and when it did.
        self._read = 0.0
        self._since: float | None = now
        self._last = 0.0
        self._window = 0.0
        self._heard = 0

    def _reading(self, now: float) -> float:
        return self._read + (0.0 if self._since is None else now - self._since)

    def heard(self, size: int, now: float) -> None:
        """So many bytes came."""
        self._last = self._reading(now)
        self._heard += size

    def pause(self, now: float) -> None:
        """Nothing is read from now on.  Idempotent."""
        self._read = self._reading(now)
        self._since = None

    def resume(self, now: float) -> None:
        """It is read again.  Idempotent."""
        if self._since is None:
            self._since = now

    def late(self, now: float) -> str:
        """One sentence if it is to be given up, else an empty string."""
        reading = self._reading(now)
        if reading - self._last >= STALLED:
            return f"Nothing came for {STALLED:.0f} seconds."
        if reading - self._window >= WINDOW:
            if self._heard < SLOWEST * WINDOW:
                return f"It sends less than {SLOWEST} bytes a second."
            self._window, self._heard = reading, 0
        return ""


class Bucket:
    """
    A limit for the sum of all bodies.

    @param rate: bytes a second; 0: none.
    @param now: the clock, in seconds.
    """

    def __init__(self, rate: int, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._level = rate * BURST
        self._at = now()

    def spent(self, size: int) -> None:
        """So many bytes came."""
        if self._rate:
            self._fill()
            self._level -= size

    def delay(self) -> float:
        """Seconds until more may come."""
        if not self._rate:
            return 0.0
        self._fill()
        return max(0.0, -self._level / self._rate)

    def _fill(self) -> None:
        now = self._now()
        self._level = min(self._level + (now - self._at) * self._rate, self._rate * BURST)
        self._at = now


class Quota:
    """
    What may be brought in on a day (UTC) without being asked for.

    @param most: bytes; 0: no limit.
    @param wall: seconds since the epoch.
    """

    def __init__(self, most: int, wall: Callable[[], float]) -> None:
        self.most = most
        self._wall = wall
        self._day = int(wall() // 86_400)
        self._spent = 0

    @property
    def spent(self) -> int:
        """Bytes of today, those included that are on their way."""
        day = int(self._wall() // 86_400)
        if day != self._day:
            self._day, self._spent = day, 0
        return self._spent

    def take(self, size: int) -> None:
        """So many are brought in; give them back as C{-size} if not."""
        self._spent = max(0, self.spent + size)

    def allows(self, size: int) -> bool:
        """May so many more be brought in?"""
        return not self.most or self.spent + size <= self.most

    def tomorrow(self) -> float:
        """Seconds until the next day."""
        return 86_400.0 - self._wall() % 86_400.0
