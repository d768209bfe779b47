# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.retention}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.index.contents import KeptRow
from flocknode.box.retention import (
    DAY,
    HOUR,
    WEEK,
    YEAR,
    KeepFor,
    KeepLast,
    KeepNone,
    Policy,
    Staggered,
    dropped,
)
from flocknode.box.values import Kind, Path

NOW = 3000 * WEEK
"""The beginning of an hour, a day and a week."""


def version(name: bytes, path: bytes, size: int, age: float) -> KeptRow:
    """Kept so many seconds before L{NOW}."""
    return KeptRow(name, Path(path), b"", size, Kind.FILE, 0, 0, NOW - age)


def versions(*ages: float, path: bytes = b"file", size: int = 1) -> list[KeptRow]:
    """Kept so many seconds before L{NOW}."""
    return [
        version(b"%s %d" % (path, number), path, size, age)
        for number, age in enumerate(ages)
    ]


ages = st.one_of(
    st.floats(0, 3 * HOUR), st.floats(0, 3 * DAY), st.floats(0, 60 * DAY), st.floats(0, 2 * YEAR)
)
lists = st.lists(
    st.builds(
        lambda number, path, size, age: version(b"%020d" % number, path, size, age),
        st.integers(0, 10**15),
        st.sampled_from((b"a", b"b", b"a/c")),
        st.integers(0, 1000),
        ages,
    ),
    max_size=60,
    unique_by=lambda version: version.name,
)
policies: st.SearchStrategy[Policy] = st.one_of(
    st.just(KeepNone()),
    st.builds(KeepLast, st.integers(1, 5)),
    st.builds(KeepFor, ages),
    st.just(Staggered()),
)


class Left(SynchronousTestCase):
    """What is left under each policy."""

    def left(
        self,
        policy: Policy,
        kept: list[KeptRow],
        now: float = NOW,
        limit: int | None = None,
    ) -> list[KeptRow]:
        gone = dropped(kept, policy, limit, now)
        return [version for version in kept if version.name not in gone]

    def test_none_keeps_nothing(self) -> None:
        self.assertEqual(self.left(KeepNone(), versions(-5, 0, 5)), [])

    def test_a_count_is_that_of_each_path(self) -> None:
        a, b = versions(3, 1, 2, path=b"a"), versions(9, path=b"b")
        self.assertEqual(self.left(KeepLast(2), a + b), [a[1], a[2], b[0]])

    def test_a_time_is_the_same_for_all(self) -> None:
        kept = versions(10, 20, 30)
        self.assertEqual(self.left(KeepFor(20), kept), kept[:2])

    def test_staggered_keeps_all_of_the_last_hour(self) -> None:
        kept = versions(*range(0, 3600, 60))
        self.assertEqual(self.left(Staggered(), kept), kept)

    def test_staggered_keeps_the_newest_of_each_hour_of_the_last_day(self) -> None:
        kept = versions(*(10 * HOUR - minutes * 60 for minutes in (1, 20, 40, 59)))
        self.assertEqual(self.left(Staggered(), kept), kept[-1:])
        kept = versions(*(hours * HOUR for hours in range(2, 24)))
        self.assertEqual(self.left(Staggered(), kept), kept)

    def test_staggered_keeps_the_newest_of_each_day_of_the_last_30(self) -> None:
        kept = versions(*(5 * DAY - hours * HOUR for hours in (1, 8, 23)))
        self.assertEqual(self.left(Staggered(), kept), kept[-1:])
        kept = versions(*(days * DAY for days in range(2, 30)))
        self.assertEqual(self.left(Staggered(), kept), kept)

    def test_staggered_keeps_the_newest_of_each_week_of_the_last_year(self) -> None:
        kept = versions(*(20 * WEEK - days * DAY for days in (1, 3, 6)))
        self.assertEqual(self.left(Staggered(), kept), kept[-1:])
        kept = versions(*(weeks * WEEK for weeks in range(5, 53)))
        self.assertEqual(self.left(Staggered(), kept), kept)

    def test_staggered_keeps_nothing_longer_than_a_year(self) -> None:
        self.assertEqual(self.left(Staggered(), versions(YEAR + 1)), [])

    def test_beyond_the_size_the_oldest_of_whatever_path_go(self) -> None:
        a, b = versions(1, 4, path=b"a", size=10), versions(2, 3, path=b"b", size=10)
        self.assertEqual(self.left(KeepFor(100), a + b, limit=25), [a[0], b[0]])
        self.assertEqual(self.left(KeepFor(100), a + b, limit=40), a + b)

    @given(lists, policies, st.floats(0, 60 * DAY), st.floats(0, 60 * DAY))
    def test_pruning_often_ends_as_pruning_once(
        self, kept: list[KeptRow], policy: Policy, soon: float, later: float
    ) -> None:
        between = self.left(policy, kept, NOW + soon)
        at_last = self.left(policy, between, NOW + soon + later)
        self.assertEqual(at_last, self.left(policy, kept, NOW + soon + later))

    @given(lists, st.floats(0, 60 * DAY))
    def test_staggered_always_leaves_the_newest_of_a_year(
        self, kept: list[KeptRow], later: float
    ) -> None:
        left = self.left(Staggered(), kept, NOW + later)
        for path in {version.path for version in kept}:
            of_path = [version for version in kept if version.path == path]
            newest = max(of_path, key=lambda version: (version.kept, version.name))
            self.assertEqual(newest in left, newest.kept >= NOW + later - YEAR)

    @given(lists)
    def test_staggered_leaves_one_of_a_stretch_that_is_old_enough(
        self, kept: list[KeptRow]
    ) -> None:
        left = self.left(Staggered(), kept)
        for length, age in ((HOUR, 2 * HOUR), (DAY, 2 * DAY), (WEEK, 30 * DAY + WEEK)):
            old = [
                (version.path, version.kept // length)
                for version in left
                if version.kept < NOW - age
            ]
            self.assertEqual(len(old), len(set(old)))

    @given(lists, policies, st.integers(0, 5000))
    def test_what_is_left_fits_and_goes_oldest_first(
        self, kept: list[KeptRow], policy: Policy, limit: int
    ) -> None:
        allowed = self.left(policy, kept)
        left = self.left(policy, kept, limit=limit)
        self.assertLessEqual(sum(version.size for version in left), limit)
        gone = [version for version in allowed if version not in left]
        if gone:
            last = max(gone, key=lambda version: (version.kept, version.name))
            self.assertTrue(all((v.kept, v.name) > (last.kept, last.name) for v in left))
            self.assertGreater(sum(v.size for v in left) + last.size, limit)
