# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What this node shows: a snapshot at each boundary, and heartbeats that carry it.
"""

from __future__ import annotations

import math
from typing import Final

from flocknode.flock import padme
from flocknode.flock.ceremony import Snapshot
from flocknode.flock.decoys import Decoys
from flocknode.flock.heartbeat import Flags, Heartbeat, Trailer, encode_heartbeat, shown_ids
from flocknode.flock.interfaces import FlockSettings
from flocknode.flock.members import Set
from flocknode.flock.rounds import Sending
from flocknode.flock.streams import RandomStreams

INTERVAL: Final = 0.25
JITTER: Final = 0.025
"""Seconds between heartbeats, and by how much each interval may differ."""
FORMING: Final = 30.0
"""Seconds for which a flock out of single nodes counts as just forming."""


class Pulse:
    """
    One member's heartbeats.

    @ivar due: when the next leaves, monotonic.
    """

    def __init__(
        self, settings: FlockSettings, random: RandomStreams, now: float
    ) -> None:
        self._return_wait = settings.return_wait
        self._constant = settings.constant_cover
        self._intervals = random.heartbeats
        self._waits = random.followups
        self._decoys = Decoys(settings.decoys, random.decoys, now)
        self._offer = (0, 0, 0, bytes(16))
        self._leaving = False
        self._withheld_until = self._forming_until = -math.inf
        self._turn = 0
        self.due = now
        self.restart(now)

    def restart(self, now: float) -> None:
        """Begin anew, at any moment of the next interval."""
        self.due = now + self._intervals.uniform(0, INTERVAL)

    def offer(self, new_total: int, backlog: int, remaining: int, digest: bytes) -> None:
        """See L{flocknode.flock.core.Flock.offer}."""
        self._offer = (new_total, backlog, remaining, digest)

    def leave(self) -> None:
        """Say from now on that this node is about to go."""
        self._leaving = True

    def returned(self, now: float) -> None:
        """
        This node has come back to a running flock.  Were its news to follow at
        once, everybody could see whose they are.
        """
        self._withheld_until = now + self._waits.uniform(*self._return_wait)

    def formed(self, now: float) -> None:
        """Single nodes have come together: nobody is one who returns."""
        self._forming_until = now + FORMING

    def look(
        self, slot: int, members: Set, counted: int, started: int, owed: int, *, now: float
    ) -> Snapshot:
        """
        What this node shows in a slot.

        @param counted: the new_total that has been in a round.
        @param started: the id of the last round that started.
        @param owed: bytes that somebody of these members may lack.
        """
        decoy = self._decoys.look(slot, len(members.members), started, now)
        new_total, backlog, remaining, digest = self._offer
        withheld = now < self._withheld_until
        return Snapshot(
            slot=slot,
            set=members,
            new_total=new_total,
            new=0 if withheld else padme.encode(new_total - counted + decoy),
            backlog=0 if withheld else padme.encode(max(backlog, owed)),
            remaining=padme.encode(remaining),
            # Nor may the others see from it that there is news.
            digest=bytes(16) if withheld else digest,
        )

    def tick(self, now: float) -> bool:
        """Whether a heartbeat is due; then it is taken as sent."""
        if now < self.due:
            return False
        self.due += self._intervals.uniform(INTERVAL - JITTER, INTERVAL + JITTER)
        if self.due <= now:
            # Too late by a whole interval: those missed are not sent any more.
            self.due = now + INTERVAL
        return True

    def heartbeat(
        self,
        status: int,
        own: Snapshot,
        current: Sending | None,
        *,
        time_ms: int,
        uplink: int,
        step: int,
        delivered: int,
        now: float,
    ) -> bytes:
        """
        @param own: the current slot's.
        @param current: the round that this node takes part in.
        @param time_ms: flock time, ms since 1970.
        @param uplink: the most that this node may send on a link, as a step.
        @param step: in force two slots ahead.
        @param delivered: the step that all incoming links delivered.
        """
        flags = current.octave << Flags.OCTAVE_SHIFT if current is not None else 0
        if self._constant:
            flags |= Flags.CONSTANT
        if self._leaving:
            flags |= Flags.LEAVING
        if now < self._forming_until:
            flags |= Flags.FORMING
        trailer = Trailer(
            flags=flags,
            slot=own.slot,
            time_ms=time_ms,
            digest=own.digest,
            round_id=current.id if current is not None else 0,
            stop_slot=(current.stop_slot or 0) if current is not None else 0,
            step=step,
            delivered=delivered,
            uplink=uplink,
            new=own.new,
            backlog=own.backlog,
            remaining=own.remaining,
            members=own.set.hash,
        )
        heard = own.set.heard
        ids = shown_ids(heard, self._turn)
        self._turn += 1
        return encode_heartbeat(Heartbeat(status, time_ms, len(heard), ids, trailer))
