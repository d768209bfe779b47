# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How punctually frames leave: what a watcher could see of a busy machine.
"""

from __future__ import annotations

import math
from typing import Final

_FINEST: Final = 1e-5
"""Seconds; what is less late is not told apart."""

_PER_OCTAVE: Final = 4
_BUCKETS: Final = 21 * _PER_OCTAVE
"""Up to 20 s, in steps of 19 %."""


class Lateness:
    """
    The distribution of the lateness of emission ticks, in fixed space.

    @ivar ticks: how many there were.
    @ivar worst: seconds.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self.worst = 0.0
        self._sum = 0.0
        self._counts = [0] * (_BUCKETS + 1)

    def add(self, seconds: float) -> None:
        """A tick was so late."""
        self.ticks += 1
        self._sum += seconds
        self.worst = max(self.worst, seconds)
        place = 0
        if seconds > _FINEST:
            place = min(_BUCKETS, math.ceil(_PER_OCTAVE * math.log2(seconds / _FINEST)))
        self._counts[place] += 1

    @property
    def mean(self) -> float:
        """Seconds; 0 if there was no tick."""
        return self._sum / self.ticks if self.ticks else 0.0

    def quantile(self, share: float) -> float:
        """
        @param share: 0 to 1.
        @return: seconds that this share of all ticks did not exceed, up to 19 %
            too much.
        """
        passed = 0
        for place, count in enumerate(self._counts):
            passed += count
            if passed >= share * self.ticks:
                return min(self.worst, float(_FINEST * 2.0 ** (place / _PER_OCTAVE)))
        return self.worst

    @property
    def milliseconds(self) -> tuple[float, float, float, float]:
        """Mean, median, 99th percentile and worst."""
        late = self.mean, self.quantile(0.5), self.quantile(0.99), self.worst
        mean, median, most, worst = (round(each * 1e3, 4) for each in late)
        return mean, median, most, worst
