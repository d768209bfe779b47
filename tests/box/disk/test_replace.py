# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.replace.Careful}: the last instant on a file system
that cannot exchange two names.  (L{Exchange<flocknode.box.disk.replace.Exchange>}
is tested in L{tests.box.disk.test_perform}.)
"""

from __future__ import annotations

import os

from flocknode.box.disk.folder import FileType
from flocknode.box.disk.placer import Failed, Occupied, Placed, Surprise
from flocknode.box.values import Path
from tests.box.placing import PlacingCase, WithoutLinks, WithoutRenameat2

FILE = Path(b"file")


class CarefulTests(WithoutRenameat2, PlacingCase):
    """With hard links."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.existing(b"file", b"old")
        self.placement = self.file(b"file", b"new", self.old)

    def test_aFileThatIsWrittenToIsASurprise(self) -> None:
        self.steps["checked"] = lambda: self.write(b"file", b"edited")
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise)
        self.assertEqual((self.read(b"file"), self.kept(outcome.kept)), (b"new", b"edited"))

    def test_aDirectoryInItsPlaceStays(self) -> None:
        def swap() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = swap
        (outcome,) = self.place(self.placement)
        self.assertIsInstance(outcome, Failed)
        self.assertEqual(self.read(b"file/inner"), b"precious")
        self.assertEqual((self.staged(), self.stored()), ([b"new"], []))

    def test_whatIsEditedWhileItIsLinkedIsNotTouched(self) -> None:
        link = os.link

        def disturbed(*args: bytes, **named: int) -> None:
            link(*args, **named)  # type: ignore[arg-type]
            self.save(b"file", b"edited")

        self.patch(os, "link", disturbed)
        (outcome,) = self.place(self.placement)
        self.assertEqual(outcome, Occupied(FILE, self.lstat(b"file")))
        self.assertEqual(self.read(b"file"), b"edited")
        self.assertEqual((self.staged(), self.stored()), ([b"new"], []))

    def test_whatIsDeletedBeforeItIsLinkedIsNotPlaced(self) -> None:
        link = os.link

        def disturbed(*args: bytes, **named: int) -> None:
            os.unlink(self.at(b"file"))
            link(*args, **named)  # type: ignore[arg-type]

        self.patch(os, "link", disturbed)
        self.assertEqual(self.place(self.placement), [Occupied(FILE, None)])
        self.assertEqual((self.staged(), self.stored()), ([b"new"], []))

    def test_aFileThatBecomesADirectoryIsKeptEvenIfEdited(self) -> None:
        self.steps["checked"] = lambda: self.save(b"file", b"edited")
        (outcome,) = self.place(self.directory(b"file", self.old))
        assert isinstance(outcome, Surprise)
        self.assertEqual(self.kept(outcome.kept), b"edited")
        self.assertEqual(self.lstat(b"file").type, FileType.DIRECTORY)

    def test_aFileThatBecomesADirectoryAndIsGoneIsOccupied(self) -> None:
        self.steps["checked"] = lambda: os.unlink(self.at(b"file"))
        (outcome,) = self.place(self.directory(b"file", self.old))
        self.assertEqual(outcome, Occupied(FILE, None))

    def test_aFileInTheMomentWithoutADirectoryStays(self) -> None:
        os.mkdir(self.at(b"d"))
        self.steps["checked"] = lambda: self.write(b"d", b"local")
        (outcome,) = self.place(self.file(b"d", b"new", self.lstat(b"d")))
        self.assertEqual(outcome, Occupied(Path(b"d"), self.lstat(b"d")))
        self.assertEqual((self.read(b"d"), self.staged()), (b"local", [b"new"]))

    def test_whatIsKeptHasNoOtherName(self) -> None:
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Placed)
        assert outcome.kept is not None
        self.assertEqual(outcome.kept.stat.links, 1)


class CarefulWithoutLinksTests(WithoutLinks, PlacingCase):
    """Without hard links, what is replaced is copied."""

    def test_theCopyIsKeptWithItsModeAndTime(self) -> None:
        self.write(b"file", b"old")
        os.chmod(self.at(b"file"), 0o640)
        os.utime(self.at(b"file"), ns=(1, 2_000_000_000))
        (outcome,) = self.place(self.file(b"file", b"new", self.lstat(b"file")))
        assert isinstance(outcome, Placed)
        assert outcome.kept is not None
        self.assertEqual(self.kept(outcome.kept), b"old")
        stat = outcome.kept.stat
        self.assertEqual((stat.mode, stat.mtime_ns), (0o640, 2_000_000_000))

    def test_whatItsOwnerCannotReadIsCopiedAllTheSame(self) -> None:
        self.write(b"file", b"old")
        self.unprivileged()
        self.start()
        os.chmod(self.at(b"file"), 0)
        (outcome,) = self.place(self.file(b"file", b"new", self.lstat(b"file")))
        assert isinstance(outcome, Placed)
        assert outcome.kept is not None
        self.assertEqual((outcome.kept.stat.mode, outcome.kept.stat.size), (0, 3))
