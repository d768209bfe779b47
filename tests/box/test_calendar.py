# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.box.calendar}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.calendar import EARLIEST, FASTEST, Calendar

HOUR = 3600.0
DAY = 24 * HOUR
TODAY = EARLIEST + 2500 * DAY


class CalendarTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 50.0
        self.wall = TODAY
        self.calendar = self.make(None)

    def make(self, reached: float | None) -> Calendar:
        return Calendar(reached, lambda: self.now, lambda: self.wall)

    def test_it_shows_what_the_wall_clock_says(self) -> None:
        for _ in range(5):
            self.now += DAY
            self.wall += DAY
            self.assertEqual(self.calendar.today(), self.wall)
            self.assertEqual(self.calendar.stamp(), self.wall)

    def test_a_wrong_year_for_an_hour_is_a_day(self) -> None:
        self.wall += 3650 * DAY
        self.now += HOUR
        self.assertEqual(self.calendar.today(), TODAY + DAY)
        self.wall = TODAY + HOUR
        self.now += HOUR
        self.assertEqual(self.calendar.today(), TODAY + DAY)

    def test_a_month_without_power_is_made_up_for(self) -> None:
        self.wall += 30 * DAY
        late = self.make(TODAY)
        self.assertEqual(late.today(), TODAY)
        self.assertEqual(late.stamp(), self.wall)
        self.now += 32 * HOUR
        self.wall += 32 * HOUR
        self.assertEqual(late.today(), self.wall)

    def test_what_begins_while_the_clock_is_not_set_is_as_young_as_it_can_be(self) -> None:
        self.wall = 60.0
        self.assertEqual(self.make(TODAY).stamp(), TODAY)
        self.assertEqual(self.make(None).stamp(), EARLIEST)

    @given(st.lists(st.tuples(st.floats(0, 30 * DAY), st.floats(-9e9, 9e9))))
    def test_it_never_goes_back_nor_leaps(self, steps: list[tuple[float, float]]) -> None:
        calendar = self.make(TODAY)
        before = calendar.today()
        for passes, jumps in steps:
            self.now += passes
            self.wall += passes + jumps
            after = calendar.today()
            self.assertLessEqual(before, after)
            self.assertLessEqual(after, before + FASTEST * passes + 1)
            self.assertGreaterEqual(calendar.stamp(), after)
            before = after
