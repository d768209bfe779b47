# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Members for tests: engines on a virtual network whose observers write down what
they are told, and pass on changes to each other like a very small swarm.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from flocknode.flock.core import Flock
from flocknode.flock.interfaces import (
    FlockSettings,
    FlockState,
    MemberId,
    Priority,
    Transport,
)
from flocknode.flock.status import Status
from flocknode.flock.streams import RandomStreams
from flocknode.testing.network import Host, VirtualNetwork

IDS: tuple[MemberId, ...] = tuple(MemberId(bytes([n]) * 16) for n in range(1, 33))
PIECE = 4096


def record(body: bytes) -> bytes:
    """One record as it travels."""
    return struct.pack(">I", len(body)) + body


def fate(seed: int, *what: object) -> float:
    """A number in [0, 1) that depends on the seed and on C{what} alone."""
    digest = blake2b(repr((seed, what)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


class Node:
    """
    An observer that spreads changes.

    A change is a number and a size.  It is sent to every alive member in pieces
    (BULK) that name the change; who has all pieces of a change has the change.

    @ivar told: everything the engine said, in order, but states and data.
    @ivar has: numbers of changes that are complete here, and since when.
    @ivar starts: and C{stops}: of rounds, by round id, network time.
    """

    def __init__(self, network: VirtualNetwork, me: MemberId, peers: Sequence[MemberId]) -> None:
        self.me = me
        self.peers = tuple(p for p in peers if p != me)
        self.network = network
        self.digests: list[tuple[MemberId, bytes]] = []
        self.told: list[tuple[object, ...]] = []
        self.transitions: list[tuple[int, int, int]] = []
        self.has: dict[int, float] = {}
        self.lacking: dict[MemberId, int] = {}
        self.new_total = 0
        self.counted = 0
        self.streams: dict[MemberId, bytearray] = {}
        self.pieces: dict[int, set[int]] = {}
        self.queued: dict[tuple[MemberId, Priority], int] = {}
        self.states: list[FlockState] = []
        self.starts: dict[int, float] = {}
        self.stops: dict[int, float] = {}
        self.host: Host

    @property
    def flock(self) -> Flock:
        engine = self.host.engine
        assert isinstance(engine, Flock)
        return engine

    @property
    def status(self) -> int:
        return self.flock.state.status

    @property
    def idle(self) -> bool:
        return self.status == Status.READY

    def rounds(self) -> list[tuple[object, ...]]:
        """Rounds started and stopped, as told."""
        return [told for told in self.told if str(told[0]).startswith("round")]

    def change(
        self, number: int, size: int, to: Sequence[MemberId] | None = None, copies: int = 1
    ) -> None:
        """A local change, which the members C{to} (all, if None) will get."""
        self.has[number] = self.network.clock.seconds()
        self.new_total += size
        pieces = -(-size // PIECE)
        for member in self.peers if to is None else to:
            body = b"".join(
                record(struct.pack(">III", number, piece, pieces) + bytes(PIECE - 16))
                for piece in range(pieces)
            )
            self.lacking[member] = self.lacking.get(member, 0) + size * copies
            self._queue(member, Priority.BULK, body * copies)
        self.offer()

    def offer(self) -> None:
        """Tell what is new; or if nothing is, what somebody lacks."""
        lacking = max((self.lacking.get(m, 0) for m in self.flock.state.alive), default=0)
        backlog = lacking if self.new_total == self.counted else 0
        self.flock.offer(self.new_total, backlog, 0, bytes(16))

    def _queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        key = member, priority
        self.queued[key] = self.queued.get(key, 0) + len(records)
        self.flock.queue(member, priority, records)

    # What the engine tells.

    def alive(self, member: MemberId, epoch: int) -> None:
        self.told.append(("alive", member, epoch))
        self.streams[member] = bytearray()

    def lost(self, member: MemberId) -> None:
        self.told.append(("lost", member))

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        self.told.append(("round_started", round_id, counted, budget))
        self.starts[round_id] = self.network.clock.seconds()
        self.counted = counted
        self.offer()

    def round_stopped(self, round_id: int) -> None:
        self.told.append(("round_stopped", round_id))
        self.stops[round_id] = self.network.clock.seconds()

    def digest(self, member: MemberId, digest: bytes) -> None:
        self.digests.append((member, digest))

    def received(self, member: MemberId, data: bytes) -> None:
        stream = self.streams[member]
        stream += data
        while len(stream) >= 4:
            (size,) = struct.unpack_from(">I", stream)
            if len(stream) < 4 + size:
                break
            number, piece, pieces = struct.unpack_from(">III", stream, 4)
            del stream[: 4 + size]
            seen = self.pieces.setdefault(number, set())
            seen.add(piece)
            if len(seen) == pieces:
                self.has.setdefault(number, self.network.clock.seconds())

    def reset(self, member: MemberId) -> None:
        self.told.append(("reset", member))
        self.streams[member] = bytearray()

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        self.queued[member, priority] -= size
        if priority is Priority.BULK:
            left = self.lacking.get(member, 0) - size
            self.lacking[member] = max(0, left)
            self.offer()

    def state(self, state: FlockState) -> None:
        self.states.append(state)


MakeFlock = Callable[..., Flock]


class World:
    """
    A flock of nodes.

    @ivar nodes: in the order of their ids.
    @ivar constant: who asks for constant cover, from his next start on: indices.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int = 1,
        network: VirtualNetwork | None = None,
        make: MakeFlock = Flock,
        uplink: int | Callable[[int], int] = 4_000_000,
        min_members: int = 2,
        decoys: int = 0,
        return_wait: tuple[float, float] = (0.0, 0.0),
        constant: Iterable[int] = (),
        cover_rate: Callable[[int], int] = lambda index: 65_536,
        wall_ms: Callable[[int], int] = lambda index: 1_700_000_000_000,
        start: bool = True,
    ) -> None:
        self.network = VirtualNetwork() if network is None else network
        self.ids = IDS[:size]
        self.seed = seed
        self.constant = set(constant)
        self.nodes = [Node(self.network, me, self.ids) for me in self.ids]
        lives = dict.fromkeys(self.ids, 0)

        def builder(index: int, node: Node) -> Callable[[Transport, float, int], Flock]:
            def build(transport: Transport, now: float, wall: int) -> Flock:
                lives[node.me] += 1
                settings = FlockSettings(
                    node.me,
                    node.peers,
                    uplink(index) if callable(uplink) else uplink,
                    constant_cover=index in self.constant,
                    cover_rate=cover_rate(index),
                    min_members=min_members,
                    decoys=decoys,
                    return_wait=return_wait,
                )
                return make(
                    settings,
                    transport,
                    node,
                    now=now,
                    wall_ms=wall,
                    random=RandomStreams(repr((seed, index, lives[node.me])).encode()),
                    trace=lambda *transition: node.transitions.append(transition),
                )

            return build

        for index, node in enumerate(self.nodes):
            node.host = self.network.add(
                node.me,
                builder(index, node),
                monotonic=1000.0 * fate(seed, "monotonic", index),
                wall_ms=wall_ms(index),
            )
            if start:
                node.host.start()

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes if node.host.engine is not None]

    def all_idle(self) -> bool:
        """Everybody is in state 100 and sees all the others that are up."""
        return all(
            node.idle and len(node.flock.state.alive) == len(self.up) - 1 for node in self.up
        )

    def settle(self, timeout: float = 20.0) -> None:
        """Let the flock form, run its rounds of return and become idle."""
        self.network.run(3.0)
        settled = self.network.run_until(self.all_idle, timeout)
        assert settled, [(n.status, n.told[-4:]) for n in self.up]
        self.network.run(1.0)
        assert self.all_idle(), [n.status for n in self.up]

    def kill(self, node: Node) -> None:
        node.host.crash()

    def revive(self, node: Node) -> None:
        node.new_total = node.counted = 0
        node.lacking.clear()
        node.streams.clear()
        node.host.start()


def chance(seed: int) -> random.Random:
    return random.Random(seed)
