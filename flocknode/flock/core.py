# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The flock engine: one object that is fed what arrives and what time it is, and
that says through its L{Transport} when which message leaves.  It does no I/O
and reads no clock.

What its host (the wire process, or a test) does:

 - It calls L{Flock.advance} when the time that the previous call returned has
   come, and whenever it likes before that (computing early is harmless).
 - After L{Flock.heartbeat_received} it calls L{Flock.advance} once more: the
   time of the next thing due may have moved.  After frames, offers and queueing
   it need not: nothing of that moves anything that leaves.
 - Messages start with what tells them apart: C{b"\\0"} + the receiver's id is a
   frame (see L{flocknode.flock.messages.frame_topic}), an ASCII digit a
   heartbeat (256 bytes).
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from flocknode.errors import ProtocolError
from flocknode.flock.ceremony import Snapshot
from flocknode.flock.conductor import Conductor
from flocknode.flock.constant import ConstantCover
from flocknode.flock.flocktime import SLOT, FlockTime, check_fits
from flocknode.flock.fsm import Tracer
from flocknode.flock.heartbeat import Flags, parse_heartbeat
from flocknode.flock.interfaces import (
    FlockSettings,
    FlockState,
    MemberId,
    Observer,
    Priority,
    Transport,
)
from flocknode.flock.leading import Leading
from flocknode.flock.link import Outgoing
from flocknode.flock.meeting import Meeting
from flocknode.flock.members import Member, Membership
from flocknode.flock.messages import parse_frame
from flocknode.flock.pulse import Pulse
from flocknode.flock.rate import UNMEASURED, Steps, queue_limit, uplink_step
from flocknode.flock.reporting import Digests, Reporter
from flocknode.flock.respite import Respite
from flocknode.flock.rounds import JOIN_SLOTS, Sending
from flocknode.flock.shaper import Shaper
from flocknode.flock.silence import Silence
from flocknode.flock.streams import RandomStreams

STALL: Final = 2.0
"""Seconds without L{Flock.advance} after which everybody has given us up."""
ARRIVING: Final = 0.1
"""Seconds that the last frames of a slot are given to arrive."""
SOONEST: Final = 1e-5
"""Seconds; what is due is never due at once again."""


