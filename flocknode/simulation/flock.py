# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The members of a simulated flock: L{flocknode.testing.flocks} on the machines of
L{flocknode.simulation.network}.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final, cast

import attrs

from flocknode.box.values import Hash
from flocknode.exchange.exchange import Exchange
from flocknode.flock.interfaces import FlockSettings, MemberId, Priority, Transport
from flocknode.simulation.network import Machine, Network
from flocknode.simulation.scenario import Scenario
from flocknode.simulation.witness import Witness
from flocknode.testing.flocks import VirtualFlock, VirtualMember
from flocknode.testing.network import Engine, Host

WALL_MS = 1_700_000_000_000
"""What true wall clocks show at the beginning, ms since 1970."""

PIPE: Final = 0.02
"""Seconds that what the engine tells takes to the exchange, and what comes
meanwhile goes along: as long as wire processes gather it (L{flocknode.wire.teller})."""

Call = tuple[str, tuple[Any, ...]]
"""A method of the exchange, and what to call it with."""


class Told:
    """
    What an engine told, in as few calls as say the same: what came in a row, and
    what left, is one for each link.

    @ivar waits: whether it is to be passed on.
    """

    def __init__(self) -> None:
        self.waits = False
        self._calls: list[Call] = []
        self._came: dict[MemberId, list[bytes]] = {}
        self._left: dict[tuple[MemberId, Priority], int] = {}

    def received(self, member: MemberId, data: bytes) -> None:
        """See L{flocknode.flock.interfaces.Observer}."""
        came = self._came.get(member)
        if came is None:
            self._came[member] = [data]
        else:
            came.append(data)

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        """See L{flocknode.flock.interfaces.Observer}."""
        link = member, priority
        self._left[link] = self._left.get(link, 0) + size

    def call(self, name: str, *arguments: Any) -> None:
        """Anything else."""
        self._settle()
        self._calls.append((name, arguments))

    def calls(self) -> list[Call]:
        """All of it, in order."""
        self._settle()
        return self._calls

    def _settle(self) -> None:
        """What comes from now on is in another row."""
        for link, size in self._left.items():
            self._calls.append(("consumed", (*link, size)))
        for member, came in self._came.items():
            self._calls.append(("received", (member, b"".join(came))))
        self._left.clear()
        self._came.clear()


class SimulatedMember(VirtualMember):
    """
    What the engine tells goes to the exchange a moment later, in one go, as over
    the pipe between the two processes of a node.
    """

    flock: SimulatedFlock
    host: Machine

    def __init__(self, flock: SimulatedFlock, me: MemberId, seed: int) -> None:
        super().__init__(flock, me, seed, flock.pool)
        self.flock = flock
        self._told = Told()

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        """See L{flocknode.flock.interfaces.Observer}, as all of these."""
        self.host.in_round = True
        self.flock.witness.started(self.host, round_id, budget, self.flock.network.time)
        super().round_started(round_id, counted, budget)

    def round_stopped(self, round_id: int) -> None:
        self.host.in_round = False
        lacks = bool(self.box.needs())
        self.flock.witness.stopped(self.host, round_id, lacks, self.flock.network.time)
        super().round_stopped(round_id)

    def build(self, transport: Transport, now: float, wall_ms: int) -> Engine:
        """See L{VirtualMember.build}."""
        self._told = Told()
        return super().build(transport, now, wall_ms)

    def received(self, member: MemberId, data: bytes) -> None:
        self._soon().received(member, data)

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        self._soon().consumed(member, priority, size)

    def _later(self, name: str, *arguments: Any) -> None:
        self._soon().call(name, *arguments)

    def _soon(self) -> Told:
        """What waits to be told; that it will be is seen to."""
        told = self._told
        if not told.waits:
            told.waits = True
            network = self.flock.network
            network.at(network.time + PIPE, self._tell, told, self._exchange)
        return told

    def _tell(self, told: Told, exchange: Exchange) -> None:
        if told is not self._told:
            return  # an earlier life's
        self._told = Told()
        if self._engine is not None:
            with exchange.together():
                for name, arguments in told.calls():
                    getattr(exchange, name)(*arguments)


class SimulatedFlock(VirtualFlock):
    """
    The flock of a scenario, of which nobody has started yet.

    @ivar members: in the order of their numbers.
    """

    network: Network
    members: tuple[SimulatedMember, ...]

    def __init__(self, scenario: Scenario, witness: Witness) -> None:
        self.scenario = scenario
        self.witness = witness
        self.pool: dict[Hash, bytes] = {}
        self._chance = Random(f"{scenario.seed} machines")
        network = Network(witness, scenario.jitter, scenario.loss)
        super().__init__(
            scenario.nodes, uplink=scenario.uplink, seed=scenario.seed, network=network, start=()
        )
        latencies = Random(f"{scenario.seed} latencies")
        network.connect(
            lambda sender, receiver: scenario.latency * latencies.uniform(0.5, 1.5),
            str(scenario.seed),
        )

    def member(self, me: MemberId, seed: int) -> SimulatedMember:
        """See L{VirtualFlock.member}."""
        return SimulatedMember(self, me, seed)

    def place(self, number: int, member: VirtualMember) -> Host:
        """See L{VirtualFlock.place}."""
        chance, scenario = self._chance, self.scenario
        wall = WALL_MS + int(1000 * chance.uniform(-1, 1) * scenario.clock_offset)
        monotonic = chance.uniform(0, 1e6)
        host = cast(
            Machine, self.network.add(member.me, member.build, monotonic=monotonic, wall_ms=wall)
        )
        host.number = number + 1
        host.speed = 1 + chance.uniform(-1, 1) * scenario.drift
        host.uplink = scenario.lines.get(number + 1, scenario.line or scenario.uplink)
        return host

    def settings(self, me: MemberId) -> FlockSettings:
        """See L{VirtualFlock.settings}."""
        return attrs.evolve(super().settings(me), return_wait=self.scenario.return_wait)
