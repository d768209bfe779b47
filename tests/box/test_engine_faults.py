# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.engine}: what fails once, and entries that nobody
should have made.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from flocknode.box.content import LARGEST_CONTENT, block_hash, block_size_for, list_hash, list_size
from flocknode.box.core import Core
from flocknode.box.index.database import Index
from flocknode.box.merge.history import version_id
from flocknode.box.receive.finder import Finder
from flocknode.box.receive.planner import Planner
from flocknode.box.settings import BoxSettings
from flocknode.box.values import Entry, Hash, Head, History, Kind, Path, Value
from flocknode.exchange.entries import entries_of, record_of
from flocknode.exchange.records import Index as IndexRecord
from flocknode.media.places import Fixed
from tests.box.peers import PeerCase, exchange


def full(*_: Any, **__: Any) -> None:
    """What SQLite says of a full disk."""
    raise sqlite3.OperationalError("database or disk is full")


def file(path: str, content: Hash, size: int, number: int = 1, depth: int = 0) -> Entry:
    """A file as somebody may announce it."""
    value = Value(kind=Kind.FILE, mode=0o644, mtime_ns=5, content=content)
    head = Head(version_id((), value), depth, value, size)
    return Entry(Path(path.encode()), number, History((head,)), block_size_for(size), True)


class FailingOnce(PeerCase):
    """The index fails for an instant; what was to be done is done later."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")
        self.a.put("plan", b"one")
        self.a.scan()
        self.b.hear(self.a)

    def settle(self) -> None:
        """There is room again."""
        for _ in range(5):
            self.b.wait(100)
            exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b"plan"})
        self.assertEqual(self.b.engine.snapshot().needed, 0)

    def test_while_it_records_what_is_about_to_be_placed(self) -> None:
        self.b.work()
        self.b.fetch([self.a])
        patch = self.patch(Index, "add_placing", full)
        self.assertRaises(sqlite3.OperationalError, self.b.work)
        patch.restore()
        self.settle()

    def test_while_it_records_what_was_placed(self) -> None:
        self.b.work()
        self.b.fetch([self.a])
        patch = self.patch(Index, "clear_placing", full)
        self.assertRaises(sqlite3.OperationalError, self.b.work)
        patch.restore()
        self.settle()

    def test_while_content_is_looked_for(self) -> None:
        patch = self.patch(Finder, "block", full)
        self.assertRaises(sqlite3.OperationalError, self.b.work)
        patch.restore()
        self.settle()

    def test_while_the_folder_is_opened_and_then_nothing_stays_open(self) -> None:
        root = self.b.path("").decode()
        place, settings = Fixed(root), BoxSettings()
        core = Core(place, root + ".index", settings, self.b._random, lambda: False, name="b")
        self.addCleanup(core.close)
        core.open()
        self.patch(Planner, "start", full)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            self.assertRaises(sqlite3.OperationalError, core.find_folder)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class Strange(PeerCase):
    """Values that no flocknode makes, and files that few people have."""

    def test_a_file_from_the_year_2400_is_held_like_any_other(self) -> None:
        a, b = self.peers("a", "b")
        a.put("fine", b"1")
        a.put("far", b"2")
        os.utime(a.path("far"), (13_569_465_600, 13_569_465_600))
        exchange(a, b)
        self.assertEqual(b.names(), {b"fine", b"far"})
        a.scan()
        self.assertEqual(a.engine.snapshot().needed, 0)

    def test_a_list_that_is_none_does_not_stop_other_blocks(self) -> None:
        a, b = self.peers("a", "b")
        a.put("fine", b"content")
        a.scan()
        size = 300_000
        garbage = bytes(list_size(size, block_size_for(size)))
        name = list_hash(garbage)
        self.assertTrue(b.engine.join(a.holder, 77, 0, 1, [file("bad", name, size)]))
        b.hear(a)
        b.work()
        fine = block_hash(b"content")
        self.assertLessEqual({name, fine}, set(b.needs()))
        self.assertEqual(b.engine.write([(name, garbage), (fine, b"content")]), [True, True])
        b.work()
        self.assertEqual(b.names(), {b"fine"})
        self.assertNotIn(name, b.needs())

    def test_what_others_would_refuse_is_not_announced(self) -> None:
        a, c = self.peers("a", "c")
        deepest = file("p", block_hash(b""), 0, depth=(1 << 62) - 1)
        a.engine.join(c.holder, 77, 0, 1, [deepest])
        a.work()
        self.assertEqual(a.names(), {b"p"})
        a.put("p", b"new")
        a.put("other", b"fine")
        a.scan()
        entries, to = a.engine.entries_after(0, 1 << 20)
        record = IndexRecord(bytes(16), 0, to, tuple(map(record_of, entries)))
        self.assertIn(b"other", [entry.path for entry in entries_of(record)])
        self.assertEqual(to, a.engine.ledger.highest)

    def test_the_largest_files_can_be_summed_up(self) -> None:
        a, b = self.peers("a", "b")
        for number in range(1, 9):
            entry = file(str(number), Hash(bytes([number]) * 32), LARGEST_CONTENT, number)
            self.assertTrue(b.engine.join(a.holder, 77, number - 1, number, [entry]))
        entry = file("too large", Hash(b"x" * 32), LARGEST_CONTENT + 1, 9)
        self.assertTrue(b.engine.join(a.holder, 77, 8, 9, [entry]))
        self.assertEqual(b.engine.snapshot().needed, 8)

    def test_a_file_of_more_than_a_tebibyte_is_left_out_and_said_to_be(self) -> None:
        a = self.peer("a")
        with open(a.path("huge"), "wb") as file:
            file.truncate(LARGEST_CONTENT + 1)
        a.put("fine", b"1")
        a.scan()
        entries, _ = a.engine.entries_after(0, 1 << 20)
        self.assertEqual([entry.path for entry in entries], [b"fine"])
        self.assertEqual([path for path, _ in a.engine.snapshot().problems], [b"huge"])

    def test_changes_that_no_round_counts_do_not_pile_up(self) -> None:
        a = self.peer("a")
        for _ in range(10_000):
            a.engine._changes.total += 1
            a.engine._checkpoint()
        self.assertLess(len(a.engine._checkpoints), 5_000)
        a.engine.counted(10_000)
        self.assertEqual(len(a.engine._checkpoints), 0)

    def test_nobody_lacks_what_is_withheld(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"1" * 1000)
        a.scan()
        a.engine.withheld = True
        b.hear(a)
        a.engine.counted(a.engine.snapshot().new_total)
        self.assertEqual(a.engine.snapshot().lacking_all, 0)
        a.engine.withheld = False
        self.assertGreater(a.engine.snapshot().lacking_all, 1000)
