# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What time it is for what grows old: kept versions, and what may be forgotten.

Wall clocks jump.  A computer without a battery says 1970 until the network
tells it the time, another is set to a wrong year for an hour; and with one wrong
look at the clock everything that is kept for 30 days would be too old.  So age
is counted by a clock of one's own that follows the wall clock, but never goes
back, and forwards no faster than a day in an hour that the box is open.
After a month without power it lags behind for a little more than a day: things
are kept a bit longer than they have to be, never shorter.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FASTEST: Final = 24.0
"""Seconds by which it moves in a second at most."""

EARLIEST: Final = 1_577_836_800.0
"""2020-01-01, seconds since the epoch: before it, this program was not."""


class Calendar:
    """
    @param reached: what it showed when it was last written down, in seconds since the
        epoch; L{None}: there was none yet.
    @param now: seconds, monotonic; C{wall}: seconds since the epoch.
    """

    def __init__(
        self, reached: float | None, now: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._now = now
        self._wall = wall
        self._reached = max(EARLIEST, wall() if reached is None else reached)
        self._looked = now()

    def today(self) -> float:
        """Seconds since the epoch; later than the wall clock says only if that went back."""
        now = self._now()
        most = self._reached + FASTEST * (now - self._looked)
        self._reached = max(self._reached, min(self._wall(), most))
        self._looked = now
        return self._reached

    def stamp(self) -> float:
        """
        Seconds since the epoch, for what begins to grow old now: what the wall
        clock says, unless it is known to be behind.
        """
        return max(self._wall(), self.today())
