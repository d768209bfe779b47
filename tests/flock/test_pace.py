# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.pace}.
"""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.pace import DECISION_SLOTS, Pace
from flocknode.flock.rate import LAST_STEP, SLOT_SECONDS, UNMEASURED, rate, step_of
from flocknode.testing.network import VirtualNetwork
from tests.flock.support import World

CEILING = 60


class PaceCase(SynchronousTestCase):
    """A leader whose links deliver what C{link} can carry."""

    def setUp(self) -> None:
        self.slot = 1000
        self.link = LAST_STEP
        self.ceiling = CEILING
        self.in_force: dict[int, int] = {}
        self.pace = Pace(CEILING)

    def decide(self, times: int = 1) -> int:
        """So many decisions are made.  @return: the last."""
        for _ in range(times * DECISION_SLOTS):
            self.slot += 1
            before = self.in_force.get(self.slot - 1)
            if before is not None:
                self.pace.report(self.slot - 1, min(before, self.link))
                self.pace.report(self.slot - 1, before)
            step = self.pace.boundary(self.slot, True, self.ceiling)
            self.in_force[self.slot + 2] = step
        return self.pace.step


class Rising(PaceCase):
    """Nothing is known of the links."""

    def test_it_stays_at_the_least_uplink(self) -> None:
        self.assertEqual(self.decide(10), CEILING)

    def test_a_slower_member_counts_at_once(self) -> None:
        self.decide(3)
        self.ceiling = 31
        self.pace.boundary(self.slot, False, self.ceiling)
        self.assertEqual(self.pace.step, 31)

    def test_when_it_is_gone_the_rate_doubles_until_it_is_as_before(self) -> None:
        self.ceiling = 31
        self.decide(2)
        self.ceiling = CEILING
        steps = [self.decide() for _ in range(10)]
        self.assertEqual(steps[-1], CEILING)
        self.assertLessEqual(max(b - a for a, b in itertools.pairwise(steps)), 8)

    def test_one_who_takes_over_goes_up_by_single_steps(self) -> None:
        self.pace = Pace(30, calm=True)
        steps = [30, *(self.decide() for _ in range(6))]
        self.assertLessEqual(max(b - a for a, b in itertools.pairwise(steps)), 1)
        self.assertGreater(steps[-1], 30)

    def test_without_a_report_nothing_is_decided(self) -> None:
        pace = Pace(20)
        for slot in range(100):
            pace.report(slot, UNMEASURED)
            self.assertEqual(pace.boundary(slot, True, CEILING), 20)


class Falling(PaceCase):
    """The links are slower than the rate."""

    def test_it_falls_below_what_arrived(self) -> None:
        self.decide(5)
        self.link = 40
        self.decide(2)
        self.assertEqual(self.pace.step, 38)

    def test_one_bad_slot_says_nothing(self) -> None:
        self.decide(5)
        self.pace.report(self.slot, 3)
        self.assertEqual(self.decide(3), CEILING)

    def test_it_comes_back_soon_if_that_was_an_accident(self) -> None:
        self.decide(5)
        self.link = 40
        self.decide(2)
        self.link = LAST_STEP
        self.assertEqual(self.decide(6), CEILING)

    def test_what_fails_is_tried_less_and_less_often(self) -> None:
        self.link = 40
        steps = [self.decide() for _ in range(3000)]
        too_fast = [number for number, step in enumerate(steps[10:]) if step > 40]
        self.assertLess(len(too_fast), 3000 / 50)
        self.assertGreater(sum(map(rate, steps[100:])) / 2900 / rate(40), 0.85)
        first, second = too_fast[: len(too_fast) // 2], too_fast[len(too_fast) // 2 :]
        self.assertGreater(second[-1] - second[0], 2 * (first[-1] - first[0]))

    def test_it_follows_a_link_that_becomes_faster(self) -> None:
        self.link = 40
        self.decide(20)
        self.link = 48
        self.decide(40)
        self.assertGreaterEqual(self.pace.step, 46)

    @given(st.lists(st.tuples(st.integers(0, 130), st.integers(0, LAST_STEP)), max_size=60))
    def test_whatever_is_reported_it_is_a_step_below_the_ceiling(
        self, slots: list[tuple[int, int]]
    ) -> None:
        pace = Pace(CEILING)
        for number, (delivered, ceiling) in enumerate(slots):
            pace.report(number - 1, delivered)
            pace.report(number, delivered)
            self.assertTrue(0 <= pace.boundary(number, True, ceiling) <= ceiling)


class Hiding(SynchronousTestCase):
    """Queues of 100 ms hide for a while that a link is too slow."""

    def test_a_step_that_is_a_little_too_much_is_not_tried_again_and_again(self) -> None:
        ceiling = 38
        link = 1.05 * rate(35)
        pace = Pace(ceiling)
        in_force: dict[int, int] = {}
        queued = 0.0
        for slot in range(1000, 1000 + 150 * DECISION_SLOTS):
            sent = in_force.get(slot - 1, ceiling)
            queued = max(0.0, queued + (rate(sent) - link) * SLOT_SECONDS)
            full = 0.1 * rate(sent)
            pace.report(slot - 1, sent if queued <= full else step_of(link))
            queued = min(queued, full)
            in_force[slot + 2] = pace.boundary(slot, True, ceiling)
        steps = list(in_force.values())[len(in_force) // 2 :]
        self.assertLessEqual(max(steps), 36)
        self.assertGreater(sum(step in (34, 35) for step in steps), 0.9 * len(steps))


class InAFlock(SynchronousTestCase):
    """Real engines on a network with one narrow link."""

    def run_busy(self, world: World, seconds: float) -> list[int]:
        """All lack a lot all the time.  @return: the steps in force, by slot."""
        steps = []
        for _ in range(int(seconds / 0.5)):
            for node in world.nodes:
                node.lacking = {member: 10**9 for member in world.ids if member != node.me}
                node.offer()
            world.network.run(0.5)
            steps.append(world.nodes[0].flock.state.step)
        return steps

    def test_all_send_as_fast_as_the_narrowest_link_and_no_slot_in_fifty_is_short(self) -> None:
        network = VirtualNetwork()
        world = World(3, network=network)
        world.settle()
        full = rate(world.nodes[0].flock.state.step)
        slow = network.narrow[world.ids[1], world.ids[2]] = full * 0.4
        self.run_busy(world, 60)
        tally = world.nodes[1].flock._shaper.tally
        missed, sent = tally.missed, tally.sent
        steps = self.run_busy(world, 200)
        used = sum(map(rate, steps)) / len(steps) / slow
        self.assertTrue(0.85 < used < 1.02, used)
        self.assertLess((tally.missed - missed) / (tally.sent - sent), 1 / 50)
        self.assertEqual(world.nodes[0].flock._shaper.tally.missed, 0)

    def test_a_member_that_is_killed_does_not_slow_the_others_down(self) -> None:
        world = World(3, network=VirtualNetwork())
        world.settle()
        self.run_busy(world, 10)
        before = world.nodes[0].flock.state.step
        world.kill(world.nodes[2])
        for _ in range(40):
            world.nodes[0].lacking = {world.ids[1]: 10**9}
            world.nodes[0].offer()
            world.network.run(0.5)
            self.assertEqual(world.nodes[0].flock.state.step, before)
