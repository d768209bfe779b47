# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.intake}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.intake import ENOUGH, REMEMBERED, SLACK, Intake
from flocknode.flock.rate import BURST_EVERY

BURST = 10 * BURST_EVERY
"""A slot with one."""
SIZE = 4117


class IntakeTests(SynchronousTestCase):
    """Frames that come in."""

    def setUp(self) -> None:
        self.intake = Intake()
        for slot in range(BURST - ENOUGH, BURST):
            self.intake.add(slot, 0.012, SIZE)

    def burst(self, *times: float) -> float | None:
        """@return: how long frames at these times took, as it says."""
        for time in times:
            self.intake.add(BURST, time, SIZE)
        return self.intake.seconds(BURST, len(times))

    def test_frames_are_counted_by_slot(self) -> None:
        for slot in (3, 4, 3, 4, 4):
            self.intake.add(slot, 0.1, SIZE)
        self.assertEqual([self.intake.count(slot) for slot in (2, 3, 4)], [0, 2, 3])

    def test_bytes_are_counted_by_the_time_in_which_they_come(self) -> None:
        for slot, after in ((20, 0.1), (20, 0.6), (20, 1.1), (21, 0.6), (22, 0.0)):
            self.intake.add(slot, after, 100)
        self.assertEqual([self.intake.passed(s) for s in range(19, 24)], [0, 100, 100, 300, 0])

    def test_slots_long_past_are_forgotten(self) -> None:
        for slot in range(100):
            self.intake.add(slot, 0.1, SIZE)
        counted = [slot for slot in range(100) if self.intake.count(slot)]
        self.assertEqual(counted, list(range(100 - REMEMBERED, 100)))

    def test_a_burst_is_timed_from_its_first_frame(self) -> None:
        self.assertAlmostEqual(self.burst(0.015, 0.05, 0.115) or 0, 0.1)

    def test_a_receiver_that_stood_still_does_not_take_it_for_quick(self) -> None:
        self.assertAlmostEqual(self.burst(0.2, 0.2, 0.2) or 0, 0.188 - SLACK)

    def test_nor_does_one_behind_a_queue_that_is_seldom_empty(self) -> None:
        for slot in range(BURST - 3, BURST):
            self.intake.add(slot, 0.11, SIZE)
        self.assertAlmostEqual(self.burst(0.11, 0.16, 0.21) or 0, 0.198 - SLACK)

    def test_without_anything_to_compare_it_with_it_says_nothing(self) -> None:
        self.intake.renew()
        self.assertIsNone(self.burst(0.01, 0.05))

    def test_nor_if_not_all_has_come_or_of_another_slot(self) -> None:
        self.burst(0.01, 0.05)
        self.assertIsNone(self.intake.seconds(BURST, 3))
        self.assertIsNone(self.intake.seconds(BURST - BURST_EVERY, 2))

    def test_nothing_is_left_when_it_falls_silent(self) -> None:
        self.burst(0.01, 0.05)
        self.intake.clear()
        self.assertEqual(self.intake.count(BURST), 0)
        self.assertIsNone(self.intake.seconds(BURST, 1))
