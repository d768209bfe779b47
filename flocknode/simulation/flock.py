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
from flocknode.flock.interfaces import FlockSettings, MemberId, Transport
from flocknode.simulation.network import Machine, Network
from flocknode.simulation.scenario import Scenario
from flocknode.simulation.witness import Witness
from flocknode.testing.flocks import VirtualFlock, VirtualMember
from flocknode.testing.network import Engine, Host

WALL_MS = 1_700_000_000_000
"""What true wall clocks show at the beginning, ms since 1970."""

PIPE: Final = 0.01
"""Seconds that what the engine tells takes to the exchange, and what comes
meanwhile goes along."""

Call = tuple[str, tuple[Any, ...]]


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
        self._told: list[Call] = []

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
        self._told = []
        return super().build(transport, now, wall_ms)

    def _later(self, name: str, *arguments: Any) -> None:
        if not self._told:
            network = self.flock.network
            network.at(network.time + PIPE, self._tell, self._told, self._exchange)
        self._told.append((name, arguments))

    def _tell(self, told: list[Call], exchange: Exchange) -> None:
        if told is not self._told:
            return  # an earlier life's
        self._told = []
        if self._engine is not None:
            with exchange.together():
                for name, arguments in _merged(told):
                    getattr(exchange, name)(*arguments)


def _merged(told: list[Call]) -> list[Call]:
    """The same in fewer calls: what came, and what left, in a row at once."""
    merged: list[Call] = []
    came: dict[MemberId, list[bytes]] = {}
    left: dict[tuple[Any, ...], int] = {}

    def settle() -> None:
        merged.extend([("consumed", (*key, size)) for key, size in left.items()])
        merged.extend(
            [
                ("received", (who, data[0] if len(data) == 1 else b"".join(data)))
                for who, data in came.items()
            ]
        )
        came.clear()
        left.clear()

    for name, arguments in told:
        if name == "received":
            who, data = arguments
            if who in came:
                came[who].append(data)
            else:
                came[who] = [data]
        elif name == "consumed":
            key = arguments[:2]
            left[key] = left.get(key, 0) + arguments[2]
        else:
            settle()
            merged.append((name, arguments))
    settle()
    return merged


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
