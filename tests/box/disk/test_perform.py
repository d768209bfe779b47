# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.perform} and of L{flocknode.box.disk.replace.Exchange}: what
happens in the last instant, between the look at a path and the rename.
"""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SkipTest

from flocknode.box.disk import syscalls
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.placer import Failed, Occupied, Placed, Placement, Surprise
from flocknode.box.values import Kind, Path, Value
from tests.box.folders import refuse
from tests.box.placing import PlacingCase, WithoutRenameat2

FILE = Path(b"file")


class LastInstantOfReplacingTests(PlacingCase):
    """A file is to be replaced, and something happens to it just before."""

    def setUp(self) -> None:
        super().setUp()
        if not self.folder.capabilities.exchange:
            raise SkipTest("the file system of this directory cannot exchange")
        self.old = self.existing(b"file", b"old")
        self.placement = self.file(b"file", b"new", self.old)

    def assertSurprise(self, kept: bytes) -> None:
        """The new content is placed, and the last instant's is kept."""
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise), outcome
        self.assertEqual(outcome.stat, self.folder.lstat(b"file"))
        self.assertEqual(self.read(b"file"), b"new")
        self.assertEqual(self.kept(outcome.kept), kept)
        self.assertEqual(outcome.kept.stat, self.versions.stat(outcome.kept.name))
        self.assertEqual((len(self.stored()), self.staged()), (1, []))

    def assertUntouched(self, found: FileType | None) -> None:
        """Nothing was done, and the new content is in staging again."""
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Occupied), outcome
        self.assertEqual(None if outcome.stat is None else outcome.stat.type, found)
        self.assertEqual(os.listdir(self.at(b".flocknode/versions")), [])
        self.assertEqual(self.staged(), [b"new"])

    def test_itIsWrittenTo(self) -> None:
        self.steps["checked"] = lambda: self.write(b"file", b"edited")
        self.assertSurprise(b"edited")

    def test_anEditorReplacesIt(self) -> None:
        self.steps["checked"] = lambda: self.save(b"file", b"edited")
        self.assertSurprise(b"edited")

    def test_itsModeIsChanged(self) -> None:
        self.steps["checked"] = lambda: os.chmod(self.at(b"file"), 0o600)
        self.assertSurprise(b"old")

    def test_itIsDeleted(self) -> None:
        self.steps["checked"] = lambda: os.unlink(self.at(b"file"))
        self.assertUntouched(None)
        self.assertFalse(os.path.lexists(self.at(b"file")))

    def test_aDirectoryTakesItsPlace(self) -> None:
        def swap() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = swap
        self.assertUntouched(FileType.DIRECTORY)
        self.assertEqual(self.read(b"file/inner"), b"precious")

    def test_aFifoTakesItsPlace(self) -> None:
        def swap() -> None:
            os.unlink(self.at(b"file"))
            os.mkfifo(self.at(b"file"))

        self.steps["checked"] = swap
        self.assertUntouched(FileType.OTHER)
        self.assertEqual(self.lstat(b"file").type, FileType.OTHER)

    def test_aLinkToTheOutsideTakesItsPlace(self) -> None:
        with open(self.outside + b"/precious", "wb") as file:
            file.write(b"precious")

        def swap() -> None:
            os.unlink(self.at(b"file"))
            os.symlink(self.outside + b"/precious", self.at(b"file"))

        self.steps["checked"] = swap
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise)
        target = self.versions.readlink(outcome.kept.name)
        self.assertEqual(target, self.outside + b"/precious")
        with open(self.outside + b"/precious", "rb") as there:
            self.assertEqual(there.read(), b"precious")

    def test_theSystemRefuses(self) -> None:
        self.assertTrue(self.folder.capabilities.exchange)
        self.patch(syscalls, "rename", refuse(errno.EPERM))
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Failed)
        self.assertEqual(outcome.errno, errno.EPERM)
        self.assertEqual(self.read(b"file"), b"old")
        self.assertEqual((self.staged(), self.stored()), ([b"new"], []))

    def test_aDirectoryTakesItsPlaceAndThenOneAfterTheOther(self) -> None:
        def directory() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        def again() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/second", b"also precious")

        self.steps["checked"] = directory
        self.steps["exchanged"] = again
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise)
        self.assertEqual(self.read(b"file/inner"), b"precious")
        second = b".flocknode/versions/" + outcome.kept.name + b"/second"
        self.assertEqual(self.read(second), b"also precious")

    def test_aDirectoryTakesItsPlaceAndAnotherFileThatOfOurs(self) -> None:
        def directory() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = directory
        self.steps["exchanged"] = lambda: self.save(b"file", b"third")
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise)
        self.assertEqual(self.kept(outcome.kept), b"third")
        self.assertEqual(self.read(b"file/inner"), b"precious")

    def test_aDirectoryTakesItsPlaceAndOursIsDeleted(self) -> None:
        def directory() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = directory
        self.steps["exchanged"] = lambda: os.unlink(self.at(b"file"))
        (outcome,) = self.place(self.placement)
        self.assertIsInstance(outcome, Occupied)
        self.assertEqual(self.read(b"file/inner"), b"precious")

    def test_whatIsPlacedIsEditedAtOnce(self) -> None:
        self.steps["exchanged"] = lambda: self.write(b"file", b"even newer")
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Placed)
        self.assertEqual(self.kept(outcome.kept), b"old")
        assert outcome.stat is not None
        # So the next scan sees a change of what was placed.
        self.assertFalse(outcome.stat.matches(self.folder.lstat(b"file")))

    def test_whoeverHoldsItOpenWritesToWhatIsKept(self) -> None:
        with open(self.at(b"file"), "ab") as writer:
            (outcome,) = self.place(self.placement)
            assert isinstance(outcome, Placed)
            assert outcome.kept is not None
            self.assertFalse(self.versions.changed(outcome.kept))
            writer.write(b" and more")
        self.assertTrue(self.versions.changed(outcome.kept))
        self.assertEqual(self.kept(outcome.kept), b"old and more")
        self.assertEqual(self.read(b"file"), b"new")

    def test_aDirectoryThatIsToBecomeAFileIsFilled(self) -> None:
        os.mkdir(self.at(b"d"))
        self.placement = self.file(b"d", b"new", self.lstat(b"d"))
        self.steps["checked"] = lambda: self.write(b"d/inner", b"precious")
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Failed)
        self.assertEqual(outcome.errno, errno.ENOTEMPTY)
        self.assertEqual(self.read(b"d/inner"), b"precious")
        self.assertEqual((self.staged(), self.stored()), ([b"new"], []))

    def test_aFileThatIsToBecomeADirectoryIsEdited(self) -> None:
        placement = self.directory(b"file", self.old)
        self.steps["checked"] = lambda: self.save(b"file", b"edited")
        (outcome,) = self.place(placement)
        assert isinstance(outcome, Surprise)
        self.assertEqual(self.kept(outcome.kept), b"edited")
        self.assertEqual(self.lstat(b"file").type, FileType.DIRECTORY)

    def test_aFileThatIsToBecomeADirectoryBecomesOneByItself(self) -> None:
        def swap() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = swap
        (outcome,) = self.place(self.directory(b"file", self.old))
        self.assertIsInstance(outcome, Occupied)
        self.assertEqual(self.read(b"file/inner"), b"precious")
        self.assertEqual(os.listdir(self.at(b".flocknode/versions")), [])


