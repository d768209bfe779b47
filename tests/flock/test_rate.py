# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.rate}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock import rate

STEPS = st.integers(0, rate.LAST_STEP)


class TableTests(SynchronousTestCase):
    """What a step means."""

    def test_sixteen_steps_are_an_octave_from_64_kib(self) -> None:
        self.assertEqual(rate.rate(0), 65_536)
        self.assertEqual(rate.rate(16), 131_072)

    @given(STEPS)
    def test_a_rate_gives_its_step_back(self, step: int) -> None:
        self.assertEqual(rate.step_of(rate.rate(step)), step)

    @given(st.floats(65_536, 1e9))
    def test_a_step_is_never_faster_than_what_it_is_for(self, bytes_per_second: float) -> None:
        step = rate.step_of(bytes_per_second)
        self.assertLessEqual(rate.rate(step), bytes_per_second * 1.000001)
        self.assertGreater(rate.rate(step + 1), bytes_per_second)

    @given(STEPS)
    def test_frames_of_a_slot_carry_the_rate(self, step: int) -> None:
        carried = 2 * rate.frames_per_slot(step) * rate.frame_size(step)
        self.assertLess(abs(carried / rate.rate(step) - 1), 0.06)

    @given(st.integers(0, rate.LAST_STEP - 1))
    def test_a_faster_step_carries_more(self, step: int) -> None:
        self.assertGreaterEqual(rate.slot_payload(step + 1), rate.slot_payload(step))

    def test_frame_sizes_grow_with_the_step(self) -> None:
        sizes = [rate.frame_size(step) for step in range(rate.LAST_STEP + 1)]
        self.assertEqual(sorted(sizes), sizes)
        self.assertEqual(set(sizes), {4117, 16_405, 65_557})

    @given(st.integers(rate.MEDIUM_FROM, rate.LAST_STEP))
    def test_a_burst_of_larger_frames_has_enough_of_them_to_be_timed(self, step: int) -> None:
        self.assertGreaterEqual(rate.burst_frames(rate.frames_per_slot(step)), 8)

    def test_a_node_with_seven_links_does_not_send_a_thousand_frames_a_second_at_50_mbit(
        self,
    ) -> None:
        step = rate.uplink_step(6_250_000, 7)
        self.assertLess(7 * 2 * rate.frames_per_slot(step), 1_000)

    @given(st.integers(1, 1 << 40), st.integers(1, 255))
    def test_a_round_keeps_to_the_slowest_octave_that_carries_it_in_half_a_slot(
        self, payload: int, peers: int
    ) -> None:
        octave = rate.round_octave(payload, peers)
        if octave:
            step = rate.octave_step(octave)
            self.assertGreaterEqual(rate.slot_payload(step), 2 * payload)
            slower = rate.octave_step(octave - 1) if octave > 1 else 0
            in_all = rate.rate(slower) * peers
            self.assertTrue(
                octave == 1
                or rate.slot_payload(slower) < 2 * payload
                or (slower < rate.AT_EASE and in_all < rate.AT_EASE_IN_ALL)
            )
        else:
            fastest = rate.octave_step(rate.LAST_OCTAVE)
            self.assertLess(rate.slot_payload(fastest), 2 * payload)

    def test_a_small_round_of_three_has_small_frames(self) -> None:
        self.assertEqual(rate.octave_step(rate.round_octave(40_000, 2)), rate.AT_EASE)
        self.assertEqual(rate.frame_size(rate.AT_EASE), 4117)

    def test_without_an_octave_lines_decide(self) -> None:
        self.assertEqual(rate.octave_step(0), rate.LAST_STEP)

    def test_an_uplink_is_shared_by_all_who_get_a_part_of_it(self) -> None:
        self.assertEqual(rate.uplink_step(4_000_000, 4), rate.uplink_step(1_000_000, 1))
        self.assertEqual(rate.uplink_step(1_000_000, 0), rate.uplink_step(1_000_000, 1))

    @given(st.floats(70_000, 1e9))
    def test_what_is_sent_on_a_link_is_never_more_than_its_share(self, share: float) -> None:
        step = rate.step_of(share)
        fitting = rate.uplink_step(int(3 * share), 3)
        self.assertTrue(step - 2 <= fitting <= step)
        if fitting:
            sent = 2 * rate.frames_per_slot(fitting) * rate.frame_size(fitting)
            self.assertLessEqual(sent, share)

    def test_a_very_slow_uplink_has_step_zero(self) -> None:
        self.assertEqual(rate.uplink_step(10_000, 3), 0)

    def test_queues_hold_100_ms_but_at_least_four_frames(self) -> None:
        self.assertEqual(rate.queue_limit(0), 4)
        self.assertEqual(rate.queue_limit(160), 103)


