# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who has fallen silent.  It is asked whenever anything is done, so members are
only looked at when one of them can have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from flocknode.flock.members import SILENCE, Member

_EARLY = 1e-3
"""Seconds that are looked too soon, rather than missing a moment by rounding."""


class Silence:
    """
    @param members: all configured peers.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self._members = tuple(members)
        self._due = -math.inf

    def look(self, now: float) -> list[Member]:
        """@return: those alive that were not heard for longer than L{SILENCE}."""
        if now < self._due:
            return []
        # Who is not alive now, or is heard again, has all that time from then on.
        heard = [member.heard for member in self._members if member.alive]
        self._due = min(heard, default=now) + SILENCE - _EARLY
        return [m for m in self._members if m.alive and now - m.heard > SILENCE]
