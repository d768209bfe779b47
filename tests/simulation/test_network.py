# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.simulation.network}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.interfaces import MemberId, Priority, Transport
from flocknode.flock.link import Outgoing
from flocknode.simulation.network import GRAIN, Machine, Network
from flocknode.simulation.witness import Witness

A, B, C = (MemberId(bytes([number]) * 16) for number in (1, 2, 3))
SIZE = 4117


class Engine:
    """Keeps what comes, by local time."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, MemberId]] = []
        self.due = 1e9

    def heartbeat_received(self, member: MemberId, message: bytes, now: float) -> None:
        """See L{flocknode.testing.network.Engine}, as all of these."""

    def frame_received(self, member: MemberId, message: bytes, now: float) -> None:
        self.frames.append((now, member))

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        pass

    def advance(self, now: float) -> float:
        return self.due


class Lines(SynchronousTestCase):
    """Three machines of 100 frames a second each."""

    def setUp(self) -> None:
        self.network = Network(Witness())
        self.engines = {member: Engine() for member in (A, B, C)}
        for number, (member, engine) in enumerate(self.engines.items(), 1):
            def build(
                transport: Transport, now: float, wall_ms: int, engine: Engine = engine
            ) -> Engine:
                return engine

            host = self.network.add(member, build)
            assert isinstance(host, Machine)
            host.number = number
            host.uplink = 100.0 * SIZE
            host.in_round = True
            host.start()
        self.network.connect(lambda sender, receiver: 0.001, "seed")
        self.outgoing = {member: Outgoing(member, 1) for member in (B, C)}

    def machine(self, member: MemberId) -> Machine:
        """Whose it is."""
        host = self.network.hosts[member]
        assert isinstance(host, Machine)
        return host

    def send(self, to: MemberId) -> bool:
        """A sends an empty frame."""
        return self.machine(A).frame(to, self.outgoing[to].build(1, SIZE).message)

    def test_all_links_of_a_machine_share_its_uplink(self) -> None:
        for _ in range(10):
            self.send(B)
            self.send(C)
        self.network.run(0.15)
        self.assertEqual(len(self.engines[B].frames), 7)
        self.network.run(0.1)
        self.assertEqual(len(self.engines[B].frames), 10)

    def test_who_is_not_reached_takes_nothing_of_an_uplink(self) -> None:
        for number, gone in enumerate((self.machine(C).crash, self.cut_off_c)):
            gone()
            for _ in range(10):
                self.send(C)
                self.send(B)
            self.network.run(0.15)
            self.assertEqual(len(self.engines[B].frames), 10 * (number + 1))
            self.machine(C).start()

    def cut_off_c(self) -> None:
        """It is still there."""
        self.network.partition([A, B], [C])

    def test_a_full_queue_refuses_and_is_told(self) -> None:
        self.machine(A).frame_queue(4)
        self.assertEqual([self.send(B) for _ in range(6)], [True] * 4 + [False] * 2)
        self.assertTrue(self.send(C))
        witness = self.network.watcher
        assert isinstance(witness, Witness)
        self.assertEqual(witness.tally.refused, 2)
        self.assertEqual(witness.hindered, {(1, 1)})
        self.network.run(0.02)
        self.assertTrue(self.send(B))

    def test_frames_arrive_within_a_grain(self) -> None:
        self.send(B)
        self.network.run(1.0)
        ((arrived, sender),) = self.engines[B].frames
        self.assertEqual(sender, A)
        self.assertTrue(0.011 <= arrived <= 0.011 + GRAIN, arrived)

    def test_a_clock_that_is_fast_shows_more(self) -> None:
        self.machine(B).speed = 1.5
        self.network.run(2.0)
        self.assertEqual(self.machine(B).now, 3.0)

    def test_a_machine_with_a_fast_clock_wakes_up_when_that_says_so(self) -> None:
        self.machine(B).speed = 2.0
        calls: list[float] = []

        def advance(now: float) -> float:
            calls.append(self.network.time)
            return now + 1.0

        self.patch(self.engines[B], "advance", advance)
        self.network.run(1.6)
        self.assertEqual([round(time, 6) for time in calls], [0.0, 0.5, 1.0, 1.5])

    def test_what_a_machine_that_stands_still_should_get_comes_later(self) -> None:
        self.machine(B).stand_still(1.0)
        self.send(B)
        self.network.run(0.9)
        self.assertEqual(self.engines[B].frames, [])
        self.network.run(0.2)
        self.assertEqual(len(self.engines[B].frames), 1)

    def test_a_cut_keeps_frames_from_arriving_until_it_heals(self) -> None:
        self.network.partition([A, C], [B])
        self.send(B)
        self.send(C)
        self.network.run(1.0)
        self.network.heal()
        self.assertEqual((len(self.engines[B].frames), len(self.engines[C].frames)), (0, 1))
        self.send(B)
        self.network.run(1.0)
        self.assertEqual(len(self.engines[B].frames), 1)

    def test_a_share_of_messages_is_lost(self) -> None:
        self.network.lose(0.5)
        for _ in range(200):
            self.send(B)
        self.network.run(3.0)
        self.assertTrue(70 <= len(self.engines[B].frames) <= 130)

    def test_what_was_sent_to_an_earlier_life_is_gone(self) -> None:
        self.send(B)
        self.machine(B).crash()
        self.machine(B).start()
        self.network.run(1.0)
        self.assertEqual(self.engines[B].frames, [])
