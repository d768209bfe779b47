# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.database} and L{flocknode.box.index.contents}.
"""

from __future__ import annotations

import os
import sqlite3

from hypothesis import given, settings
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import BlockList, encode_list
from flocknode.box.index.columns import disk_tuple
from flocknode.box.index.contents import FoundBlock, KeptRow
from flocknode.box.index.database import HolderRow, Index
from flocknode.box.index.rows import Row, pack_shown
from flocknode.box.values import Hash, Holder, Kind, Path, VersionId
from flocknode.errors import BoxError
from tests.box.rows import content, deleted, directory, file, holding, rows, stat, wanting

HOLDER = Holder(b"h" * 16)


class IndexCase(SynchronousTestCase):
    """An index in a fresh file."""

    def setUp(self) -> None:
        self.path = os.path.join(self.mktemp(), "boxes", "index.sqlite")
        self.index = Index(self.path)
        self.addCleanup(self.index.close)

    def save(self, *saved: Row) -> None:
        with self.index.transaction():
            self.index.save(saved)


class EntryTests(IndexCase):
    @given(rows())
    @settings(max_examples=60)
    def test_a_row_comes_back_as_it_was(self, row: Row) -> None:
        self.save(row)
        self.assertEqual(self.index.row(row.path), row)

    def test_of_an_unknown_path_there_is_nothing(self) -> None:
        self.save(holding(b"a/b", b"x"))
        self.assertIsNone(self.index.row(b"a"))
        self.assertIsNone(self.index.disk(b"b"))

    def test_many_rows_can_be_read_at_once(self) -> None:
        saved = [holding(path, b"x") for path in (b"a", b"b", b"d/a", b"d/c")]
        many = [holding(b"m/%d" % number, b"x") for number in range(600)]
        self.save(*saved, *many)
        wanted = [Path(b"a"), Path(b"c"), Path(b"d/c"), Path(b"e/a")]
        found = {row.path: row for row in self.index.known_rows(wanted)}
        self.assertEqual(found, {b"a": saved[0], b"d/c": saved[3]})
        self.assertEqual(len(list(self.index.known_rows(row.path for row in many))), 600)

    def test_saving_again_replaces(self) -> None:
        self.save(holding(b"a/b", b"x", 1))
        self.save(holding(b"a/b", b"y", 2))
        self.assertEqual([row.number for row in self.index.rows()], [2])

    def test_only_what_others_show_can_be_replaced(self) -> None:
        row = holding(b"a", b"x")
        shown = pack_shown({1: (VersionId(b"v" * 16), True)})
        self.save(row)
        with self.index.transaction():
            self.index.save_shown([Row(Path(b"a"), 99, shown=shown)])
        self.assertEqual(
            self.index.row(b"a"),
            Row(row.path, row.number, row.history, True, row.placed, False, shown),
        )

    def test_rows_come_in_the_order_of_their_numbers(self) -> None:
        self.save(*(holding(b"%d" % number, b"x", number) for number in (5, 3, 9, 1)))
        self.assertEqual([row.number for row in self.index.rows_after(1)], [3, 5, 9])

    def test_a_forgotten_row_is_gone(self) -> None:
        self.save(holding(b"a/b", b"x"), holding(b"a/c", b"x"))
        with self.index.transaction():
            self.index.forget([b"a/b"])
        self.assertEqual([row.path for row in self.index.rows()], [b"a/c"])

    def test_below_is_what_starts_with_the_path_and_a_slash(self) -> None:
        paths = [b"a", b"a/b", b"a/b/c", b"a/", b"a.b", b"a0", b"a/\xff/z", b"ab/c", b"b"]
        paths.remove(b"a/")
        self.save(*(holding(path, b"x") for path in paths))
        below = {row.path for row in self.index.below(b"a")}
        self.assertEqual(below, {b"a/b", b"a/b/c", b"a/\xff/z"})
        self.assertEqual(set(self.index.alive_below(b"a")), below)
        self.assertEqual(len(list(self.index.below(b""))), len(paths))

    def test_tombstones_are_not_alive_below(self) -> None:
        self.save(directory(b"a"), deleted(b"a/b"), deleted(b"a/b/c"))
        self.assertEqual(list(self.index.alive_below(b"a")), [])

    def test_what_is_on_disk_is_told_by_directory(self) -> None:
        self.save(
            holding(b"a/b", b"x"), holding(b"a/b/c", b"y"), deleted(b"a/d"), wanting(b"a/e", b"z")
        )
        self.assertEqual(self.index.disks(b"a"), {b"b": disk_tuple(stat(1))})
        self.assertEqual(self.index.disk(b"a/b"), disk_tuple(stat(1)))
        self.assertIsNone(self.index.disk(b"a/d"))

    def test_pending_is_what_is_not_placed(self) -> None:
        self.save(holding(b"a", b"x"), wanting(b"b", b"y"), deleted(b"c"))
        self.assertEqual([row.path for row in self.index.pending()], [b"b"])

    def test_names_can_be_searched_for(self) -> None:
        self.save(
            holding(b"x.conflict-1", b"x"), deleted(b"y.conflict-1"), holding(b".conflict/z", b"x")
        )
        self.assertEqual(self.index.named_like(b".conflict-"), [b"x.conflict-1"])

    def test_local_changes_are_found_by_number(self) -> None:
        self.save(
            *(holding(b"%d" % number, b"x", number, local=number != 3) for number in range(1, 6))
        )
        found = sorted(row.number for row in self.index.local_between(1, 4))
        self.assertEqual(found, [2, 4])


class ContentTests(IndexCase):
    def make_list(self, *blocks: bytes, size: int = 200_000) -> tuple[Hash, BlockList]:
        hashes = tuple(content(block) for block in blocks)
        blocks_ = BlockList(131_072, size, hashes)
        data = encode_list(131_072, size, hashes)
        name = content(data)
        with self.index.transaction():
            self.index.contents.add_block_lists([(name, data, blocks_)])
        self.assertEqual(self.index.contents.block_list(name), data)
        return name, blocks_

    def test_a_block_is_found_in_all_lists_that_have_it(self) -> None:
        one, _ = self.make_list(b"a", b"b")
        two, _ = self.make_list(b"b", b"c", size=150_000)
        found = self.index.contents.find_block(content(b"b"))
        self.assertEqual(
            sorted(found, key=lambda each: each.position),
            [FoundBlock(two, 0, 131_072, 150_000), FoundBlock(one, 1, 131_072, 200_000)],
        )
        self.assertEqual(list(self.index.contents.find_block(content(b"d"))), [])

    def test_many_lists_are_remembered_at_once_and_each_only_once(self) -> None:
        known, blocks = self.make_list(b"a", b"b")
        lists = [(known, encode_list(131_072, 200_000, blocks.hashes), blocks)]
        for number in range(300):
            hashes = (content(b"%d" % number), content(b"z"))
            data = encode_list(131_072, 140_000 + number, hashes)
            each = BlockList(131_072, 140_000 + number, hashes)
            lists += [(content(data), data, each)] * (1 + number % 2)
        with self.index.transaction():
            self.index.contents.add_block_lists(lists)
        self.assertEqual(len(list(self.index.contents.find_block(content(b"z")))), 300)
        self.assertEqual(len(list(self.index.contents.find_block(content(b"a")))), 1)
        for name, data, _ in lists:
            self.assertEqual(self.index.contents.block_list(name), data)

    def test_a_block_is_found_once_in_each_list_the_newest_first(self) -> None:
        lists = [
            self.make_list(*[b"zero"] * 20, b"%d" % number, size=number)[0] for number in range(20)
        ]
        found = [each.content for each in self.index.contents.find_block(content(b"zero"))]
        self.assertEqual(found, lists[::-1])

    def test_a_list_can_be_added_twice(self) -> None:
        self.make_list(b"a", b"b")
        self.make_list(b"a", b"b")
        self.assertEqual(len(list(self.index.contents.find_block(content(b"a")))), 1)

    def test_lists_of_what_is_nowhere_are_forgotten(self) -> None:
        names = [self.make_list(b"a", b"%d" % number)[0] for number in range(4)]
        row = holding(b"held", b"x")
        assert row.placed is not None

        value = replace(row.placed.value, content=names[0])
        self.save(replace(row, placed=replace(row.placed, value=value)))
        kept = KeptRow(b"name", Path(b"p"), names[1], 1, Kind.FILE, 0o644, 0, 1.0)
        with self.index.transaction():
            self.index.contents.add_kept([kept])
            self.index.contents.forget_block_lists([names[2]])
        left = [name for name in names if self.index.contents.block_list(name)]
        self.assertEqual(left, names[:3])
        self.assertEqual(len(list(self.index.contents.find_block(content(b"a")))), 3)

    def test_content_is_found_where_it_is_held(self) -> None:
        self.save(holding(b"a/b", b"x"), holding(b"c", b"x"), wanting(b"d", b"x"))
        found = self.index.contents.holding(file(b"x").content)
        self.assertEqual(sorted(path for path, _ in found), [b"a/b", b"c"])

    def test_what_is_kept_is_found_by_content_and_by_age(self) -> None:
        kept = [
            KeptRow(b"%d" % age, Path(b"p"), b"c" * 32, 5, Kind.SYMLINK, 0, -7, float(age))
            for age in (3, 1, 2)
        ]
        with self.index.transaction():
            self.index.contents.add_kept(kept)
        self.assertEqual(self.index.contents.kept(), [kept[1], kept[2], kept[0]])
        self.assertEqual(len(self.index.contents.kept_with(b"c" * 32)), 3)
        with self.index.transaction():
            self.index.contents.forget_kept([b"1", b"3"])
        self.assertEqual(self.index.contents.kept_names(), {b"2"})

    def test_what_is_kept_is_found_by_path(self) -> None:
        paths = (b"d", b"d/x", b"d/e/y", b"d.z", b"d0", b"d/x")
        kept = [
            KeptRow(b"%d" % time, Path(path), b"", 10, Kind.FILE, 0o644, 0, float(time))
            for time, path in enumerate(paths, 1)
        ]
        contents = self.index.contents
        with self.index.transaction():
            contents.add_kept(kept)
        self.assertEqual(contents.kept_at(b"d/x"), [kept[5], kept[1]])
        self.assertEqual(contents.kept_under(b"d"), [kept[5], kept[2], kept[1], kept[0]])
        self.assertEqual(contents.kept_under(b"d", 2), [kept[5], kept[2]])
        self.assertEqual(contents.kept_under(b""), kept[::-1])
        self.assertEqual(contents.kept_size(), 60)
        self.assertEqual(contents.kept_paths(3, b"d"), [b"d.z", b"d/e/y", b"d/x"])
        self.assertEqual(contents.kept_oldest(2, (2.0, b"2")), kept[2:4])


class FileTests(IndexCase):
    def test_what_failed_was_never_written(self) -> None:
        def fail() -> None:
            with self.index.transaction():
                self.index.save([holding(b"a", b"x")])
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, fail)
        self.assertIsNone(self.index.row(b"a"))

    def test_a_reader_sees_what_is_committed_and_cannot_write(self) -> None:
        reader = Index(self.path, reading=True)
        self.addCleanup(reader.close)
        with self.index.transaction():
            self.index.save([holding(b"a", b"x")])
            self.assertIsNone(reader.row(b"a"))
        self.assertIsNotNone(reader.row(b"a"))
        self.assertRaises(sqlite3.OperationalError, reader.set_meta, "key", 1)

    def test_what_was_stored_is_there_after_reopening(self) -> None:
        self.save(holding(b"a", b"x"))
        self.index.set_meta("key", -5)
        self.index.close()
        again = Index(self.path)
        self.addCleanup(again.close)
        self.assertEqual((again.meta("key"), again.meta("other")), (-5, None))
        self.assertEqual(again.row(b"a"), holding(b"a", b"x"))

    def test_it_survives_a_power_loss_after_each_commit(self) -> None:
        (mode,) = self.index._db.execute("PRAGMA synchronous").fetchone()
        (journal,) = self.index._db.execute("PRAGMA journal_mode").fetchone()
        self.assertEqual((mode, journal), (2, "wal"))

    def test_an_index_of_a_newer_flocknode_is_refused(self) -> None:
        self.index._db.execute("PRAGMA user_version = 1000")
        self.assertRaisesRegex(BoxError, "newer", Index, self.path)

    def test_what_is_no_index_is_refused_with_its_name(self) -> None:
        path = os.path.join(os.path.dirname(self.path), "other")
        with open(path, "wb") as file:
            file.write(b"rubbish" * 1000)
        self.assertRaisesRegex(BoxError, "other", Index, path)

    def test_what_is_being_placed_is_remembered_until_it_is_cleared(self) -> None:
        self.index.add_placing([(Path(b"a"), b"1"), (Path(b"b"), b"2"), (Path(b"a"), b"3")])
        self.assertEqual(sorted(self.index.placing()), [(b"a", b"3"), (b"b", b"2")])
        self.index.clear_placing()
        self.assertEqual(self.index.placing(), [])

    def test_a_holder_with_another_index_gets_another_key(self) -> None:
        large = (1 << 64) - 1
        one = self.index.new_holder(HOLDER, large, 0)
        two = self.index.new_holder(HOLDER, 5, 7)
        self.assertNotEqual(one.key, two.key)
        saved = HolderRow(two.key, HOLDER, 5, 10, 20, 30)
        self.index.save_holders([saved])
        self.assertEqual(self.index.holders(), [saved])
        again = self.index.new_holder(HOLDER, large, 0)
        self.assertEqual(self.index.holders(), [again])
        self.assertEqual(again.index_id, large)
