# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Machines and lines for large flocks.

What L{flocknode.testing.network} is, with three differences:

 - All that a machine sends goes out by one uplink, first in, first out; frames for
   whom it cannot reach take nothing of it.
 - Clocks may drift.
 - It is quick: frames that arrive within L{GRAIN} of each other arrive together,
   and nothing but the network may use its clock.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol, cast

import attrs

from flocknode.flock.interfaces import MemberId
from flocknode.flock.messages import FRAME_SUBSCRIPTION
from flocknode.testing.network import Build, Host, VirtualNetwork

GRAIN: Final = 0.01
"""Seconds: how often a machine looks for frames."""
_LOOK_AFTER: Final = 0.005
"""Seconds after a heartbeat within which a machine asks its engine what is due;
nothing that a heartbeat moves is ever due so soon."""
_SLOT: Final = slice(33, 37)
_USED: Final = slice(37, 41)
"""Where frames have these, see L{flocknode.flock.messages}."""
_NOTHING: Final = bytes(4)


class Watcher(Protocol):
    """Who sees all that leaves any machine."""

    def heartbeat(self, time: float, sender: Machine, message: bytes) -> None:
        """To all others."""

    def frame(self, time: float, sender: Machine, line: Line) -> None:
        """
        One that has left; only told of each if L{Network.watched}, or if there
        should be none.
        """

    def slot(self, sender: Machine, line: Line) -> None:
        """The frames of a slot on a line are counted."""

    def refused(self, sender: Machine, slot: bytes) -> None:
        """A frame met a full queue."""


@attrs.define(eq=False)
class Line:
    """
    What goes from one machine to another.

    @ivar latency: seconds.
    @ivar random: draws from [0, 1) for the jitter of each message that arrives.
    @ivar fate: the same for its loss.
    @ivar arrival: of the last message.
    @ivar waiting: when each of the frames in its queue will have left, with those
        that may have left since.
    @ivar slot: C{frames} and C{filled} (with payload) frames of C{size} bytes
        went out in it.
    """

    receiver: Machine
    latency: float
    random: Callable[[], float]
    fate: Callable[[], float]
    arrival: float = 0.0
    waiting: deque[float] = attrs.field(factory=deque)
    slot: bytes = b""
    frames: int = 0
    filled: int = 0
    size: int = 0


class Machine(Host):
    """
    @ivar number: of the node, from 1.
    @ivar speed: of its clock, about 1.
    @ivar uplink: bytes a second.
    @ivar in_round: whether its engine said that a round runs.
    """

    def __init__(
        self, network: VirtualNetwork, me: MemberId, build: Build, monotonic: float, wall_ms: int
    ) -> None:
        super().__init__(network, me, build, monotonic, wall_ms)
        self.number = 0
        self.speed = 1.0
        self.uplink = math.inf
        self.in_round = False
        self.lines: dict[MemberId, Line] = {}
        self._net = cast(Network, network)
        self._free_at = 0.0
        # Frames on their way here, by when they will be looked for.
        self._inbox: dict[int, list[tuple[MemberId, bytes]]] = {}
        self._looking = False

    @property
    def now(self) -> float:
        """See L{Host.now}."""
        return self._net.time * self.speed + self._monotonic

    @property
    def runs(self) -> bool:
        """Whether it is up, and does not stand still."""
        return self.engine is not None and self._net.time >= self._still_until

    def start(self) -> None:
        """See L{Host.start}."""
        self._looking = self.in_round = False
        # They were for the process that ran when they were sent.
        self._inbox.clear()
        super().start()

    def crash(self) -> None:
        """See L{Host.crash}."""
        self.in_round = False
        super().crash()

    def turn_wall(self, milliseconds: int) -> None:
        """Somebody sets the wall clock by so much; the engine reads it at its next start."""
        self._wall_ms += milliseconds

    def heartbeat(self, message: bytes) -> None:
        """See L{flocknode.flock.interfaces.Transport}."""
        network = self._net
        now = network.time
        network.watcher.heartbeat(now, self, message)
        for line in self.lines.values():
            arrival = self._carry(line, len(message), now)
            if arrival:
                receiver = line.receiver
                network.at(arrival, receiver.arrive, receiver.life, self.me, message)

    def frame(self, to: MemberId, message: bytes) -> bool:
        """See L{flocknode.flock.interfaces.Transport}."""
        network, line = self._net, self.lines[to]
        now, waiting = network.time, line.waiting
        slot, size = message[_SLOT], len(message)
        while waiting and waiting[0] <= now:
            waiting.popleft()
        if len(waiting) >= self.frame_limit:
            network.watcher.refused(self, slot)
            return False
        if slot != line.slot:
            network.watcher.slot(self, line)
            line.slot = slot
            line.frames = line.filled = 0
            line.size = size
        line.frames += 1
        if message[_USED] != _NOTHING:
            line.filled += 1
        if network.watched or not self.in_round:
            network.watcher.frame(now, self, line)
        if network.is_reached(self, line):
            arrival = self._carry(line, size, now)
            waiting.append(self._free_at)
            if arrival:
                line.receiver.expect(arrival, self.me, message)
        return True

    def expect(self, arrival: float, sender: MemberId, message: bytes) -> None:
        """A frame is on its way here."""
        look = int(arrival / GRAIN) + 1
        frames = self._inbox.get(look)
        if frames is not None:
            frames.append((sender, message))
            return
        self._inbox[look] = [(sender, message)]
        self._net.at(look * GRAIN, self._take, look)

    def arrive(self, life: int, sender: MemberId, message: bytes) -> None:
        """See L{Host.arrive}; what is due thereafter is asked for a moment later."""
        engine = self.engine
        frame = message[:1] == FRAME_SUBSCRIPTION  # of those held while it stood still
        if engine is None or life != self._life or frame or not self.runs:
            super().arrive(life, sender, message)
            return
        engine.heartbeat_received(sender, message, self.now)
        if not self._looking:
            self._looking = True
            self._network.at(self._net.time + _LOOK_AFTER, self._look, life)

    def _carry(self, line: Line, size: int, now: float) -> float:
        """@return: when it arrives; 0 if it does not."""
        network, free = self._net, self._free_at
        self._free_at = left = (free if free > now else now) + size / self.uplink
        if network.hard and network.is_lost(self, line):
            return 0.0
        arrival = left + line.latency + line.random() * network.jitter
        if arrival < line.arrival:
            return line.arrival
        line.arrival = arrival
        return arrival

    def _take(self, look: int) -> None:
        """Frames have arrived."""
        frames, engine = self._inbox.pop(look, ()), self.engine
        if engine is None:
            return
        if self._net.time < self._still_until:
            self._held += frames
            return
        receive, now = engine.frame_received, self.now
        for sender, message in frames:
            receive(sender, message, now)

    def _look(self, life: int) -> None:
        engine = self.engine
        # It may have been asked since, because something else was due.
        if self._looking and engine is not None and life == self._life:
            self._advance(engine)

    def _advance(self, engine: object) -> None:
        self._looking = False
        if self._net.time < self._still_until or self.engine is None:
            return
        due = (self.engine.advance(self.now) - self._monotonic) / self.speed
        # Rounding alone is no other time.
        if abs(due - self._due) > 1e-9:
            self._wake_at(due)


