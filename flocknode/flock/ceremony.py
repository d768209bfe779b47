# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whether a round begins, and of what length.

Nobody announces out of turn.  Every member shows in each slot what it has that
is new and what others lack, zero or not, as of the slot's boundary E.  The
lowest id alive, whoever has news, calls a round if it holds the snapshot of E
from everybody, all within 600 ms, and all show the same set of members.  The
call must leave by E + 800 ms.  If it does not call although something has been
outstanding for 6 s, the next id may, and so on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from typing import Final

import attrs

from flocknode.flock import padme
from flocknode.flock.flocktime import SLOT
from flocknode.flock.heartbeat import ENDLESS, Trailer
from flocknode.flock.members import Set, Shown

SNAPSHOTS_WITHIN: Final = 0.6
CALL_WITHIN: Final = 0.8
"""Seconds after the boundary."""
FOLLOW_UP: Final = (1.0, 5.0)
"""Seconds after the stop of a round in which somebody was lost."""
CALM: Final = 120
"""Slots, a minute: after so many without a member that appears or falls silent, nobody
is a newcomer any more (L{flocknode.flock.rate.round_octave}); and after so many without
a loss in a round, nothing is in doubt."""
EXPIRY: Final = 10.0
"""Seconds after which one who does not lead forgets that a round was due."""


@attrs.frozen
class Snapshot:
    """
    What this node shows in a slot.

    @ivar new_total: bytes of local changes since the start of the process.
    @ivar new: and C{backlog}, C{remaining}: Padmé codes.
    """

    slot: int
    set: Set
    new_total: int
    new: int
    backlog: int
    remaining: int
    digest: bytes


def recent(since: int, slot: int) -> bool:
    """
    Whether a minute has not passed since a slot.  If flock time is another one now, that
    may be far ahead, and says nothing.
    """
    return abs(slot - since) < CALM


def complete(own: Snapshot, shown: Collection[Shown | None], deadline: float) -> bool:
    """
    Whether the others' snapshots of the same boundary are here, and agree.

    @param shown: of all other members, None where it is missing.
    @param deadline: monotonic; what came later does not count.
    """
    return all(
        theirs is not None
        and theirs.received <= deadline
        and theirs.trailer.members == own.set.hash
        for theirs in shown
    )


def outstanding(own: Snapshot, trailers: Collection[Trailer]) -> tuple[int, int]:
    """
    @param trailers: what the others show.
    @return: bytes that are new, of all members together; and the most that
        anybody lacks.
    """
    new = padme.decode(own.new) + sum(padme.decode(trailer.new) for trailer in trailers)
    backlog = max([own.backlog, *(trailer.backlog for trailer in trailers)])
    return new, padme.decode(backlog)


@attrs.define(eq=False)
class Agenda:
    """
    What is due besides what members show: rounds of return, and rounds that
    follow one in which somebody was lost.

    @ivar returned: the slot in which a member last (re)appeared.
    @ivar earliest: boundaries before this one call no round.
    @ivar disturbed_at: the slot in which a member last appeared or fell silent.
    """

    random: random.Random
    returned: int | None = None
    earliest: int = 0
    disturbed_at: int = -CALM
    _follow_up: tuple[float, int] | None = None

    def disturbed(self, slot: int) -> None:
        """A member has appeared or fallen silent."""
        self.disturbed_at = slot

    def newcomers(self, slot: int) -> bool:
        """Whether a round that this boundary calls may be one with newcomers."""
        return recent(self.disturbed_at, slot)

    def lost(self, owed: int, now: float) -> None:
        """
        A round has ended early.

        @param owed: what was planned and may not have arrived, bytes.
        """
        self._follow_up = now + self.random.uniform(*FOLLOW_UP), owed

    def started(self, round_id: int) -> None:
        """A round has started: one of return if any was due, else the other."""
        if self.returned is None:
            self._follow_up = None
        elif self.returned <= round_id:
            self.returned = None

    def expire(self, slot: int, now: float) -> None:
        """Another leads, and does not see a reason for a round: neither is there one."""
        if self.returned is not None and slot - self.returned > EXPIRY / SLOT:
            self.returned = None
        if self._follow_up is not None and now - self._follow_up[0] > EXPIRY:
            self._follow_up = None

    def alone(self) -> None:
        """Nobody else is left: with whoever comes there is a round anyway."""
        self._follow_up = None
        self.returned = None

    def allows(self, slot: int) -> bool:
        """Whether this boundary may call a round: who returned must be in it."""
        return slot >= self.earliest and (self.returned is None or slot >= self.returned)

    def due(self, new: int, backlog: int, now: float = math.inf) -> int:
        """
        @param new: and C{backlog}: see L{outstanding}.
        @return: for how many bytes a round is due; 0 if none is.
        """
        if self.returned is not None:
            return padme.FLOOR
        if self._follow_up is None:
            return new + backlog
        when, owed = self._follow_up
        return new + max(owed, backlog, padme.FLOOR) if now >= when else 0

    def called(
        self, own: Snapshot, shown: Collection[Shown | None], begun: float, now: float
    ) -> int:
        """
        For how many bytes the boundary of these snapshots calls a round.

        @param shown: as in L{complete}.
        @param begun: that boundary, monotonic.
        @return: 0 if it calls none.
        """
        if not complete(own, shown, begun + SNAPSHOTS_WITHIN):
            return 0
        if own.set.strange:
            # By these very snapshots they are here, and hear this node.
            self.returned = own.slot
            self.disturbed(own.slot)
        trailers = [theirs.trailer for theirs in shown if theirs is not None]
        if any(trailer.round_id == ENDLESS for trailer in trailers):
            return 0
        return self.due(*outstanding(own, trailers), now)

    @property
    def waiting(self) -> bool:
        """Whether a round is due or will be, whatever members show."""
        return self.returned is not None or self._follow_up is not None
