# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A network in memory and in virtual time, which hosts flock engines.

 - Latency and loss are functions of (sender, receiver, number of the message on
   that link), so that two runs meet the same network, message by message.
 - Links are first in, first out; they may have a bandwidth, and then a queue of
   frames with the limit that the engine asks for.
 - Members can crash, restart, stand still for a while, and be cut off.
 - Everything handed to the transport is written down: see L{Sent}.

C{network.run(seconds)} lets time pass, stopping at every single event.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from flocknode.flock.interfaces import MemberId, Priority, Transport

ALL: Final = MemberId(b"")
"""The receiver of a heartbeat."""

Latency = Callable[[MemberId, MemberId, int], float]
"""Seconds for the n-th message (from 0) from one member to another."""
Loss = Callable[[MemberId, MemberId, int], bool]
"""Whether that message is lost."""


class Engine(Protocol):
    """What can be hosted: L{flocknode.flock.core.Flock} or anything like it."""

    def heartbeat_received(self, member: MemberId, message: bytes, now: float) -> None: ...

    def frame_received(self, member: MemberId, message: bytes, now: float) -> None: ...

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None: ...

    def advance(self, now: float) -> float: ...


Build = Callable[[Transport, float, int], Engine]
"""Makes an engine from its transport, monotonic seconds and wall clock (ms)."""


@attrs.frozen
class Sent:
    """
    One message handed to the transport.

    @ivar time: seconds of the network's clock.
    @ivar receiver: L{ALL} for heartbeats.
    @ivar size: bytes.
    """

    time: float
    sender: MemberId
    receiver: MemberId
    size: int


@attrs.define(eq=False)
class _Link:
    """
    @ivar number: messages so far.
    @ivar free_at: when the line is free again.
    @ivar arrival: of the last message; the next is not earlier.
    @ivar waiting: when each of the frames on the line has left it.
    """

    number: int = 0
    free_at: float = 0.0
    arrival: float = 0.0
    waiting: deque[float] = attrs.field(factory=deque)


class Host:
    """
    One member's machine.

    @ivar engine: what runs there; None while it is down.
    @ivar build: makes the engine at each start.
    @ivar frame_limit: frames that may wait on each link.
    """

    def __init__(
        self, network: VirtualNetwork, me: MemberId, build: Build, monotonic: float, wall_ms: int
    ) -> None:
        self.me = me
        self.engine: Engine | None = None
        self.build = build
        self.frame_limit = 1 << 30
        self._network = network
        self._monotonic = monotonic
        self._wall_ms = wall_ms
        self._life = 0
        self._due = math.inf
        self._wake_ups = 0
        self._still_until = -math.inf
        self._held: list[tuple[MemberId, bytes]] = []

    @property
    def now(self) -> float:
        """This machine's monotonic clock, seconds."""
        return self._network.clock.seconds() + self._monotonic

    def start(self) -> None:
        """Start, or start again after a crash: nothing is remembered."""
        self._life += 1
        wall_ms = self._wall_ms + int(self._network.clock.seconds() * 1000)
        self.engine = self.build(self, self.now, wall_ms)
        self._wake_at(self._network.clock.seconds())

    def crash(self) -> None:
        """Be gone from one moment to the next."""
        self._life += 1
        self.engine = None
        self._held.clear()

    def stand_still(self, seconds: float) -> None:
        """Be suspended: what arrives waits, and so does everything else."""
        self._still_until = self._network.clock.seconds() + seconds
        self._wake_at(self._still_until)

    def heartbeat(self, message: bytes) -> None:
        """See L{Transport}."""
        self._network.publish(self, message)

    def frame(self, to: MemberId, message: bytes) -> bool:
        """See L{Transport}."""
        return self._network.send(self, to, message)

    def frame_queue(self, frames: int) -> None:
        """See L{Transport}."""
        self.frame_limit = frames

    def arrive(self, life: int, sender: MemberId, message: bytes) -> None:
        """A message for the process that ran when it was sent."""
        engine = self.engine
        if engine is None or life != self._life:
            return
        if self._network.clock.seconds() < self._still_until:
            self._held.append((sender, message))
        elif message[:1] == b"\0":
            engine.frame_received(sender, message, self.now)
        else:
            engine.heartbeat_received(sender, message, self.now)
            self._advance(engine)

    @property
    def life(self) -> int:
        """Counts starts and crashes."""
        return self._life

    def _wake_at(self, time: float) -> None:
        """Wake up then, and not at the time that was planned before."""
        self._due = time
        self._wake_ups += 1
        late = self._network.lateness(self.me, self._wake_ups)
        self._network.at(time + late, self._wake, self._life, self._wake_ups)

    def _wake(self, life: int, number: int) -> None:
        engine = self.engine
        if engine is None or life != self._life or number != self._wake_ups:
            return
        self._due = math.inf
        self._advance(engine)
        held, self._held = self._held, []
        for sender, message in held:
            self.arrive(life, sender, message)

    def _advance(self, engine: Engine) -> None:
        due = engine.advance(self.now) - self._monotonic
        if due != self._due:
            self._wake_at(due)


