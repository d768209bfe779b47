# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One round: how long it is, when it starts and when it stops.

The length is fixed before the start: per link (1.2 + 0.02 N) Padmé(Σ) / (N - 1)
bytes of payload, plus two slots, or some more (L{Round.extra}, L{SHORT}).  The
leader counts the payload of the slots by the steps in force and shows the stop
slot three slots ahead or more.  Neither has anything to do with what is really
sent.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Collection, Mapping
from typing import Final, Protocol

import attrs

from flocknode.flock import padme
from flocknode.flock.flocktime import FlockTime
from flocknode.flock.heartbeat import Flags, Heartbeat, Trailer
from flocknode.flock.interfaces import MemberId
from flocknode.flock.members import Member
from flocknode.flock.rate import Steps, slot_payload
from flocknode.flock.shaper import SlotPlan
from flocknode.flock.status import LEADING, SENDING

CALL_SLOTS: Final = 2
"""Slots between the boundary whose snapshots call a round and its start."""
EXTRA_SLOTS: Final = 2
"""Slots that every round has over its computed length."""
SHORT: Final = 8
"""A round whose payload takes fewer slots has one more: until all know who has what,
half a second passes that is in no proportion to its length."""
STOP_AHEAD: Final = 3
"""Slots between the decision to give up and the stop: at least two whole ones,
in which everybody hears of it."""
STOP_HORIZON: Final = 16
"""A stop slot further ahead than this is not believed."""
IN_DOUBT: Final = 16
"""Slots before a loss is noticed, in which nothing counts as having arrived: 2 s of
silence, and as long again as requests of a member may have been open (5 s)."""
ONCE_MORE: Final = 4
"""Slots that a round for what was in doubt has besides: 2 s, as it takes at the
beginning of a round until all know what they lack and what comes is what they asked
for.  Without them such a round of a few seconds sometimes leaves something over."""
JOIN_SLOTS: Final = 2
"""Slots after which the links of one who joins a running round count."""
OFFSET: Final = 0.025
"""Seconds; private offsets are this times the mean of three uniform(-1, 1)."""
HEARTBEATS_WITHOUT_FRAMES: Final = 3
"""As in Flock 1.0.0: so many from within a round, and no frame, is a loss."""
PREPARED: Final = 0.02
"""Seconds before the start at which the first frames are planned: two ticks."""
LEADERLESS: Final = 2.0
"""Seconds without a sign of a leader after which a round without stop slot is
given up."""


class Sending(Protocol):
    """
    Something in which all send frames: a L{Round}, or constant cover.

    @ivar id: shown to the others.
    @ivar start_slot: the first slot with frames of this node.
    @ivar stop_slot: the first slot without frames, if that is known.
    @ivar octave: that it keeps to; 0: none.
    @ivar members: the others, who are expected to send frames.
    """

    @property
    def id(self) -> int: ...

    @property
    def start_slot(self) -> int: ...

    @property
    def stop_slot(self) -> int | None: ...

    @property
    def octave(self) -> int: ...

    @property
    def members(self) -> Collection[MemberId]: ...


def private_offset(chance: random.Random) -> float:
    """Seconds by which a node shifts its frames, drawn anew for each start and stop."""
    return OFFSET * sum(chance.uniform(-1, 1) for _ in range(3)) / 3


def link_payload(sigma: int, members: int) -> int:
    """
    Bytes of payload on each link of a round.

    @param sigma: what is outstanding, bytes, padded here.
    @param members: who take part.
    """
    least = max(padme.pad(sigma), padme.FLOOR)
    return math.ceil((1.2 + 0.02 * members) * least / max(1, members - 1))


