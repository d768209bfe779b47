# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.pace}.
"""

from __future__ import annotations

import itertools
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.core import ARRIVING
from flocknode.flock.interfaces import MemberId
from flocknode.flock.pace import DECISION_SLOTS, Pace
from flocknode.flock.rate import (
    BURST_SECONDS,
    LAST_STEP,
    SLOT_SECONDS,
    STEPS_PER_OCTAVE,
    UNMEASURED,
    burst_frames,
    carried_step,
    delivered_step,
    frame_size,
    frames_per_slot,
    has_burst,
    rate,
)
from flocknode.testing.network import VirtualNetwork
from tests.flock.support import World, fate

CEILING = 120


class PaceCase(SynchronousTestCase):
    """A leader whose links deliver what C{link} can carry."""

    def setUp(self) -> None:
        self.slot = 1000
        self.link = LAST_STEP
        self.ceiling = CEILING
        self.optimism = 0
        self.in_force: dict[int, int] = {}
        self.pace = Pace(CEILING)

    def decide(self, times: int = 1) -> int:
        """So many decisions are made.  @return: the last."""
        for _ in range(times * DECISION_SLOTS):
            self.slot += 1
            before = self.in_force.get(self.slot - 2)
            if before is not None:
                self.report(self.slot - 2, before)
            step = self.pace.boundary(self.slot, True, self.ceiling)
            self.in_force[self.slot + 2] = step
        return self.pace.step

    def accident(self) -> int:
        """Two slots in a row of which less arrives.  @return: what is decided then."""
        for _ in range(2):
            self.slot += 1
            self.pace.report(self.slot - 2, self.in_force[self.slot - 2] - 6)
            self.in_force[self.slot + 2] = self.pace.boundary(self.slot, True, self.ceiling)
        return self.pace.step

    def report(self, slot: int, step: int) -> None:
        """Two members do, of whom one has room for everything."""
        self.pace.report(slot, min(step, self.link))
        self.pace.report(slot, step)
        if has_burst(slot) and self.link >= step:
            self.pace.measured(slot, min(step + 16, self.link + self.optimism))


class Rising(PaceCase):
    """Nothing is known of the links."""

    def test_it_stays_at_the_least_uplink(self) -> None:
        self.assertEqual(self.decide(10), CEILING)

    def test_a_slower_member_counts_at_once(self) -> None:
        self.decide(3)
        self.ceiling = 62
        self.pace.boundary(self.slot, False, self.ceiling)
        self.assertEqual(self.pace.step, 62)

    def test_what_piled_up_before_an_uplink_was_shared_by_more_says_nothing(self) -> None:
        self.decide(20)
        self.ceiling = 104
        self.decide()
        self.assertEqual(self.accident(), 104)
        self.assertEqual(self.decide(3), 104)
        self.accident()
        self.assertLess(self.decide(), 104)

    def test_when_it_is_gone_the_rate_doubles_until_it_is_as_before(self) -> None:
        self.ceiling = 62
        self.decide(2)
        self.ceiling = CEILING
        steps = [self.decide() for _ in range(10)]
        self.assertEqual(steps[-1], CEILING)
        self.assertLessEqual(max(b - a for a, b in itertools.pairwise(steps)), 16)

    def test_one_who_takes_over_goes_on_and_finds_room_like_anybody(self) -> None:
        self.pace = Pace(60)
        self.link = 82
        self.assertEqual(self.decide(1), 60)
        self.assertEqual(self.decide(9), 82)

    def test_without_a_report_nothing_is_decided(self) -> None:
        pace = Pace(20)
        for slot in range(100):
            pace.report(slot, UNMEASURED)
            self.assertEqual(pace.boundary(slot, True, CEILING), 20)

    def test_a_little_room_is_believed_in_the_second_time(self) -> None:
        pace = Pace(20)
        for slot, room, expected in ((8, 22, 20), (16, 20, 20), (24, 22, 20), (32, 21, 21)):
            pace.measured(slot, room)
            self.assertEqual(pace.boundary(slot + 2, True, CEILING), expected)

    def test_what_was_measured_before_the_step_changed_says_nothing(self) -> None:
        pace = Pace(20)
        pace.measured(8, 28)
        self.assertEqual(pace.boundary(10, True, CEILING), 28)
        pace.measured(11, 36)
        self.assertEqual(pace.boundary(11, True, CEILING), 28)


class Falling(PaceCase):
    """The links are slower than the rate."""

    def test_it_falls_below_what_arrived(self) -> None:
        self.decide(5)
        self.link = 80
        while self.pace.step == CEILING:
            self.decide()
        self.assertEqual(self.pace.step, 76)

    def test_one_bad_slot_says_nothing(self) -> None:
        self.decide(5)
        self.pace.report(self.slot, 3)
        self.assertEqual(self.decide(3), CEILING)

    def test_it_comes_back_soon_if_that_was_an_accident(self) -> None:
        self.decide(5)
        self.link = 80
        self.decide(2)
        self.link = LAST_STEP
        self.assertGreaterEqual(self.decide(7), CEILING - 2)
        self.assertEqual(self.decide(4), CEILING)

    def test_what_had_held_for_long_is_tried_once_more_soon(self) -> None:
        self.decide(20)
        self.accident()
        self.link = CEILING - 2  # so it cannot be measured
        steps = [self.decide() for _ in range(5)]
        self.assertLess(steps[0], CEILING)
        self.assertIn(CEILING, steps[:4])
        # That failed as well, and is not tried again for a while.
        self.assertNotIn(CEILING, [self.decide() for _ in range(6)])

    def test_accidents_cost_little(self) -> None:
        self.link, self.optimism = CEILING, -4  # bursts show less
        sent = []
        for _ in range(30):
            sent += [self.decide() for _ in range(25)]
            self.accident()
        self.assertGreater(sum(map(rate, sent)) / len(sent) / rate(CEILING), 0.96)

    def test_a_link_that_halves_is_followed_within_four_seconds_if_it_doubles_within_ten(
        self,
    ) -> None:
        for start in range(8):  # anywhere between two bursts
            self.setUp()
            self.slot += start
            self.link = 80
            self.decide(20)
            for step, seconds in ((96, 10), (80, 4), (96, 10)):
                self.link = step
                decided = self.decide(int(2 * seconds / DECISION_SLOTS))
                self.assertTrue(step - 6 <= decided <= step, (start, step, decided))

    def test_what_fails_is_tried_less_and_less_often(self) -> None:
        self.link = 80
        self.optimism = 4  # whoever measures is wrong
        steps = [self.decide() for _ in range(3000)]
        too_fast = [number for number, step in enumerate(steps[10:]) if step > 80]
        self.assertTrue(5 < len(too_fast) < 3000 / 50)
        self.assertGreater(sum(map(rate, steps[100:])) / 2900 / rate(80), 0.85)
        first, second = too_fast[: len(too_fast) // 2], too_fast[len(too_fast) // 2 :]
        self.assertGreater(second[-1] - second[0], first[-1] - first[0])

    @given(
        st.lists(
            st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, LAST_STEP)),
            max_size=60,
        )
    )
    def test_whatever_is_reported_it_is_a_step_below_the_ceiling(
        self, slots: list[tuple[int, int, int]]
    ) -> None:
        pace = Pace(CEILING)
        for number, (delivered, measured, ceiling) in enumerate(slots):
            pace.report(number - 1, delivered)
            pace.report(number, delivered)
            pace.measured(number, measured)
            self.assertTrue(0 <= pace.boundary(number, True, ceiling) <= ceiling)


class Line:
    """
    A line of so many bytes a second with a queue of 100 ms, in terms of what
    passes, and how the flock fares on it: what is sent in a slot, and what of it
    arrives in time.

    @ivar slots: so far; C{short}: those of which frames did not arrive.
    @ivar used: bytes that it carried; C{offered}: that it could have.
    """

    def __init__(self, chance: Random, noise: float, jitter: float) -> None:
        """
        @param noise: share by which what it carries differs from slot to slot.
        @param jitter: seconds by which a burst may seem to take less or longer.
        """
        self.width = 1_000_000.0
        self.slots = self.short = 0
        self.used = self.offered = 0.0
        self._chance = chance
        self._noise = noise
        self._jitter = jitter
        self._queued = 0.0
        self._pace = Pace(CEILING)
        self._in_force = {0: CEILING, 1: CEILING, 2: CEILING}
        self._report = 0

    @property
    def step(self) -> int:
        """In force now."""
        return self._in_force[self.slots]

    def pass_slot(self) -> None:
        """A slot."""
        slot, step = self.slots, self.step
        frames, size = frames_per_slot(step), frame_size(step)
        width = self.width * (1 + self._noise * self._chance.uniform(-1, 1))
        in_time = width * (SLOT_SECONDS + ARRIVING) - self._queued
        arrived = max(1, min(frames, int(in_time / size)))
        delivered = delivered_step(step, arrived)
        if delivered < step:
            self.short += 1
        elif has_burst(slot):
            burst = self._queued + (burst_frames(frames) - 1) * size
            seconds = max(BURST_SECONDS, burst / width)
            seconds += self._jitter * self._chance.uniform(-1, 1)
            delivered = carried_step(step, seconds)
        room = width * SLOT_SECONDS
        self.used += min(frames * size, room)
        self.offered += room
        queued = self._queued + frames * size - room
        self._queued = max(0.0, min(queued, 0.1 * rate(step) + size))
        before, self._report = self._report, delivered
        self.slots = slot + 1
        self._pace.report(slot - 1, before)
        if has_burst(slot - 1):
            self._pace.measured(slot - 1, before)
        self._in_force[slot + 3] = self._pace.boundary(slot + 1, True, CEILING)
        self._in_force.pop(slot - 3, None)


class ADay(SynchronousTestCase):
    """A simulated day, in which the line becomes wider and narrower some hundred times."""

    def test_in_fifty_slots_less_than_one_is_short_and_most_of_the_line_is_used(self) -> None:
        for noise, jitter in ((0.0, 0.0), (0.05, 0.005), (0.1, 0.01)):
            chance = Random(1)
            line = Line(chance, noise, jitter)
            while line.slots < 172_800:
                line.width = 1_000_000 * 2 ** chance.uniform(-2, 2)
                for _ in range(chance.randrange(240, 3600)):
                    line.pass_slot()
            self.assertLess(line.short / line.slots, 1 / 50, (noise, jitter))
            self.assertGreater(line.used / line.offered, 0.85, (noise, jitter))

    def test_a_line_that_doubles_is_followed_within_ten_seconds_one_that_halves_in_five(
        self,
    ) -> None:
        chance = Random(2)
        line = Line(chance, 0.02, 0.002)
        for _ in range(200):
            for factor, seconds in ((2.0, 10.0), (0.5, 5.0)):
                for _ in range(chance.randrange(120, 240)):
                    line.pass_slot()
                line.width *= factor
                for _ in range(int(2 * seconds)):
                    line.pass_slot()
                self.assertGreater(rate(line.step), 0.5 * line.width)
                self.assertLess(rate(line.step), 1.1 * line.width)
                if factor == 2.0:
                    self.assertGreater(rate(line.step), 0.8 * line.width)

    def test_a_step_that_is_a_little_too_much_is_not_tried_again_and_again(self) -> None:
        """Queues hide for a while that a line is too slow."""
        line = Line(Random(3), 0.0, 0.01)
        line.width = 1.05 * rate(70)
        for _ in range(600):
            line.pass_slot()
        steps = []
        for _ in range(600):
            line.pass_slot()
            steps.append(line.step)
        self.assertLessEqual(max(steps), 72)
        self.assertGreater(sum(68 <= step <= 71 for step in steps), 0.9 * len(steps))


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

    def test_a_link_that_doubles_is_followed_within_ten_seconds(self) -> None:
        for seed, latency in ((1, 0.0005), (2, 0.02), (3, 0.03)):
            def delay(a: MemberId, b: MemberId, n: int, most: float = latency) -> float:
                return most * (0.5 + fate(1, a, b, n))

            network = VirtualNetwork(latency=delay)
            world = World(3, seed=seed, network=network)
            world.settle()
            width = rate(world.nodes[0].flock.state.step) * 0.2
            for factor, seconds, least in ((1.0, 40.0, 0.85), (2.0, 10.0, 0.8), (1.0, 5.0, 0.5)):
                network.narrow[world.ids[1], world.ids[2]] = width * factor
                step = self.run_busy(world, seconds)[-1]
                self.assertGreater(rate(step), least * width * factor, latency)
                self.assertLess(rate(step), 1.02 * width * factor, latency)

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
            step = world.nodes[0].flock.state.step
            self.assertGreaterEqual(step, before)
        # There is as much for one link now as there was for two.
        self.assertEqual(step, before + STEPS_PER_OCTAVE)
