# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for boxes on media that come and go: plain folders play the media, and a
table that the tests change says what is mounted.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from typing import Any

from twisted.internet import reactor

from flocknode.box.box import Box
from flocknode.box.disk import folder, syscalls
from flocknode.box.index.rows import COST
from flocknode.box.settings import BoxSettings
from flocknode.errors import BoxError
from flocknode.media.devices import mount_of
from flocknode.media.names import parse
from flocknode.media.places import OnMedium
from tests.box.test_box import BoxTestCase, Recorder, holder, pass_on, until, until_alive
from tests.media.tables import Tables, mount

STICK = 77
SELDOM = BoxSettings(poll=0.05)


class RemovableCase(BoxTestCase):
    """
    A medium at C{base/name} for each box; the box is in C{papers} on it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.base = os.path.abspath(self.base)
        descriptor = os.open(self.base, os.O_RDONLY)
        self.mount = mount_of(descriptor) or 0
        os.close(descriptor)
        self.tables: dict[str, Tables] = {}

    def path(self, box: Box, path: str) -> str:
        return os.path.join(self.base, box.name, "papers", path)

    def plug(self, name: str, id: int | None = None) -> None:
        """Mount the medium of a box."""
        point = os.path.join(self.base, name)
        os.makedirs(point, exist_ok=True)
        tables = self.tables.setdefault(name, Tables())
        tables.mounts = (mount(point, STICK, id=self.mount if id is None else id),)
        tables.devices = frozenset([STICK])
        self.heard(name)

    def pull(self, name: str) -> None:
        """It is not there any more."""
        self.tables[name].mounts = ()
        self.heard(name)

    def heard(self, name: str) -> None:
        for box in self.boxes:
            if box.name == name and box.running:
                box.mounts_changed()

    async def make(
        self, name: str, settings: BoxSettings = SELDOM, state: str = "state"
    ) -> Box:
        tables = self.tables.setdefault(name, Tables())
        place = OnMedium(parse("label:FIELDKIT/papers"), tables.table, tables.numbers)
        box = Box(reactor, name, place, os.path.join(self.base, state), settings)
        box.listener = Recorder()
        box.startService()
        self.boxes.append(box)
        await box.ready
        return box

    async def made(self, name: str, settings: BoxSettings = SELDOM) -> Box:
        self.plug(name)
        return await super().made(name, settings)

    async def gone(self, box: Box) -> None:
        """Wait until it has left, and everything on its medium is closed."""
        await until(lambda: box.status.state == "offline" and not self.opened(box.name))
        await until(lambda: not box.index_id)

    def opened(self, name: str) -> list[str]:
        """What is open on the medium."""
        found = []
        for number in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if target.startswith(os.path.join(self.base, name) + "/"):
                found.append(target)
        return found


class RemovableTests(RemovableCase):
    async def test_without_its_medium_it_is_offline_and_has_no_index(self) -> None:
        a = await self.make("a")
        self.assertEqual((a.status.state, a.index_id), ("offline", 0))
        self.assertIn("plug it in", a.status.reason)
        self.assertEqual(a.status.path, "label:FIELDKIT/papers")
        self.assertFalse(os.path.exists(os.path.join(self.base, "state", "boxes")))

    async def test_it_comes_with_its_medium(self) -> None:
        a = await self.make("a", BoxSettings(poll=100.0))
        self.plug("a")
        await until(lambda: a.status.state == "in sync")
        self.assertEqual(a.status.path, self.path(a, "")[:-1])
        self.assertNotEqual(a.index_id, 0)
        self.put(a, "file", b"hello")
        await until_alive(a, b"file")

    async def test_the_index_lies_on_the_medium_without_a_write_ahead_log(self) -> None:
        a = await self.made("a")
        index = self.path(a, ".flocknode/index.sqlite")
        self.assertTrue(os.path.exists(index))
        self.assertFalse(os.path.exists(os.path.join(self.base, "state", "boxes")))
        database = sqlite3.connect(index)
        self.assertEqual(database.execute("PRAGMA journal_mode").fetchone()[0], "delete")
        database.close()
        self.assertFalse(os.path.exists(index + "-wal"))

    async def test_when_the_medium_leaves_all_is_closed_and_nothing_is_deleted(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"hello")
        await until(lambda: a.status.files == 1)
        await pass_on(a, b)
        await until(lambda: b.status.files == 1)
        index_id = a.index_id
        self.assertNotEqual(self.opened("a"), [])
        self.pull("a")
        await self.gone(a)
        self.assertEqual(self.opened("a"), [])
        self.assertEqual((a.index_id, a.highest, a.needs()), (0, 0, []))
        os.rename(self.path(a, ""), self.path(a, "")[:-1] + " is elsewhere")
        with self.assertRaises(BoxError):
            await a.entries_after(0, 1000)
        os.rename(self.path(a, "")[:-1] + " is elsewhere", self.path(a, ""))
        self.plug("a")
        await until(lambda: a.status.state == "in sync")
        self.assertEqual((a.index_id, a.status.files), (index_id, 1))
        await until_alive(a, b"file")
        self.assertEqual(a.status.reason, "")

    async def test_what_was_changed_elsewhere_is_a_local_change(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"old")
        self.put(a, "gone", b"x")
        await until(lambda: a.status.files == 2)
        await pass_on(a, b)
        self.pull("a")
        await self.gone(a)
        self.put(a, "file", b"newer")
        os.unlink(self.path(a, "gone"))
        before = a.new_total
        self.plug("a")
        await until(lambda: a.status.state == "in sync")
        await until_alive(a, b"file")
        self.assertEqual(a.new_total - before, 5 + COST + COST)
        await pass_on(a, b)
        await until(lambda: self.get(b, "file") == b"newer" and self.get(b, "gone") is None)
        self.assertEqual(b.status.conflicts, ())

    async def test_what_is_news_never_shrinks(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"12345")
        await until(lambda: a.new_total == 5 + COST)
        self.pull("a")
        await self.gone(a)
        self.assertEqual(a.new_total, 5 + COST)
        self.plug("a")
        await until(lambda: a.status.state == "in sync")
        self.assertEqual(a.new_total, 5 + COST)
        self.put(a, "more", b"1")
        await until(lambda: a.new_total == 6 + 2 * COST)
        a.counted(a.new_total)
        await until(lambda: a.lacking(holder(a)) == 6 + 2 * COST)

    async def test_its_history_travels_to_another_machine(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"hello")
        await until(lambda: a.status.files == 1)
        known = a.index_id, a.highest, a.digest
        self.pull("a")
        await self.gone(a)
        self.plug("a")
        there = await self.make("a", state="another machine's state")
        # Both nodes of this test see the medium; the first one is gone.
        await a.stopService()
        await until(lambda: there.status.state == "in sync")
        self.assertEqual((there.index_id, there.highest, there.digest), known)
        self.assertEqual(there.new_total, 0)

    async def test_a_folder_is_not_made_where_the_medium_is_not(self) -> None:
        a = await self.make("a")
        self.plug("a", id=self.mount + 1)
        await until(lambda: "cannot be made" in a.status.reason)
        self.assertEqual(os.listdir(os.path.join(self.base, "a")), [])

    async def test_an_index_that_is_a_link_is_not_followed(self) -> None:
        a = await self.made("a")
        await a.stopService()
        index = self.path(a, ".flocknode/index.sqlite")
        victim = os.path.join(self.base, "victim")
        os.rename(index, victim)
        os.symlink(victim, index)
        before = os.stat(victim)
        again = await self.make("a")
        await until(lambda: again.status.state == "offline")
        self.assertIn("index.sqlite", again.status.reason)
        self.assertEqual(os.stat(victim).st_mtime_ns, before.st_mtime_ns)

    async def test_an_index_without_a_marker_is_refused(self) -> None:
        a = await self.made("a")
        await a.stopService()
        os.unlink(self.path(a, ".flocknode/box"))
        again = await self.make("a")
        await until(lambda: "no marker" in again.status.reason)

    async def test_a_lost_index_is_built_anew_and_withheld(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"x")
        await until(lambda: a.status.files == 1)
        await a.stopService()
        os.unlink(self.path(a, ".flocknode/index.sqlite"))
        again = await self.made("a", BoxSettings(poll=0.05, alone=0.3))
        self.assertEqual(again.highest, 0)
        await until(lambda: again.highest == 1)

    async def test_an_emptied_medium_is_filled_again_and_nothing_is_deleted(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"hello")
        await until(lambda: a.status.files == 1)
        await pass_on(a, b)
        await until(lambda: b.status.files == 1)
        self.pull("a")
        await self.gone(a)
        shutil.rmtree(os.path.join(self.base, "a"))
        self.plug("a")
        await until(lambda: a.status.state == "in sync")
        await pass_on(b, a)
        await until(lambda: self.get(a, "file") == b"hello")


class LeavingTests(RemovableCase):
    """The medium leaves at a bad moment."""

    async def test_what_was_being_received_is_wanted_again(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "large", os.urandom(400_000))
        await until(lambda: a.status.size == 400_000)
        entries, to = await a.entries_after(0, 1 << 20)
        await b.join(holder(a), a.index_id, 0, to, entries)
        await until(b.needs)
        (need,) = b.needs()
        data = await a.read(need.hash)
        assert data is not None
        await b.write([(need.hash, data)])
        await until(lambda: len(b.needs()) > 1)
        block = b.needs()[0]
        data = await a.read(block.hash)
        assert data is not None
        await b.write([(block.hash, data)])
        left = {need.hash for need in b.needs()}
        self.pull("b")
        await self.gone(b)
        self.assertEqual((b.needs(), self.opened("b")), ([], []))
        self.assertIsNone(self.get(b, "large"))
        with self.assertRaises(BoxError):
            await b.write([(block.hash, data)])
        self.plug("b")
        await until(lambda: b.status.state == "receiving" and b.needs())
        for again in b.needs():
            if again.hash not in left:
                # The list of its blocks had not been written down yet.
                data = await a.read(again.hash)
                assert data is not None
                await b.write([(again.hash, data)])
        await until(lambda: {each.hash for each in b.needs()} == left)
        await pass_on(a, b)
        await until(lambda: self.get(b, "large") is not None)

    async def test_errors_of_a_medium_that_is_pulled_out_are_not_fatal(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "file", b"hello")
        await until(lambda: a.status.files == 1)
        site, core = b._presence.site, b._core
        assert site is not None
        engine: Any = core._engine

        def broken(*_arguments: Any, **_more: Any) -> Any:
            self.tables["b"].mounts = ()
            raise OSError(errno.EIO, "pulled out")

        self.patch(site.placer, "place", broken)
        self.patch(site.placer, "recover", broken)
        self.patch(engine, "detach", broken)
        await pass_on(a, b)
        await self.gone(b)
        self.assertEqual(self.opened("b"), [])
        self.assertEqual(self.flushLoggedErrors(), [])
        self.plug("b")
        await until(lambda: self.get(b, "file") == b"hello")

    async def test_a_commit_that_fails_makes_no_version(self) -> None:
        a = await self.made("a")
        self.put(a, "file", b"hello")
        await until(lambda: a.status.files == 1)
        highest = a.highest
        # As FAT shows a device that was pulled out: all is gone, nothing can be written.
        ledger = a._core._engine.ledger

        tried = []

        def broken(*_arguments: Any) -> Any:
            tried.append(True)
            raise sqlite3.OperationalError("disk I/O error")

        self.patch(ledger, "commit", broken)
        os.rename(self.path(a, "file"), os.path.join(self.base, "file"))
        await until(lambda: tried)
        self.assertEqual(a.highest, highest)
        self.pull("a")
        await self.gone(a)
        os.rename(os.path.join(self.base, "file"), self.path(a, "file"))
        self.plug("a")
        await until(lambda: a.status.state == "in sync")
        await until_alive(a, b"file")
        self.assertEqual(a.highest, highest)

    async def test_stopping_while_it_comes_is_no_error(self) -> None:
        a = await self.make("a")
        self.plug("a")
        await a.stopService()
        self.assertEqual(self.opened("a"), [])


class EjectTests(RemovableCase):
    """A medium that is to be unmounted."""

    async def test_an_ejected_box_holds_nothing_open(self) -> None:
        a = await self.made("a")
        self.put(a, "d/file", b"hello")
        await until(lambda: a.status.files == 1)
        await a.eject()
        self.assertEqual(self.opened("a"), [])
        self.assertEqual((a.status.state, a.status.watcher), ("offline", ""))
        self.assertIn("unmounted", a.status.reason)

    async def test_it_stays_away_until_its_medium_was_away(self) -> None:
        a = await self.made("a", BoxSettings(poll=0.02))
        await a.eject()
        for _ in range(5):
            await a._presence.look()
        self.assertEqual((a.status.state, self.opened("a")), ("offline", []))
        self.pull("a")
        await until(lambda: "plug" in a.status.reason or "mount it" in a.status.reason)
        self.plug("a")
        await until(lambda: a.status.state == "in sync")

    async def test_a_rescan_takes_it_up_again(self) -> None:
        a = await self.made("a")
        await a.eject()
        await a.rescan()
        self.assertEqual(a.status.state, "in sync")

    async def test_ejecting_twice_or_what_is_not_here_is_no_error(self) -> None:
        a = await self.made("a")
        await a.eject()
        await a.eject()
        self.assertIn("unmounted", a.status.reason)
        b = await self.make("b")
        await b.eject()
        self.assertIn("plug it in", b.status.reason)

    async def test_a_box_at_a_fixed_path_can_be_ejected_too(self) -> None:
        a = await BoxTestCase.make(self, "a")
        await until(lambda: a.status.state == "in sync")
        index_id = a.index_id
        await a.eject()
        self.assertEqual((self.opened("a"), a.status.state), ([], "offline"))
        self.assertEqual(a.index_id, index_id)
        await a.rescan()
        self.assertEqual(a.status.state, "in sync")


class PoorFileSystemTests(RemovableCase):
    """A medium whose file system has neither modes nor links nor exchanges, as FAT."""

    def setUp(self) -> None:
        super().setUp()

        def refuse(*_arguments: Any, **_more: Any) -> Any:
            raise OSError(errno.EPERM, "as FAT does")

        def rename(*_arguments: Any) -> Any:
            raise OSError(errno.EINVAL, "as FAT does")

        self.patch(os, "symlink", refuse)
        self.patch(os, "link", refuse)
        self.patch(os, "fchmod", refuse)
        self.patch(folder, "type_of", lambda descriptor: "vfat")
        self.patch(syscalls, "rename", rename)

    async def test_files_come_and_go_all_the_same(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        site = b._presence.site
        assert site is not None
        held = site.capabilities
        self.assertEqual(
            (held.modes, held.symlinks, held.hard_links, held.exchange, held.noreplace),
            (False,) * 5,
        )
        self.put(a, "d/file", b"old")
        self.put(a, "gone", b"x")
        await until(lambda: a.status.files == 2)
        await pass_on(a, b)
        await until(lambda: self.get(b, "d/file") == b"old" and b.status.state == "in sync")
        self.put(a, "d/file", b"newer")
        os.unlink(self.path(a, "gone"))
        await until_alive(a, b"d", b"d/file")
        await until(lambda: a.status.size == 5)
        await pass_on(a, b)
        await until(lambda: self.get(b, "d/file") == b"newer" and self.get(b, "gone") is None)
        self.pull("b")
        await self.gone(b)
        self.plug("b")
        await until(lambda: b.status.state == "in sync")
        self.assertEqual((b.new_total, b.status.problems), (0, ()))
