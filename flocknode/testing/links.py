# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Links between exchanges without a flock: in each tick, every link that is up
carries so many bytes of what was queued, as the shaper's frames do.  Frames
can be lost, links cut, members vanish and return, rounds come and go; all in
the time of a C{task.Clock}.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.task import Clock

from flocknode.exchange.exchange import Exchange
from flocknode.exchange.interfaces import SharedBox
from flocknode.exchange.records import LENGTH

TICK = 0.025
"""Seconds between two frames of a link."""

BUDGET = 1 << 20
"""Bytes that each link has room for, it is said: a round, and not constant cover."""

_TICKS = 10
"""Frames between two calls of L{Exchange.tick}."""


class _Link:
    """
    One direction of a link: two queues of records, one stream of bytes.

    @ivar carried: bytes that left.
    """

    def __init__(self) -> None:
        self.carried = 0
        self._queues: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._rest = b""
        self._priority = 0

    def put(self, priority: int, data: bytes) -> None:
        """Queue whole records."""
        at = 0
        while at < len(data):
            end = at + LENGTH.size + LENGTH.unpack_from(data, at)[0]
            self._queues[priority].append(data[at:end])
            at = end

    def forget(self) -> None:
        """What is queued is not sent any more."""
        for queue in self._queues:
            queue.clear()
        self._rest = b""

    def take(self, capacity: int) -> tuple[bytes, int, list[int]]:
        """
        Up to C{capacity} bytes.

        @return: the bytes, where the first record in them begins (or their
            length), and the bytes taken by priority.
        """
        parts = []
        size = 0
        taken = [0, 0]
        first = -1
        while size < capacity:
            if not self._rest:
                self._priority = 0 if self._queues[0] else 1
                if not self._queues[self._priority]:
                    break
                self._rest = self._queues[self._priority].popleft()
                first = size if first < 0 else first
            part = self._rest[: capacity - size]
            self._rest = self._rest[len(part) :]
            parts.append(part)
            size += len(part)
            taken[self._priority] += len(part)
        self.carried += size
        return b"".join(parts), size if first < 0 else first, taken


class Member:
    """
    A member of a L{LinkNetwork}: its exchange, which it is the links of, and
    what the exchange offered last.
    """

    def __init__(self, network: LinkNetwork, id: bytes) -> None:
        self.id = id
        self.boxes: list[SharedBox] = []
        self.offer = (0, 0, 0, bytes(16))
        self._network = network
        self.begin()

    def begin(self) -> None:
        """A new process: an exchange that knows nothing but its boxes."""
        network = self._network
        self.exchange = Exchange(
            self, network.clock.seconds, random.Random(network.random.random()), self._offered
        )
        for box in self.boxes:
            self.exchange.add(box)
        if network.in_round:
            self.exchange.round_started(network.rounds, 0, BUDGET)

    def add(self, box: SharedBox) -> None:
        """Exchange a box."""
        self.boxes.append(box)
        self.exchange.add(box)

    def send(self, member: bytes, priority: int, data: bytes) -> None:
        """See L{flocknode.exchange.interfaces.Links}."""
        self._network.queue(self.id, member, priority, data)

    def skip(self, member: bytes) -> None:
        """See L{flocknode.exchange.interfaces.Links}."""
        self._network.skip(member, self.id)

    def _offered(self, new_total: int, backlog: int, remaining: int, digest: bytes) -> None:
        self.offer = (new_total, backlog, remaining, digest)


