# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the engine tells besides what happens: its state, for people, and the
digests that members show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from flocknode.flock.interfaces import FlockState, Observer
from flocknode.flock.members import Member

INTERVAL: Final = 0.1
"""Seconds between two reports of state."""


class Reporter:
    """
    Passes states on, not more often than people can read.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._reported = FlockState()
        self._reported_at = -math.inf

    def due(self, now: float) -> bool:
        """Whether it may be told again what is going on."""
        return now - self._reported_at >= INTERVAL

    def report(self, state: FlockState, now: float) -> None:
        """Tell it, if it has changed."""
        if state != self._reported:
            self._reported, self._reported_at = state, now
            self._observer.state(state)


class Digests:
    """
    Passes on what members show of their boxes.
    """

    def __init__(self, observer: Observer, members: Sequence[Member]) -> None:
        self._observer = observer
        self._members = members

    def tell(self, sending: bool, since: int) -> None:
        """
        At each boundary.  What counts is what members show when they had a slot
        to calm down after a round.

        @param sending: a round is on, or constant cover.
        @param since: the slot in which that was over last.
        """
        for member in self._members:
            trailer = member.trailer
            if sending:
                member.digest = None
            elif (
                member.alive
                and trailer is not None
                and trailer.slot > since
                and trailer.digest != member.digest
            ):
                member.digest = trailer.digest
                self._observer.digest(member.id, trailer.digest)
