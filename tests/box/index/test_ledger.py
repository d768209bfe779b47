# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.ledger}.
"""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from flocknode.box.index.database import Index
from flocknode.box.index.draft import Draft
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import COST, Row, pack_shown
from flocknode.box.values import Holder, VersionId
from tests.box.index.test_database import IndexCase
from tests.box.rows import holding

ANN, BEN = Holder(b"a" * 16), Holder(b"b" * 16)


class LedgerTests(IndexCase):
    def setUp(self) -> None:
        super().setUp()
        self.ledger = Ledger(self.index, Random(1))

    def again(self) -> Ledger:
        """As after a restart."""
        self.index.close()
        self.index = Index(self.path)
        return Ledger(self.index, Random(2))

    def commit(self, *rows: Row, fail: bool = False) -> None:
        def also() -> None:
            if fail:
                raise KeyboardInterrupt

        draft = Draft(self.index)
        for row in rows:
            draft.put(row)
        self.ledger.commit(draft, also)

    def test_everything_is_there_after_a_restart(self) -> None:
        row = self.ledger.meet(ANN, 5)
        self.ledger.stored(row, 7)
        self.ledger.acknowledge(BEN, self.ledger.index_id, 0)
        entry = holding(b"a", b"x", local=True)
        assert entry.head is not None
        shown = pack_shown({row.key: (entry.head.id, True)})
        self.commit(replace(entry, shown=shown), holding(b"b", b"12"))
        self.ledger.set_folder(b"f" * 16)
        before = self.ledger
        after = self.again()
        for name in ("index_id", "highest", "folder_id", "lacking"):
            old, new = getattr(before, name), getattr(after, name)
            self.assertEqual(old() if callable(old) else old, new() if callable(new) else new)
        self.assertEqual(after.totals.pack(), before.totals.pack())
        self.assertEqual(after.lacking(), {ANN: 2 + COST, BEN: 3 + 2 * COST})
        known = after.holder(ANN)
        assert known is not None
        self.assertEqual((known.index_id, known.number), (5, 7))

    def test_what_failed_leaves_everything_as_it_was(self) -> None:
        self.commit(holding(b"a", b"x"))
        before = self.ledger.totals.pack(), self.ledger.highest
        self.assertRaises(KeyboardInterrupt, self.commit, holding(b"b", b"y"), fail=True)
        self.assertEqual((self.ledger.totals.pack(), self.ledger.highest), before)
        self.assertIsNone(self.index.row(b"b"))
        self.commit(holding(b"c", b"z"))
        self.assertEqual(self.ledger.highest, before[1] + 1)

    def test_the_number_of_a_removed_row_is_not_given_out_again(self) -> None:
        self.commit(holding(b"a", b"x"))
        self.commit(Row(holding(b"a", b"x").path))
        self.assertEqual(self.again().highest, 1)

    def test_nothing_that_another_index_showed_counts(self) -> None:
        row = self.ledger.meet(ANN, 5)
        entry = holding(b"a", b"x")
        assert entry.head is not None
        self.commit(replace(entry, shown=pack_shown({row.key: (entry.head.id, True)})))
        found = self.index.row(b"a")
        assert found is not None
        self.assertEqual(self.ledger.showing(found, entry.head), {ANN})
        self.assertEqual(self.ledger.lacking(), {ANN: 0})
        self.ledger.meet(ANN, 6)
        self.assertEqual(self.ledger.showing(found, entry.head), frozenset())
        self.assertEqual(self.ledger.lacking(), {ANN: 1 + COST})

    def test_who_shows_the_same_value_holds_the_content(self) -> None:
        entry = holding(b"a", b"x")
        assert entry.head is not None
        keys = [self.ledger.meet(holder, 1).key for holder in (ANN, BEN)]
        same = VersionId(b"parents!" + entry.head.id[8:])
        shown = pack_shown({keys[0]: (same, True), keys[1]: (entry.head.id, False)})
        row = replace(entry, shown=shown)
        self.assertEqual(self.ledger.showing(row, entry.head), {ANN})

    def test_acknowledged_numbers_only_rise(self) -> None:
        self.commit(holding(b"a", b"x"), holding(b"b", b"x"))
        self.ledger.announced = 2
        for number in (1, 2, 1):
            self.assertFalse(self.ledger.acknowledge(ANN, self.ledger.index_id, number))
        self.assertFalse(self.ledger.acknowledge(BEN, 12345, 2))
        row = self.ledger.holder(ANN)
        assert row is not None
        self.assertEqual((row.acknowledged, self.ledger.holder(BEN)), (2, None))
        self.assertEqual(self.ledger.meet(ANN, 9).acknowledged, 2)

    def test_an_acknowledged_number_that_was_never_given_out_makes_a_new_id(self) -> None:
        self.commit(holding(b"a", b"x"), holding(b"b", b"x"))
        self.ledger.announced = 1
        self.ledger.acknowledge(BEN, self.ledger.index_id, 1)
        before = self.ledger.index_id
        self.assertTrue(self.ledger.acknowledge(ANN, before, 2))
        self.assertNotEqual(self.ledger.index_id, before)
        self.assertEqual(self.again().index_id, self.ledger.index_id)
        row = self.ledger.holder(BEN)
        assert row is not None
        self.assertEqual(row.acknowledged, 0)

    def test_counted_changes_are_no_longer_left_out(self) -> None:
        draft = Draft(self.index)
        for name in (b"a", b"b"):
            row = holding(name, b"x")
            assert row.head is not None
            draft.put(row)
            draft.local[row.path] = row.head.id
        self.ledger.commit(draft)
        self.assertEqual(self.ledger.totals.lacking(None), 0)
        self.ledger.counted(1)
        self.assertEqual(self.ledger.totals.lacking(None), 1 + COST)
        self.ledger.counted(2)
        self.ledger.counted(1)
        self.assertEqual(self.ledger.totals.lacking(None), 2 * (1 + COST))
