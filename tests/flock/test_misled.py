# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A member that shows what is not so, or echoes another, does not keep the others
from rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.flocktime import SLOT
from flocknode.flock.heartbeat import Heartbeat, encode_heartbeat, parse_heartbeat
from flocknode.flock.interfaces import MemberId, Transport
from flocknode.flock.members import CONTRARY, LEFT_OUT
from flocknode.flock.patience import STAND_IN
from flocknode.flock.status import Status
from flocknode.testing.network import Engine
from tests.flock.support import IDS, Node, World, chance

USUAL = 5.0
"""Seconds in which a change is everywhere, if the round before it has to be waited for."""
EVERY = 0.05
"""Seconds between two times that an echo speaks."""

Lie = Callable[[Heartbeat], Heartbeat]
Speaker = Callable[[Transport], Transport]


class Lying:
    """
    A transport that changes heartbeats on their way out.
    """

    def __init__(self, transport: Transport, lie: Lie) -> None:
        self._transport = transport
        self._lie = lie
        self.frame = transport.frame
        self.frame_queue = transport.frame_queue

    def heartbeat(self, message: bytes) -> None:
        self._transport.heartbeat(encode_heartbeat(self._lie(parse_heartbeat(message))))


class Echo:
    """
    A member that says again what another said last, ten times a twentieth of a second.
    """

    def __init__(self, transport: Transport, of: MemberId) -> None:
        self._transport = transport
        self._of = of
        self._heard = b""
        self._next = 0.0

    def heartbeat_received(self, member: MemberId, message: bytes, now: float) -> None:
        if member == self._of:
            self._heard = message

    def frame_received(self, member: MemberId, message: bytes, now: float) -> None:
        """It does not care."""

    def queue(self, *what: Any) -> None:
        raise AssertionError("nothing is queued here")

    def advance(self, now: float) -> float:
        if now >= self._next:
            self._next = now + EVERY
            for _ in range(10 if self._heard else 0):
                self._transport.heartbeat(self._heard)
        return self._next


def never_in_a_round(heartbeat: Heartbeat) -> Heartbeat:
    """Nor does it ever call one."""
    trailer = heartbeat.trailer
    assert trailer is not None
    quiet = replace(trailer, round_id=0, stop_slot=0)
    return replace(heartbeat, status=int(Status.READY), trailer=quiet)


class AnotherSet:
    """In each heartbeat."""

    def __init__(self) -> None:
        self._random = chance(7)

    def __call__(self, heartbeat: Heartbeat) -> Heartbeat:
        trailer = heartbeat.trailer
        assert trailer is not None
        odd = replace(trailer, members=self._random.getrandbits(32))
        return replace(heartbeat, trailer=odd)


class MisledTests(SynchronousTestCase):
    """How long changes of honest members take, with one that is not."""

    def setUp(self) -> None:
        self.world = World(4, start=False)
        self.honest: list[Node] = []
        self.number = 0

    def start(self, liar: int, engine: Callable[[Transport, float, int], Engine]) -> None:
        """All of them, and wait until the honest ones know each other."""
        self.world.nodes[liar].host.build = engine
        self.honest = [node for node in self.world.nodes if node.me != IDS[liar]]
        for node in self.world.nodes:
            node.host.start()
        self.world.network.run((CONTRARY + 4) * SLOT)
        # By the first round they learn each other's epochs.
        self.seconds()

    def lie(self, liar: int, lie: Lie) -> None:
        """One is a node that is honest but for its heartbeats."""
        honest = self.world.nodes[liar].host.build
        self.start(liar, lambda transport, now, wall: honest(Lying(transport, lie), now, wall))

    def seconds(self) -> float:
        """Until a change is at all honest nodes; a minute if it is not then."""
        network, source = self.world.network, self.honest[self.number % len(self.honest)]
        self.number += 1
        source.change(self.number, 50_000)
        began = network.clock.seconds()
        network.run_until(lambda: all(self.number in node.has for node in self.honest), 60.0)
        took = network.clock.seconds() - began
        network.run(2.0)
        return took

    def assert_quick(self, most: float) -> None:
        """Whoever changes something."""
        for _ in self.honest:
            self.assertLess(self.seconds(), most)

    def test_the_next_ids_stand_in_for_one_that_never_calls_a_round(self) -> None:
        self.lie(0, never_in_a_round)
        self.assert_quick(STAND_IN + USUAL)

    def test_and_for_one_that_echoes_another(self) -> None:
        self.start(0, lambda transport, now, wall: Echo(transport, IDS[1]))
        self.assert_quick(STAND_IN + USUAL)

    def test_an_echo_that_does_not_lead_delays_nothing(self) -> None:
        self.start(3, lambda transport, now, wall: Echo(transport, IDS[0]))
        self.assert_quick(USUAL)

    def test_one_that_shows_sets_of_nobody_is_left_out(self) -> None:
        for liar in (0, 3):
            with self.subTest(liar=liar):
                self.setUp()
                self.lie(liar, AnotherSet())
                self.assert_quick(USUAL)

    def test_it_gets_another_chance(self) -> None:
        another = AnotherSet()
        honest_from: list[float] = []
        self.lie(3, lambda beat: beat if honest_from else another(beat))
        honest_from.append(self.world.network.clock.seconds())
        self.world.network.run(LEFT_OUT * SLOT)
        self.honest = self.world.nodes
        self.seconds()
        self.assert_quick(USUAL)
