# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A whole flock in memory and in virtual time: the real flock engine and the real
exchange, over a L{VirtualNetwork}, with boxes in memory.

    flock = VirtualFlock(3)
    flock.members[0].box.put(b"name", b"content")
    flock.run_until_equal(seconds=5)
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from flocknode.box.values import Hash
from flocknode.exchange.exchange import Exchange
from flocknode.flock.core import Flock
from flocknode.flock.interfaces import (
    FlockSettings,
    FlockState,
    MemberId,
    Priority,
    Transport,
)
from flocknode.flock.streams import RandomStreams
from flocknode.testing.boxes import MemoryBox
from flocknode.testing.network import Engine, Host, VirtualNetwork

TICK = 0.25
"""Seconds between two calls of L{Exchange.tick}."""

LOOK = 0.1
"""Seconds between two looks whether boxes are equal."""


class VirtualMember:
    """
    One member: what the node process and the wire process do elsewhere, with
    nothing between them but the order of things.

    @ivar box: survives crashes, as a disk does.
    @ivar shown: what the engine told last of its state.
    """

    def __init__(
        self, flock: VirtualFlock, me: MemberId, seed: int, pool: dict[Hash, bytes] | None = None
    ) -> None:
        """@param pool: see L{MemoryBox}."""
        self.me = me
        self.box = MemoryBox("papers", random=Random(f"box {seed}"), pool=pool)
        self.shown = FlockState()
        self.host: Host
        self._flock = flock
        self._seed = seed
        self._starts = 0
        self._engine: Flock | None = None
        self._exchange: Exchange | None = None

    def build(self, transport: Transport, now: float, wall_ms: int) -> Engine:
        """See L{flocknode.testing.network.Build}."""
        self._starts += 1
        if self._exchange is not None:
            self._exchange.remove(self.box)
            self.box.restart()
        self._engine = Flock(
            self._flock.settings(self.me),
            transport,
            self,
            now=now,
            wall_ms=wall_ms,
            random=RandomStreams(b"%d %d" % (self._seed, self._starts)),
        )
        self._exchange = Exchange(
            self,
            self._flock.network.clock.seconds,
            Random(f"exchange {self._seed} {self._starts}"),
            self._engine.offer,
        )
        self._exchange.add(self.box)
        self._tick(self._exchange)
        return self._engine

    def _tick(self, exchange: Exchange) -> None:
        if exchange is self._exchange:
            exchange.tick()
            network = self._flock.network
            network.at(network.clock.seconds() + TICK, self._tick, exchange)

    def crash(self) -> None:
        """Be gone; L{Host.start} brings it back with what its box remembers."""
        self.host.crash()
        self._engine = None

    def _later(self, name: str, *arguments: Any) -> None:
        """Tell the exchange, when the engine has finished what it is doing."""
        exchange = self._exchange

        def tell() -> None:
            if exchange is self._exchange and self._engine is not None:
                getattr(exchange, name)(*arguments)

        self._flock.network.at(self._flock.network.clock.seconds(), tell)

    # flocknode.exchange.interfaces.Links

    def send(self, member: bytes, priority: int, data: bytes) -> None:
        """Queue records for a member."""
        if self._engine is not None:
            self._engine.queue(MemberId(member), Priority(priority), data)

    def skip(self, member: bytes) -> None:
        """A member's stream makes no sense."""
        if self._engine is not None:
            self._engine.skip(MemberId(member))

    # flocknode.flock.interfaces.Observer

    def alive(self, member: MemberId, epoch: int) -> None:
        """Pass it on, as all of these."""
        self._later("alive", member, epoch)

    def lost(self, member: MemberId) -> None:
        self._later("lost", member)

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        self._later("round_started", round_id, counted, budget)

    def round_stopped(self, round_id: int) -> None:
        self._later("round_stopped", round_id)

    def digest(self, member: MemberId, digest: bytes) -> None:
        self._later("digest", member, digest)

    def received(self, member: MemberId, data: bytes) -> None:
        self._later("received", member, data)

    def reset(self, member: MemberId) -> None:
        self._later("reset", member)

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        self._later("consumed", member, priority, size)

    def state(self, state: FlockState) -> None:
        self.shown = state


class VirtualFlock:
    """
    @ivar network: cut it, slow it, look at its trace.
    @ivar members: in the order of their ids.
    @ivar constant: ids of those who ask for constant cover, from their next start on.
    """

    def __init__(
        self,
        count: int,
        *,
        uplink: int = 1_250_000,
        seed: int = 1,
        network: VirtualNetwork | None = None,
        start: Iterable[int] | None = None,
        constant: Iterable[int] = (),
    ) -> None:
        """
        @param uplink: of each member, bytes per second.
        @param seed: of all chance.
        @param start: which members start at once; C{None}: all.
        @param constant: which members ask for constant cover.
        """
        self.network = VirtualNetwork() if network is None else network
        self._uplink = uplink
        self._ids = tuple(MemberId(number.to_bytes(16, "big")) for number in range(1, count + 1))
        self.constant = {self._ids[number] for number in constant}
        self.members = tuple(
            self.member(me, seed * 100 + number) for number, me in enumerate(self._ids)
        )
        for number, member in enumerate(self.members):
            member.host = self.place(number, member)
        for number in range(count) if start is None else start:
            self.members[number].host.start()

    def member(self, me: MemberId, seed: int) -> VirtualMember:
        """One of the flock, which has no machine yet."""
        return VirtualMember(self, me, seed)

    def place(self, number: int, member: VirtualMember) -> Host:
        """The machine of a member."""
        return self.network.add(member.me, member.build, monotonic=1000.0 * number)

    def settings(self, me: MemberId) -> FlockSettings:
        """What a member's engine is told."""
        peers = tuple(other for other in self._ids if other != me)
        constant = me in self.constant
        return FlockSettings(me=me, peers=peers, uplink=self._uplink, constant_cover=constant)

    def equal(self, members: Iterable[int] = ()) -> bool:
        """Whether these members' boxes (all, if none is named) hold the same."""
        chosen = tuple(members) or range(len(self.members))
        first, *others = (self.members[number].box.files() for number in chosen)
        return all(other == first for other in others)

    def run_until_equal(self, seconds: float, members: Iterable[int] = ()) -> None:
        """
        @raise AssertionError: they are not equal after so many seconds.
        """
        chosen = tuple(members)
        end = self.network.clock.seconds() + seconds
        while not self.equal(chosen):
            if self.network.clock.seconds() >= end:
                raise AssertionError(f"boxes are not equal after {seconds} s")
            self.network.run(LOOK)

    def idle(self) -> bool:
        """Whether all members show status 100."""
        return all(m.shown.status == 100 for m in self.members if m.host.engine is not None)
