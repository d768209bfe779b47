# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box knows, tells and needs: L{flocknode.box.engine} over real folders.
"""

from __future__ import annotations

import os
import shutil

import attrs
from msgspec.structs import replace

from flocknode.box.index.rows import COST
from flocknode.box.retention import DAY
from flocknode.box.values import Path
from tests.box.peers import PeerCase, exchange


class LifeTests(PeerCase):
    def test_created_and_deleted_before_any_exchange_leaves_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("draft", b"x")
        a.scan()
        os.unlink(a.path("draft"))
        a.scan()
        self.assertIsNone(a.index.row(b"draft"))
        exchange(a, b)
        self.assertEqual(b.index.row(b"draft"), None)
        self.assertLevel(a, b)

    def test_a_change_that_nobody_heard_of_is_replaced_by_the_next(self) -> None:
        a = self.peer("a")
        a.put("draft", b"one")
        a.scan()
        a.put("draft", b"two")
        a.scan()
        self.assertEqual(a.row(b"draft").history.superseded, ())
        a.engine.entries_after(0, 1 << 20)
        a.put("draft", b"three")
        a.scan()
        self.assertEqual(len(a.row(b"draft").history.superseded), 1)

    def test_receiving_what_is_known_makes_no_new_number(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        numbers = a.engine.ledger.highest, b.engine.ledger.highest
        exchange(a, b)
        entries, to = a.engine.entries_after(0, 1 << 20)
        self.assertTrue(b.engine.join(a.holder, a.engine.ledger.index_id, 0, to, entries))
        self.assertEqual((a.engine.ledger.highest, b.engine.ledger.highest), numbers)

    def test_a_gap_is_refused(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        a.scan()
        entries, to = a.engine.entries_after(0, 1 << 20)
        self.assertFalse(b.engine.join(a.holder, 77, 1, to, entries))
        self.assertTrue(b.engine.join(a.holder, 77, 0, to, entries))
        self.assertFalse(b.engine.join(a.holder, 77, to + 1, to + 2, []))

    def test_entries_come_in_pieces_of_the_asked_size(self) -> None:
        a = self.peer("a")
        for number in range(50):
            a.put(str(number), b"x")
        a.scan()
        entries, to = a.engine.entries_after(0, 1000)
        self.assertTrue(0 < len(entries) < 10)
        self.assertEqual(to, entries[-1].number)
        more, _ = a.engine.entries_after(to, 1 << 20)
        self.assertEqual(len(entries) + len(more), 50)
        numbers = [entry.number for entry in entries + more]
        self.assertEqual(numbers, sorted(numbers))

    def test_unsound_entries_are_left_out(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        a.scan()
        (entry,), to = a.engine.entries_after(0, 1 << 20)
        bad = [
            attrs.evolve(entry, path=Path(b"../file")),
            attrs.evolve(entry, path=Path(b".flocknode/box")),
            attrs.evolve(entry, block_size=1),
            attrs.evolve(entry, history=replace(entry.history, heads=())),
        ]
        self.assertTrue(b.engine.join(a.holder, 5, 0, to, [*bad, entry]))
        self.assertEqual([row.path for row in b.index.rows()], [b"file"])

    def test_a_later_known_number_makes_a_new_index_id(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        before = a.engine.ledger.index_id
        a.engine.acknowledged(b.holder, before, 10_000)
        self.assertNotEqual(a.engine.ledger.index_id, before)
        self.assertEqual(a.engine.snapshot().acknowledged[b.holder], 0)
        a.restart()
        exchange(a, b)
        self.assertLevel(a, b)

    def test_counted_changes_are_lacking_and_others_are_not(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"x" * 1000)
        a.scan()
        first = a.engine.snapshot()
        self.assertEqual((first.new_total, first.lacking_all), (1000 + COST, 0))
        a.put("two", b"x" * 2000)
        a.scan()
        a.engine.counted(first.new_total)
        self.assertEqual(a.engine.snapshot().lacking_all, 1000 + COST)
        a.engine.counted(a.engine.snapshot().new_total)
        self.assertEqual(a.engine.snapshot().lacking_all, 3000 + 2 * COST)
        exchange(a, b)
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 0})
        self.assertEqual(b.engine.snapshot().new_total, 0)

    def test_what_is_lacking_after_a_restart_counts(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"x" * 1000)
        a.restart()
        a.restart()
        self.assertEqual(a.engine.snapshot().lacking_all, 1000 + COST)
        b.hear(a)
        b.work()
        a.hear(b)
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 1000 + COST})

    def test_a_holder_with_a_new_index_lacks_everything(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"x" * 1000)
        exchange(a, b)
        a.engine.counted(1 << 40)
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 0})
        a.engine.join(b.holder, 4711, 0, 0, [])
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 1000 + COST})
        a.check_sums()

    def test_who_holds_what_is_needed_is_told(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        a.put("file", b"content" * 30_000)
        exchange(a, c)
        b.hear(a)
        b.work()
        content = b.content(b"file")
        want = b.planner.wants.get(content)
        assert want is not None
        self.assertEqual(want.holders, {a.holder})
        self.assertEqual(b.told.sources(content), {a.holder})
        b.hear(c)
        b.hear_engine()
        self.assertEqual(b.told.sources(content), {a.holder, c.holder})

    def test_a_block_that_is_not_what_was_asked_for_is_refused(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        a.scan()
        b.hear(a)
        b.work()
        (hash,) = b.needs()
        self.assertEqual(b.engine.write([(hash, b"rubbish"), (hash, b"content")]), [False, True])
        b.work()
        self.assertEqual(b.get("file"), b"content")

    def test_what_takes_many_steps_to_be_looked_for_is_told_in_the_end(self) -> None:
        a, b = self.peers("a", "b")
        data = os.urandom(128 * 1024 * 6)
        a.put("large", data)
        exchange(a, b)
        a.put("large", data + b"more")
        for number in range(20):
            a.put(f"small {number}", b"%d" % number)
        a.scan()
        b.tick = 0.02
        exchange(a, b)
        b.tick = 0.0
        self.assertLevel(a, b)

    def test_needs_end_when_a_version_is_superseded(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        a.scan()
        b.hear(a)
        b.work()
        self.assertEqual(len(b.needs()), 1)
        os.unlink(a.path("file"))
        a.scan()
        b.hear(a)
        b.work()
        self.assertEqual(b.needs(), set())

    def test_what_is_received_can_be_served_before_it_is_whole(self) -> None:
        a, b = self.peers("a", "b")
        a.put("large", os.urandom(500_000))
        a.scan()
        b.hear(a)
        b.work()
        b.fetch([a])
        b.work()
        b.fetch([a], limit=2)
        list_, *blocks = b.asked
        for hash in (list_, *blocks):
            self.assertEqual(b.serve(hash), a.serve(hash))
        self.assertEqual(len(blocks), 2)

    def test_a_file_that_changed_is_not_served_as_what_it_was(self) -> None:
        a = self.peer("a")
        a.put("file", b"content")
        a.scan()
        content = a.content(b"file")
        a.put("file", b"tnetnoc")
        self.assertIsNone(a.serve(content))

    def test_a_missing_folder_deletes_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        os.rename(a.root, a.root + b".away")
        os.makedirs(a.root)
        a.poll()
        self.assertIsNone(a.engine.planner)
        exchange(a, b, scan=False)
        self.assertEqual(b.get("file"), b"x")
        os.rmdir(a.root)
        os.rename(a.root + b".away", a.root)
        a.restart()
        exchange(a, b)
        self.assertLevel(a, b)

    def test_a_missing_marker_deletes_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        shutil.rmtree(a.path(".flocknode"))
        os.unlink(a.path("file"))
        a.scan()
        self.assertIsNone(a.engine.planner)
        exchange(a, b, scan=False)
        a.restart()
        self.assertFalse(a.is_there)
        self.assertEqual(b.get("file"), b"x")

    def test_a_lost_index_is_rebuilt_without_a_conflict(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"one", mtime=3)
        a.put("other", b"two")
        exchange(a, b)
        a.put("file", b"three", mtime=2)
        exchange(a, b)
        b.kill()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(b.state + suffix):
                os.unlink(b.state + suffix)
        b.put("file", b"one", mtime=3)
        b.start()
        self.assertTrue(b.rebuilt)
        exchange(a, b)
        self.assertEqual(a.contents(), [b"three", b"two"])
        self.assertLevel(a, b)

    def test_old_versions_are_pruned(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", os.urandom(200_000))
        exchange(a, b)
        a.put("file", b"two")
        exchange(a, b)
        b.engine.prune()
        b.wait(3)
        self.assertEqual(len(b.kept()), 1)
        b.grow_older(40 * DAY)
        b.engine.prune()
        b.work()
        self.assertEqual(b.kept(), [])
        self.assertEqual(b.site.versions.names(), [])
        left = b.index._db.execute("SELECT count(*) FROM blocklist").fetchone()
        self.assertEqual(left, (0,))
