# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.pacing}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.fetch.pacing import SLOWEST, STALLED, WINDOW, Bucket, Pace, Quota


class Paces(SynchronousTestCase):
    """Whether a body still comes."""

    def test_what_comes_fast_enough_is_never_late(self) -> None:
        pace = Pace(0.0)
        for second in range(1, 1000):
            pace.heard(SLOWEST, float(second))
            self.assertEqual(pace.late(float(second)), "")

    def test_what_stalls_is_late(self) -> None:
        pace = Pace(100.0)
        pace.heard(1 << 30, 110.0)
        self.assertEqual(pace.late(110.0 + STALLED - 1), "")
        self.assertIn("Nothing came", pace.late(110.0 + STALLED))

    def test_a_slow_drip_is_late_after_its_window(self) -> None:
        pace = Pace(0.0)
        now = 0.0
        while not pace.late(now):
            now += 5.0
            pace.heard(SLOWEST * 5 - 100, now)
        self.assertEqual(now, WINDOW)

    def test_a_body_that_becomes_slow_is_late_in_the_next_window(self) -> None:
        pace = Pace(0.0)
        pace.heard(1 << 20, 1.0)
        now = 1.0
        while not pace.late(now):
            now += 5.0
            pace.heard(1, now)
        self.assertLessEqual(now, 2 * WINDOW + 5)

    def test_time_in_which_nobody_reads_does_not_count(self) -> None:
        pace = Pace(0.0)
        pace.heard(10, 1.0)
        pace.pause(2.0)
        pace.pause(500.0)
        self.assertEqual(pace.late(1000.0), "")
        pace.resume(1000.0)
        pace.resume(1010.0)
        self.assertEqual(pace.late(1000.0 + STALLED - 2), "")
        self.assertNotEqual(pace.late(1000.0 + STALLED), "")


class Buckets(SynchronousTestCase):
    """A limit for all bodies."""

    def test_without_a_limit_nothing_waits(self) -> None:
        bucket = Bucket(0, Clock().seconds)
        bucket.spent(1 << 40)
        self.assertEqual(bucket.delay(), 0)

    def test_what_is_too_much_is_paid_for_in_time(self) -> None:
        clock = Clock()
        bucket = Bucket(1000, clock.seconds)
        bucket.spent(1000)
        self.assertEqual(bucket.delay(), 0)
        bucket.spent(2000)
        self.assertEqual(bucket.delay(), 2)
        clock.advance(1.5)
        self.assertEqual(bucket.delay(), 0.5)

    @given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 30)), max_size=50))
    def test_who_waits_as_told_stays_within_the_rate(self, steps: list[tuple[int, int]]) -> None:
        clock = Clock()
        bucket = Bucket(1000, clock.seconds)
        spent = 0
        for size, pause in steps:
            clock.advance(pause / 8)
            clock.advance(bucket.delay())
            # Rounding aside, all before this was within the rate and one burst.
            self.assertLessEqual(spent, 1000 * (clock.seconds() + 1) + 1e-3)
            bucket.spent(size)
            spent += size


class Quotas(SynchronousTestCase):
    """What may be brought in on a day."""

    def test_there_is_so_much_each_day(self) -> None:
        clock = Clock()
        clock.advance(86_400 * 20_000 + 80_000)
        quota = Quota(1000, clock.seconds)
        quota.take(900)
        self.assertTrue(quota.allows(100))
        self.assertFalse(quota.allows(101))
        clock.advance(6_399)
        self.assertFalse(quota.allows(101))
        clock.advance(1)
        self.assertTrue(quota.allows(1000))

    def test_what_did_not_come_is_given_back(self) -> None:
        quota = Quota(1000, Clock().seconds)
        quota.take(900)
        quota.take(-900)
        self.assertEqual(quota.spent, 0)
        self.assertTrue(quota.allows(1000))

    def test_what_is_given_back_after_midnight_is_not_given_twice(self) -> None:
        clock = Clock()
        quota = Quota(1000, clock.seconds)
        quota.take(900)
        clock.advance(86_400)
        quota.take(-900)
        self.assertEqual(quota.spent, 0)
        self.assertFalse(quota.allows(1001))

    def test_none_is_no_limit(self) -> None:
        self.assertTrue(Quota(0, Clock().seconds).allows(1 << 50))
