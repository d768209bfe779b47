# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Constant cover: one round that nobody calls and that never stops.

If a member that is alive asks for it by its flag, or this node itself does,
this node sends frames in every slot, on every configured link, whatever is
there to be sent.  What is queued goes with the next frame.  The rate is the
least cover rate of all members; it may fall if frames do not arrive, as in
rounds.  There is no ceremony: nobody waits for anybody, nobody's absence ends
anything, and so nothing of it has to be agreed upon.  Whoever follows another's
flag goes on for ten seconds after that one was gone, or showed it no more.

The node is told of rounds all the same, since much of what it does comes once a
round: one after the other, L{PERIOD} slots each, on the same slots everywhere,
and none of that shows on the wire.

Nothing here follows from what is queued or outstanding.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from flocknode.flock.ceremony import Snapshot
from flocknode.flock.conductor import Conductor
from flocknode.flock.flocktime import FlockTime
from flocknode.flock.heartbeat import ENDLESS, Flags
from flocknode.flock.interfaces import FlockSettings, MemberId, Observer
from flocknode.flock.members import Member
from flocknode.flock.rate import LAST_STEP, Steps, step_of
from flocknode.flock.rounds import JOIN_SLOTS, private_offset
from flocknode.flock.shaper import Shaper, SlotPlan
from flocknode.flock.streams import RandomStreams

LINGER: Final = 10.0
"""Seconds without anybody's flag after which a node that only follows stops: more
than a restart takes."""
PERIOD: Final = 20
"""Slots of what the node is told as a round; ten seconds."""


class ConstantCover:
    """
    One member's part in constant cover.

    @cvar id: and C{stop_slot}: as L{flocknode.flock.rounds.Sending} has them.
    @ivar on: frames are sent, or will be from L{start_slot} on.
    @ivar start_slot: the first slot with frames of this node.
    """

    id: Final = ENDLESS
    stop_slot: Final[int | None] = None

    def __init__(
        self,
        settings: FlockSettings,
        observer: Observer,
        shaper: Shaper,
        conductor: Conductor,
        *,
        time: FlockTime,
        steps: Steps,
        members: Mapping[MemberId, Member],
        random: RandomStreams,
    ) -> None:
        """
        @param conductor: of rounds, which has nothing to do meanwhile.
        @param steps: capped at the cover rate's while there is constant cover.
        """
        self.on = False
        self.start_slot = 0
        self._asks = settings.constant_cover
        self._cover = step_of(settings.cover_rate)
        self._observer = observer
        self._shaper = shaper
        self._conductor = conductor
        self._time = time
        self._steps = steps
        self._members = members
        self._offsets = random.offsets
        self._offset = 0.0
        self._asked = -math.inf
        self._sending = False
        # The PERIODth part of flock time of which the node was told last.
        self._period: int | None = None

    @property
    def octave(self) -> int:
        """None: it has a rate of its own."""
        return 0

    @property
    def members(self) -> Collection[MemberId]:
        """The others who are under constant cover."""
        return [m.id for m in self._members.values() if m.alive and m.in_round == ENDLESS]

    def look(self, slot: int, now: float) -> None:
        """A slot begins: whether there is constant cover, and at what rate at most."""
        shown = [m.trailer for m in self._members.values() if m.alive and m.trailer]
        if self._asks or any(trailer.flags & Flags.CONSTANT for trailer in shown):
            self._asked = now
        on = now - self._asked <= LINGER
        if on and not self.on:
            self._conductor.suspend()
            self._steps.cap = self._cover
            self._offset = private_offset(self._offsets)
            self.start_slot = slot + JOIN_SLOTS
        elif self.on and not on:
            self._shaper.halt()
            self._steps.cap = LAST_STEP
            self._conductor.resume(slot)
            self._sending = False
            self._tell(None)
        self.on = on

    def boundary(self, own: Snapshot, now: float) -> None:
        """
        A slot has begun.

        @param own: what this node shows in it.
        """
        if not self.on:
            return
        if not self._sending and own.slot + 1 >= self.start_slot:
            self._send_from(self.start_slot, now)
        if own.slot >= self.start_slot and own.slot // PERIOD != self._period:
            self._tell(own)

    def restart(self, slot: int, now: float) -> None:
        """Flock time is another one now, or this node was away."""
        if self.on:
            self.start_slot = slot + 1
            self._send_from(self.start_slot, now)

    def plan(self, slot: int) -> SlotPlan:
        """What a slot carries: the same, whatever is outstanding."""
        begin, end = self._time.boundary(slot), self._time.boundary(slot + 1)
        return SlotPlan.at_step(slot, begin + self._offset, end + self._offset, self._steps)

    def _send_from(self, slot: int, now: float) -> None:
        self._sending = True
        self._shaper.begin(slot, self.plan, now)

    def _tell(self, own: Snapshot | None) -> None:
        """One of the node's rounds is over; the next one begins if there is a snapshot."""
        conductor = self._conductor
        if self._period is not None:
            self._observer.round_stopped(conductor.last_started)
        self._period = None
        if own is not None:
            self._period = own.slot // PERIOD
            conductor.last_started, conductor.counted = own.slot, own.new_total
            self._observer.round_started(own.slot, own.new_total, 0)
