# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Whole flocks in virtual time, when members vanish, return or are cut off."""

from __future__ import annotations

import functools

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.conductor import Conductor
from flocknode.flock.core import Flock
from flocknode.flock.interfaces import FlockSettings, FlockState, MemberId
from flocknode.flock.status import Status
from flocknode.flock.streams import RandomStreams
from flocknode.testing.network import ALL, VirtualNetwork
from tests.flock.support import Node, World

PHASES = {
    "a snapshot is shown": 0.3,
    "the round is called": 0.75,
    "the round is about to start": 1.2,
    "the round has just started": 1.4,
    "the round runs": 2.0,
    "the last slot runs": 2.7,
}
"""Seconds after a change that is made 200 ms before a boundary."""


class TestWorld(World):
    """Three or more nodes, idle, just before a boundary."""

    def __init__(self, size: int = 4, **how: object) -> None:
        super().__init__(size, uplink=400_000, **how)  # type: ignore[arg-type]
        self.settle()
        now = self.network.clock.seconds()
        self.network.run(0.8 - now % 0.5)

    def assert_stopped_together(self, case: SynchronousTestCase) -> None:
        """Whoever took part in a round to its end stopped at the same slot."""
        rounds = {round_id for node in self.up for round_id in node.starts}
        for round_id in rounds:
            stops = [node.stops[round_id] for node in self.up if round_id in node.starts]
            case.assertLess(max(stops) - min(stops), 0.055)


@functools.cache
def kill_in_each_phase(who: int, size: int = 20_000) -> dict[str, TestWorld]:
    """What has become of the flock 15 s after; for reading only."""
    worlds = {}
    for phase, after in PHASES.items():
        world = worlds[phase] = TestWorld()
        world.nodes[1].change(1, size)
        world.network.run(after)
        world.kill(world.nodes[who])
        world.network.run(15.0)
    return worlds


class VanishingTests(SynchronousTestCase):
    """A member is killed in a round."""

    def test_in_whatever_phase_the_others_are_idle_soon(self) -> None:
        for who in (0, 3):
            for phase, world in kill_in_each_phase(who).items():
                self.assertTrue(world.all_idle(), phase)

    def test_in_whatever_phase_all_others_stop_at_the_same_slot(self) -> None:
        for who in (0, 3):
            for world in kill_in_each_phase(who).values():
                world.assert_stopped_together(self)
                self.assertEqual(len({tuple(node.stops) for node in world.up}), 1)

    def test_in_whatever_phase_the_others_have_what_was_new(self) -> None:
        for who in (0, 3):
            for phase, world in kill_in_each_phase(who).items():
                self.assertTrue(all(1 in node.has for node in world.up), phase)

    def test_a_round_that_lost_a_member_is_followed_by_one_after_1_to_5_s(self) -> None:
        for who in (0, 3):
            for phase, world in kill_in_each_phase(who, 1_000_000).items():
                if phase == "a snapshot is shown":
                    continue
                for node in world.up:
                    _, lost, follow_up, *_ = node.starts
                    wait = node.starts[follow_up] - node.stops[lost]
                    self.assertGreater(wait, 1.9)
                    self.assertLess(wait, 7.2)
                    self.assertIn(Status.GIVING_UP, {to for _, _, to in node.transitions})

    def test_it_has_the_planned_remainder_even_if_all_was_done(self) -> None:
        """The change is for nobody here, so nobody lacks anything."""
        world = TestWorld()
        world.nodes[1].change(1, 2_000_000, to=())
        world.network.run(2.5)
        world.kill(world.nodes[3])
        world.network.run(25.0)
        self.assertTrue(world.all_idle())
        for node in world.up:
            _, lost, follow_up = node.starts
            self.assertGreater(node.stops[lost] - node.starts[lost], 3.0)
            self.assertGreater(node.stops[follow_up] - node.starts[follow_up], 3.0)

    def test_a_leader_that_vanishes_before_anybody_heard_it_leaves_no_round_behind(self) -> None:
        world = TestWorld()
        world.nodes[0].host.crash()
        world.network.run(8.0)
        self.assertEqual([len(node.starts) for node in world.up], [1, 1, 1])
        self.assertTrue(world.all_idle())

    def test_one_that_starts_anew_at_once_joins_the_round_that_runs(self) -> None:
        world = TestWorld()
        world.nodes[1].change(1, 2_000_000)
        world.network.run(2.5)
        node = world.nodes[3]
        world.kill(node)
        world.revive(node)
        world.network.run_until(lambda: bool(node.starts), 3.0)
        began = max(world.nodes[0].starts)
        self.assertEqual(max(node.starts), began)
        world.settle(60.0)
        world.assert_stopped_together(self)

    def test_a_leader_that_starts_anew_at_once_does_not_hold_the_others_up(self) -> None:
        world = TestWorld()
        world.nodes[1].change(1, 2_000_000)
        world.network.run(2.5)
        world.kill(world.nodes[0])
        world.revive(world.nodes[0])
        world.network.run(8.0)
        stopped = [set(node.starts) == set(node.stops) for node in world.nodes[1:]]
        self.assertTrue(all(stopped) or all(n.status in (114, 115, 145) for n in world.nodes))
        world.settle(60.0)

    def test_heartbeats_without_frames_are_a_loss(self) -> None:
        world = TestWorld(3)
        send = world.network.send

        def only_heartbeats(sender: object, to: MemberId, message: bytes) -> bool:
            if sender is world.nodes[2].host:
                return True
            return send(sender, to, message)  # type: ignore[arg-type]

        world.network.send = only_heartbeats  # type: ignore[method-assign]
        world.nodes[1].change(1, 20_000)
        world.network.run(4.0)
        for node in world.nodes:
            self.assertIn(Status.GIVING_UP, {to for _, _, to in node.transitions})


