# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How long something has been outstanding without a round: what is announced in
vain is taken back, and who does not lead stands in for one who does not call.
"""

from __future__ import annotations

import math
from typing import Final

PATIENCE: Final = 10.0
"""Seconds after which an announcement that leads to nothing is taken back."""
STAND_IN: Final = 6.0
"""Seconds that each id waits for the one before it to call: longer than a round may
be due and not be called (L{flocknode.flock.ceremony.FOLLOW_UP}, and the ceremony)."""


class Patience:
    """One member's; since when, monotonic."""

    def __init__(self) -> None:
        self._outstanding = math.inf
        self._announced = math.inf

    def look(self, outstanding: bool, now: float) -> bool:
        """
        A slot has begun, outside rounds.

        @param outstanding: whether anything is, as all can see.
        @return: whether to announce it.
        """
        if not outstanding:
            self.rest()
            return False
        self._outstanding = min(self._outstanding, now)
        if now - self._announced > PATIENCE:
            self._announced = math.inf
            return False
        self._announced = min(self._announced, now)
        return True

    def rest(self) -> None:
        """Nothing is outstanding, or there is a round for it."""
        self._outstanding = self._announced = math.inf

    def stands_in(self, rank: int, now: float) -> bool:
        """
        Whether one who does not lead may call a round.

        @param rank: members with lower ids.
        """
        return now - self._outstanding >= rank * STAND_IN
