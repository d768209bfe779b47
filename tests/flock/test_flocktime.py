# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.flocktime}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.flock.flocktime import (
    EPOCH_2020_MS,
    LAST_SLOT,
    LAST_START,
    SETTLING,
    STALE_AFTER,
    Estimate,
    FlockTime,
    check_fits,
)

WALL = EPOCH_2020_MS + 100_000_000


def estimate(*samples: float) -> Estimate:
    """One that has seen these differences (own monotonic - other's time)."""
    seen = Estimate()
    for sample in samples:
        seen.add(sample, 0.0)
    return seen


class SlotTests(SynchronousTestCase):
    """Slots of 500 ms since 2020."""

    def test_the_first_of_a_flock_takes_its_wall_clock(self) -> None:
        time = FlockTime(50.0, WALL)
        self.assertEqual(time.ms(50.0), WALL)
        self.assertEqual(time.slot(50.0), 200_000)
        self.assertEqual(time.slot(50.6), 200_001)

    @given(st.floats(0, 1e6), st.integers(0, 1 << 40))
    def test_a_boundary_belongs_to_the_slot_that_it_begins(self, now: float, ms: int) -> None:
        time = FlockTime(now, EPOCH_2020_MS + ms)
        slot = time.slot(now + 7)
        self.assertEqual(time.slot(time.boundary(slot)), slot)
        self.assertLessEqual(time.boundary(slot), now + 7 + 1e-5)
        self.assertGreater(time.boundary(slot + 1), now + 7 - 1e-5)

    def test_a_wall_clock_before_2020_begins_with_slot_zero(self) -> None:
        """What a computer without a battery shows fits all the same."""
        time = FlockTime(5.0, 1000)
        self.assertEqual((time.slot(5.0), time.slot(105.0)), (0, 200))
        check_fits(time.slot(105.0), time.ms(105.0))

    def test_no_clock_begins_so_late_that_slots_run_out(self) -> None:
        time = FlockTime(0.0, 1 << 47)
        self.assertLess(time.slot(5 * 365 * 86_400), LAST_SLOT)


class EstimateTests(SynchronousTestCase):
    """How far another's clock is ahead."""

    def test_the_least_delayed_heartbeat_counts(self) -> None:
        self.assertEqual(estimate(5.03, 5.01, 5.02).least, 5.01)

    def test_it_looks_back_on_64_heartbeats(self) -> None:
        seen = estimate(5.0, *[5.01] * 63)
        self.assertEqual(seen.least, 5.0)
        seen.add(5.01, 0.0)
        self.assertEqual(seen.least, 5.01)

    @given(st.lists(st.integers(0, 20), min_size=1, max_size=200))
    def test_the_least_is_that_of_the_last_64(self, delays: list[int]) -> None:
        samples = [delay / 128 for delay in delays]
        self.assertEqual(estimate(*samples).least, min(samples[-64:]))

    def test_a_delayed_heartbeat_makes_it_uncertain_but_not_wrong(self) -> None:
        seen = estimate(5.0, 5.6)
        self.assertEqual((seen.least, seen.certain), (5.0, False))
        seen.add(5.01, 0.0)
        self.assertTrue(seen.certain)

    def test_what_never_comes_back_is_thrown_away(self) -> None:
        """The other has stepped back."""
        seen = estimate(5.0, *[9.0] * STALE_AFTER)
        self.assertEqual(seen.least, 9.0)

    def test_without_heartbeats_nothing_is_known(self) -> None:
        self.assertFalse(estimate().known)
        self.assertFalse(FlockTime(0.0, WALL).agrees_with(estimate()))


class CorrectionTests(SynchronousTestCase):
    """Bending and stepping."""

    def setUp(self) -> None:
        self.time = FlockTime(0.0, EPOCH_2020_MS + 100_000)

    def ahead(self, seconds: float) -> Estimate:
        """Of one whose clock this one is ahead of."""
        return estimate(seconds - 100.0)

    def test_it_is_bent_by_a_millisecond_a_second_at_most(self) -> None:
        self.time.correct(self.ahead(0.1), 0.5)
        self.assertAlmostEqual(self.time.at(0.0), 100.0 - 0.0005)
        self.time.correct(self.ahead(-0.1), 2.0)
        self.assertAlmostEqual(self.time.at(0.0), 100.0 + 0.0015)

    def test_it_is_bent_no_further_than_needed(self) -> None:
        self.time.correct(self.ahead(0.0001), 0.5)
        self.assertAlmostEqual(self.time.at(0.0), 99.9999)

    def test_the_lowest_id_bends_to_nobody(self) -> None:
        self.time.correct(None, 0.5)
        self.assertEqual(self.time.at(0.0), 100.0)

    def test_all_that_is_tolerated_is_corrected(self) -> None:
        """Or two who tolerate each other would stay apart for ever."""
        other = self.ahead(0.39)
        self.assertFalse(self.time.agrees_with(other))
        self.assertTrue(self.time.agrees_with(other, shown=True))
        self.time.correct(other, 0.5)
        self.assertAlmostEqual(self.time.at(0.0), 100.0 - 0.0005)

    def test_it_is_not_bent_towards_another_flock(self) -> None:
        self.time.correct(self.ahead(3.0), 0.5)
        self.assertEqual(self.time.at(0.0), 100.0)

    def test_a_time_is_adopted_in_one_step(self) -> None:
        other = self.ahead(7200.0)
        self.assertFalse(self.time.agrees_with(other))
        self.time.adopt(other)
        self.assertAlmostEqual(self.time.at(0.0), 100.0 - 7200.0)
        self.assertTrue(self.time.agrees_with(other))

    def test_no_time_is_adopted_at_which_slots_run_out_soon(self) -> None:
        for seconds, expected in ((LAST_START - 10, True), (LAST_START + 10, False)):
            late = Estimate()
            late.add(7.0, seconds)
            self.assertEqual(FlockTime(0.0, WALL).may_adopt(late, 7.0), expected)

    def test_a_better_estimate_of_an_adopted_time_is_adopted_at_once_for_a_while(self) -> None:
        other = self.ahead(50.15)
        self.time.adopt(other)
        other.add(50.0 - 100.0, 0.0)
        self.time.correct(None, 0.5)
        self.assertAlmostEqual(self.time.at(0.0), 50.0)
        for _ in range(SETTLING):
            self.time.correct(None, 0.5)
        other.add(49.9 - 100.0, 0.0)
        self.time.correct(other, 0.5)
        self.assertAlmostEqual(self.time.at(0.0), 50.0 + 0.0005)

    def test_one_who_comes_over_agrees_at_once(self) -> None:
        other = self.ahead(3.0)
        self.time.observe(other, 10.0, EPOCH_2020_MS + 110_000)
        self.assertTrue(self.time.agrees_with(other))



class FittingTests(SynchronousTestCase):
    """L{check_fits}."""

    def test_a_slot_and_a_time_that_belong_together_fit(self) -> None:
        time = FlockTime(0.0, EPOCH_2020_MS + 10_000_000)
        for seconds in (0.0, 0.49, 0.5, 1_000.3):
            check_fits(time.slot(seconds), time.ms(seconds))

    def test_a_moment_between_reading_the_two_does_not_matter(self) -> None:
        check_fits(20, EPOCH_2020_MS + 11_900)

    def test_others_do_not_fit(self) -> None:
        for slot, seconds in ((20, 1_000), (1_000, 10), (LAST_SLOT, LAST_SLOT // 2)):
            with self.assertRaises(ProtocolError):
                check_fits(slot, EPOCH_2020_MS + seconds * 1_000)