class Network(VirtualNetwork):
    """
    @ivar time: seconds.
    @ivar jitter: seconds that a message takes longer, at most.
    @ivar loss_share: of messages that are lost.
    @ivar hard: whether not every message arrives.
    @ivar watched: whether the watcher is told of each frame.
    """

    host = Machine

    def __init__(self, watcher: Watcher, jitter: float = 0.0, loss: float = 0.0) -> None:
        super().__init__()
        self.time = 0.0
        self.watcher = watcher
        self.jitter = jitter
        self.watched = False
        self.loss_share = loss
        self.hard = loss > 0

    def connect(self, latency: Callable[[Machine, Machine], float], seed: str) -> None:
        """Draw a line from each machine to each other."""
        machines = cast(Iterable[Machine], list(self.hosts.values()))
        for sender in machines:
            for receiver in machines:
                if sender is not receiver:
                    name = f"{seed} line {sender.number} {receiver.number}"
                    sender.lines[receiver.me] = Line(
                        receiver,
                        latency(sender, receiver),
                        random.Random(name).random,
                        random.Random(f"fate {name}").random,
                    )

    def partition(self, *groups: Iterable[MemberId]) -> None:
        """See L{VirtualNetwork.partition}."""
        super().partition(*groups)
        self.hard = True

    def heal(self) -> None:
        """See L{VirtualNetwork.heal}."""
        super().heal()
        self.hard = self.loss_share > 0

    def lose(self, share: float) -> None:
        """From now on that share of all messages is lost."""
        self.loss_share = share
        self.hard = share > 0 or bool(self._groups)

    def is_reached(self, sender: Machine, line: Line) -> bool:
        """
        Whether its receiver can be reached: if not, there is no connection, or one
        that hardly sends anything.
        """
        return line.receiver.engine is not None and not self._is_apart(sender, line)

    def is_lost(self, sender: Machine, line: Line) -> bool:
        """Whether the next message does not arrive."""
        return self._is_apart(sender, line) or (
            self.loss_share > 0 and line.fate() < self.loss_share
        )

    def _is_apart(self, sender: Machine, line: Line) -> bool:
        return bool(self._groups) and not any(
            sender.me in group and line.receiver.me in group for group in self._groups
        )

    def at(self, time: float, what: Callable[..., None], *args: object) -> None:
        """See L{VirtualNetwork.at}."""
        heapq.heappush(self._events, (time, next(self._order), what, args))

    def run_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """See L{VirtualNetwork.run_until}."""
        end = self.time + timeout
        while not condition():
            if not self._events or self._events[0][0] > end:
                self._pass(end)
                return condition()
            self._step()
        return True

    def run(self, seconds: float) -> None:
        """See L{VirtualNetwork.run}."""
        end = self.time + seconds
        events = self._events
        while events and events[0][0] <= end:
            self._step()
        self._pass(end)

    def _step(self) -> None:
        time, _, what, args = heapq.heappop(self._events)
        if time > self.time:
            self.time = self.clock.rightNow = time
        what(*args)

    def _pass(self, time: float) -> None:
        # Nobody else waits for this clock, so it need not look who does.
        self.time = self.clock.rightNow = time