class DeliveredTests(SynchronousTestCase):
    """What arrived, as a step."""

    @given(STEPS)
    def test_all_frames_deliver_the_step_itself(self, step: int) -> None:
        self.assertEqual(rate.delivered_step(step, rate.frames_per_slot(step)), step)

    @given(STEPS)
    def test_one_frame_in_32_may_be_missing(self, step: int) -> None:
        due = rate.frames_per_slot(step)
        self.assertEqual(rate.delivered_step(step, due - due // 32), step)
        self.assertLess(rate.delivered_step(step, due - due // 32 - 1), max(step, 1))

    @given(STEPS.filter(lambda step: step > 16))
    def test_half_of_them_deliver_an_octave_less(self, step: int) -> None:
        half = rate.frames_per_slot(step) // 2
        self.assertLessEqual(abs(rate.delivered_step(step, half) - (step - 16)), 4)

    def test_none_deliver_step_zero(self) -> None:
        self.assertEqual(rate.delivered_step(80, 0), 0)


class BurstTests(SynchronousTestCase):
    """What a burst says."""

    def seconds(self, step: int, width: float) -> float:
        """How long that of a slot at C{step} takes over a line of so many bytes a second."""
        frames = rate.burst_frames(rate.frames_per_slot(step))
        leaving = rate.BURST_SECONDS * (frames - 1) / frames
        return max(leaving, (frames - 1) * rate.frame_size(step) / width)

    def test_each_eighth_slot_has_one(self) -> None:
        self.assertEqual(sum(map(rate.has_burst, range(800))), 100)

    @given(st.integers(0, rate.LAST_STEP - 16), st.floats(1.0, 1.8))
    def test_it_says_a_little_less_than_the_line_carries(self, step: int, room: float) -> None:
        width = rate.rate(step) * room
        found = rate.carried_step(step, self.seconds(step, width))
        self.assertLessEqual(rate.rate(found), max(width, rate.rate(step)) * 1.000001)
        self.assertGreater(rate.rate(found + 1 + rate.MARGIN) * 1.000001, width)

    @given(STEPS, st.floats(0.0, 10.0))
    def test_it_says_an_octave_more_at_most_and_never_less_than_came(
        self, step: int, seconds: float
    ) -> None:
        found = rate.carried_step(step, seconds)
        self.assertTrue(step <= found <= min(step + 16, rate.LAST_STEP))


class StepsTests(SynchronousTestCase):
    """Which step is in force."""

    def setUp(self) -> None:
        self.steps = rate.Steps(own=40)

    def test_it_is_the_own_one_until_a_leader_decides(self) -> None:
        self.assertEqual(self.steps.at(7), 40)

    def test_it_is_what_the_leader_decided(self) -> None:
        self.steps.decide(7, 20)
        self.assertEqual(self.steps.at(7), 20)

    def test_it_carries_on_where_no_decision_was_heard(self) -> None:
        self.steps.decide(7, 20)
        self.steps.decide(9, 30)
        self.assertEqual((self.steps.at(8), self.steps.at(10)), (20, 30))

    def test_the_first_decision_counts(self) -> None:
        self.steps.decide(7, 20)
        self.steps.decide(7, 10)
        self.assertEqual(self.steps.at(7), 20)

    def test_it_is_never_faster_than_the_own_uplink(self) -> None:
        self.steps.decide(7, 90)
        self.assertEqual(self.steps.at(7), 40)

    def test_less_of_ones_own_is_left_to_the_leader_for_a_while(self) -> None:
        self.steps.decide(7, 90)
        self.steps.fit(24)
        self.assertEqual((self.steps.own, self.steps.at(7)), (24, 40))
        for _ in range(rate.HEEDED - 1):
            self.steps.fit(24)
        self.assertEqual(self.steps.at(7), 24)

    def test_more_of_ones_own_counts_at_once(self) -> None:
        self.steps.decide(7, 90)
        self.steps.fit(56)
        self.assertEqual((self.steps.own, self.steps.at(7)), (56, 56))

    def test_a_cap_counts_at_once_and_is_shown(self) -> None:
        self.steps.decide(7, 90)
        self.steps.cap = 10
        self.assertEqual((self.steps.own, self.steps.at(7)), (10, 10))
        self.steps.cap = rate.LAST_STEP
        self.assertEqual((self.steps.own, self.steps.at(7)), (40, 40))

    def bursts(self) -> list[int]:
        """Slots with one, of the next sixteen."""
        return [slot for slot in range(16) if self.steps.has_burst(slot)]

    def test_at_the_least_uplink_no_slot_has_a_burst(self) -> None:
        self.assertEqual(self.bursts(), [0, 8])
        self.steps.ceiling = 41
        self.assertEqual(self.bursts(), [0, 8])
        self.steps.ceiling = 40
        self.assertEqual(self.bursts(), [])
        self.steps.decide(8, 39)
        self.assertEqual(self.bursts(), [8])

    def test_a_round_at_ease_has_none(self) -> None:
        self.steps.round_cap = 39
        self.assertEqual(self.bursts(), [])

    def test_it_carries_on_when_the_past_is_forgotten(self) -> None:
        self.steps.decide(7, 20)
        self.steps.forget_before(100)
        self.assertEqual(self.steps.at(100), 20)

    def test_it_carries_on_when_slots_get_other_numbers(self) -> None:
        self.steps.decide(7000, 20)
        self.steps.restart()
        self.assertEqual(self.steps.at(3), 20)