class VirtualNetwork:
    """
    @ivar clock: virtual time.
    @ivar hosts: by member id.
    @ivar trace: everything handed to the transport, in order.
    @ivar narrow: bandwidth of single links, (sender, receiver) to bytes a second.
    @ivar latency: and C{loss}, C{bandwidth} (bytes per second and link, may be
        infinite), C{lateness} (seconds by which the n-th wake-up of a member is
        late): may be replaced at any time.
    @ivar host: makes a machine of (network, id, build, monotonic, wall clock).
    """

    host: type[Host] = Host

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        latency: Latency = lambda sender, receiver, number: 0.0005,
        loss: Loss = lambda sender, receiver, number: False,
        bandwidth: float = math.inf,
        lateness: Callable[[MemberId, int], float] = lambda member, number: 0.0,
    ) -> None:
        self.clock = Clock() if clock is None else clock
        self.hosts: dict[MemberId, Host] = {}
        self.trace: list[Sent] = []
        self.latency = latency
        self.loss = loss
        self.bandwidth = bandwidth
        self.narrow: dict[tuple[MemberId, MemberId], float] = {}
        self.lateness = lateness
        self._links: dict[tuple[MemberId, MemberId], _Link] = {}
        self._groups: tuple[frozenset[MemberId], ...] = ()
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = itertools.count()
        self._call: IDelayedCall | None = None

    def add(
        self,
        me: MemberId,
        build: Build,
        *,
        monotonic: float = 0.0,
        wall_ms: int = 1_700_000_000_000,
    ) -> Host:
        """
        A machine; L{Host.start} it.

        @param monotonic: what its monotonic clock shows at the network's 0.
        @param wall_ms: what its wall clock shows then, ms since 1970.
        """
        host = self.hosts[me] = self.host(self, me, build, monotonic, wall_ms)
        return host

    def partition(self, *groups: Iterable[MemberId]) -> None:
        """From now on only members of a same group reach each other."""
        self._groups = tuple(frozenset(group) for group in groups)

    def heal(self) -> None:
        """Everybody reaches everybody again."""
        self._groups = ()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """
        Let time pass until C{condition} holds; it is looked at after each event.

        @param timeout: seconds, at most.
        @return: whether it holds.
        """
        end = self.clock.seconds() + timeout
        while not condition():
            following = min((c.getTime() for c in self.clock.getDelayedCalls()), default=math.inf)
            if following > end:
                self.clock.advance(end - self.clock.seconds())
                return condition()
            self.clock.advance(max(0.0, following - self.clock.seconds()))
        return True

    def at(self, time: float, what: Callable[..., None], *args: object) -> None:
        """Call C{what} at that time of the clock."""
        heapq.heappush(self._events, (time, next(self._order), what, args))
        self._arm()

    def publish(self, sender: Host, message: bytes) -> None:
        """A heartbeat, to every other host."""
        self.trace.append(Sent(self.clock.seconds(), sender.me, ALL, len(message)))
        for receiver in self.hosts.values():
            if receiver is not sender:
                self._carry(sender, receiver, message)

    def send(self, sender: Host, to: MemberId, message: bytes) -> bool:
        """
        A frame.

        @return: false if the link's queue is full.
        """
        now = self.clock.seconds()
        waiting = self._link(sender.me, to).waiting
        while waiting and waiting[0] <= now:
            waiting.popleft()
        if len(waiting) >= sender.frame_limit:
            return False
        self.trace.append(Sent(now, sender.me, to, len(message)))
        receiver = self.hosts.get(to)
        if receiver is not None:
            left = self._carry(sender, receiver, message)
            if left > now:
                waiting.append(left)
        return True

    def _link(self, sender: MemberId, receiver: MemberId) -> _Link:
        return self._links.setdefault((sender, receiver), _Link())

    def _carry(self, sender: Host, receiver: Host, message: bytes) -> float:
        """@return: when the message has left the line."""
        link = self._link(sender.me, receiver.me)
        number = link.number
        link.number += 1
        bandwidth = self.narrow.get((sender.me, receiver.me), self.bandwidth)
        link.free_at = max(self.clock.seconds(), link.free_at) + len(message) / bandwidth
        apart = self._groups and not any(
            sender.me in group and receiver.me in group for group in self._groups
        )
        if not apart and not self.loss(sender.me, receiver.me, number):
            delay = self.latency(sender.me, receiver.me, number)
            link.arrival = max(link.arrival, link.free_at + delay)
            self.at(link.arrival, receiver.arrive, receiver.life, sender.me, message)
        return link.free_at

    def _arm(self) -> None:
        first = self._events[0][0]
        if self._call is not None and self._call.active():
            if self._call.getTime() <= first:
                return
            self._call.cancel()
        self._call = self.clock.callLater(max(0.0, first - self.clock.seconds()), self._fire)

    def _fire(self) -> None:
        now = self.clock.seconds()
        while self._events and self._events[0][0] <= now:
            _, _, what, args = heapq.heappop(self._events)
            what(*args)
        if self._events:
            self._arm()
