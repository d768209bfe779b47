# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a member makes of the frames that arrive: a report for the leader; and, if
it leads itself, the step for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from flocknode.flock.heartbeat import Trailer
from flocknode.flock.intake import Intake
from flocknode.flock.interfaces import MemberId
from flocknode.flock.members import Member
from flocknode.flock.pace import Pace
from flocknode.flock.rate import (
    SLOT_SECONDS,
    UNMEASURED,
    Steps,
    burst_frames,
    carried_step,
    delivered_step,
    frames_per_slot,
    has_burst,
    step_of,
)
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
        self._least = me

    def narrowest(self, slot: int) -> MemberId | None:
        """Who has the least uplink, if nothing but that keeps the flock from being faster."""
        return self._least if self._steps.paced(slot) >= self._steps.ceiling else None

    def delivered(self, slot: int, current: Sending | None) -> int:
        """
        The step that all incoming links delivered in a slot of a round; of a slot
        with a burst, what they could have carried.
        """
        if current is None or slot < current.start_slot:
            return UNMEASURED
        step = self._steps.at(slot)
        intakes = [
            self._members[m].intake
            for m in current.members
            if self._members[m].since + JOIN_SLOTS <= slot
        ]
        # Nothing at all comes from one who is gone, not from one who is slow.
        steps = [_carried(intake, slot, step) for intake in intakes if intake.count(slot)]
        return min(steps, default=UNMEASURED)

    def boundary(self, slot: int, alive: Sequence[MemberId], current: Sending | None) -> None:
        """
        A slot has begun: see what the least uplink is and, if this node leads, decide.

        @param alive: the members that it takes part with, sorted.
        """
        others = {m: self._members[m].trailer for m in alive if m != self._me}
        trailers = {m: trailer for m, trailer in others.items() if trailer is not None}
        # This node's comes first: if another's is as small, this is the one to set.
        uplinks = {self._me: self._steps.own}
        uplinks.update((m, trailer.uplink) for m, trailer in trailers.items())
        self._least = min(uplinks, key=lambda member: uplinks[member])
        ceiling = self._steps.ceiling = uplinks[self._least]
        if alive[0] != self._me:
            self._pace = None
            return
        pace = self._pace
        if pace is None:
            pace = self._pace = Pace(self._steps.paced(slot + 1))
        shown = list(trailers.values())
        own = self.delivered(slot - 2, current)
        reports = [(slot - 2, own), *((t.slot - 1, t.delivered) for t in shown)]
        # What is said of another round may be what that kept to.
        first = math.inf if current is None else current.start_slot
        reports = [report for report in reports if report[0] >= first]
        in_round = slot > first
        if self._steps.round_cap < pace.step:
            # A round at ease says nothing of what lines carry, unless it is too fast even so.
            reports = [report for report in reports if report[1] < self._steps.round_cap]
            in_round = in_round and bool(reports)
        else:
            self._measure(pace, slot - 2, own, shown)
        for reported, delivered in reports:
            pace.report(reported, delivered)
        self._steps.decide(slot + 2, pace.boundary(slot, in_round, ceiling))

    def _measure(self, pace: Pace, slot: int, own: int, shown: Sequence[Trailer]) -> None:
        """If the slot began with a burst, and all have said what that showed."""
        newest = [own, *(t.delivered for t in shown if t.slot - 1 == slot)]
        if has_burst(slot) and len(newest) == len(shown) + 1 and UNMEASURED not in newest:
            pace.measured(slot, min(newest))


def _carried(intake: Intake, slot: int, step: int) -> int:
    """What one link delivered or, if it was measured, could have carried."""
    delivered = delivered_step(step, intake.count(slot))
    if delivered < step:
        # What comes late is no less: queues may be longer than a slot.
        passed = step_of(intake.passed(slot) / SLOT_SECONDS)
        return max(delivered, min(passed, step))
    seconds = intake.seconds(slot, burst_frames(frames_per_slot(step)))
    return step if seconds is None else carried_step(step, seconds)
