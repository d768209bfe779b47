# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Rounds called for nothing, so that a round proves no activity.

Each member shows, at times drawn from an exponential distribution, a change
that does not exist.  What follows is a round like any other.
"""

from __future__ import annotations

import math
import random
from typing import Final

LEAST: Final = 65_536
MOST: Final = 16_777_216
"""Bytes that a decoy pretends; evenly distributed in octaves."""

_HOUR: Final = 3600.0


class Decoys:
    """
    One member's decoys.

    @ivar size: bytes that are pretended now; 0: nothing is.
    """

    def __init__(self, per_hour: int, chance: random.Random, now: float) -> None:
        """
        @param per_hour: rounds an hour, of all members together.
        @param now: monotonic seconds.
        """
        self.size = 0
        self._per_hour = per_hour
        self._random = chance
        self._since = 0
        self._due = math.inf
        self._draw(2, now)

    def look(self, slot: int, alive: int, started: int, now: float) -> int:
        """
        A slot begins.

        @param alive: members, this node included, who share the hour's decoys.
        @param started: the id of the last round that started.
        @return: L{size}.
        """
        if self.size and started >= self._since:
            # That round was called with it.
            self.size = 0
            self._draw(alive, now)
        if not self.size and now >= self._due:
            self._since = slot
            octaves = self._random.uniform(0, math.log2(MOST / LEAST))
            self.size = int(LEAST * 2**octaves)
        return self.size

    def _draw(self, alive: int, now: float) -> None:
        if self._per_hour:
            self._due = now + self._random.expovariate(self._per_hour / max(1, alive) / _HOUR)
