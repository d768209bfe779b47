# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.watching} and L{flocknode.box.survey.watchdogs}.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from flocknode.box.survey.polling import Poller
from flocknode.box.survey.watch import InotifyWatcher
from flocknode.box.survey.watching import Ground, Hearer, Watcher, choose, ground_of, is_deaf
from flocknode.box.values import Path

try:
    from watchdog import events
except ImportError:
    events = None  # type: ignore[assignment]


class Ears:
    """Keeps what a watcher tells."""

    def __init__(self) -> None:
        self.changed: dict[bytes, bool] = {}
        self.rescanned: list[bytes] = []
        self.hearer = Hearer(self._changed, self.rescanned.append, lambda: succeed(None))

    def _changed(self, path: Path, closed: bool) -> None:
        self.changed[path] = self.changed.get(path, False) or closed


class ChoiceTests(SynchronousTestCase):
    """Which watcher a box gets."""

    def make(self, choice: str, type: str = "ext4") -> Watcher:
        return choose(choice)(Clock(), Ground(b"/nowhere", type), Ears().hearer)

    def without(self, name: str) -> None:
        """That module cannot be imported."""
        self.put(name, None)

    def put(self, name: str, module: ModuleType | None) -> None:
        """That is the module of this name."""
        modules: dict[str, Any] = sys.modules  # the import system knows no other
        before = modules.get(name)
        modules[name] = module

        def undo() -> None:
            if before is None:
                del modules[name]
            else:
                modules[name] = before

        self.addCleanup(undo)

    def test_on_a_local_file_system_inotify_hears_everything(self) -> None:
        for type in ("ext4", "btrfs", "vfat", "exfat", "fuseblk", "overlay", "tmpfs", ""):
            watcher = self.make("auto", type)
            self.assertIsInstance(watcher, InotifyWatcher)
            self.assertEqual((watcher.name, watcher.reason), ("inotify", ""))

    def test_what_others_change_unheard_is_polled_and_the_reason_names_it(self) -> None:
        for type in ("nfs4", "cifs", "smb3", "fuse.sshfs", "fuse", "9p", "ceph", "virtiofs"):
            self.assertTrue(is_deaf(type), type)
            watcher = self.make("auto", type)
            self.assertEqual(watcher.name, "polling")
            self.assertIn(type, watcher.reason)

    def test_what_is_configured_is_used_wherever_it_is(self) -> None:
        self.assertEqual(self.make("inotify", "nfs4").name, "inotify")
        self.assertIn("configured", self.make("polling").reason)

    def test_without_inotify_or_watchdog_it_is_polled(self) -> None:
        self.without("flocknode.box.survey.watch")
        self.without("flocknode.box.survey.watchdogs")
        self.assertIsInstance(self.make("auto"), Poller)
        watcher = self.make("watchdog")
        self.assertEqual(watcher.name, "polling")
        self.assertIn("pip install", watcher.reason)

    def test_other_systems_take_watchdog(self) -> None:
        module = ModuleType("flocknode.box.survey.watchdogs")
        made: list[Any] = []
        module.WatchdogWatcher = lambda *all: made.append(all)  # type: ignore[attr-defined]
        self.put(module.__name__, module)
        self.patch(sys, "platform", "darwin")
        self.make("auto")
        self.assertEqual(len(made), 1)

    def test_the_ground_is_that_of_the_open_folder(self) -> None:
        for path, type in ((b"/proc", "proc"), (b"/sys", "sysfs")):
            if not os.path.ismount(path):
                raise SkipTest("neither proc nor sysfs is mounted here")
            descriptor = os.open(path, os.O_RDONLY)
            try:
                self.assertEqual(ground_of(path, descriptor), Ground(path, type))
            finally:
                os.close(descriptor)


class WatchdogTests(TestCase):
    """watchdog itself, and what is made of what it tells."""

    timeout = 20

    def setUp(self) -> None:
        if events is None:
            raise SkipTest("the package watchdog is not installed")
        from flocknode.box.survey.watchdogs import WatchdogWatcher

        self.root = os.path.realpath(self.mktemp())
        os.makedirs(os.path.join(self.root, ".flocknode"))
        self.ears = Ears()
        self.watcher = WatchdogWatcher(
            reactor,
            os.fsencode(self.root),
            self.ears.hearer.changed,
            self.ears.hearer.rescan,
            self.ears.hearer.scan,
        )
        self.addCleanup(self.watcher.stop)

    def at(self, path: str) -> str:
        return os.path.join(self.root, path)

    def write(self, path: str) -> None:
        with open(self.at(path), "wb") as file:
            file.write(b"data")

    async def until(self, heard: Any) -> None:
        for _ in range(1000):
            if heard():
                return
            await deferLater(reactor, 0.005)
        raise AssertionError(f"It heard {self.ears.changed} and {self.ears.rescanned}")

    async def test_a_written_file_is_heard_of(self) -> None:
        self.watcher.start()
        self.assertEqual((self.watcher.name, self.watcher.reason), ("watchdog", ""))
        self.write("file")
        await self.until(lambda: b"file" in self.ears.changed)

    async def test_a_new_directory_is_to_be_scanned_and_heard_of_below(self) -> None:
        self.watcher.start()
        os.mkdir(self.at("d"))
        await self.until(lambda: b"d" in self.ears.rescanned)
        self.write("d/file")
        await self.until(lambda: b"d/file" in self.ears.changed)

    async def test_renames_and_deletions_are_heard_of(self) -> None:
        self.write("old")
        self.write("gone")
        self.watcher.start()
        os.rename(self.at("old"), self.at("new"))
        os.unlink(self.at("gone"))
        await self.until(lambda: {b"old", b"new", b"gone"} <= self.ears.changed.keys())

    async def test_what_is_our_own_is_not_told(self) -> None:
        self.watcher.start()
        self.write(".flocknode/staging")
        self.write("after")
        await self.until(lambda: b"after" in self.ears.changed)
        self.assertEqual([p for p in self.ears.changed if p.startswith(b".flocknode")], [])
        self.assertNotIn(b"", self.ears.rescanned)

    async def test_more_than_fits_means_to_scan_everything(self) -> None:
        from flocknode.box.survey import watchdogs

        self.patch(watchdogs, "MOST", 3)
        self.watcher.start()
        for number in range(5):
            self.watcher.dispatch(events.FileModifiedEvent(self.at(f"f{number}")))
        await self.until(lambda: b"" in self.ears.rescanned)
        self.assertEqual(len(self.ears.changed), 3)

    async def test_a_root_that_goes_away_is_to_be_scanned(self) -> None:
        self.watcher.start()
        self.watcher.dispatch(events.DirDeletedEvent(self.root))
        await self.until(lambda: b"" in self.ears.rescanned)

    async def test_what_cannot_be_watched_is_polled(self) -> None:
        os.rename(self.root, self.root + ".away")
        looked: Deferred[None] = Deferred()
        self.patch(self.watcher, "_poller", Poller(reactor, lambda: looked))
        self.watcher.start()
        self.assertIn("watchdog cannot watch", self.watcher.reason)
        self.assertIsNotNone(self.watcher._poller._timer)
        self.watcher.stop()
        self.assertIsNone(self.watcher._poller._timer)

    async def test_after_stopping_nothing_is_told(self) -> None:
        self.watcher.start()
        self.watcher.dispatch(events.FileModifiedEvent(self.at("late")))
        self.watcher.stop()
        self.watcher.stop()
        await deferLater(reactor, 0.02)
        self.assertEqual(self.ears.changed, {})
