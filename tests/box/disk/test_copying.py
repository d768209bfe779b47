# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.copying}.
"""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SkipTest

from flocknode.box.disk.copying import copy_content, write_all, write_sparse
from tests.box.folders import FolderCase


class CopyTests(FolderCase):
    """Copying content."""

    data = os.urandom(3_000_000)

    def copied(self) -> bytes:
        """A copy of the data."""
        self.write(b"source", self.data)
        with open(self.at(b"source"), "rb") as source, open(self.at(b"target"), "w+b") as target:
            self.assertEqual(copy_content(source.fileno(), target.fileno()), len(self.data))
            return target.read()

    def test_allOfItIsCopied(self) -> None:
        self.assertEqual(self.copied(), self.data)

    def test_worksWhereTheSystemCannotCopyByItself(self) -> None:
        def refuse(*args: object) -> int:
            raise OSError(errno.EXDEV, "two file systems")

        self.patch(os, "copy_file_range", refuse)
        self.assertEqual(self.copied(), self.data)

    def test_worksWhereTheSystemPretendsThatItIsDone(self) -> None:
        self.patch(os, "copy_file_range", lambda *args: 0)
        self.assertEqual(self.copied(), self.data)

    def test_aFullDiskIsNotHidden(self) -> None:
        def refuse(*args: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        self.patch(os, "copy_file_range", refuse)
        with self.assertRaises(OSError) as caught:
            self.copied()
        self.assertEqual(caught.exception.errno, errno.ENOSPC)

    def test_whatTheSystemWritesInPiecesIsWrittenWhole(self) -> None:
        pwrite = os.pwrite
        self.patch(os, "pwrite", lambda file, data, offset: pwrite(file, data[:1000], offset))
        with open(self.at(b"target"), "w+b") as target:
            self.assertEqual(write_all(target.fileno(), b"x" * 2500, 10), 2500)
            self.assertEqual(target.read(), bytes(10) + b"x" * 2500)


class SparseTests(FolderCase):
    """Zeros take no room."""

    hole = 1 << 22

    def allocated(self, path: bytes) -> int:
        return os.stat(self.at(path)).st_blocks * 512

    def setUp(self) -> None:
        super().setUp()
        with open(self.at(b"sparse"), "wb") as file:
            file.truncate(self.hole)
            file.seek(self.hole)
            file.write(b"data")
            file.truncate(2 * self.hole)
        if self.allocated(b"sparse") > self.hole:
            raise SkipTest("this file system has no sparse files")

    def test_copiesOfSparseFilesAreSparse(self) -> None:
        with open(self.at(b"sparse"), "rb") as source, open(self.at(b"copy"), "w+b") as target:
            size = copy_content(source.fileno(), target.fileno())
            self.assertEqual(size, 2 * self.hole)
        self.assertEqual(self.read(b"copy"), self.read(b"sparse"))
        self.assertLess(self.allocated(b"copy"), self.hole)

    def test_zerosOverDataAreWritten(self) -> None:
        with open(self.at(b"target"), "w+b") as target:
            for data in (b"x" * 100_000, bytes(100_000)):
                write_sparse(target.fileno(), data, 0)
            self.assertEqual(target.read(), bytes(100_000))

    def test_zerosBeyondTheEndMakeItLonger(self) -> None:
        with open(self.at(b"target"), "w+b") as target:
            write_sparse(target.fileno(), bytes(1 << 20), 1 << 20)
            self.assertEqual(os.fstat(target.fileno()).st_size, 2 << 20)
        self.assertEqual(self.allocated(b"target"), 0)
