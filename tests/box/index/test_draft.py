# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.draft}.
"""

from __future__ import annotations

from msgspec.structs import replace

from flocknode.box.index.draft import Change, Draft
from flocknode.box.index.rows import Placed, Row, pack_shown
from flocknode.box.index.totals import Totals
from flocknode.box.merge.history import NOTHING
from flocknode.box.values import History, Path, VersionId
from tests.box.index.test_database import IndexCase
from tests.box.rows import deleted, directory, file, head, holding, stat, wanting


class DraftTests(IndexCase):
    def setUp(self) -> None:
        super().setUp()
        self.totals = Totals()
        self.highest = 0

    def write(self, draft: Draft) -> list[Change]:
        with self.index.transaction():
            changes, self.highest = draft.write(self.totals, self.highest)
        return changes

    def put(self, *rows: Row) -> list[Change]:
        draft = Draft(self.index)
        for row in rows:
            draft.put(row)
        return self.write(draft)

    def test_what_is_put_is_seen_here_at_once_and_elsewhere_after_writing(self) -> None:
        draft = Draft(self.index)
        row = holding(b"a", b"x")
        draft.put(row)
        self.assertEqual(draft.row(Path(b"a")), row)
        self.assertEqual(draft.get(Path(b"a")), row.history)
        self.assertIsNone(self.index.row(b"a"))
        self.write(draft)
        self.assertEqual(self.index.row(b"a"), row)

    def test_what_was_read_before_is_as_if_it_were_read_now(self) -> None:
        self.put(holding(b"a", b"x"))
        draft = Draft(self.index)
        changed = holding(b"b", b"y")
        draft.put(changed)
        draft.prepare(map(Path, (b"a", b"b", b"c")))
        self.assertEqual(draft.row(Path(b"a")), self.index.row(b"a"))
        self.assertEqual(draft.row(Path(b"b")), changed)
        self.assertEqual(draft.row(Path(b"c")), Row(Path(b"c")))
        self.assertEqual([change.path for change in self.write(draft)], [b"b"])

    def test_nothing_is_known_of_an_unknown_path(self) -> None:
        draft = Draft(self.index)
        self.assertEqual(draft.row(Path(b"a")), Row(Path(b"a")))
        self.assertIsNone(draft.get(Path(b"a")))
        self.assertFalse(draft)
        self.assertEqual(self.write(draft), [])

    def test_only_changed_history_or_completeness_makes_a_number(self) -> None:
        self.put(holding(b"a", b"x"))
        row = self.index.row(b"a")
        assert row is not None
        assert row.placed is not None
        self.assertEqual(self.put(row), [])
        shown = replace(row, shown=pack_shown({1: (VersionId(b"v" * 16), True)}))
        self.put(shown)
        touched = replace(shown, placed=replace(row.placed, disk=stat(9)))
        self.put(touched)
        self.assertEqual((self.highest, self.index.row(b"a")), (1, touched))
        self.put(replace(touched, placed=None))
        self.assertEqual(self.highest, 2)

    def test_numbers_follow_creations_before_deletions(self) -> None:
        changes = self.put(
            deleted(b"d/x"), holding(b"d2/x", b"x"), directory(b"d2"), deleted(b"d")
        )
        self.assertEqual([each.path for each in changes], [b"d2", b"d2/x", b"d/x", b"d"])
        self.assertEqual([each.new.number for each in changes if each.new], [1, 2, 3, 4])

    def test_a_row_without_heads_is_removed(self) -> None:
        self.put(holding(b"a", b"x"))
        draft = Draft(self.index)
        draft.put(Row(Path(b"a")))
        (change,) = self.write(draft)
        self.assertIsNone(change.new)
        self.assertIsNone(self.index.row(b"a"))
        self.assertEqual(self.totals.pack(), Totals().pack())

    def test_a_row_that_never_was_is_not_written(self) -> None:
        draft = Draft(self.index)
        draft.set(Path(b"a"), NOTHING)
        self.assertEqual(self.write(draft), [])

    def test_a_folder_that_holds_the_value_holds_the_version(self) -> None:
        row = holding(b"a", b"x")
        assert row.placed is not None
        self.put(row)
        newer = head(file(b"x"), 1, row.placed.id)
        draft = Draft(self.index)
        draft.set(Path(b"a"), History((newer,), ((row.placed.id, 0),)))
        self.write(draft)
        found = self.index.row(b"a")
        assert found is not None
        self.assertEqual(found.placed, replace(row.placed, id=newer.id))
        self.assertFalse(found.pending)

    def test_content_that_is_there_makes_another_version_complete(self) -> None:
        row = holding(b"a", b"x")
        assert row.placed is not None
        self.put(row)
        retimed = head(file(b"x", mtime_ns=5), 1, row.placed.id)
        other = head(file(b"y"), 1, row.placed.id)
        for version, complete in ((retimed, True), (other, False)):
            draft = Draft(self.index)
            draft.set(Path(b"a"), History((version,)))
            self.write(draft)
            found = self.index.row(b"a")
            assert found is not None
            self.assertEqual((found.complete, found.pending), (complete, True))

    def test_a_change_made_here_is_marked_while_it_is_the_head(self) -> None:
        draft = Draft(self.index)
        row = holding(b"a", b"x")
        assert row.head is not None
        draft.put(row)
        draft.put(holding(b"b", b"x"))
        draft.local = {Path(b"a"): row.head.id, Path(b"b"): VersionId(b"v" * 16)}
        self.write(draft)
        self.assertEqual({row.path for row in self.index.rows() if row.local}, {b"a"})
        newer = head(file(b"y"), 1, row.head.id)
        self.put(replace(row, history=History((newer,)), placed=None))
        self.assertEqual({row.path for row in self.index.rows() if row.local}, set())

    def test_alive_below_sees_the_index_and_what_is_drafted(self) -> None:
        self.put(directory(b"d"), directory(b"d/e"), holding(b"d/e/f", b"x"))
        draft = Draft(self.index)
        self.assertTrue(draft.alive_below(Path(b"d")))
        draft.put(deleted(b"d/e/f"))
        self.assertTrue(draft.alive_below(Path(b"d")))
        self.assertFalse(draft.alive_below(Path(b"d/e")))
        draft.put(deleted(b"d/e"))
        self.assertFalse(draft.alive_below(Path(b"d")))
        draft.put(wanting(b"d/e/g", b"y"))
        self.assertTrue(draft.alive_below(Path(b"d")))
        draft.set(Path(b"d/e/g"), NOTHING)
        self.assertFalse(draft.alive_below(Path(b"d")))
        self.assertFalse(draft.alive_below(Path(b"unknown")))

    def test_what_is_placed_without_a_version_stays_incomplete(self) -> None:
        row = wanting(b"a", b"x", placed=Placed(VersionId(b"p" * 16), file(b"o"), 1, stat()))
        self.put(row)
        self.assertEqual(self.totals.needed_bytes, 1)
