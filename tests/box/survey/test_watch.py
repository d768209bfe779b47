# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.survey.watch}, with the real inotify and a reactor whose
turns the tests take.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

import pyinotify
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest

from flocknode.box.survey.hashing import Scanner
from flocknode.box.survey.polling import SOONEST
from flocknode.box.survey.watch import InotifyWatcher
from flocknode.box.values import Path
from tests.box.folders import FolderCase


class Reactor(Clock):
    """Readers are told by hand that there is something to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[InotifyWatcher] = set()

    def addReader(self, reader: InotifyWatcher) -> None:
        """It listens."""
        self.readers.add(reader)

    def removeReader(self, reader: InotifyWatcher) -> None:
        """It does not listen any more."""
        self.readers.discard(reader)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        """In the next turn."""
        self.callLater(0, call, *arguments)


class WatcherCase(FolderCase):
    """
    @ivar changed: what the watcher told: path -> was any event a closing one?
    @ivar rescanned: the directories that it wants to be scanned.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = Reactor()
        self.changed: dict[bytes, bool] = {}
        self.rescanned: list[bytes] = []
        self.watcher = InotifyWatcher(
            self.reactor, self._changed, self.rescanned.append, self._scan
        )
        self.scanner = Scanner(self.folder, entering=self.watcher.add)
        self.scans = 0

    def _scan(self) -> Deferred[None]:
        self.scans += 1
        self.scan()
        self.reactor.advance(0)
        return succeed(None)

    def _changed(self, path: Path, closed: bool) -> None:
        self.changed[path] = self.changed.get(path, False) or closed

    def start(self) -> None:
        """Listen, and watch everything."""
        self.watcher.start()
        if self.watcher.reason:
            raise SkipTest("this system lets nobody watch anything")
        self.addCleanup(self.watcher.stop)
        self.scan()

    def scan(self, below: bytes = b"") -> None:
        """What sets the watches."""
        for _ in self.scanner.walk(below):
            pass

    def hear(self) -> dict[bytes, bool]:
        """What was heard since the last time."""
        self.changed = {}
        self.rescanned.clear()
        self.watcher.doRead()
        self.reactor.advance(0.01)
        return self.changed


class WatcherTests(WatcherCase):
    """Hearing of changes."""

    def test_aWrittenFileIsClosed(self) -> None:
        self.start()
        self.write(b"file", b"data")
        self.assertEqual(self.hear(), {b"file": True})

    def test_aFileThatStaysOpenIsHeardOfToo(self) -> None:
        self.write(b"d/file", b"data")
        self.start()
        with open(self.at(b"d/file"), "ab", buffering=0) as file:
            file.write(b"more")
            self.assertEqual(self.hear(), {b"d/file": False})

    def test_deletionsAttributesAndRenamesAreHeardOf(self) -> None:
        for path in (b"d/gone", b"d/mode", b"d/from"):
            self.write(path)
        self.start()
        os.unlink(self.at(b"d/gone"))
        os.chmod(self.at(b"d/mode"), 0o600)
        os.rename(self.at(b"d/from"), self.at(b"to"))
        self.assertEqual(
            self.hear(), {b"d/gone": False, b"d/mode": False, b"d/from": False, b"to": True}
        )

    def test_anyNameIsHeardOf(self) -> None:
        self.start()
        names = [b"\xff\xfe", b"a\nb", b"x" * 255, "日本".encode(), b" "]
        for name in names:
            self.write(name)
        self.assertEqual(self.hear(), dict.fromkeys(names, True))

    def test_longPathsAreHeardOf(self) -> None:
        at, path = self.folder.root_fd, []
        for _ in range(15):
            os.mkdir(b"n" * 250, dir_fd=at)
            at = os.open(b"n" * 250, os.O_RDONLY, dir_fd=at)
            self.addCleanup(os.close, at)
            path.append(b"n" * 250)
        self.start()
        os.mkfifo(b"fifo", dir_fd=at)
        self.assertEqual(self.hear(), {b"/".join([*path, b"fifo"]): False})

    def test_whatHappensInThePrivateDirectoryIsNotHeardOf(self) -> None:
        self.start()
        self.write(b".flocknode/staging/x")
        os.chmod(self.at(b".flocknode"), 0o700)
        self.assertEqual(self.hear(), {})
        self.assertEqual(self.rescanned, [])

    def test_aNewDirectoryIsToBeScannedAndThenWatched(self) -> None:
        self.start()
        self.write(b"new/sub/file")
        self.assertEqual(self.hear(), {b"new": False})
        self.assertEqual(self.rescanned, [b"new"])
        self.scan(b"new")
        self.write(b"new/sub/file", b"data")
        self.assertEqual(self.hear(), {b"new/sub/file": True})

    def test_aTreeThatIsMovedInIsToBeScanned(self) -> None:
        os.makedirs(self.outside + b"/tree/sub")
        self.start()
        os.rename(self.outside + b"/tree", self.at(b"tree"))
        self.hear()
        self.assertEqual(self.rescanned, [b"tree"])

    def test_aDirectoryThatIsRenamedIsKnownByItsNewPath(self) -> None:
        self.write(b"old/sub/file")
        self.start()
        os.rename(self.at(b"old"), self.at(b"new"))
        self.assertEqual(self.hear(), {b"old": False, b"new": True})
        self.assertEqual(self.rescanned, [b"new"])
        self.scan(b"new")
        self.write(b"new/sub/file", b"data")
        self.assertEqual(self.hear(), {b"new/sub/file": True})

    def test_aDirectoryThatWasScannedBeforeItsRenameIsHeardKeepsItsNewPath(self) -> None:
        self.write(b"old/file")
        self.start()
        os.rename(self.at(b"old"), self.at(b"new"))
        self.scan()
        self.hear()
        self.write(b"new/file", b"data")
        self.assertEqual(self.hear(), {b"new/file": True})

    def test_aTreeThatIsMovedOutIsNotHeardOfAnyMore(self) -> None:
        self.write(b"tree/sub/file")
        self.start()
        os.rename(self.at(b"tree"), self.outside + b"/tree")
        self.hear()
        with open(self.outside + b"/tree/sub/file", "wb") as file:
            file.write(b"data")
        self.assertEqual(self.hear(), {})

    def test_aDirectoryThatIsMadeAnewIsWatchedAnew(self) -> None:
        os.mkdir(self.at(b"d"))
        self.start()
        os.rmdir(self.at(b"d"))
        os.mkdir(self.at(b"d"))
        self.hear()
        self.scan(b"d")
        self.hear()
        self.write(b"d/file")
        self.assertEqual(self.hear(), {b"d/file": True})

    def test_aRootThatIsMovedOrRemovedIsToBeScanned(self) -> None:
        self.start()
        os.rename(self.root, self.root + b".away")
        self.hear()
        self.assertEqual(self.rescanned, [b""])

    def test_anOverflowMeansToScanEverything(self) -> None:
        self.start()
        overflow = struct.pack("iIII", -1, pyinotify.IN_Q_OVERFLOW, 0, 0)
        self.patch(os, "read", lambda descriptor, size: overflow)
        self.assertEqual(self.hear(), {})
        self.assertEqual(self.rescanned, [b""])

    def test_anErrorOfReadingMeansToScanEverything(self) -> None:
        self.start()

        def fail(descriptor: int, size: int) -> bytes:
            raise OSError(errno.EIO, "broken")

        self.patch(os, "read", fail)
        self.hear()
        self.assertEqual(self.rescanned, [b""])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_nothingToReadIsNoTrouble(self) -> None:
        self.start()
        self.assertEqual(self.hear(), {})
        self.assertIn(self.watcher, self.reactor.readers)

    def test_aWriterDoesNotTakeAllTurns(self) -> None:
        self.start()
        self.write(b"file")
        self.watcher.doRead()
        self.assertEqual(self.reactor.readers, set())
        self.reactor.advance(0.005)
        self.assertEqual(self.reactor.readers, {self.watcher})

    def test_afterStoppingNothingIsLeft(self) -> None:
        self.start()
        descriptor = self.watcher.fileno()
        self.write(b"file")
        self.watcher.doRead()
        self.watcher.stop()
        self.watcher.stop()
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        with self.assertRaises(OSError):
            os.fstat(descriptor)
        self.scan()
        self.assertEqual(self.watcher.reason, "")


