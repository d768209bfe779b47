# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.box}: with the real reactor, real threads, a real
folder and its watcher.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from flocknode.box import lookout
from flocknode.box.box import Box, box_id
from flocknode.box.index.database import Index
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import COST, Row
from flocknode.box.receive import deletions
from flocknode.box.settings import BoxSettings
from flocknode.box.survey import compare
from flocknode.box.survey.verify import Verification
from flocknode.box.values import Hash, Holder, Need
from flocknode.errors import BoxError

QUICK = BoxSettings(poll=0.05)


class Recorder:
    """A listener that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def advanced(self, box: object) -> None:
        assert isinstance(box, Box)
        self.told.append(("advanced", box.highest))

    def wanted(self, box: object, needs: Sequence[Need]) -> None:
        self.told.append(("wanted", [need.hash for need in needs]))

    def unwanted(self, box: object, hashes: Sequence[Hash]) -> None:
        self.told.append(("unwanted", list(hashes)))

    def sources(self, box: object, content: Hash, holders: frozenset[Holder]) -> None:
        self.told.append(("sources", (content, holders)))

    def measured(self, box: object) -> None:
        self.told.append(("measured", None))

    def of(self, kind: str) -> list[Any]:
        return [what for each, what in self.told if each == kind]


def holder(box: Box) -> Holder:
    return Holder(box.name.encode().ljust(16, b"."))


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Let the reactor run until this is so."""
    for _ in range(2000):
        if condition():
            return
        await deferLater(reactor, 0.005)
    raise AssertionError(f"It never came to be so: {what}")


async def alive(box: Box) -> set[bytes]:
    """The paths that it announces and that are not deleted."""
    entries, _ = await box.entries_after(0, 1 << 20)
    return {entry.path for entry in entries if not entry.history.heads[0].value.deleted}


async def until_alive(box: Box, *paths: bytes) -> None:
    """Let the reactor run until this box announces just these paths."""
    for _ in range(2000):
        if await alive(box) == set(paths):
            return
        await deferLater(reactor, 0.005)
    raise AssertionError(f"It announces {await alive(box)}")


async def pass_on(source: Box, target: Box) -> None:
    """All that C{source} announces, and the blocks that C{target} needs of it."""
    index, number = target.stored(holder(source))
    start = number if index == source.index_id else 0
    entries, to = await source.entries_after(start, 1 << 20)
    assert await target.join(holder(source), source.index_id, start, to, entries)
    source.acknowledged(holder(target), source.index_id, to)
    for _ in range(5):
        await deferLater(reactor, 0.02)
        for need in target.needs():
            data = await source.read(need.hash)
            if data is not None:
                assert await target.write([(need.hash, data)]) == [True]


class BoxTestCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.base = self.mktemp()
        os.makedirs(self.base)
        self.boxes: list[Box] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop()))

    def told(self, box: Box) -> Recorder:
        """What a box told."""
        assert isinstance(box.listener, Recorder)
        return box.listener

    def deafen(self, box: Box) -> None:
        """It hears of no change any more."""
        watcher = box._presence._watcher
        assert watcher is not None
        watcher.stop()

    async def make(self, name: str, settings: BoxSettings = QUICK) -> Box:
        box = Box(
            reactor, name, os.path.join(self.base, name), os.path.join(self.base, "state"), settings
        )
        box.listener = Recorder()
        box.startService()
        self.boxes.append(box)
        await box.ready
        return box

    async def made(self, name: str, settings: BoxSettings = QUICK) -> Box:
        box = await self.make(name, settings)
        await until(lambda: box.status.state == "in sync", "in sync")
        return box

    async def stop(self) -> None:
        for box in self.boxes:
            if box.running:
                await box.stopService()

    def path(self, box: Box, path: str) -> str:
        return os.path.join(self.base, box.name, path)

    def put(self, box: Box, path: str, data: bytes) -> None:
        os.makedirs(os.path.dirname(self.path(box, path)), exist_ok=True)
        with open(self.path(box, path), "wb") as file:
            file.write(data)

    def get(self, box: Box, path: str) -> bytes | None:
        try:
            with open(self.path(box, path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None


class Faults(BoxTestCase):
    """The index fails for an instant."""

    async def test_a_change_that_it_had_no_room_for_is_taken_in_later(self) -> None:
        self.patch(lookout, "AFTER_FAULT", 0.1)
        box = await self.made("one")
        add = Ledger.add
        failed: list[int] = []

        def full(ledger: Ledger, rows: Sequence[Row], *more: Any) -> Any:
            if not failed:
                failed.append(1)
                raise sqlite3.OperationalError("database or disk is full")
            return add(ledger, rows, *more)

        self.patch(Ledger, "add", full)
        with open(os.path.join(self.base, "one", "file"), "wb") as file:
            file.write(b"content")
        while not failed or await alive(box) != {b"file"}:
            await deferLater(reactor, 0.05)


class BoxTests(BoxTestCase):
    def test_the_id_is_that_of_the_name(self) -> None:
        box = Box(reactor, "papers", "/nowhere", "/nowhere")
        self.assertEqual(box.id, box_id("papers"))
        self.assertEqual(len(box.id), 16)
        self.assertNotEqual(box_id("papers"), box_id("Papers"))

    async def test_a_new_box_is_made_with_its_folder(self) -> None:
        box = await self.made("a")
        self.assertTrue(os.path.exists(self.path(box, ".flocknode/box")))
        self.assertNotEqual(box.index_id, 0)
        self.assertEqual((box.highest, box.digest), (0, bytes(16)))

    async def test_what_is_there_at_the_start_is_new(self) -> None:
        os.makedirs(os.path.join(self.base, "a"))
        with open(os.path.join(self.base, "a", "file"), "wb") as file:
            file.write(b"x" * 1000)
        box = await self.made("a")
        self.assertEqual((box.new_total, box.highest), (1000 + COST, 1))
        self.assertEqual(box.lacking(Holder(b"b" * 16)), 0)
        box.counted(1000 + COST)
        await until(lambda: box.lacking(Holder(b"b" * 16)) == 1000 + COST)
        self.assertEqual(box.status.files, 1)

    async def test_a_change_is_heard_of_and_passed_on(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "d/file", b"hello")
        await until(lambda: a.status.files == 1)
        await pass_on(a, b)
        await until(lambda: self.get(b, "d/file") == b"hello")
        await until(lambda: b.status.state == "in sync")
        await pass_on(b, a)
        await until(lambda: a.digest == b.digest)
        self.assertEqual(a.lacking(holder(b)), 0)
        self.assertEqual(b.new_total, 0)
        self.assertEqual(a.acknowledged_by(holder(b)), a.highest)
        self.assertEqual(b.stored(holder(a)), (a.index_id, a.highest))

    async def test_it_says_whether_there_may_be_more_changes_and_when_not_any_more(self) -> None:
        seen: list[tuple[int, bool]] = []

        class Looking(Recorder):
            """Looks at the box when it is told."""

            def measured(self, box: object) -> None:
                assert isinstance(box, Box)
                seen.append((box.new_total, box.surveying))

        a = await self.made("a")
        await until(lambda: not a.surveying)
        a.listener = Looking()
        with open(self.path(a, "file"), "wb") as file:
            file.write(b"content")
            file.flush()
            await until(lambda: a.surveying, "it has heard of it")
        await until(lambda: seen and seen[-1] == (7 + COST, False), "no more is to come")
        self.assertIn((7 + COST, True), seen)

    async def test_the_listener_is_told_in_order(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"content")
        await until(lambda: a.status.files == 1)
        # Its index was opened, then there was something to announce.
        self.assertEqual(self.told(a).of("advanced"), [0, 1])
        await pass_on(a, b)
        await until(lambda: b.status.state == "in sync")
        (hash,) = self.told(b).of("wanted")[0]
        kinds = [each for each, _ in self.told(b).told if each in ("sources", "wanted", "unwanted")]
        self.assertEqual(kinds, ["sources", "wanted", "unwanted"])
        self.assertEqual(self.told(b).of("sources"), [(hash, frozenset([holder(a)]))])
        self.assertEqual(self.told(b).of("unwanted"), [[hash]])
        # Known, then complete.
        self.assertEqual(self.told(b).of("advanced"), [0, 1, 2])
        self.assertEqual(b.needs(), [])

    async def test_who_has_what_is_needed_is_known(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"content")
        await until(lambda: a.highest)
        entries, to = await a.entries_after(0, 1 << 20)
        await b.join(holder(a), a.index_id, 0, to, entries)
        await until(b.needs)
        (need,) = b.needs()
        self.assertEqual(b.sources(need.content), frozenset([holder(a)]))
        self.assertEqual(b.status.state, "receiving")
        self.assertEqual(await b.write([(need.hash, b"wrong")]), [False])
        self.assertEqual(await b.write([(need.hash, b"content")]), [True])
        await until(lambda: self.get(b, "file") == b"content")
        self.assertEqual(b.sources(need.content), frozenset())

    async def test_a_rename_is_heard_of_and_nothing_is_needed(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "d/file", os.urandom(300_000))
        await until(lambda: a.status.files == 1)
        await pass_on(a, b)
        await until(lambda: b.status.state == "in sync" and b.status.files == 1)
        self.told(b).told.clear()
        os.rename(self.path(a, "d"), self.path(a, "e"))
        await until_alive(a, b"e", b"e/file")
        await pass_on(a, b)
        await until(lambda: self.get(b, "d/file") is None and self.get(b, "e/file"))
        self.assertEqual(self.told(b).of("wanted"), [])

    async def test_blocks_and_lists_can_be_read(self) -> None:
        a = await self.made("a")
        data = os.urandom(300_000)
        self.put(a, "file", data)
        await until(lambda: a.status.size == 300_000)
        (entry,), _ = await a.entries_after(0, 1 << 20)
        listed = await a.read(Hash(entry.history.heads[0].value.content))
        assert listed is not None
        block = Hash(listed[12:44])
        self.assertEqual(await a.read(block), data[:131072])
        self.assertIsNone(await a.read(Hash(bytes(32))))

    async def test_a_file_that_changed_unheard_is_found_by_reading_it(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"content")
        await until(lambda: a.status.files == 1)
        (entry,), _ = await a.entries_after(0, 1 << 20)
        stat = os.stat(self.path(a, "file"))
        self.deafen(a)
        with open(self.path(a, "file"), "r+b") as file:
            file.write(b"tnetnoc")
        os.utime(self.path(a, "file"), ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.assertIsNone(await a.read(Hash(entry.history.heads[0].value.content)))
        await until(lambda: a.highest == 2)

    async def test_entries_that_do_not_continue_are_refused(self) -> None:
        a = await self.made("a")
        self.assertFalse(await a.join(Holder(b"b" * 16), 5, 10, 20, []))
        self.assertEqual(a.stored(Holder(b"b" * 16)), (0, 0))
        self.assertTrue(await a.join(Holder(b"b" * 16), 5, 0, 20, []))
        self.assertEqual(a.stored(Holder(b"b" * 16)), (5, 20))

    async def test_a_number_never_given_out_makes_a_new_index_id(self) -> None:
        a = await self.made("a")
        before = a.index_id
        self.told(a).told.clear()
        a.acknowledged(Holder(b"b" * 16), before, 1000)
        await until(lambda: a.index_id != before)
        self.assertEqual(self.told(a).of("advanced"), [0])

    async def test_a_folder_that_goes_away_comes_back(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"x")
        await until(lambda: a.status.files == 1)
        os.rename(self.path(a, ""), os.path.join(self.base, "away"))
        await until(lambda: a.status.state == "offline")
        self.assertIn("put it back", a.status.reason)
        (entry,), _ = await a.entries_after(0, 1 << 20)
        while await a.read(Hash(entry.history.heads[0].value.content)) is not None:
            pass  # who reads hears of it a moment later
        os.rename(os.path.join(self.base, "away"), self.path(a, ""))
        await until(lambda: a.status.state == "in sync")
        self.put(a, "file2", b"y")
        await until(lambda: a.status.files == 2)
        self.assertEqual((await a.entries_after(0, 1 << 20))[1], 2)

    async def test_a_removed_marker_deletes_nothing(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"x")
        await until(lambda: a.status.files == 1)
        shutil.rmtree(self.path(a, ""))
        os.makedirs(self.path(a, ""))
        await until(lambda: a.status.state == "offline")
        (entry,), _ = await a.entries_after(0, 1 << 20)
        self.assertFalse(entry.history.heads[0].value.deleted)

    async def test_the_folder_of_another_box_is_refused(self) -> None:
        a = await self.made("a")
        await self.made("b")
        await a.stopService()
        shutil.rmtree(self.path(a, ""))
        shutil.copytree(os.path.join(self.base, "b"), self.path(a, ""))
        again = await self.make("a")
        await until(lambda: again.status.state == "offline")
        self.assertIn("another box", again.status.reason)

    async def test_an_index_that_cannot_be_used_is_an_error_of_the_box(self) -> None:
        os.makedirs(os.path.join(self.base, "state", "boxes", box_id("a").hex() + ".sqlite"))
        box = Box(reactor, "a", os.path.join(self.base, "a"), os.path.join(self.base, "state"))
        box.startService()
        self.boxes.append(box)
        await until(lambda: box.status.state == "error")
        self.assertIn("move it away", box.status.reason)

    async def test_a_lost_index_announces_after_it_has_heard_of_others(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"x")
        await until(lambda: a.status.files == 1)
        await a.stopService()
        shutil.rmtree(os.path.join(self.base, "state"))
        again = await self.made("a", BoxSettings(poll=0.05, alone=0.3))
        self.assertEqual((again.highest, await again.entries_after(0, 1000)), (0, ([], 0)))
        self.assertEqual(again.new_total, 1 + COST)
        await until(lambda: again.highest == 1)

    def index_path(self, box: Box) -> str:
        return os.path.join(self.base, "state", "boxes", box.id.hex() + ".sqlite")

    async def test_an_index_that_is_none_is_moved_aside_and_built_anew(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"content")
        await until(lambda: a.status.files == 1)
        await pass_on(a, b)
        await until(lambda: b.status.files == 1)
        await a.stopService()
        os.unlink(self.path(a, "file"))
        self.put(a, "new", b"more")
        with open(self.index_path(a), "wb") as file:
            file.write(b"this is no index" * 1000)
        again = await self.made("a", BoxSettings(poll=0.05, alone=60))
        self.assertIn("was damaged", again.status.reason)
        aside = [name for name in os.listdir(os.path.dirname(self.index_path(a))) if "corr" in name]
        self.assertEqual(len(aside), 1)
        # It announces only after it has heard of others, and nothing is deleted.
        self.assertEqual(again.highest, 0)
        await pass_on(b, again)
        await until(lambda: self.get(again, "file") == b"content")
        self.assertEqual(await alive(again), set())
        again._timers.later("release", 0.0, again._do, again._core.release, again=True)
        await until_alive(again, b"file", b"new")

    async def test_an_index_that_is_damaged_while_it_is_open_is_built_anew(self) -> None:
        a = await self.made("a", BoxSettings(poll=0.05, alone=0.2))
        for number in range(300):
            self.put(a, str(number), b"x")
        await until(lambda: a.status.files == 300)
        before = a.index_id
        told = self.told(a)
        told.told.clear()
        # The log goes into the file, and nothing is read from memory.
        await a._ask(lambda: a._core._engine.ledger.index._db.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        await a._ask(lambda: a._core._engine.ledger.index._db.execute("PRAGMA shrink_memory"))
        size = os.path.getsize(self.index_path(a))
        with open(self.index_path(a), "r+b") as file:
            file.seek(4096)
            file.write(b"\x55" * (size - 4096))
        self.put(a, "new", b"x")
        await until(lambda: a.index_id not in (0, before))
        await until(lambda: a.status.state == "in sync" and a.highest >= 301)
        self.assertIn("was damaged", a.status.reason)
        self.assertEqual(a.status.files, 301)
        entries, _ = await a.entries_after(0, 1 << 20)
        self.assertTrue(all(not entry.history.heads[0].value.deleted for entry in entries))

    async def test_a_check_says_what_is_not_what_it_was(self) -> None:
        a = await self.made("a")
        self.put(a, "d/sound", b"x" * 10)
        self.put(a, "rotten", b"content")
        await until(lambda: a.status.files == 2)
        report = await a.desk.check()
        while report.files < 2:  # one that was read while it was written is read once more
            report = await a.desk.check()
        self.assertEqual((report.files, report.size, report.wrong), (2, 17, 0))
        self.deafen(a)
        with open(self.path(a, "rotten"), "r+b") as file:
            file.write(b"C")
        stat = os.stat(self.path(a, "rotten"))
        index = a._core._engine.ledger.index
        await a._ask(
            lambda: index._db.execute(
                "UPDATE entry SET disk_ctime = ?, disk_mtime = ? WHERE name = ?",
                (stat.st_ctime_ns, stat.st_mtime_ns, b"rotten"),
            ).fetchone()
        )
        report = await a.desk.check(repair=True)
        self.assertEqual((report.wrong, report.repairing), (1, 0))
        self.assertEqual([path for path, _ in report.findings], ["rotten"])
        self.assertEqual(a.highest, 3)

    def never_ending(self) -> None:
        """After the first file there is always one more to be looked at."""

        def endless(verification: Verification) -> Iterator[None]:
            verification.files = 1
            return itertools.repeat(None)

        self.patch(Verification, "_rows", endless)
        self.patch(Verification, "_check_row", lambda verification, row: None)

    async def test_a_check_shows_how_far_it_is_and_can_be_broken_off(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"x")
        await until(lambda: a.status.files == 1)
        self.never_ending()
        checked = a.desk.check()
        await until(lambda: "1 of 1 files" in a.status.reason)
        await self.assertFailure(a.desk.check(), BoxError)
        a.desk.stop_check()
        error = await self.assertFailure(checked, BoxError)
        self.assertIn("broken off", str(error))
        self.assertEqual(a.status.reason, "")

    async def test_a_check_ends_when_the_folder_goes_away_or_the_box_stops(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"x")
        await until(lambda: a.status.files == 1)
        self.never_ending()
        checked = a.desk.check()
        os.rename(self.path(a, ""), os.path.join(self.base, "away"))
        await self.assertFailure(checked, BoxError)
        await until(lambda: a.status.state == "offline")
        await self.assertFailure(a.desk.check(), BoxError)
        os.rename(os.path.join(self.base, "away"), self.path(a, ""))
        await until(lambda: a.status.state == "in sync")
        checked = a.desk.check()
        await until(lambda: "1 of 1 files" in a.status.reason)
        stopped = a.stopService()
        await self.assertFailure(checked, BoxError)
        await stopped

    async def test_what_was_known_is_known_after_a_restart(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"hello")
        await until(lambda: a.status.files == 1)
        await pass_on(a, b)
        await until(lambda: b.status.files == 1)
        await pass_on(b, a)
        await until(lambda: a.digest == b.digest)
        before = a.index_id, a.highest, a.digest, a.stored(holder(b))
        await a.stopService()
        again = await self.made("a")
        self.assertEqual(
            (again.index_id, again.highest, again.digest, again.stored(holder(b))), before
        )
        self.assertEqual((again.new_total, again.lacking(holder(b))), (0, 0))

    async def test_stopping_breaks_off_the_hashing_of_a_large_file(self) -> None:
        a = await self.made("a")
        with open(self.path(a, "large"), "wb") as file:
            file.truncate(40 << 30)
        await until(lambda: a._surveyor._busy is not None)
        before = time.monotonic()
        await a.stopService()
        self.assertLess(time.monotonic() - before, 1.0)
        self.assertEqual(a.status.files, 0)

    async def test_a_first_scan_can_be_stopped_in_the_middle_and_goes_on_later(self) -> None:
        self.patch(compare, "SLICE", 20)
        root = os.path.join(self.base, "a")
        count = 3_000
        for number in range(count):
            path = os.path.join(root, f"{number % 50}", f"{number}")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(b"%d" % number)
        first = await self.make("a")
        await until(lambda: first.status.files)
        self.assertGreater(first.status.scanned, 0)
        before = time.monotonic()
        await first.stopService()
        self.assertLess(time.monotonic() - before, 2.0)
        self.assertLess(first.status.files, count)
        again = await self.make("a")
        await until(lambda: again.status.state == "in sync")
        self.assertEqual(again.status.files, count)

    async def test_stopping_twice_or_at_once_is_no_error(self) -> None:
        box = Box(reactor, "a", os.path.join(self.base, "a"), os.path.join(self.base, "state"))
        box.startService()
        await box.stopService()

    async def test_a_rescan_finds_what_was_not_heard(self) -> None:
        a = await self.made("a")
        self.deafen(a)
        self.put(a, "file", b"x")
        await a.rescan()
        self.assertEqual(a.status.files, 1)

    async def test_what_could_not_be_written_down_is_looked_at_again(self) -> None:
        self.patch(lookout, "AFTER_FAULT", 0.05)
        a = await self.made("a")
        real, refused = Index.transaction, 0

        def transaction(index: Index) -> Any:
            nonlocal refused
            refused += 1
            if refused < 3:
                raise sqlite3.OperationalError("database or disk is full")
            return real(index)

        self.patch(Index, "transaction", transaction)
        self.put(a, "file", b"content")
        await until(lambda: a.status.state == "error")
        self.assertIn("disk is full", a.status.reason)
        await until(lambda: a.status.files == 1)
        await until(lambda: a.status.state == "in sync")

    async def test_many_deletions_wait_to_be_confirmed(self) -> None:
        self.patch(deletions, "GATHER", 0.05)
        a = await self.made("a")
        b = await self.made("b", attrs.evolve(QUICK, confirm_deletes=0.5))
        for name in ("1", "2", "3"):
            self.put(a, name, name.encode())
        await until(lambda: a.status.files == 3)
        await pass_on(a, b)
        await until(lambda: b.status.files == 3)
        for name in ("1", "2", "3"):
            os.unlink(self.path(a, name))
        await until(lambda: a.status.files == 0)
        await pass_on(a, b)
        await until(lambda: b.status.state == "waiting")
        self.assertIn("deleted 3 of the 3 files", b.status.reason)
        self.assertEqual(b.status.files, 3)
        self.assertEqual(await b.desk.confirm(), 3)
        await until(lambda: b.status.files == 0)
        self.assertEqual((b.status.state, b.status.reason), ("in sync", ""))

    async def test_what_cannot_be_read_is_said(self) -> None:
        a = await self.made("a")
        os.mkfifo(self.path(a, "pipe"))
        await until(lambda: a.status.problems)
        self.assertEqual(a.status.problems[0][0], "pipe")