@attrs.define(eq=False)
class Round:
    """
    What a member knows of the round that it takes part in.

    @ivar id: the boundary whose snapshots called it.
    @ivar start_slot: the first slot with frames of this node.
    @ivar start_at: when it starts here, private offset included (monotonic).
    @ivar offset: the private offset of the start, seconds; slots of the round
        are shifted by it.
    @ivar stop_offset: that of the stop.
    @ivar leading: whether this node counts down.
    @ivar members: the others, who are expected to send frames; C{from_start}: of
        these, those who did not join later.
    @ivar counted: the new_total of local changes that are part of it.
    @ivar leader_heard: monotonic.
    @ivar sigma: what it was planned for, padded bytes; 0 if not known here.
    @ivar payload: planned, bytes per link; 0 if not known here.
    @ivar extra: slots that it has over those for its payload.
    @ivar octave: so fast at most, as its leader says; 0: as fast as lines allow.
    @ivar prepared: its first frames are planned.
    @ivar started: it has started here.
    @ivar stop_slot: the first slot without frames, once known.
    @ivar lost: somebody was lost in it; C{owed}: what then was planned and may not
        have arrived, bytes.
    @ivar suspects: who may have left it without a word since that was asked last:
        all others are there.
    """

    id: int
    start_slot: int
    start_at: float
    offset: float
    stop_offset: float
    leading: bool
    members: set[MemberId]
    counted: int
    leader_heard: float
    sigma: int = 0
    payload: int = 0
    extra: int = EXTRA_SLOTS
    octave: int = 0
    prepared: bool = False
    started: bool = False
    stop_slot: int | None = None
    lost: bool = False
    owed: int = 0
    suspects: set[MemberId] = attrs.field(init=False)
    from_start: frozenset[MemberId] = attrs.field(init=False)
    _passed: int = 0
    _latest: int = 0
    _before: deque[tuple[int, int]] = attrs.field(
        init=False, factory=lambda: deque(maxlen=IN_DOUBT + STOP_AHEAD)
    )

    def __attrs_post_init__(self) -> None:
        self.suspects = set(self.members)
        self.from_start = frozenset(self.members)

    def size(self, sigma: int, members: int) -> None:
        """It is planned for so many bytes, and so many members."""
        self.sigma = padme.pad(max(sigma, padme.FLOOR))
        self.payload = link_payload(sigma, members)

    def plan(self, slot: int, time: FlockTime, steps: Steps) -> SlotPlan | None:
        """What a slot carries, if it belongs to the round."""
        if self.stop_slot is not None and slot >= self.stop_slot:
            return None
        last = slot + 1 == self.stop_slot
        return SlotPlan.at_step(
            slot,
            time.boundary(slot) + self.offset,
            time.boundary(slot + 1) + (self.stop_offset if last else self.offset),
            steps,
        )

    def stops_at(self, time: FlockTime) -> float:
        """When it stops here, private offset included (monotonic)."""
        if self.stop_slot is None:
            return math.inf
        return time.boundary(self.stop_slot) + self.stop_offset

    def enter(self, slot: int, steps: Steps) -> None:
        """A slot of the round has begun; call it once for each, in order."""
        self._before.append((slot, self._passed))
        if slot >= self.start_slot:
            self._latest = slot_payload(steps.at(slot))
            self._passed += self._latest

    def count_down(self, slot: int, steps: Steps) -> None:
        """
        The leader's decision when to stop: L{extra} slots after the one in which
        the planned payload is complete, and one more if that is soon (L{SHORT}).

        @param slot: the current one; steps are known up to two slots ahead.
        """
        if self.stop_slot is not None:
            return
        full, carried = max(slot, self.start_slot - 1), self._passed
        while carried < self.payload:
            full += 1
            if full > slot + CALL_SLOTS:
                return
            carried += slot_payload(steps.at(full))
        short = full + 1 - self.start_slot < SHORT
        self.stop_by(full + 1 + self.extra + short, slot)

    def stop_by(self, stop_slot: int, slot: int) -> None:
        """
        Somebody showed a stop slot.  The lowest counts, if it is believable.

        @param slot: the current one.
        """
        if slot < stop_slot <= slot + STOP_HORIZON:
            self.stop_slot = min(stop_slot, self.stop_slot or stop_slot)

    def give_up(self, slot: int) -> None:
        """Somebody is lost: end soon, at the same slot for all."""
        self.lose(slot)
        self.stop_by(max(slot, self.start_slot) + STOP_AHEAD, slot)

    def lose(self, slot: int) -> None:
        """Somebody is lost, as is noticed in this slot; perhaps after the stop."""
        self.lost = True
        self.owed = max(self.owed, self.doubtful(slot))

    def had_time(self, sigma: int) -> bool:
        """In its last slot: whether it is as long as one that is planned for so many bytes."""
        # One that was planned for it counts, whether or not its leader knows of doubts;
        # another only if it is as long as if it had been.
        more = 0 if self.sigma >= sigma else ONCE_MORE
        carried = self._passed - (EXTRA_SLOTS + more) * self._latest
        return carried >= link_payload(sigma, len(self.members) + 1)

    def doubtful(self, slot: int) -> int:
        """
        What may not have arrived if somebody is lost, as is noticed in this slot:
        all of what was planned for which the time came later than L{IN_DOUBT}
        before.  Neither who is lost nor what really arrived has a part in that.

        @return: bytes; 0 if what was planned is not known here.
        """
        if not self.payload:
            return 0
        sure = max((p for s, p in self._before if s <= slot - IN_DOUBT), default=0)
        left = max(0, self.payload - sure)
        return math.ceil(self.sigma * left / self.payload)

    def expects_frames(self, heartbeat: Trailer, since: int) -> bool:
        """
        Whether who sent this heartbeat sends frames, too.

        @param since: the slot in which it first showed the round.
        """
        return heartbeat.slot >= max(self.start_slot, since + JOIN_SLOTS)

    def is_lost(self, member: Member) -> bool:
        """Whether this member left the round without a word."""
        return not member.alive or member.without_frames >= HEARTBEATS_WITHOUT_FRAMES

    def is_broken(self, members: Mapping[MemberId, Member], now: float) -> bool:
        """
        Whether a member left the round without a word, or all who could lead it.

        @param members: what is known of each peer.
        """
        self.suspects = {m for m in self.suspects & self.members if self.is_lost(members[m])}
        return bool(self.suspects) or self.leaderless(now)

    def leaderless(self, now: float) -> bool:
        """Whether nobody is there any more who would show the stop slot."""
        return (
            self.stop_slot is None and not self.leading and now - self.leader_heard > LEADERLESS
        )

    def hear(self, member: Member, heartbeat: Heartbeat, trailer: Trailer, now: float) -> None:
        """A heartbeat of this round, from a member that is in it."""
        if heartbeat.status in LEADING:
            self.leader_heard = now
        if heartbeat.status not in SENDING:
            return
        if not trailer.flags & Flags.LEAVING:
            self.members.add(member.id)
        if self.started and self.expects_frames(trailer, member.since):
            member.without_frames += 1
        if self.is_lost(member):
            self.suspects.add(member.id)