class LinkNetwork:
    """
    A full mesh.

    @ivar loss: the share of frames that are lost.
    @ivar rate: bytes a second on each link.
    @ivar latency: seconds until a frame arrives.
    @ivar rounds: how many have begun; C{in_round}: one is on.
    """

    def __init__(
        self,
        clock: Clock,
        random: random.Random,
        rate: int = 4 * 1_048_576,
        latency: float = 0.03,
        loss: float = 0.0,
    ) -> None:
        self.clock = clock
        self.random = random
        self.rate = rate
        self.latency = latency
        self.loss = loss
        self.members: dict[bytes, Member] = {}
        self._up: set[tuple[bytes, bytes]] = set()
        self._links: dict[tuple[bytes, bytes], _Link] = {}
        self._gaps: set[tuple[bytes, bytes]] = set()
        self._epochs: dict[tuple[bytes, bytes], int] = {}
        self.rounds = 0
        self.in_round = False
        self._ticks = 0

    def member(self, id: bytes) -> Member:
        """A new member, connected to all others."""
        member = Member(self, id)
        for other in list(self.members):
            self.members[id] = member
            self.connect(id, other)
        self.members[id] = member
        return member

    # Who is connected to whom

    def connect(self, a: bytes, b: bytes) -> None:
        """Both hear of each other (again)."""
        for sender, receiver in ((a, b), (b, a)):
            self._up.add((sender, receiver))
            self._links.setdefault((sender, receiver), _Link())
            self._gaps.discard((sender, receiver))
            self._epochs[sender, receiver] = self._epochs.get((sender, receiver), 0) + 1
        for sender, receiver in ((a, b), (b, a)):
            # What was queued before is forgotten, as the flock says it is.
            self._links[sender, receiver].forget()
            self.members[sender].exchange.alive(receiver, self._epochs[sender, receiver])

    def cut(self, a: bytes, b: bytes) -> None:
        """They do not hear each other any more."""
        for sender, receiver in ((a, b), (b, a)):
            if (sender, receiver) in self._up:
                self._up.discard((sender, receiver))
                self._links[sender, receiver].forget()
                self.members[sender].exchange.lost(receiver)

    def is_up(self, a: bytes, b: bytes) -> bool:
        """Do they hear each other?"""
        return (a, b) in self._up

    def vanish(self, id: bytes) -> None:
        """Nobody hears this member any more."""
        for other in self.members:
            if other != id:
                self.cut(id, other)

    def come_back(self, id: bytes, anew: bool = False) -> None:
        """All hear it again; perhaps it is a new process."""
        if anew:
            self.members[id].begin()
        for other in self.members:
            if other != id and not self.is_up(id, other):
                self.connect(id, other)

    def sent_by(self, id: bytes) -> int:
        """Bytes that this member sent on all its links."""
        return sum(link.carried for (sender, _), link in self._links.items() if sender == id)

    # Rounds and time

    def start_round(self) -> None:
        """Frames carry records from now on."""
        self.rounds += 1
        self.in_round = True
        for member in self.members.values():
            member.exchange.round_started(self.rounds, member.offer[0], BUDGET)

    def stop_round(self) -> None:
        """Frames do not flow any more."""
        self.in_round = False
        for member in self.members.values():
            member.exchange.round_stopped(self.rounds)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds / TICK))):
            self._tick()

    def run_until(self, condition: Callable[[], bool], at_most: float) -> float:
        """
        Let time pass until something is so, checked at every tick.

        @return: the seconds that passed.
        @raise AssertionError: it was not so after C{at_most} seconds.
        """
        start = self.clock.seconds()
        while not condition():
            if self.clock.seconds() - start > at_most:
                raise AssertionError(f"not so after {at_most} seconds")
            self._tick()
        return self.clock.seconds() - start

    def queue(self, sender: bytes, receiver: bytes, priority: int, data: bytes) -> None:
        """Queue records; those for whom nobody hears are consumed at once."""
        if (sender, receiver) in self._up:
            self._links[sender, receiver].put(priority, data)
        else:
            exchange = self.members[sender].exchange
            self.clock.callLater(0, exchange.consumed, receiver, priority, len(data))

    def skip(self, sender: bytes, receiver: bytes) -> None:
        """What comes is of no use before the next start of a record."""
        self._gaps.add((sender, receiver))

    def _tick(self) -> None:
        if self.in_round:
            links: Iterable[tuple[tuple[bytes, bytes], _Link]] = self._links.items()
            for (sender, receiver), link in list(links):
                if (sender, receiver) in self._up:
                    self._frame(sender, receiver, link)
        self._ticks += 1
        if self._ticks % _TICKS == 0:
            for member in self.members.values():
                member.exchange.tick()
        self.clock.advance(TICK)

    def _frame(self, sender: bytes, receiver: bytes, link: _Link) -> None:
        data, first, taken = link.take(int(self.rate * TICK))
        exchange = self.members[sender].exchange
        for priority, size in enumerate(taken):
            if size:
                exchange.consumed(receiver, priority, size)
        if not data:
            return
        if self.loss and self.random.random() < self.loss:
            self._gaps.add((sender, receiver))
            return
        restart = (sender, receiver) in self._gaps
        if restart:
            if first == len(data):
                return
            self._gaps.discard((sender, receiver))
            data = data[first:]
        epoch = self._epochs[sender, receiver]
        self.clock.callLater(self.latency, self._arrive, sender, receiver, epoch, data, restart)

    def _arrive(
        self, sender: bytes, receiver: bytes, epoch: int, data: bytes, restart: bool
    ) -> None:
        if (sender, receiver) not in self._up or self._epochs[sender, receiver] != epoch:
            return
        exchange = self.members[receiver].exchange
        if restart:
            exchange.reset(sender)
        exchange.received(sender, data)
