# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.testing.network}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.interfaces import MemberId, Priority, Transport
from flocknode.testing.network import ALL, Host, Sent, VirtualNetwork

A, B, C = (MemberId(bytes([n]) * 16) for n in (1, 2, 3))
BEAT = b"100 ".ljust(256, b"\0")


class Ticker:
    """An engine that wakes up each second and writes down what comes."""

    def __init__(self, transport: Transport, now: float, wall_ms: int) -> None:
        self.transport = transport
        self.born = (now, wall_ms)
        self.woken: list[float] = []
        self.came: list[tuple[float, MemberId, str]] = []

    def heartbeat_received(self, member: MemberId, message: bytes, now: float) -> None:
        self.came.append((round(now, 6), member, "heartbeat"))

    def frame_received(self, member: MemberId, message: bytes, now: float) -> None:
        self.came.append((round(now, 6), member, "frame"))

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        raise AssertionError("the network itself queues nothing")

    def advance(self, now: float) -> float:
        if not self.woken or now >= self.woken[-1] + 1:
            self.woken.append(now)
        return self.woken[-1] + 1


def frame_for(member: MemberId, size: int = 4117) -> bytes:
    """The least that is taken for a frame."""
    return (b"\0" + member).ljust(size, b"\0")


class NetworkTests(SynchronousTestCase):
    """What it does to messages, and to members."""

    def setUp(self) -> None:
        self.network = VirtualNetwork(latency=lambda a, b, n: 0.1)
        for me in (A, B, C):
            self.network.add(me, Ticker).start()
        self.network.run(0.0)

    def host(self, me: MemberId) -> Host:
        return self.network.hosts[me]

    def engine(self, me: MemberId) -> Ticker:
        engine = self.host(me).engine
        assert isinstance(engine, Ticker)
        return engine

    def test_an_engine_is_woken_when_it_said(self) -> None:
        self.network.run(3.5)
        self.assertEqual(self.engine(A).woken, [0, 1, 2, 3])

    def test_each_machine_has_its_own_clocks(self) -> None:
        self.network.run(2.0)
        host = self.network.add(MemberId(b"d" * 16), Ticker, monotonic=50.0, wall_ms=7000)
        host.start()
        assert isinstance(host.engine, Ticker)
        self.assertEqual(host.engine.born, (52.0, 9000))

    def test_a_heartbeat_reaches_all_others_after_the_latency(self) -> None:
        self.host(A).heartbeat(BEAT)
        self.network.run(0.2)
        self.assertEqual(self.engine(A).came, [])
        self.assertEqual(self.engine(B).came, [(0.1, A, "heartbeat")])
        self.assertEqual(self.engine(C).came, [(0.1, A, "heartbeat")])

    def test_a_frame_reaches_its_receiver_only(self) -> None:
        self.assertTrue(self.host(A).frame(B, frame_for(B)))
        self.network.run(0.2)
        self.assertEqual(self.engine(B).came, [(0.1, A, "frame")])
        self.assertEqual(self.engine(C).came, [])

    def test_everything_handed_to_it_is_written_down(self) -> None:
        self.host(A).heartbeat(BEAT)
        self.network.run(0.5)
        self.host(B).frame(C, frame_for(C))
        expected = [Sent(0.0, A, ALL, 256), Sent(0.5, B, C, 4117)]
        self.assertEqual(self.network.trace, expected)

    def test_latency_is_a_function_of_link_and_number_but_nothing_overtakes(self) -> None:
        self.network.latency = lambda a, b, n: (0.3, 0.1, 0.4)[n]
        for _ in range(3):
            self.host(A).frame(B, frame_for(B))
        self.network.run(1.0)
        self.assertEqual([when for when, _, _ in self.engine(B).came], [0.3, 0.3, 0.4])

    def test_a_lost_message_does_not_arrive(self) -> None:
        self.network.loss = lambda a, b, n: n == 0
        for _ in range(2):
            self.host(A).frame(B, frame_for(B))
        self.network.run(1.0)
        self.assertEqual(len(self.engine(B).came), 1)

    def test_a_link_takes_its_time_and_its_queue_has_an_end(self) -> None:
        self.network.bandwidth = 41_170.0
        self.host(A).frame_queue(2)
        taken = [self.host(A).frame(B, frame_for(B)) for _ in range(3)]
        self.assertEqual(taken, [True, True, False])
        self.network.run(0.15)
        self.assertTrue(self.host(A).frame(B, frame_for(B)))
        self.network.run(1.0)
        self.assertEqual([when for when, _, _ in self.engine(B).came], [0.2, 0.3, 0.4])

    def test_a_partition_separates_until_it_heals(self) -> None:
        self.network.partition((A, B), (A, C))
        self.host(B).heartbeat(BEAT)
        self.network.run(0.2)
        self.assertEqual((len(self.engine(A).came), len(self.engine(C).came)), (1, 0))
        self.network.heal()
        self.host(B).heartbeat(BEAT)
        self.network.run(0.2)
        self.assertEqual(len(self.engine(C).came), 1)

    def test_a_crashed_member_is_gone_and_starts_without_memory(self) -> None:
        first = self.engine(B)
        self.host(A).heartbeat(BEAT)
        self.host(B).crash()
        self.host(B).start()
        self.network.run(1.5)
        self.assertEqual(self.engine(B).came, [])
        self.assertEqual((first.woken, self.engine(B).woken), ([0.0], [0.0, 1.0]))

    def test_who_stands_still_gets_everything_afterwards(self) -> None:
        self.host(B).stand_still(5.0)
        self.host(A).heartbeat(BEAT)
        self.network.run(5.5)
        self.assertEqual(self.engine(B).came, [(5.0, A, "heartbeat")])
        self.assertEqual(self.engine(B).woken, [0, 5])

    def test_wake_ups_may_be_late(self) -> None:
        self.network.lateness = lambda member, number: 0.25
        self.network.run(3.0)
        self.assertEqual(self.engine(A).woken, [0, 1, 2.25])

    def test_it_runs_until_a_condition_holds(self) -> None:
        done = self.network.run_until(lambda: len(self.engine(A).woken) == 3, 10.0)
        self.assertEqual((done, self.network.clock.seconds()), (True, 2.0))
        self.assertFalse(self.network.run_until(lambda: False, 1.0))
        self.assertEqual(self.network.clock.seconds(), 3.0)
