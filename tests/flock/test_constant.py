# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
L{flocknode.flock.constant}: a round without end, in virtual time.  That it says
nothing of what it carries is tested in L{tests.flock.test_noninterference}.
"""

from __future__ import annotations

import itertools
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.constant import LINGER, PERIOD
from flocknode.flock.interfaces import MemberId
from flocknode.flock.members import SILENCE
from flocknode.flock.rate import frames_per_slot, rate, step_of
from flocknode.flock.status import Status
from flocknode.testing.network import ALL, VirtualNetwork
from tests.flock.support import Node, World

LEAST = frames_per_slot(0)
"""Frames of a slot at the default cover rate."""


class CoverCase(SynchronousTestCase):
    """A flock under constant cover."""

    def covered(self, size: int = 3, asks: tuple[int, ...] = (0,), **how: object) -> World:
        """It has formed, and all send."""
        world = World(size, constant=asks, **how)  # type: ignore[arg-type]
        world.network.run(6.0)
        return world

    def sent(self, world: World, seconds: float) -> Counter[tuple[MemberId, MemberId]]:
        """Frames of the next seconds, by sender and receiver."""
        begun = len(world.network.trace)
        world.network.run(seconds)
        trace = itertools.islice(world.network.trace, begun, None)
        return Counter((m.sender, m.receiver) for m in trace if m.receiver != ALL)

    def assert_covered(self, world: World, *nodes: Node) -> None:
        """These (all, if none is named) send what is due to everybody, there or not."""
        frames = self.sent(world, 5.0)
        for node in nodes or tuple(world.up):
            self.assertTrue(node.flock.state.constant)
            for peer in node.peers:
                # A slot may begin with a burst, or have its last frame, in or out of it.
                self.assertLessEqual(abs(frames[node.me, peer] - 10 * LEAST), LEAST // 2)

    def assert_uncovered(self, world: World) -> None:
        """Nobody sends any frames, and all are idle."""
        self.assertEqual(self.sent(world, 5.0), Counter())
        for node in world.up:
            self.assertFalse(node.flock.state.constant)
            self.assertEqual(node.status, Status.READY)

    def spread(self, world: World, node: Node, size: int = 10_000) -> float:
        """@return: seconds until a change is everywhere."""
        number = len(world.network.trace)
        node.change(number, size)
        begun = world.network.clock.seconds()
        done = world.network.run_until(lambda: all(number in n.has for n in world.up), 20.0)
        self.assertTrue(done)
        return world.network.clock.seconds() - begun


class Covering(CoverCase):
    """While somebody asks for it."""

    def test_if_one_asks_all_send_in_every_slot_to_everybody(self) -> None:
        world = self.covered(4, (2,))
        self.assert_covered(world)

    def test_a_node_that_asks_sends_even_if_it_is_alone(self) -> None:
        world = World(3, constant=(1,), start=False)
        world.nodes[1].host.start()
        world.network.run(3.0)
        self.assert_covered(world, world.nodes[1])

    def test_nobody_calls_a_round_and_none_is_counted(self) -> None:
        world = self.covered()
        for node in world.nodes:
            self.spread(world, node)
        world.network.run(2 * PERIOD * 0.5)
        for node in world.nodes:
            shown = {following for _, _, following in node.transitions}
            self.assertEqual(shown, {Status.RECEIVING_ALPHA, Status.RECEIVED_ALPHA})
            self.assertEqual((node.flock.state.rounds, node.flock.state.round_id), (0, 0))

    def test_a_small_change_is_everywhere_within_half_a_second(self) -> None:
        world = self.covered()
        for number in range(9):
            world.network.run(0.13)
            self.assertLess(self.spread(world, world.nodes[number % 3], 3_000), 0.5)

    def test_the_least_cover_rate_of_all_counts_even_of_one_who_does_not_ask(self) -> None:
        rates = (1 << 20, 300_000, 1 << 19)
        world = self.covered(asks=(0, 2), cover_rate=lambda index: rates[index])
        self.assertEqual({n.flock.state.step for n in world.nodes}, {step_of(300_000)})

    def test_no_cover_rate_exceeds_the_uplink(self) -> None:
        world = self.covered(uplink=600_000, cover_rate=lambda index: 1 << 20)
        self.assertEqual({n.flock.state.step for n in world.nodes}, {step_of(300_000)})

    def test_the_rate_falls_if_frames_do_not_arrive(self) -> None:
        network = VirtualNetwork()
        world = self.covered(network=network, cover_rate=lambda index: 1 << 20)
        wide = world.nodes[0].flock.state.step
        slow = network.narrow[world.ids[1], world.ids[2]] = rate(wide) * 0.4
        network.run(10.0)
        steps = {node.flock.state.step for node in world.nodes}
        self.assertEqual(len(steps), 1)
        self.assertLess(rate(steps.pop()), slow)
        network.narrow.clear()
        network.run(60.0)
        self.assertEqual({node.flock.state.step for node in world.nodes}, {wide})

    def test_nothing_is_told_of_the_end_of_a_round_but_that_the_next_begins(self) -> None:
        world = self.covered()
        world.nodes[1].change(1, 10_000)
        world.network.run(3 * PERIOD * 0.5)
        for node in world.nodes:
            told = node.rounds()
            self.assertEqual(told[0][0], "round_started")
            for stopped, started in zip(told[1::2], told[2::2], strict=False):
                self.assertEqual((stopped[0], started[0]), ("round_stopped", "round_started"))
                self.assertEqual(node.stops[stopped[1]], node.starts[started[1]])  # type: ignore[index]
                self.assertEqual(started[3], 0)
            ids = sorted(node.starts)[1:]
            self.assertEqual([id % PERIOD for id in ids], [0] * len(ids))
            self.assertGreaterEqual(len(ids), 2)
        self.assertEqual(world.nodes[1].counted, 10_000)

    def test_flock_time_is_kept_in_common_for_as_long_as_it_lasts(self) -> None:
        world = self.covered()
        late = world.nodes[2]
        late.flock._time._offset += 0.04
        world.network.run(120.0)
        ahead = [n.flock._time.at(n.host.now) for n in world.nodes]
        self.assertLess(max(ahead) - min(ahead), 0.005)


class ComingAndGoing(CoverCase):
    """Members that appear, vanish, and change their mind."""

    def test_whoever_vanishes_the_others_go_on_as_before(self) -> None:
        world = self.covered(4, (0, 3))
        world.kill(world.nodes[3])
        self.assert_covered(world)
        world.network.run(LINGER)
        world.revive(world.nodes[3])
        self.assert_covered(world, *world.nodes[:3])
        world.network.run(2.0)
        self.assert_covered(world)
        self.spread(world, world.nodes[3])

    def test_a_later_member_takes_part(self) -> None:
        world = World(3, constant=(0,), start=False)
        for node in world.nodes[:2]:
            node.host.start()
        world.network.run(6.0)
        world.nodes[2].host.start()
        world.network.run(3.0)
        self.assert_covered(world)
        self.assertLess(self.spread(world, world.nodes[2], 3_000), 0.5)

    def test_ten_seconds_after_the_last_who_asks_all_fall_back_to_rounds(self) -> None:
        world = self.covered(3, (2,))
        world.kill(world.nodes[2])
        world.network.run(LINGER - 5.0)
        self.assert_covered(world)
        world.network.run(SILENCE + 1.0)
        self.assert_uncovered(world)
        for node in world.up:
            self.assertEqual(node.rounds()[-1][0], "round_stopped")
        before = [len(node.starts) for node in world.up]
        self.spread(world, world.nodes[1])
        world.settle()
        self.assertEqual([len(node.starts) for node in world.up], [n + 1 for n in before])

    def test_a_member_that_asks_no_more_after_a_restart(self) -> None:
        world = self.covered(3, (0,))
        world.kill(world.nodes[0])
        world.network.run(1.0)
        world.constant.clear()
        world.revive(world.nodes[0])
        world.network.run(LINGER)
        world.settle()
        self.assert_uncovered(world)
        self.spread(world, world.nodes[0])

    def test_a_member_that_asks_for_it_after_a_restart(self) -> None:
        world = World(3)
        world.settle()
        world.kill(world.nodes[1])
        world.constant.add(1)
        world.network.run(3.0)
        world.revive(world.nodes[1])
        world.network.run(5.0)
        self.assert_covered(world)
        for node in world.nodes:
            kinds = [told[0] for told in node.rounds()]
            self.assertEqual(kinds[::2], ["round_started"] * len(kinds[::2]))
            self.assertEqual(kinds[1::2], ["round_stopped"] * len(kinds[1::2]))

    def test_a_round_that_is_on_gives_way_to_it(self) -> None:
        world = World(4, start=False, uplink=400_000)
        for node in world.nodes[:3]:
            node.host.start()
        world.network.run(8.0)
        world.nodes[0].change(1, 3_000_000)
        world.network.run(3.0)
        self.assertTrue(all(node.flock.state.round_id for node in world.up))
        world.constant.add(3)
        world.nodes[3].host.start()
        world.network.run(4.0)
        self.assert_covered(world)
        for node in world.nodes[:3]:
            kinds = [told[0] for told in node.rounds()]
            self.assertEqual(kinds[-2:], ["round_stopped", "round_started"])

    def test_those_who_are_cut_off_from_whoever_asks_fall_back_and_return(self) -> None:
        world = self.covered(4, (0,))
        world.network.partition(world.ids[:2], world.ids[2:])
        world.network.run(LINGER + 3.0)
        self.assertEqual([n.flock.state.constant for n in world.nodes], [True, True, False, False])
        self.spread_among(world, world.nodes[2:])
        world.network.heal()
        world.network.run(4.0)
        self.assert_covered(world)
        self.spread(world, world.nodes[3])

    def spread_among(self, world: World, nodes: list[Node]) -> None:
        nodes[0].change(77, 5_000)
        done = world.network.run_until(lambda: all(77 in n.has for n in nodes), 10.0)
        self.assertTrue(done)

    def test_two_flocks_that_meet_go_on_in_the_same_slots(self) -> None:
        world = World(
            4, constant=(0, 3), wall_ms=lambda index: 1_700_000_000_000 + 3_600_000 * (index // 2)
        )
        world.network.partition(world.ids[:2], world.ids[2:])
        world.network.run(6.0)
        world.network.heal()
        world.network.run(20.0)
        self.assertEqual(len({node.flock.state.slot for node in world.nodes}), 1)
        self.assert_covered(world)
        self.spread(world, world.nodes[2])

    def test_one_who_takes_over_an_earlier_time_before_he_has_begun_to_send(self) -> None:
        world = World(
            3,
            constant=(0, 1, 2),
            start=False,
            wall_ms=lambda index: 1_700_000_000_000 + 3_600_000 * (index == 2),
        )
        for node in world.nodes[:2]:
            node.host.start()
        world.network.run(6.0)
        world.network.partition(world.ids[:2], world.ids[2:])
        world.nodes[2].host.start()
        world.network.run(0.8)
        world.network.heal()
        world.network.run(2.0)
        self.assert_covered(world)
        self.spread(world, world.nodes[2])

    def test_a_node_that_was_suspended_goes_on(self) -> None:
        world = self.covered(3, (1,))
        world.nodes[1].host.stand_still(5.0)
        world.network.run(8.0)
        self.assert_covered(world)
        self.spread(world, world.nodes[1])