class ReturningTests(SynchronousTestCase):
    """A member comes, or comes back."""

    def test_one_who_comes_later_is_met_with_one_round(self) -> None:
        world = World(4, start=False)
        for node in world.nodes[:3]:
            node.host.start()
        world.settle()
        world.nodes[3].host.start()
        world.settle()
        world.network.run(10.0)
        self.assertEqual([len(node.starts) for node in world.nodes], [2, 2, 2, 1])

    def test_one_who_was_absent_holds_nobody_up(self) -> None:
        world = World(4, start=False)
        for node in world.nodes[:3]:
            node.host.start()
        world.settle()
        world.nodes[2].change(1, 1000)
        self.assertTrue(
            world.network.run_until(lambda: all(1 in n.has for n in world.nodes[:3]), 2.0)
        )

    def test_each_return_is_followed_by_exactly_one_round(self) -> None:
        world = TestWorld(3)
        for back in range(1, 4):
            world.kill(world.nodes[2])
            world.network.run(5.0)
            world.revive(world.nodes[2])
            world.settle()
            world.network.run(8.0)
            self.assertEqual([len(n.starts) for n in world.nodes[:2]], [1 + back] * 2)

    def news_of_one_who_returns(self, wait: float) -> float:
        """Seconds from the return until the round for what it has."""
        network = VirtualNetwork()
        world = World(3, network=network, return_wait=(wait, wait))
        world.settle()
        network.run(30.0)
        node = world.nodes[2]
        network.partition(world.ids[:2], world.ids[2:])
        network.run(5.0)
        network.heal()
        healed = network.clock.seconds()
        network.run(0.3)
        node.lacking[world.ids[0]] = 50_000_000
        node.offer()
        before = {round_id for n in world.nodes for round_id in n.starts}
        network.run_until(lambda: len(set(node.starts) - before) == 2, 60.0)
        return max(node.starts.values()) - healed

    def test_what_does_not_fit_into_the_round_of_return_waits(self) -> None:
        self.assertGreater(self.news_of_one_who_returns(20.0), 20.0)
        self.assertLess(self.news_of_one_who_returns(0.0), 10.0)

    def test_news_of_a_flock_that_is_just_forming_does_not_wait(self) -> None:
        world = World(3, return_wait=(50.0, 50.0), start=False)
        for node in world.nodes:
            node.host.start()
            world.network.run(1.5)
        world.settle()
        world.nodes[2].change(1, 1000)
        self.assertTrue(world.network.run_until(lambda: 1 in world.nodes[0].has, 3.0))


