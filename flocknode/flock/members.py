# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who is there: what is known of each configured peer, and with whom this node
takes part in rounds.

A peer is alive for 2 s after each of its heartbeats.  The set of members is
this node and all that are alive and share its time.  If the sets of members
differ for four slots, each computes it instead: as long as some of the set do
not hear each other, the one that this is so of with the most others is dropped,
of several the highest id; every ten minutes it is another's turn, so that news of
either gets to the other by way of the rest.

A member that hears the same others but keeps showing another set would keep them from
rounds for ever.  After ten seconds of that it is left out for two minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from operator import itemgetter
from typing import Final, TypeVar

import attrs

from flocknode.flock.flocktime import Estimate, FlockTime
from flocknode.flock.heartbeat import IDS_SHOWN, Flags, Heartbeat, Trailer, members_hash
from flocknode.flock.intake import Intake
from flocknode.flock.interfaces import MemberId
from flocknode.flock.link import Incoming, Outgoing

_T = TypeVar("_T")

SILENCE: Final = 2.0
"""Seconds without a heartbeat until a member counts as gone."""
APART: Final = 4
"""Slots of different member sets until the set is computed."""
TURN: Final = 1200
"""Slots after which another of those that are apart from equally many is dropped: ten
minutes, twice as long as the news of one who returns may wait."""
CONTRARY: Final = 20
"""Slots in a row in which a member shows another set until it is left out; honest ones
compute the same within L{APART} slots and one turn of the ids that they show."""
LEFT_OUT: Final = 240
"""Slots that it is left out for."""
MOST_LISTED: Final = 512
"""Ids that are remembered of what a member shows: twice as many as it can count."""
REMEMBERED: Final = 6
"""Slots that snapshots are kept for."""


@attrs.frozen
class Shown:
    """
    The first heartbeat that a member showed in a slot.

    @ivar received: monotonic seconds.
    """

    trailer: Trailer
    received: float