class LastInstantOfCreatingTests(PlacingCase):
    """Something new is to come, and something else is there just before."""

    def assertUntouched(self, placement: Placement) -> None:
        """What is there stays."""
        self.steps["checked"] = lambda: self.write(b"file", b"local")
        (outcome,) = self.place(placement)
        self.assertEqual(outcome, Occupied(FILE, self.lstat(b"file")))
        self.assertEqual(self.read(b"file"), b"local")

    def test_aFileIsThere(self) -> None:
        self.assertUntouched(self.file(b"file", b"new"))
        self.assertEqual(self.staged(), [b"new"])

    def test_aFileIsThereInsteadOfALink(self) -> None:
        self.assertUntouched(self.link(b"file", b"target"))
        self.assertEqual(self.staged(), [])

    def test_aFileIsThereInsteadOfADirectory(self) -> None:
        self.assertUntouched(self.directory(b"file"))

    def test_theParentIsGone(self) -> None:
        os.mkdir(self.at(b"d"))
        self.steps["checked"] = lambda: os.rmdir(self.at(b"d"))
        (outcome,) = self.place(self.file(b"d/file", b"new"))
        assert isinstance(outcome, Failed)
        self.assertEqual((outcome.errno, self.staged()), (errno.ENOENT, [b"new"]))


