# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
This node's part in rounds: when one is called, joined, started and stopped.

Everything here follows from what members show, from flock time and from
chance.  Nothing follows from what is queued.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping

from flocknode.flock.ceremony import CALL_WITHIN, Agenda, Snapshot, outstanding
from flocknode.flock.flocktime import FlockTime
from flocknode.flock.fsm import Machine, Tracer
from flocknode.flock.heartbeat import Heartbeat, Trailer
from flocknode.flock.interfaces import FlockSettings, MemberId, Observer
from flocknode.flock.members import REMEMBERED, Member
from flocknode.flock.owing import Owing
from flocknode.flock.patience import Patience
from flocknode.flock.rate import LAST_STEP, Steps, octave_step, round_octave, slot_payload
from flocknode.flock.rounds import (
    CALL_SLOTS,
    JOIN_SLOTS,
    ONCE_MORE,
    PREPARED,
    Round,
    private_offset,
)
from flocknode.flock.shaper import Shaper, SlotPlan
from flocknode.flock.status import CALLING, ENDING, LEADING, SENDING, Input, Status
from flocknode.flock.streams import RandomStreams


class Conductor:
    """
    One member's part in rounds.

    @ivar round: the one it takes part in, called or running.
    @ivar agenda: what is due besides what members show.
    @ivar finished_at: the stop slot of the last round.
    @ivar last_started: the id of the last round that started here.
    @ivar owing: what may be lacking after somebody was lost.
    @ivar counted: the new_total up to which local changes have been in a round.
    @ivar rounds: finished since the start; C{unfinished} of these ended with
        something left over.
    """

    def __init__(
        self,
        settings: FlockSettings,
        observer: Observer,
        shaper: Shaper,
        *,
        time: FlockTime,
        steps: Steps,
        members: Mapping[MemberId, Member],
        random: RandomStreams,
        trace: Tracer | None,
    ) -> None:
        self.round: Round | None = None
        self.agenda = Agenda(random.followups)
        self.owing = Owing(self.agenda)
        self.rounds = self.unfinished = 0
        self._judged = True  # what the last one left over shows at the next boundary
        self._me = settings.me
        self._quorum = max(2, settings.min_members)
        self._observer = observer
        self._time = time
        self._steps = steps
        self._members = members
        self._offsets = random.offsets
        self._machine = Machine(trace)
        self._shaper = shaper
        self._slot = 0
        self._own: dict[int, Snapshot] = {}
        self._suspended = False
        self.counted = 0
        self.finished_at = 0
        self.last_started = 0
        self._finished: deque[int] = deque(maxlen=REMEMBERED)  # the ids of the last rounds
        self._patience = Patience()

    @property
    def status(self) -> int:
        """The status code to show."""
        return self._machine.state

    @property
    def due(self) -> float:
        """When L{advance} has something to do, monotonic."""
        current = self.round
        if current is None:
            return math.inf
        if not current.prepared:
            return current.start_at - PREPARED
        stop = self._stop_at(current)
        return stop if current.started else min(current.start_at, stop)

    def plan(self, slot: int) -> SlotPlan | None:
        """What a slot carries."""
        current = self.round
        return None if current is None else current.plan(slot, self._time, self._steps)

    def boundary(self, own: Snapshot, appeared: int | None, now: float) -> None:
        """
        A slot has begun.

        @param own: what this node shows in it.
        @param appeared: see L{flocknode.flock.members.Membership}.
        """
        earlier, self._slot = self._slot, own.slot
        self._own[own.slot] = own
        self._own = {slot: self._own[slot] for slot in sorted(self._own)[-REMEMBERED:]}
        if not self._judged:
            self._judged = True
            self.unfinished += bool(own.backlog or own.remaining)
        if appeared is not None:
            self.agenda.returned = appeared
            self.agenda.disturbed(own.slot)
        if self._suspended:
            self._feed(Input.MORE if own.backlog or own.remaining else Input.LEVEL)
            return
        if len(own.set.members) == 1:
            self.agenda.alone()
            if self.round is not None and not self.round.started:
                self._abandon()
        current = self.round
        if current is None:
            self._announce(own, now)
            return
        for slot in range(max(earlier + 1, own.slot - REMEMBERED), own.slot + 1):
            current.enter(slot, self._steps)
        if current.leading:
            current.count_down(own.slot, self._steps)
        self._feed(Input.MORE if own.backlog or own.remaining else Input.LEVEL)
        if own.slot + 1 == current.stop_slot:
            self._feed(Input.LAST)
            self.owing.passed(current)

    def call(self, now: float) -> None:
        """
        Before a heartbeat: if this node leads, or stands in for who does, and all
        snapshots of a boundary are here, call a round by it.
        """
        if self.round is not None or self._suspended:
            return
        for slot in (self._slot - 1, self._slot):
            own = self._own.get(slot)
            begun = self._time.boundary(slot)
            if own is None or now > begun + CALL_WITHIN or not self.agenda.allows(slot):
                continue
            if len(own.set.members) < self._quorum:
                continue
            rank = own.set.members.index(self._me)
            if not self._leads(own) and not self._patience.stands_in(rank, now):
                continue
            shown = [self._members[m].shown.get(slot) for m in own.set.others(self._me)]
            sigma = self.agenda.called(own, shown, begun, now)
            if sigma:
                self._feed(Input.LEAD)
                self._feed(Input.CALL)
                self._enter(slot, sigma, own, True, now)
                return

    def hear(self, member: Member, heartbeat: Heartbeat, trailer: Trailer, now: float) -> None:
        """A heartbeat of a member that shares this node's time."""
        current, round_id = self.round, trailer.round_id
        if self._suspended or not 0 < round_id <= self._slot + 1 or round_id in self._finished:
            return
        if current is not None and round_id == current.id:
            self._hear_own(current, member, heartbeat, trailer, now)
            return
        if heartbeat.status not in CALLING | SENDING or heartbeat.status in ENDING:
            return
        shared = [own for own in self._own.values() if own.set.hash == trailer.members]
        if not shared:
            return
        if current is None or (round_id < current.id and not current.started):
            self._abandon()
            self._adopt(shared[-1], member, heartbeat, trailer, now)
        elif round_id < current.id:
            # Two rounds are running: the older one is everybody's, and goes on.
            current.id, current.stop_slot = round_id, None
            self._keep_to(trailer.octave, current)
            self._follow(current, now)
            self._feed(Input.YIELD)
            current.stop_by(trailer.stop_slot, self._slot)

    def vanished(self, member: MemberId) -> None:
        """A member has fallen silent, or said that it is about to go."""
        self.agenda.disturbed(self._slot)
        if self.round is not None:
            self.round.suspects.add(member)

    def advance(self, now: float) -> None:
        """Do what is due: prepare, start, give up, stop."""
        current = self.round
        if current is None:
            return
        if not current.prepared and now >= current.start_at - PREPARED:
            current.prepared = True
            self._shaper.begin(current.start_slot, self.plan, now)
        if not current.started and now >= current.start_at:
            self._start(current)
        if current.started and not current.lost and current.is_broken(self._members, now):
            self._lose(current)
        if now >= self._stop_at(current):
            self._stop(current, now)

    def restart(self, slot: int) -> None:
        """
        Flock time is another one now, or this node was away: forget snapshots,
        and what was running.
        """
        self._abandon()
        self._own.clear()
        self._slot = slot
        self._finished.clear()
        self.finished_at = 0
        self.agenda.earliest = slot + 1

    def suspend(self) -> None:
        """Constant cover begins: there are no rounds until L{resume}."""
        self._abandon()
        self.owing.forget()
        self._suspended = True
        self._feed(Input.JOIN)

    def resume(self, slot: int) -> None:
        """It is over; what is outstanding now is for rounds."""
        self._suspended = False
        self._feed(Input.STOP)
        self._feed(Input.QUIET)
        self.agenda.alone()
        self.agenda.earliest = slot + 1
        self.finished_at = slot

    def leader(self) -> MemberId | None:
        """The lowest id alive, as of the last boundary."""
        own = self._own.get(self._slot)
        return own.set.leader if own is not None else None

    def _leads(self, own: Snapshot) -> bool:
        return own.set.leader == self._me

    def _feed(self, happened: Input) -> None:
        if self._machine.accepts(happened):
            self._machine.feed(happened)

    def _announce(self, own: Snapshot, now: float) -> None:
        """Show whether anything is outstanding; it delays nothing."""
        if self._machine.state == Status.ENDED and own.slot <= self.finished_at:
            return
        leads = self._leads(own)
        if not leads:
            self.agenda.expire(own.slot, now)
        something = (leads and self.agenda.waiting) or any(
            outstanding(own, self._trailers(own.set.others(self._me)))
        )
        enough = len(own.set.members) >= self._quorum
        if self._patience.look(something and enough, now):
            self._feed(Input.LEAD if leads else Input.FOLLOW)
        else:
            self._feed(Input.QUIET)

    def _trailers(self, members: Iterable[MemberId]) -> list[Trailer]:
        trailers = (self._members[m].trailer for m in members)
        return [trailer for trailer in trailers if trailer is not None]

    def _enter(
        self, round_id: int, sigma: int, own: Snapshot, leading: bool, now: float
    ) -> None:
        """Take part in a round from its start."""
        self._begin(round_id, round_id + CALL_SLOTS, own, leading, now)
        current = self.round
        assert current is not None
        current.size(sigma, len(own.set.members))
        current.counted = own.new_total
        current.extra += ONCE_MORE * self.owing.doubts(current.members, round_id)
        if leading:
            peers, newcomers = len(current.members), self.agenda.newcomers(round_id)
            self._keep_to(round_octave(current.payload, peers, newcomers=newcomers), current)
            current.count_down(self._slot, self._steps)

    def _keep_to(self, octave: int, current: Round) -> None:
        """This round is not to be faster, as whoever leads it says."""
        current.octave = octave
        self._steps.round_cap = octave_step(octave)

    def _begin(
        self, round_id: int, start_slot: int, own: Snapshot, leading: bool, now: float
    ) -> None:
        offset, stop_offset = private_offset(self._offsets), private_offset(self._offsets)
        self.round = Round(
            id=round_id,
            start_slot=start_slot,
            start_at=self._time.boundary(start_slot) + offset,
            offset=offset,
            stop_offset=stop_offset,
            leading=leading,
            members=set(own.set.others(self._me)),
            counted=self.counted,
            leader_heard=now,
        )
        self._patience.rest()

    def _adopt(
        self, own: Snapshot, member: Member, heartbeat: Heartbeat, trailer: Trailer, now: float
    ) -> None:
        """
        Take part in a round that another calls, or that is running.

        @param own: a snapshot with the same set of members as the other shows.
        """
        round_id = trailer.round_id
        if self._slot <= round_id + CALL_SLOTS:
            own = self._own.get(round_id, own)
            shown = [self._members[m].shown.get(round_id) for m in own.set.others(self._me)]
            known = [theirs.trailer for theirs in shown if theirs is not None]
            self._feed(Input.CALLED)
            self._enter(round_id, self.agenda.due(*outstanding(own, known)), own, False, now)
        elif not trailer.stop_slot or trailer.stop_slot > self._slot + JOIN_SLOTS:
            self._feed(Input.JOIN)
            self._begin(round_id, self._slot + JOIN_SLOTS, own, False, now)
        if self.round is not None:
            self._keep_to(trailer.octave, self.round)
            self._hear_own(self.round, member, heartbeat, trailer, now)

    def _hear_own(
        self, current: Round, member: Member, heartbeat: Heartbeat, trailer: Trailer, now: float
    ) -> None:
        current.hear(member, heartbeat, trailer, now)
        if trailer.stop_slot:
            current.stop_by(trailer.stop_slot, self._slot)
        if heartbeat.status == Status.GIVING_UP and not current.lost:
            self._lose(current)
        if heartbeat.status in LEADING and (not current.leading or member.id < self._me):
            self._follow(current, now)
            if not current.started:
                self._keep_to(trailer.octave, current)

    def _follow(self, current: Round, now: float) -> None:
        """Another leads this round."""
        if current.leading:
            current.leading = False
            self._feed(Input.YIELD if current.started else Input.CALLED)
        current.leader_heard = now

    def _start(self, current: Round) -> None:
        current.started = True
        self._feed(Input.START)
        if current.lost:
            self._feed(Input.LOSS)
        self.counted = current.counted
        self.agenda.started(current.id)
        self.last_started = current.id
        slot = slot_payload(self._steps.at(current.start_slot))
        budget = current.payload + current.extra * slot
        self._observer.round_started(current.id, current.counted, budget)

    def _lose(self, current: Round) -> None:
        """Somebody is lost, or another says so."""
        current.give_up(self._slot)
        self._feed(Input.LOSS)

    def _stop_at(self, current: Round) -> float:
        return current.stops_at(self._time)

    def _stop(self, current: Round, now: float) -> None:
        assert current.stop_slot is not None
        self._halt()
        self._feed(Input.STOP)
        self._finished.append(current.id)
        self.finished_at = current.stop_slot
        self.agenda.earliest = current.stop_slot
        if not current.started:
            return
        self.owing.stopped(current, self._stop_at(current), now)
        self.rounds += 1
        self._judged = False
        self._observer.round_stopped(self.last_started)

    def _halt(self) -> None:
        self.round = None
        self._shaper.halt()
        self._steps.round_cap = LAST_STEP

    def _abandon(self) -> None:
        """Out of the round, if there is one, at once."""
        current = self.round
        if current is not None:
            self._halt()
            self._feed(Input.STOP)
            self._feed(Input.QUIET)
            if current.started:
                self._observer.round_stopped(self.last_started)