class LimitTests(WatcherCase):
    """The system has a limit of watches."""

    def limit(self) -> None:
        """From now on nothing more can be watched."""
        wrapper = type(self.watcher._inotify)
        self.patch(wrapper, "inotify_add_watch", lambda *args: -1)
        self.patch(wrapper, "get_errno", lambda self: errno.ENOSPC)

    def assertPolls(self, advice: str) -> None:
        """It says why, and looks again and again."""
        self.reactor.advance(0)
        self.assertIn(advice, self.watcher.reason)
        self.assertEqual((self.scans, self.rescanned), (0, []))
        for count in (1, 2, 3):
            self.reactor.advance(SOONEST)
            self.assertEqual(self.scans, count)
        self.watcher.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_atTheLimitEverythingIsPolled(self) -> None:
        self.write(b"d/file")
        self.watcher.start()
        self.addCleanup(self.watcher.stop)
        self.limit()
        self.scan()
        self.assertPolls("max_user_watches")

    def test_whatIsWatchedAlreadyIsHeardOfAtTheLimit(self) -> None:
        self.start()
        self.limit()
        self.write(b"d/file")
        self.scan(b"d")
        self.write(b"file")
        self.assertEqual(self.hear(), {b"d": False, b"file": True})

    def test_pollingEndsWhenALookCouldWatchEverything(self) -> None:
        self.start()
        real = type(self.watcher._inotify).inotify_add_watch
        self.limit()
        self.write(b"d/file")
        self.scan(b"d")
        self.reactor.advance(0)
        self.assertIn("max_user_watches", self.watcher.reason)
        self.patch(type(self.watcher._inotify), "inotify_add_watch", real)
        self.reactor.advance(SOONEST)
        self.assertEqual((self.scans, self.watcher.reason), (1, ""))
        self.reactor.advance(100)
        self.assertEqual(self.scans, 1)
        self.hear()
        self.write(b"d/file", b"data")
        self.assertEqual(self.hear(), {b"d/file": True})

    def test_withoutInotifyEverythingIsPolled(self) -> None:
        self.patch(pyinotify.INotifyWrapper, "create", staticmethod(lambda: None))
        self.watcher.start()
        self.scan()
        self.assertPolls("no inotify")

    def test_withoutInstancesEverythingIsPolled(self) -> None:
        self.patch(pyinotify.INotifyWrapper, "inotify_init", lambda self: -1)
        self.watcher.start()
        self.assertPolls("max_user_instances")