class LastInstantOfCreatingWithoutRenameat2Tests(
    WithoutRenameat2, LastInstantOfCreatingTests
):
    """L{LastInstantOfCreatingTests} again."""


class LastInstantOfDeletingTests(PlacingCase):
    """A file is to be deleted, and something happens to it just before."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.existing(b"file", b"old")
        self.placement = self.deletion(b"file")

    def test_anEditorReplacesIt(self) -> None:
        self.steps["checked"] = lambda: self.save(b"file", b"edited")
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise)
        self.assertIsNone(outcome.stat)
        self.assertEqual(self.kept(outcome.kept), b"edited")

    def test_itIsDeletedAlready(self) -> None:
        self.steps["checked"] = lambda: os.unlink(self.at(b"file"))
        self.assertEqual(self.place(self.placement), [Placed(FILE, None)])

    def test_aDirectoryTakesItsPlace(self) -> None:
        def swap() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = swap
        (outcome,) = self.place(self.placement)
        self.assertIsInstance(outcome, Occupied)
        self.assertEqual(self.read(b"file/inner"), b"precious")
        self.assertEqual(os.listdir(self.at(b".flocknode/versions")), [])

    def test_aDirectoryTakesItsPlaceAndThenAFile(self) -> None:
        def swap() -> None:
            os.unlink(self.at(b"file"))
            self.write(b"file/inner", b"precious")

        self.steps["checked"] = swap
        self.steps["exchanged"] = lambda: self.write(b"file", b"third")
        (outcome,) = self.place(self.placement)
        assert isinstance(outcome, Surprise)
        self.assertEqual(outcome.kept.stat.type, FileType.DIRECTORY)
        inner = b".flocknode/versions/" + outcome.kept.name + b"/inner"
        self.assertEqual(self.read(inner), b"precious")
        self.assertEqual(self.read(b"file"), b"third")

    def test_aDirectoryIsFilled(self) -> None:
        os.mkdir(self.at(b"d"))
        self.steps["checked"] = lambda: self.write(b"d/inner", b"precious")
        (outcome,) = self.place(self.deletion(b"d"))
        assert isinstance(outcome, Failed)
        self.assertEqual(outcome.errno, errno.ENOTEMPTY)
        self.assertEqual(self.read(b"d/inner"), b"precious")

    def test_aDirectoryBecomesAFile(self) -> None:
        os.mkdir(self.at(b"d"))

        def swap() -> None:
            os.rmdir(self.at(b"d"))
            self.write(b"d", b"precious")

        self.steps["checked"] = swap
        (outcome,) = self.place(self.deletion(b"d"))
        self.assertEqual(outcome, Occupied(Path(b"d"), self.lstat(b"d")))
        self.assertEqual(self.read(b"d"), b"precious")


class LastInstantOfDeletingWithoutRenameat2Tests(
    WithoutRenameat2, LastInstantOfDeletingTests
):
    """L{LastInstantOfDeletingTests} again."""


class RenameTests(PlacingCase):
    """A rename on disk."""

    def rename(self, source: bytes, path: bytes, mode: int = 0o644) -> Placement:
        """What is at C{source} shall be at C{path}."""
        stat = self.lstat(source)
        value = Value(False, Kind.FILE, mode, stat.mtime_ns, bytes(32))
        return Placement(
            Path(path), value, stat.size, source=Path(source), source_expected=stat
        )

    def test_movesTheInodeAndSetsItsMode(self) -> None:
        old = self.existing(b"a/old", b"data")
        outcomes = self.place(self.rename(b"a/old", b"b/new", 0o600), self.directory(b"b"))
        stat = self.assertPlaced(outcomes[0], b"b/new").stat
        assert stat is not None
        self.assertEqual((stat.inode, stat.mode), (old.inode, 0o600))
        self.assertEqual(os.listdir(self.at(b"a")), [])
        self.assertEqual(self.stored(), [])

    def test_doesNothingIfTheSourceIsNotAsExpected(self) -> None:
        self.existing(b"old", b"data")
        placement = self.rename(b"old", b"new")
        self.write(b"old", b"edit")
        self.assertEqual(
            self.place(placement), [Occupied(Path(b"old"), self.lstat(b"old"))]
        )
        os.unlink(self.at(b"old"))
        self.assertEqual(self.place(placement), [Occupied(Path(b"old"), None)])
        self.assertEqual(os.listdir(self.root), [b".flocknode"])

    def test_aSourceThatIsGoneInTheLastInstantIsOccupied(self) -> None:
        self.existing(b"d/old", b"data")
        placement = self.rename(b"d/old", b"new")
        self.steps["checked"] = lambda: os.unlink(self.at(b"d/old"))
        self.assertEqual(self.place(placement), [Occupied(Path(b"d/old"), None)])
        os.rmdir(self.at(b"d"))
        self.assertEqual(self.place(placement), [Occupied(Path(b"d/old"), None)])

    def test_aTargetThatComesInTheLastInstantStays(self) -> None:
        self.existing(b"old", b"data")
        placement = self.rename(b"old", b"new")
        self.steps["checked"] = lambda: self.write(b"new", b"other")
        self.assertEqual(self.place(placement), [Occupied(Path(b"new"), self.lstat(b"new"))])
        self.assertEqual((self.read(b"old"), self.read(b"new")), (b"data", b"other"))

    def test_doesNotReplaceAnything(self) -> None:
        self.existing(b"old", b"data")
        placement = self.rename(b"old", b"new")
        self.write(b"new", b"other")
        self.assertEqual(
            self.place(placement), [Occupied(Path(b"new"), self.lstat(b"new"))]
        )
        self.assertEqual((self.read(b"old"), self.read(b"new")), (b"data", b"other"))

    def test_anEditOfTheLastInstantGoesBack(self) -> None:
        self.existing(b"old", b"data")
        placement = self.rename(b"old", b"new")
        self.steps["checked"] = lambda: self.save(b"old", b"edit")
        self.assertEqual(
            self.place(placement), [Occupied(Path(b"old"), self.lstat(b"old"))]
        )
        self.assertEqual(self.read(b"old"), b"edit")
        self.assertFalse(os.path.exists(self.at(b"new")))

    def test_anEditOfTheLastInstantStaysIfItCannotGoBack(self) -> None:
        self.existing(b"old", b"data")
        placement = self.rename(b"old", b"new")
        self.steps["checked"] = lambda: self.save(b"old", b"edit")
        self.steps["exchanged"] = lambda: self.write(b"old", b"another")
        self.assertEqual(
            self.place(placement), [Occupied(Path(b"new"), self.lstat(b"new"))]
        )
        self.assertEqual((self.read(b"new"), self.read(b"old")), (b"edit", b"another"))


class RenameWithoutRenameat2Tests(WithoutRenameat2, RenameTests):
    """L{RenameTests} again."""
