# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.totals}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.index.rows import COST, Row, pack_shown
from flocknode.box.index.totals import Totals, is_conflict_name, row_digest
from flocknode.box.values import Path, VersionId
from tests.box.rows import deleted, directory, holding, rows, wanting


def totals(*rows: Row, counted: int = 0) -> Totals:
    found = Totals(counted)
    for row in rows:
        found.apply(None, row)
    return found


def showing(row: Row, *keys: int, complete: bool = True) -> Row:
    """Holders show the row's head."""
    assert row.head is not None
    shown = dict.fromkeys(keys, (row.head.id, complete))
    return replace(row, shown=pack_shown(shown))


class TotalsTests(SynchronousTestCase):
    @given(st.lists(rows(), max_size=4), st.lists(rows(), max_size=4), st.integers(0, 2**63))
    @settings(max_examples=40)
    def test_sums_do_not_depend_on_the_way_there(
        self, first: list[Row], last: list[Row], counted: int
    ) -> None:
        by_detour = totals(*first, counted=counted)
        for row in last:
            by_detour.apply(None, row)
        for row in first:
            by_detour.apply(row, None)
        straight = totals(*last, counted=counted)
        self.assertEqual(by_detour.pack(), straight.pack())
        for key in range(10):
            self.assertEqual(by_detour.lacking(key), straight.lacking(key))
        self.assertEqual(by_detour.conflicts - straight.conflicts, set())

    @given(st.lists(rows(), max_size=4))
    @settings(max_examples=20)
    def test_sums_come_back_from_what_was_stored(self, some: list[Row]) -> None:
        before, after = totals(*some), Totals()
        after.unpack(before.pack())
        self.assertEqual(after.pack(), before.pack())
        self.assertEqual(after.digest, before.digest)

    def test_files_and_what_is_needed_are_counted(self) -> None:
        found = totals(
            holding(b"a", b"12345"),
            wanting(b"b", b"123"),
            wanting(b"empty", b""),
            directory(b"d"),
            deleted(b"e"),
        )
        self.assertEqual((found.files, found.size), (1, 5))
        self.assertEqual((found.needed, found.needed_bytes), (2, 3))

    def test_the_digest_depends_on_path_heads_and_completeness(self) -> None:
        row = holding(b"a", b"x")
        others = [
            replace(row, path=Path(b"b")),
            replace(row, complete=False),
            replace(row, history=holding(b"a", b"y").history),
        ]
        self.assertEqual(len({row_digest(each) for each in [row, *others]}), 4)
        same = replace(row, number=99, placed=None, shown=showing(row, 1).shown)
        self.assertEqual(row_digest(same), row_digest(row))

    def test_who_shows_nothing_lacks_everything_that_is_complete(self) -> None:
        found = totals(holding(b"a", b"12345"), wanting(b"b", b"123"))
        self.assertEqual((found.lacking(None), found.lacking(3)), (5 + COST, 5 + COST))

    def test_who_shows_the_same_version_complete_does_not_lack_it(self) -> None:
        row = holding(b"a", b"12345")
        self.assertEqual(totals(showing(row, 3)).lacking(3), 0)
        self.assertEqual(totals(showing(row, 3, complete=False)).lacking(3), 5 + COST)
        other = pack_shown({3: (VersionId(b"other" * 3 + b"!"), True)})
        self.assertEqual(totals(replace(row, shown=other)).lacking(3), 5 + COST)

    def test_what_was_in_no_round_is_not_lacking_until_it_is_counted(self) -> None:
        first = holding(b"a", b"12345", 1, local=True)
        second = holding(b"b", b"123", 2, local=True)
        received = holding(b"c", b"1", 3)
        found = totals(first, second, received)
        self.assertEqual(found.lacking(None), 1 + COST)
        found.count(1, [first])
        self.assertEqual(found.lacking(None), 1 + COST + 5 + COST)
        found.count(3, [second])
        self.assertEqual(found.lacking(None), 1 + 5 + 3 + 3 * COST)
        for row in (first, second, received):
            found.apply(row, None)
        self.assertEqual(found.lacking(None), 0)

    def test_who_shows_an_uncounted_change_lacks_nothing_before_and_after(self) -> None:
        row = holding(b"a", b"12345", 1, local=True)
        found = totals(row)
        found.apply(row, showing(row, 4))
        self.assertEqual((found.lacking(4), found.lacking(5)), (0, 0))
        found.count(1, [showing(row, 4)])
        self.assertEqual((found.lacking(4), found.lacking(5)), (0, 5 + COST))

    def test_a_forgotten_holder_lacks_everything(self) -> None:
        found = totals(showing(holding(b"a", b"12345"), 4))
        found.forget_holder(4)
        self.assertEqual(found.lacking(4), 5 + COST)

    def test_conflict_siblings_are_listed_while_they_are_there(self) -> None:
        name = b"d/plan.conflict-20260131-093000-0123456789ab.txt"
        row = holding(name, b"x")
        found = totals(row, wanting(name + b".2", b"y"))
        self.assertEqual(found.conflicts, {name})
        found.apply(row, None)
        self.assertEqual(found.conflicts, set())

    def test_only_the_name_made_for_a_conflict_is_one(self) -> None:
        self.assertFalse(is_conflict_name(b"plan.conflict-of-interest"))
        self.assertFalse(is_conflict_name(b"x.conflict-20260131-093000-0123456789ab/plan"))
