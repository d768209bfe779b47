# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A pause after what was sent, so that it is on its way before anything is done that
takes longer with payload.
"""

from __future__ import annotations

import math
from typing import Final

TOGETHER: Final = 0.02
"""Seconds that telling what has left may wait, to be done with building what is next."""


class Respite:
    """
    Says when such work may be done.  Times are monotonic seconds.
    """

    def __init__(self, seconds: float) -> None:
        """@param seconds: how long; 0: work follows at once."""
        self._seconds = seconds
        self._until = -math.inf

    def begin(self, now: float) -> None:
        """Something was sent."""
        self._until = now + self._seconds

    def is_on(self, now: float) -> bool:
        """Nothing is to be done yet."""
        return now < self._until

    def ends(self, building: float) -> float:
        """
        @param building: when the next frames are to be built.
        @return: when to do all that waits: once for both, if building is soon.
        """
        return max(self._until, min(building, self._until + TOGETHER))
