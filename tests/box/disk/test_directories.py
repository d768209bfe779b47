# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.directories}.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

from flocknode.box.disk.directories import Directories
from tests.box.folders import FolderCase


class DirectoriesTests(FolderCase):
    """The directories of a batch."""

    def setUp(self) -> None:
        super().setUp()
        self.executor = ThreadPoolExecutor(1)
        self.addCleanup(self.executor.shutdown)
        self.directories = Directories(self.folder)
        self.synced: list[int] = []

    def finish(self) -> dict[bytes, OSError]:
        """And see what is synced."""

        def fsync(descriptor: int) -> None:
            self.synced.append(os.fstat(descriptor).st_ino)

        self.patch(os, "fsync", fsync)
        return self.directories.finish(self.executor)

    def inode(self, path: bytes) -> int:
        """Of something in the box."""
        return os.stat(self.at(path)).st_ino

    def test_eachIsSyncedOnceAndTheRootToo(self) -> None:
        self.write(b"d/e/x")
        for path in (b"d/e/x", b"d/e/y", b"top", b"d/e/z"):
            self.directories.touched(path)
        self.assertEqual(self.finish(), {})
        self.assertEqual(sorted(self.synced), sorted([self.inode(b"d/e"), self.inode(b"")]))

    def test_manyAreSyncedToo(self) -> None:
        for number in range(150):
            self.write(b"%d/x" % number)
            self.directories.touched(b"%d/x" % number)
        self.assertEqual(self.finish(), {})
        self.assertEqual(len(set(self.synced)), 150)

    def test_thoseThatAreGoneAreNoProblem(self) -> None:
        os.symlink(self.outside, self.at(b"link"))
        self.write(b"file")
        for path in (b"gone/x", b"link/x", b"file/x"):
            self.directories.touched(path)
        self.assertEqual(self.finish(), {})
        self.assertEqual(self.synced, [])

    def test_whatCannotBeSyncedIsTold(self) -> None:
        self.write(b"d/x")
        self.directories.touched(b"d/x")

        def fsync(descriptor: int) -> None:
            raise OSError(errno.EIO, "broken")

        self.patch(os, "fsync", fsync)
        problems = self.directories.finish(self.executor)
        self.assertEqual([error.errno for error in problems.values()], [errno.EIO])

    def test_modesAreSetDeepestFirst(self) -> None:
        self.write(b"d/e/f/x")
        self.unprivileged()
        for path in (b"d", b"d/e", b"d/e/f"):
            self.directories.set_mode(path, 0o500 if path == b"d" else 0)
        self.assertEqual(self.finish(), {})
        self.assertEqual(self.directories.finished[b"d/e/f"].mode, 0)
        self.assertEqual(os.stat(self.at(b"d/e")).st_mode & 0o777, 0)

    def test_aModeIsLiftedAndPutBack(self) -> None:
        self.write(b"d/e/x")
        self.unprivileged()
        os.chmod(self.at(b"d/e"), 0o550)
        os.chmod(self.at(b"d"), 0o040)
        directories = Directories(self.folder)
        descriptor, name = directories.parent(b"d/e/new")
        self.addCleanup(os.close, descriptor)
        os.mkdir(name, dir_fd=descriptor)
        self.assertEqual(directories.finish(self.executor), {})
        self.assertEqual(os.stat(self.at(b"d")).st_mode & 0o777, 0o040)
        os.chmod(self.at(b"d"), 0o700)
        self.assertEqual(os.stat(self.at(b"d/e")).st_mode & 0o777, 0o550)

    def test_aModeThatTheBatchWantsWinsOverTheOneThatWas(self) -> None:
        self.write(b"d/x")
        self.unprivileged()
        os.chmod(self.at(b"d"), 0o500)
        directories = Directories(self.folder)
        directories.set_mode(b"d", 0o750)
        os.close(directories.parent(b"d/new")[0])
        self.assertEqual(directories.finish(self.executor), {})
        self.assertEqual(os.stat(self.at(b"d")).st_mode & 0o777, 0o750)