class Flock:
    """
    One member's engine.

    @cvar shaper: and C{conductor}, C{cover}: the classes of its parts; a test of what
        must not leak puts leaking ones in their place.
    @ivar seen: what is due next is something to send, and must be on time.
    """

    shaper: type[Shaper] = Shaper
    conductor: type[Conductor] = Conductor
    cover: type[ConstantCover] = ConstantCover
    _log = Logger()

    def __init__(
        self,
        settings: FlockSettings,
        transport: Transport,
        observer: Observer,
        *,
        now: float,
        wall_ms: int,
        random: RandomStreams,
        trace: Tracer | None = None,
        respite: float = 0.0,
    ) -> None:
        """
        @param now: monotonic seconds, as given to every other method.
        @param wall_ms: the wall clock at C{now}, milliseconds since 1970; only
            used if this node is the first of its flock.
        @param trace: called at each transition of the state machine with
            (state, input, next state).
        @param respite: seconds, see L{flocknode.flock.respite}.
        """
        self._settings = settings
        self._me = settings.me
        self._transport = transport
        self._observer = observer
        self._random = random
        epoch = random.identity.randrange(1, 1 << 32)
        self._members = {peer: Member(peer, Outgoing(peer, epoch)) for peer in settings.peers}
        self._membership = Membership(self._me, tuple(self._members.values()))
        self._silence = Silence(self._members.values())
        self._time = FlockTime(now, wall_ms)
        self._meeting = Meeting(self._me, self._membership, self._time)
        self._slot = self._time.slot(now)
        self._steps = Steps(uplink_step(settings.uplink, self._membership.alive))
        self._shaper = self.shaper(
            [member.outgoing for member in self._members.values()],
            transport.frame,
            observer.consumed,
            random.links,
            random.ticks,
        )
        self._conductor = self.conductor(
            settings,
            observer,
            self._shaper,
            time=self._time,
            steps=self._steps,
            members=self._members,
            random=random,
            trace=trace,
        )
        self._cover = self.cover(
            settings,
            observer,
            self._shaper,
            self._conductor,
            time=self._time,
            steps=self._steps,
            members=self._members,
            random=random,
        )
        self._pulse = Pulse(settings, random, now)
        self._leading = Leading(self._me, self._members, self._steps)
        self._snapshot = self._look(now)
        self._strange: set[MemberId] = set()
        self._queue_limit = 0
        self._last = now
        self._respite = Respite(respite)
        self.seen = False
        self._reporter = Reporter(observer)
        self._digests = Digests(observer, tuple(self._members.values()))

    @property
    def state(self) -> FlockState:
        """What the engine is doing right now."""
        tally, current = self._shaper.tally, self._conductor.round
        return FlockState(
            status=int(self._conductor.status),
            constant=self._cover.on,
            round_id=current.id if current is not None else 0,
            slot=self._slot,
            step=self._steps.at(self._slot),
            narrowest=self._leading.narrowest(self._slot),
            alive=tuple(m.id for m in self._members.values() if m.alive),
            rounds=self._conductor.rounds,
            unfinished=self._conductor.unfinished,
            frames_sent=tally.sent,
            frames_filled=tally.filled,
            lateness_ms=tally.lateness.milliseconds,
        )

    def heartbeat_received(self, member: MemberId, message: bytes, now: float) -> None:
        """The authenticated C{member} published this; what does not parse is dropped."""
        sender = self._members.get(member)
        try:
            heartbeat = parse_heartbeat(message)
            trailer = heartbeat.trailer
            if sender is None or trailer is None:
                return
            check_fits(trailer.slot, trailer.time_ms)
        except ProtocolError as reason:
            return self._drop(member, "heartbeat", reason)
        if trailer.flags & Flags.LEAVING:
            if sender.alive:
                self._lose(sender, now)
            return
        sender.hear(heartbeat, trailer, now)
        self._time.observe(sender.estimate, now, trailer.time_ms)
        if not sender.alive:
            sender.alive = True
            self._forget(sender)
            self._observer.alive(member, 0)
        alone = len(self._membership.current.heard) == 1
        agree = self._time.agrees_with(sender.estimate, shown=sender.shows(self._me))
        idle = self._conductor.round is None
        if idle and (alone or not agree) and self._meeting.follow(sender, now):
            self._restart(now)
        elif not agree:
            return
        near = abs(trailer.slot - self._slot) <= JOIN_SLOTS
        if member == self._conductor.leader() and near:
            self._steps.decide(trailer.slot + 2, trailer.step)
        self._conductor.hear(sender, heartbeat, trailer, now)

    def frame_received(self, member: MemberId, message: bytes | memoryview, now: float) -> None:
        """
        A frame that the authenticated C{member} published for this node.  What
        does not parse, or is for somebody else, is dropped.
        """
        sender = self._members.get(member)
        try:
            frame = parse_frame(message)
        except ProtocolError as reason:
            return self._drop(member, "frame", reason)
        if sender is None or not sender.alive or frame.receiver != self._me:
            return
        arrival = sender.incoming.feed(frame)
        if arrival is None:
            return
        sender.frame(frame.slot, now - self._time.boundary(frame.slot), len(message))
        if arrival.fresh:
            self._forget(sender)
            self._observer.alive(member, frame.epoch)
        if arrival.gap:
            self._observer.reset(member)
        if arrival.data:
            self._observer.received(member, bytes(arrival.data))

    def offer(self, new_total: int, backlog: int, remaining: int, digest: bytes) -> None:
        """
        What the next snapshot shall show.

        @param new_total: bytes of local changes since the process started.
        @param backlog: the most bytes that any one alive member lacks of what
            this node holds.
        @param remaining: bytes that this node itself still lacks.
        @param digest: 16 bytes of the state of all boxes.
        """
        self._pulse.offer(new_total, backlog, remaining, digest)

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        """
        Put whole records behind one of the two queues towards a member.

        @param records: one or more records, each with its u32 big-endian length
            in front.  The caller bounds what it queues by L{Observer.consumed}.
            What is queued for a member that is not alive is dropped, and
            reported as consumed.
        @raise ProtocolError: these are not whole records; nothing was queued.
        """
        receiver = self._members.get(member)
        if receiver is not None and receiver.alive:
            receiver.outgoing.put(priority, records)
        elif records:
            self._observer.consumed(member, priority, len(records))

    def skip(self, member: MemberId) -> None:
        """
        The bytes that L{Observer.received} was told last could not be kept.
        L{Observer.reset} is told, and received goes on at the next start of a
        record.  May be called from within L{Observer.received}.
        """
        if member in self._members:
            self._members[member].incoming.skip()
            self._observer.reset(member)

    def leave(self, now: float) -> None:
        """
        Say in the heartbeats from now on that this node is about to go.  The
        next one leaves when it would have left anyway, within 275 ms.
        """
        self._pulse.leave()

    def advance(self, now: float) -> float:
        """
        Do what is due at C{now}.

        @return: when the next thing is due; always later than C{now}.
        """
        if now - self._last > STALL:
            self._wake_up(now)
        self._last = now
        for member in self._silence.look(now):
            self._lose(member, now)
        if now >= self._time.boundary(self._slot + 1):
            self._boundary(now)
        self._conductor.advance(now)
        # Whatever takes longer with payload comes after all that is seen.
        sent = self._shaper.emit(now)
        if self._pulse.tick(now):
            self._beat(now)
            sent = True
        due = min(self._time.boundary(self._slot + 1), self._pulse.due)
        if sent:
            self._respite.begin(now)
        if self._respite.is_on(now):
            # What is built leaves on time; all else waits.
            building = self._respite.ends(self._shaper.due)
            due = min(due, self._conductor.due, building, self._shaper.emits_at)
        else:
            self._shaper.advance(now)
            if self._reporter.due(now):
                self._reporter.report(self.state, now)
            due = min(due, self._conductor.due, self._shaper.due)
        self.seen = due >= min(self._pulse.due, self._shaper.emits_at)
        return max(due, now + SOONEST)

    def _drop(self, member: MemberId, what: str, reason: ProtocolError) -> None:
        """Say so once for each peer: whoever does this does it often."""
        if member in self._members and member not in self._strange:
            self._strange.add(member)
            self._log.warn(f"a {what} of {member.hex()} is dropped: {{reason}}", reason=reason)

    def _lose(self, member: Member, now: float) -> None:
        self._conductor.owing.lost(member, self._conductor.round, self._slot, now)
        member.gone()
        self._membership.lost(member.id)
        self._conductor.vanished(member.id)
        self._forget(member)
        self._observer.lost(member.id)

    def _forget(self, member: Member) -> None:
        """Whatever was queued for it belongs to a past that it does not know."""
        for priority, size in zip(Priority, member.outgoing.forget(), strict=True):
            if size:
                self._observer.consumed(member.id, priority, size)

    def _wake_up(self, now: float) -> None:
        """This process stood still: the others have long gone on without it."""
        for member in self._members.values():
            if member.alive:
                self._lose(member, now)
        self._membership.update(self._time, self._slot)
        self._restart(now)
        self._pulse.restart(now)

    def _restart(self, now: float) -> None:
        """Go on in another slot, with nothing of what was shown before."""
        self._slot = self._time.slot(now)
        self._steps.restart()
        for member in self._members.values():
            member.intake.renew()
        self._conductor.restart(self._slot)
        self._cover.restart(self._slot, now)
        self._snapshot = self._look(now)

    def _boundary(self, now: float) -> None:
        slot = self._time.slot(now)
        before = self._membership.current
        self._digests.tell(self._sending is not None, self._conductor.finished_at)
        if self._conductor.round is None:
            lowest = self._members.get(before.heard[0])
            self._time.correct(None if lowest is None else lowest.estimate, SLOT)
        self._slot = max(slot, self._slot + 1)
        after = self._membership.update(self._time, self._slot)
        if set(after.members) - set(before.members):
            if self._membership.returned(before, after):
                self._pulse.returned(now)
                self._conductor.owing.returned(self._slot)
            elif len(before.members) == 1:
                self._pulse.formed(now)
        self._steps.fit(uplink_step(self._settings.uplink, self._membership.alive))
        self._cover.look(self._slot, now)
        self._snapshot = self._look(now)
        self._leading.boundary(self._slot, after.members, self._sending)
        self._steps.forget_before(self._slot - JOIN_SLOTS)
        self._conductor.boundary(self._snapshot, self._membership.appeared, now)
        self._cover.boundary(self._snapshot, now)
        limit = queue_limit(self._steps.at(self._slot))
        if limit != self._queue_limit:
            self._queue_limit = limit
            self._transport.frame_queue(limit)

    def _look(self, now: float) -> Snapshot:
        members, counted = self._membership.current, self._conductor.counted
        started = self._conductor.last_started
        # The exchange counts as lacking who is heard, whatever his time.
        owed = self._conductor.owing.most(m.id for m in self._members.values() if m.alive)
        return self._pulse.look(self._slot, members, counted, started, owed, now=now)

    def _beat(self, now: float) -> None:
        self._conductor.call(now)
        message = self._pulse.heartbeat(
            self._conductor.status,
            self._snapshot,
            self._sending,
            time_ms=self._time.ms(now),
            uplink=self._steps.own,
            step=self._steps.paced(self._slot + 2),
            delivered=self._delivered(now),
            now=now,
        )
        self._transport.heartbeat(message)

    def _delivered(self, now: float) -> int:
        """The step that all incoming links delivered in the last slot, if its frames are here."""
        if now < self._time.boundary(self._slot) + ARRIVING:
            return UNMEASURED
        return self._leading.delivered(self._slot - 1, self._sending)

    @property
    def _sending(self) -> Sending | None:
        """In what this node takes part."""
        return self._cover if self._cover.on else self._conductor.round