@attrs.define(eq=False)
class Member:
    """
    A configured peer.

    @ivar heard: when, monotonic seconds.
    @ivar alive: as the observer was told.
    @ivar status: its latest code; C{trailer} its latest trailer.
    @ivar digest: as the observer was told since the last round.
    @ivar contrary: slots in a row in which it showed another set than this node.
    @ivar left_out: until this slot.
    @ivar shown: its snapshots by slot.
    @ivar intake: of its frames.
    @ivar in_round: the round it shows, 0 if none; C{since} the slot in which it
        first did.
    @ivar without_frames: heartbeats from within that round since its last frame.
    """

    id: MemberId
    outgoing: Outgoing
    incoming: Incoming = attrs.field(factory=Incoming)
    estimate: Estimate = attrs.field(factory=Estimate)
    heard: float = -math.inf
    alive: bool = False
    status: int = 0
    trailer: Trailer | None = None
    shown: dict[int, Shown] = attrs.field(factory=dict)
    intake: Intake = attrs.field(factory=Intake)
    in_round: int = 0
    since: int = 0
    without_frames: int = 0
    count: int = 0
    digest: bytes | None = None
    contrary: int = 0
    left_out: int = 0
    _heartbeats: int = 0
    _listed: dict[MemberId, int] = attrs.field(factory=dict)

    def hear(self, heartbeat: Heartbeat, trailer: Trailer, now: float) -> None:
        """Take in a heartbeat of Flock 2."""
        self.heard = now
        self.status = heartbeat.status
        self.trailer = trailer
        self.count = heartbeat.count
        self._heartbeats += 1
        self._listed.update(dict.fromkeys(heartbeat.ids, self._heartbeats))
        if len(self._listed) > MOST_LISTED:
            # Keep what it showed last; never more than a heartbeat counts.
            newest = sorted(self._listed.items(), key=itemgetter(1))[-MOST_LISTED // 2 :]
            self._listed = dict(newest)
        if self.shown and trailer.slot < max(self.shown):
            # It stepped back to another flock time: slots have other numbers.
            self.shown.clear()
            self.estimate.clear()
        if trailer.slot not in self.shown:
            self.shown[trailer.slot] = Shown(trailer, now)
            if len(self.shown) > REMEMBERED:
                self.shown = _latest(self.shown)
        if trailer.round_id != self.in_round:
            self.in_round = trailer.round_id
            self.since = trailer.slot
            self.without_frames = 0
            self.intake.renew()

    def frame(self, slot: int, after: float, size: int) -> None:
        """A frame of so many bytes came, so many seconds after its slot began."""
        self.without_frames = 0
        self.intake.add(slot, after, size)

    def hears(self) -> frozenset[MemberId]:
        """Whom it shows as heard: the ids of its last turn, and itself."""
        oldest = self._forgotten()
        return frozenset(m for m, seen in self._listed.items() if seen > oldest) | {self.id}

    def shows(self, member: MemberId) -> bool:
        """Whether it shows this one as heard; as L{hears}, but quick in a large flock."""
        return member == self.id or self._listed.get(member, -1) > self._forgotten()

    def _forgotten(self) -> int:
        """The heartbeat up to which an id that was shown does not count any more."""
        turns = -(-self.count // IDS_SHOWN) if self.count else 1
        return self._heartbeats - turns - (turns > 1)

    def gone(self) -> None:
        """It fell silent: nothing it showed counts any more."""
        self.alive = False
        self.heard = -math.inf
        self.trailer = self.digest = None
        self.status = self.count = self.in_round = self.without_frames = self.contrary = 0
        self.shown.clear()
        self.intake.clear()
        self._listed.clear()
        self.estimate.clear()
        self.incoming.lost()


def _latest(by_slot: dict[int, _T]) -> dict[int, _T]:
    """The slots added last."""
    return dict(list(by_slot.items())[-REMEMBERED:])


@attrs.frozen
class Set:
    """
    With whom a node takes part.

    @ivar heard: alive and of the same time, this node included; sorted.
    @ivar members: of these, those it takes part with; sorted.
    @ivar hash: of C{members}.
    @ivar strange: members that did not show yet that they hear this node.
    """

    heard: tuple[MemberId, ...]
    members: tuple[MemberId, ...]
    hash: int
    strange: frozenset[MemberId] = frozenset()

    @property
    def leader(self) -> MemberId:
        """The lowest id, whoever has news."""
        return self.members[0]

    def others(self, me: MemberId) -> list[MemberId]:
        """The members but this one."""
        return [member for member in self.members if member != me]

    @classmethod
    def of(
        cls,
        heard: Iterable[MemberId],
        members: Iterable[MemberId],
        strange: Iterable[MemberId] = (),
    ) -> Set:
        """In any order."""
        return cls(
            tuple(sorted(heard)), tuple(sorted(members)), members_hash(members), frozenset(strange)
        )


class Membership:
    """
    Whom this node takes part with, slot by slot.

    @ivar current: as of the last boundary.
    @ivar appeared: the slot as of whose boundary somebody is there who was not,
        or hears this node who did not, if any did at the last boundary.  Who was
        away may not have noticed, so being heard again counts as well.
    """

    def __init__(self, me: MemberId, members: Sequence[Member]) -> None:
        self.current = Set.of((me,), (me,))
        self.appeared: int | None = None
        self._me = me
        # Who hears this node, too; and who of the current set has not been
        # silent since.
        self._mutual: frozenset[MemberId] = frozenset()
        self._stayed = {me}
        self._members = {member.id: member for member in members}
        self._apart = 0

    @property
    def alive(self) -> int:
        """How many peers are heard now, whatever their time: these get a part of the uplink."""
        return sum(member.alive for member in self._members.values())

    def lost(self, member: MemberId) -> None:
        """It fell silent; it may be back before the next boundary."""
        self._stayed.discard(member)
        self._mutual -= {member}

    def update(self, time: FlockTime, slot: int) -> Set:
        """At the boundary that begins a slot."""
        heard = [
            m
            for m in self._members.values()
            if m.alive and time.agrees_with(m.estimate, shown=m.shows(self._me))
        ]
        self._leave_out(heard, slot)
        # If flock time is another one now, the slot may be far ahead.
        heard = [m for m in heard if not slot < m.left_out <= slot + LEFT_OUT]
        everyone = {self._me, *(m.id for m in heard)}
        chosen = everyone
        if self._apart >= APART:
            chosen = self._agreeable(everyone, slot // TURN)
            if chosen == everyone:
                self._apart = 0
        mutual = frozenset(m.id for m in heard if m.id in chosen and m.shows(self._me))
        self.current = Set.of(everyone, chosen, chosen - mutual - {self._me})
        new = mutual - self._mutual
        # That a member hears this node was shown in the slot before already.
        self.appeared = slot - (new <= self._stayed) if new else None
        self._mutual, self._stayed = mutual, set(self.current.members)
        if self._apart < APART:
            differ = any(m.trailer and m.trailer.members != self.current.hash for m in heard)
            self._apart = self._apart + 1 if differ else 0
        return self.current

    def returned(self, before: Set, after: Set) -> bool:
        """
        Whether this node is the one who returns: between two boundaries it has
        met a flock larger than its own, and one that is not just forming.
        """
        own = set(before.members)
        for member in after.members:
            if member in own:
                continue
            met = self._members[member]
            forming = met.trailer is not None and met.trailer.flags & Flags.FORMING
            if not forming and len(met.hears() - own) > len(own):
                return True
        return False

    def _leave_out(self, heard: Iterable[Member], slot: int) -> None:
        """Those that keep showing another set, from now on."""
        own, configured = self.current, {self._me, *self._members}
        # Who leaves this node out is not to be answered in kind, or they would never
        # come together again.
        known = own.hash, members_hash(own.others(self._me))
        for member in heard:
            odd = (
                member.id in own.members
                and member.trailer is not None
                and member.trailer.members not in known
                # Who hears others than this node does may be right.
                and member.hears() & configured == set(own.heard)
            )
            member.contrary = member.contrary + 1 if odd else 0
            if member.contrary >= CONTRARY:
                member.contrary, member.left_out = 0, slot + LEFT_OUT

    def _agreeable(self, everyone: set[MemberId], turn: int) -> set[MemberId]:
        hears = {m: self._members[m].hears() for m in everyone if m != self._me}
        hears[self._me] = frozenset(everyone)
        apart: dict[MemberId, set[MemberId]] = {m: set() for m in everyone}
        for one, other in combinations(everyone, 2):
            if other not in hears[one] or one not in hears[other]:
                apart[one].add(other)
                apart[other].add(one)
        while apart:
            # Whoever nobody hears is apart from all, and must not cost them each other.
            most = max(map(len, apart.values()))
            if not most:
                break
            equal = sorted((m for m, others in apart.items() if len(others) == most), reverse=True)
            worst = equal[turn % len(equal)]
            for other in apart.pop(worst):
                apart[other].discard(worst)
        return set(apart) if self._me in apart else {self._me}