class CutOffTests(SynchronousTestCase):
    """Partitions."""

    def test_each_half_goes_on_and_together_they_are_one_again(self) -> None:
        world = TestWorld(5)
        world.network.partition(world.ids[:2], world.ids[2:])
        world.network.run(5.0)
        for number, node in ((1, world.nodes[1]), (2, world.nodes[4])):
            node.change(number, 1000)
        world.network.run(8.0)
        self.assertEqual([1 in n.has for n in world.nodes], [True, True, False, False, False])
        self.assertEqual([2 in n.has for n in world.nodes], [False, False, True, True, True])
        world.network.heal()
        world.settle()
        world.nodes[0].change(3, 1000)
        world.settle()
        self.assertTrue(all(3 in node.has for node in world.nodes))

    def test_a_partition_in_a_round_ends_it_for_all(self) -> None:
        world = TestWorld(5)
        world.nodes[1].change(1, 3_000_000)
        world.network.run(2.5)
        world.network.partition(world.ids[:2], world.ids[2:])
        world.network.run(4.5)
        self.assertEqual(len({tuple(node.stops) for node in world.nodes}), 1)
        world.assert_stopped_together(self)

    def test_two_who_do_not_hear_each_other_do_not_stop_the_rest(self) -> None:
        world = TestWorld(3)
        one, two, three = world.ids
        world.network.partition((one, two), (one, three))
        world.network.run(8.0)
        world.nodes[0].change(1, 1000)
        world.network.run(4.0)
        self.assertIn(1, world.nodes[1].has)
        world.network.heal()
        world.settle()
        world.nodes[0].change(2, 1000)
        world.settle()
        self.assertIn(2, world.nodes[2].has)

    def test_who_is_cut_off_alone_sends_no_frame_for_ever(self) -> None:
        world = TestWorld(3)
        world.nodes[1].change(1, 3_000_000)
        world.network.run(2.5)
        world.network.partition(world.ids[:1], world.ids[1:])
        world.network.run(5.0)
        del world.network.trace[:]
        world.network.run(3.0)
        last = {sent.receiver for sent in world.network.trace if sent.sender == world.ids[0]}
        self.assertEqual(last, {ALL})

    def test_flocks_of_different_times_become_one(self) -> None:
        network = VirtualNetwork()
        world = World(4, network=network, wall_ms=lambda i: 1_700_000_000_000 + i // 2 * 7_200_123)
        network.partition(world.ids[:2], world.ids[2:])
        network.run(10.0)
        slots = {node.flock.state.slot for node in world.nodes}
        self.assertGreater(max(slots) - min(slots), 10_000)
        network.heal()
        world.settle()
        self.assertEqual(len({node.flock.state.slot for node in world.nodes}), 1)
        world.nodes[3].change(1, 1000)
        world.settle()
        self.assertTrue(all(1 in node.has for node in world.nodes))


class StallTests(SynchronousTestCase):
    """A member's process stands still."""

    def most_in_a_slot(self, world: World, node: Node, since: float) -> int:
        times = [s.time for s in world.network.trace if s.sender == node.me and s.time >= since]
        return max(sum(1 for t in times if a <= t < a + 0.5) for a in times)

    def test_after_half_a_minute_it_sends_no_burst(self) -> None:
        world = TestWorld(3)
        node = world.nodes[1]
        world.nodes[0].change(1, 3_000_000)
        world.network.run(2.5)
        usual = self.most_in_a_slot(world, node, 0.0)
        node.host.stand_still(30.0)
        since = world.network.clock.seconds() + 29.9
        world.network.run(40.0)
        # Half a second with the burst of a slot in it may have a third more.
        self.assertLessEqual(self.most_in_a_slot(world, node, since), 1.4 * usual)
        world.settle()

    def test_it_knows_that_the_others_have_gone_on(self) -> None:
        world = TestWorld(3)
        node = world.nodes[1]
        node.host.stand_still(5.0)
        world.network.run(6.0)
        lost = [told[1] for told in node.told if told[0] == "lost"]
        self.assertEqual(sorted(lost), [world.ids[0], world.ids[2]])
        world.settle()
        self.assertEqual(len(node.flock.state.alive), 2)

    def test_a_stall_of_a_second_is_nothing(self) -> None:
        world = TestWorld(3)
        world.nodes[1].host.stand_still(1.0)
        world.network.run(5.0)
        self.assertEqual([len(node.starts) for node in world.nodes], [1, 1, 1])


class PatienceTests(SynchronousTestCase):
    """No state outlives ten seconds without progress."""

    def test_an_announcement_that_leads_to_nothing_is_taken_back(self) -> None:
        class DeafConductor(Conductor):
            """Never calls."""

            def call(self, now: float) -> None:
                return

        class DeafFlock(Flock):
            conductor = DeafConductor

        world = World(2, make=DeafFlock)
        world.network.run(5.0)
        world.nodes[1].change(1, 1000)
        world.network.run(25.0)
        for node, shown in zip(world.nodes, (124, 125), strict=True):
            taken_back = {(state, following) for state, _, following in node.transitions}
            self.assertIn((shown, 100), taken_back)

    def test_a_node_alone_is_idle(self) -> None:
        class Nobody:
            """Transport and observer in one, and neither does anything."""

            def __getattr__(self, name: str) -> object:
                return lambda *what: None

        settings = FlockSettings(MemberId(b"1" * 16), (MemberId(b"2" * 16),))
        nobody = Nobody()
        flock = Flock(
            settings,
            nobody,  # type: ignore[arg-type]
            nobody,  # type: ignore[arg-type]
            now=5.0,
            wall_ms=1_700_000_000_000,
            random=RandomStreams(b"alone"),
        )
        now, wakes = 5.0, 0
        while now < 25.0:
            due = flock.advance(now)
            self.assertGreater(due, now)
            now, wakes = due, wakes + 1
        self.assertLess(wakes, 20 * 7)
        state: FlockState = flock.state
        self.assertEqual((state.status, state.rounds, state.frames_sent), (100, 0, 0))
