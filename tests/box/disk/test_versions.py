# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.versions}.
"""

from __future__ import annotations

import errno
import os

from flocknode.box.disk import versions
from flocknode.box.disk.copying import copy_content
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.versions import Kept, VersionStore
from tests.box.folders import FolderCase, refuse


class VersionStoreTests(FolderCase):
    """What was replaced or deleted."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 1_000.0
        self.store = VersionStore(self.folder, lambda: self.now)
        self.addCleanup(self.store.close)

    def path(self, name: bytes) -> bytes:
        """Of something in the store, below the box."""
        return b".flocknode/versions/" + name

    def keep(self, path: bytes) -> Kept:
        """Move a file of the box into the store."""
        name = self.store.new_name()
        os.rename(self.at(path), self.at(self.path(name)))
        return self.store.settle(name)

    def kept(self, data: bytes) -> Kept:
        """Something kept."""
        self.write(b"file", data)
        return self.keep(b"file")

    def test_namesAreNeverUsedTwiceAndSortByTime(self) -> None:
        first = [self.store.new_name() for _ in range(10)]
        self.now += 0.001
        later = [self.store.new_name() for _ in range(10)]
        self.assertEqual(len({*first, *later}), 20)
        self.assertLess(max(first), min(later))

    def test_whatIsKeptCanBeRead(self) -> None:
        kept = self.kept(b"data")
        descriptor = self.store.open(kept.name)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(os.read(descriptor, 10), b"data")
        self.assertEqual(self.store.stat(kept.name), kept.stat)
        self.assertEqual(self.store.names(), [kept.name])

    def test_linksAreKeptAsLinks(self) -> None:
        os.symlink(b"target\xff", self.at(b"link"))
        kept = self.keep(b"link")
        self.assertEqual(kept.stat.type, FileType.SYMLINK)
        self.assertEqual(self.store.readlink(kept.name), b"target\xff")

    def test_aWriterWhoHeldItOpenIsNoticed(self) -> None:
        self.write(b"file", b"data")
        with open(self.at(b"file"), "ab") as writer:
            kept = self.keep(b"file")
            self.assertFalse(self.store.changed(kept))
            writer.write(b", more")
        self.assertTrue(self.store.changed(kept))
        renewed = self.store.renew(kept)
        assert renewed is not None
        self.assertEqual(renewed.stat.size, 10)
        self.assertFalse(self.store.changed(renewed))

    def test_whatIsGoneHasNotChanged(self) -> None:
        kept = self.kept(b"data")
        self.store.remove(kept.name)
        self.store.remove(kept.name)
        self.assertFalse(self.store.changed(kept))
        self.assertIsNone(self.store.renew(kept))
        self.assertEqual(self.store.names(), [])

    def test_anInodeThatCannotBeCopiedIsKeptAllTheSame(self) -> None:
        self.patch(versions, "copy_content", refuse(errno.ENOSPC))
        self.write(b"file", b"data")
        os.link(self.at(b"file"), self.at(b"other"))
        kept = self.keep(b"file")
        self.assertEqual(self.read(self.path(kept.name)), b"data")
        self.assertEqual(os.listdir(self.at(self.path(b""))), [kept.name])

    def test_anInodeWithAnotherNameIsCopied(self) -> None:
        self.write(b"file", b"data")
        os.chmod(self.at(b"file"), 0o640)
        os.utime(self.at(b"file"), ns=(5, 1_234_567_890_123_456_789))
        os.link(self.at(b"file"), self.at(b"other"))
        kept = self.keep(b"file")
        with open(self.at(b"other"), "r+b") as writer:
            writer.write(b"DATA")
        self.assertEqual(self.read(self.path(kept.name)), b"data")
        self.assertFalse(self.store.changed(kept))
        self.assertEqual((kept.stat.mtime_ns, kept.stat.mode), (1_234_567_890_123_456_789, 0o640))
        self.assertEqual(os.listdir(self.at(b".flocknode/versions")), [kept.name])

    def test_anInodeThatIsWrittenToWhileItIsCopiedIsCopiedAgain(self) -> None:
        self.write(b"file", b"data")
        os.link(self.at(b"file"), self.at(b"other"))
        copy = copy_content
        changes = [b"more data"]

        def disturbed(source: int, target: int) -> int:
            done = copy(source, target)
            if changes:
                self.write(b"other", changes.pop())
            return done

        self.patch(versions, "copy_content", disturbed)
        kept = self.keep(b"file")
        self.assertEqual(self.read(self.path(kept.name)), b"more data")
        self.assertEqual(kept.stat.size, 9)

    def test_whatIsOldIsKnownByItsName(self) -> None:
        old = self.kept(b"old")
        self.now = 2_000.0
        new = self.kept(b"new")
        self.assertEqual(self.store.older(1_500.0), [old.name])
        self.assertEqual(self.store.older(2_500.0), [old.name, new.name])

    def test_whatIsNotOursIsNeverOld(self) -> None:
        self.write(self.path(b"notes.txt"))
        self.assertEqual(self.store.older(1e9), [])

    def test_aDirectoryIsRemovedWithAllInItAndNothingElse(self) -> None:
        with open(self.outside + b"/precious", "wb"):
            pass
        name = self.store.new_name()
        self.write(self.path(name) + b"/d/file")
        os.symlink(self.outside, self.at(self.path(name) + b"/link"))
        os.symlink(self.outside, self.at(self.path(name) + b"/d/link"))
        self.store.remove(name)
        self.assertEqual(self.store.names(), [])
        self.assertEqual(os.listdir(self.outside), [b"precious"])

    def test_afterACrashWhatTheIndexDoesNotKnowIsFound(self) -> None:
        known, unknown = self.kept(b"known"), self.kept(b"unknown")
        self.write(self.path(unknown.name + b".copy"), b"unfinis")
        self.assertEqual(self.store.unlisted(frozenset((known.name,))), [unknown])
        self.assertNotIn(unknown.name + b".copy", os.listdir(self.at(b".flocknode/versions")))

    def test_whatItsOwnerCouldNotReadIsReadAllTheSame(self) -> None:
        self.unprivileged()
        self.write(b"file", b"data")
        os.chmod(self.at(b"file"), 0)
        kept = self.keep(b"file")
        descriptor = self.store.open(kept.name)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(os.read(descriptor, 10), b"data")
        self.assertEqual(os.stat(self.at(self.path(kept.name))).st_mode & 0o777, 0)
