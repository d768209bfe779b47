# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a member makes of the frames that arrive: a report for the leader; and, if
it leads itself, the step for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flocknode.flock.interfaces import MemberId
from flocknode.flock.members import Member
from flocknode.flock.pace import Pace
from flocknode.flock.rate import UNMEASURED, Steps, delivered_step
from flocknode.flock.rounds import JOIN_SLOTS, Sending


class Leading:
    """
    One member's part in rate control.
    """

    def __init__(
        self, me: MemberId, members: Mapping[MemberId, Member], steps: Steps
    ) -> None:
        """
        @param members: the configured peers.
        """
        self._me = me
        self._members = members
        self._steps = steps
        self._pace: Pace | None = None

    def delivered(self, slot: int, current: Sending | None) -> int:
        """The step that all incoming links delivered in a slot of a round."""
        if current is None or slot < current.start_slot:
            return UNMEASURED
        step = self._steps.at(slot)
        arrived = [
            self._members[m].arrived.get(slot, 0)
            for m in current.members
            if self._members[m].since + JOIN_SLOTS <= slot
        ]
        # Nothing at all comes from one who is gone, not from one who is slow.
        steps = [delivered_step(step, frames) for frames in arrived if frames]
        return min(steps, default=UNMEASURED)

    def boundary(self, slot: int, alive: Sequence[MemberId], current: Sending | None) -> None:
        """
        A slot has begun: decide, if this node leads.

        @param alive: the members that it takes part with, sorted.
        """
        if alive[0] != self._me:
            self._pace = None
            return
        trailers = [self._members[m].trailer for m in alive[1:]]
        shown = [trailer for trailer in trailers if trailer is not None]
        ceiling = min([self._steps.own, *(trailer.uplink for trailer in shown)])
        if self._pace is None:
            step = self._steps.at(slot + 1)
            self._pace = Pace(step, calm=step < ceiling)
        for trailer in shown:
            self._pace.report(trailer.slot - 1, trailer.delivered)
        if current is not None:
            self._pace.report(slot - 2, self.delivered(slot - 2, current))
        in_round = current is not None and slot > current.start_slot
        self._steps.decide(slot + 2, self._pace.boundary(slot, in_round, ceiling))
