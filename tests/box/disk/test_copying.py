# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.copying}.
"""

from __future__ import annotations

import errno
import os

from flocknode.box.disk.copying import copy_content, write_all
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
