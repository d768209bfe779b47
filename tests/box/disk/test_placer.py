# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.placer}, with every way of replacing that a file
system may need.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flocknode.box.disk import prepare
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.placer import Failed, Occupied, Placed, Prepared
from flocknode.box.values import Path
from flocknode.errors import BoxError
from tests.box.folders import refuse
from tests.box.placing import MTIME, PlacingCase, WithoutLinks, WithoutRenameat2


class PlaceTests(PlacingCase):
    """What holds on every file system."""

    def test_createsAFileWithModeAndTime(self) -> None:
        (outcome,) = self.place(self.file(b"file", b"data", mode=0o750))
        stat = self.assertPlaced(outcome, b"file").stat
        assert stat is not None
        self.assertEqual(
            (stat.type, stat.size, stat.mode, stat.mtime_ns), (FileType.FILE, 4, 0o750, MTIME)
        )
        self.assertEqual(self.read(b"file"), b"data")
        self.assertEqual((self.staged(), self.stored()), ([], []))

    def test_replacesAFileAndKeepsTheOldOne(self) -> None:
        old = self.existing(b"file", b"old")
        (outcome,) = self.place(self.file(b"file", b"new", old))
        placed = self.assertPlaced(outcome, b"file")
        self.assertEqual(self.read(b"file"), b"new")
        self.assertEqual(self.kept(placed.kept), b"old")
        assert placed.kept is not None
        self.assertEqual(placed.kept.stat.mtime_ns, 1_000_000_000)
        self.assertEqual(self.versions.names(), [placed.kept.name])
        self.assertFalse(self.versions.changed(placed.kept))
        self.assertEqual(self.staged(), [])

    def test_deletesAFileAndKeepsIt(self) -> None:
        self.existing(b"file", b"old")
        (outcome,) = self.place(self.deletion(b"file"))
        placed = self.assertPlaced(outcome, b"file")
        self.assertIsNone(placed.stat)
        self.assertEqual(self.kept(placed.kept), b"old")

    def test_whatIsGoneAlreadyIsDeleted(self) -> None:
        old = self.existing(b"d/file", b"old")
        os.unlink(self.at(b"d/file"))
        gone = Path(b"d/file")
        self.assertEqual(self.place(self.deletion(b"d/file", old)), [Placed(gone, None)])
        os.rmdir(self.at(b"d"))
        self.assertEqual(self.place(self.deletion(b"d/file", old)), [Placed(gone, None)])

    def test_createsReplacesAndDeletesLinks(self) -> None:
        target = b"../\xff/" + b"t" * 1000
        (created,) = self.place(self.link(b"link", target))
        stat = self.assertPlaced(created, b"link").stat
        assert stat is not None
        self.assertEqual((stat.type, stat.mtime_ns), (FileType.SYMLINK, MTIME))
        self.assertEqual(os.readlink(self.at(b"link")), target)
        (replaced,) = self.place(self.link(b"link", b"elsewhere", stat))
        placed = self.assertPlaced(replaced, b"link")
        self.assertEqual(os.readlink(self.at(b"link")), b"elsewhere")
        assert placed.kept is not None
        self.assertEqual(self.versions.readlink(placed.kept.name), target)
        (deleted,) = self.place(self.deletion(b"link"))
        self.assertPlaced(deleted, b"link")

    def test_aFileTakesTheNameOfALinkAndNotOfItsTarget(self) -> None:
        with open(self.outside + b"/target", "wb") as file:
            file.write(b"precious")
        os.symlink(self.outside + b"/target", self.at(b"x"))
        (outcome,) = self.place(self.file(b"x", b"data", self.lstat(b"x")))
        self.assertPlaced(outcome, b"x")
        self.assertEqual(self.read(b"x"), b"data")
        with open(self.outside + b"/target", "rb") as file:
            self.assertEqual(file.read(), b"precious")

    def test_emptyFilesNeedNothingStaged(self) -> None:
        placement = self.file(b"empty", b"")
        os.unlink(self.at(b".flocknode/staging/") + (placement.staged or b""))
        (outcome,) = self.place(placement)
        self.assertPlaced(outcome, b"empty")
        self.assertEqual(self.read(b"empty"), b"")

    def test_oneStagedContentServesSeveralPathsAsSeparateFiles(self) -> None:
        outcomes = self.place(*(self.file(path, b"data") for path in (b"a", b"b", b"c")))
        inodes = set()
        for outcome in outcomes:
            stat = self.assertPlaced(outcome, outcome.path).stat
            assert stat is not None
            inodes.add(stat.inode)
            self.assertEqual((stat.mtime_ns, self.read(outcome.path)), (MTIME, b"data"))
        self.assertEqual(len(inodes), 3)
        self.assertEqual(self.staged(), [])

    def test_aFileWithHardLinksIsNotKeptInTheStoreByItsInode(self) -> None:
        self.write(b"file", b"old")
        os.link(self.at(b"file"), self.at(b"other"))
        (outcome,) = self.place(self.file(b"file", b"new", self.lstat(b"file")))
        placed = self.assertPlaced(outcome, b"file")
        self.write(b"other", b"rewritten")
        self.assertEqual(self.kept(placed.kept), b"old")

    def test_aTreeIsMadeInOneBatchInWhateverOrder(self) -> None:
        outcomes = self.place(
            self.file(b"a/b/file", b"data"),
            self.directory(b"a/b", mode=0o555),
            self.directory(b"a", mode=0o711),
        )
        for outcome, path in zip(outcomes, (b"a/b/file", b"a/b", b"a"), strict=True):
            self.assertPlaced(outcome, path)
        self.assertEqual(self.lstat(b"a/b").mode, 0o555)
        self.assertEqual(self.lstat(b"a").mode, 0o711)

    def test_aTreeIsDeletedInOneBatchInWhateverOrder(self) -> None:
        self.write(b"a/b/file", b"data")
        os.symlink(b"x", self.at(b"a/link"))
        paths = (b"a", b"a/b", b"a/b/file", b"a/link")
        outcomes = self.place(*map(self.deletion, paths))
        for outcome, path in zip(outcomes, paths, strict=True):
            self.assertPlaced(outcome, path)
        self.assertEqual(os.listdir(self.root), [b".flocknode"])
        self.assertEqual(len(self.versions.names()), 2)

    def test_aDirectoryThatHoldsSomethingElseStays(self) -> None:
        self.write(b"d/ignored", b"data")
        (outcome,) = self.place(self.deletion(b"d"))
        assert isinstance(outcome, Failed)
        self.assertEqual(outcome.errno, errno.ENOTEMPTY)
        self.assertEqual(self.read(b"d/ignored"), b"data")

    def test_aFileBecomesADirectoryWithThingsInIt(self) -> None:
        old = self.existing(b"x", b"old")
        outcomes = self.place(
            self.file(b"x/file", b"data"), self.directory(b"x", old, mode=0o750)
        )
        self.assertPlaced(outcomes[0], b"x/file")
        placed = self.assertPlaced(outcomes[1], b"x")
        self.assertEqual(self.kept(placed.kept), b"old")
        self.assertEqual(self.lstat(b"x").mode, 0o750)

    def test_aDirectoryBecomesAFileOnceItIsEmpty(self) -> None:
        self.write(b"x/file", b"old")
        outcomes = self.place(
            self.file(b"x", b"data", self.lstat(b"x")), self.deletion(b"x/file")
        )
        self.assertPlaced(outcomes[0], b"x")
        self.assertPlaced(outcomes[1], b"x/file")
        self.assertEqual(self.read(b"x"), b"data")
        self.assertEqual(self.stored(), [b"old"])

    def test_aDirectoryWithSomethingInItDoesNotBecomeAFile(self) -> None:
        self.write(b"x/ignored", b"old")
        (outcome,) = self.place(self.file(b"x", b"data", self.lstat(b"x")))
        assert isinstance(outcome, Failed)
        self.assertEqual(outcome.errno, errno.ENOTEMPTY)
        self.assertEqual((self.read(b"x/ignored"), self.staged()), (b"old", [b"data"]))

    def test_whatIsNotAsExpectedIsNotTouched(self) -> None:
        old = self.existing(b"file", b"old")
        self.write(b"file", b"local change")
        link = self.link(b"file", b"target", old)
        unknown = self.file(b"file", b"data")
        for placement in (
            self.file(b"file", b"data", old), link, unknown, self.deletion(b"file", old),
            self.directory(b"file", old), self.directory(b"file"),
        ):
            (outcome,) = self.place(placement)
            self.assertEqual(outcome, Occupied(Path(b"file"), self.lstat(b"file")))
        self.assertEqual(self.read(b"file"), b"local change")
        self.assertEqual((self.staged(), self.stored()), ([b"data"], []))

    def test_whatShouldBeThereAndIsNotIsNotPlaced(self) -> None:
        old = self.existing(b"file", b"old")
        os.unlink(self.at(b"file"))
        for placement in (self.file(b"file", b"data", old), self.directory(b"file", old)):
            self.assertEqual(self.place(placement), [Occupied(Path(b"file"), None)])

    def test_anUnknownDirectoryIsNotTakenOver(self) -> None:
        os.mkdir(self.at(b"d"), 0o700)
        (outcome,) = self.place(self.directory(b"d"))
        self.assertEqual(outcome, Occupied(Path(b"d"), self.lstat(b"d")))
        self.assertEqual(self.lstat(b"d").mode, 0o700)

    def test_theModeOfADirectoryIsChanged(self) -> None:
        os.mkdir(self.at(b"d"), 0o700)
        (outcome,) = self.place(self.directory(b"d", self.lstat(b"d"), 0o750))
        self.assertPlaced(outcome, b"d")
        self.assertEqual(self.lstat(b"d").mode, 0o750)

    def test_whatIsStagedInPartIsNotPlaced(self) -> None:
        placement = attrs.evolve(self.file(b"file", b"data"), size=5)
        missing = attrs.evolve(placement, path=Path(b"m"), staged=b"0" * 64)
        good = self.file(b"good", b"good data")
        outcomes = self.place(placement, missing, good)
        self.assertIsInstance(outcomes[0], Failed)
        self.assertIsInstance(outcomes[1], Failed)
        self.assertPlaced(outcomes[2], b"good")
        self.assertEqual([each.placement for each in self.recorded], [good])

    def test_aCopyThatCannotBeMadeLeavesNothingBehind(self) -> None:
        self.patch(prepare, "copy_content", refuse(errno.ENOSPC))
        outcomes = self.place(self.file(b"a", b"data"), self.file(b"b", b"data"))
        assert isinstance(outcomes[0], Failed)
        self.assertEqual(outcomes[0].errno, errno.ENOSPC)
        self.assertPlaced(outcomes[1], b"b")
        self.assertEqual(self.staged(), [])

    def test_valuesThatTheSystemCannotHoldFailOneByOne(self) -> None:
        far = self.link(b"", b"target")
        far = attrs.evolve(far, value=replace(far.value, mtime_ns=1 << 100))
        outcomes = self.place(
            self.file(b"far", b"data", mtime_ns=1 << 100),
            self.link(b"nul", b"a\0b"),
            self.link(b"none", b""),
            attrs.evolve(far, path=Path(b"far link")),
            self.file(b"x" * 256, b"data"),
            self.file(b"good", b"more"),
        )
        self.assertEqual([type(each) for each in outcomes], [Failed] * 5 + [Placed])
        self.assertEqual(self.staged(), [b"data"])

    def test_timesBeforeTheEpochAreHeld(self) -> None:
        (outcome,) = self.place(self.file(b"old", b"data", mtime_ns=-1_500_000_000))
        self.assertPlaced(outcome, b"old")
        self.assertEqual(self.lstat(b"old").mtime_ns, -1_500_000_000)

    def test_aMissingParentIsAFailure(self) -> None:
        (outcome,) = self.place(self.file(b"d/file", b"data"))
        assert isinstance(outcome, Failed)
        self.assertEqual((outcome.errno, self.staged()), (errno.ENOENT, [b"data"]))

    def test_whatIsRecordedIsWhatIsThenThere(self) -> None:
        old = self.existing(b"old", b"old")
        self.place(
            self.file(b"new", b"1"), self.file(b"old", b"2", old), self.link(b"link", b"3")
        )
        for prepared in self.recorded:
            assert prepared.stat is not None
            self.assertTrue(prepared.stat.alike(self.folder.lstat(prepared.placement.path)))
        self.assertEqual([each.keep is None for each in self.recorded], [True, False, True])
        self.assertEqual(self.versions.names(), [self.recorded[1].keep])

    def test_ifItCannotBeRecordedNothingIsDone(self) -> None:
        def refuse(prepared: Sequence[Prepared]) -> None:
            raise BoxError("The disk is full.")

        old = self.existing(b"file", b"old")
        files = [self.file(b"file", b"new", old), self.file(b"other", b"new")]
        with self.assertRaises(BoxError):
            self.placer.place([*files, self.link(b"link", b"target")], refuse)
        self.assertEqual(sorted(os.listdir(self.root)), [b".flocknode", b"file"])
        self.assertEqual((self.read(b"file"), self.staged(), self.stored()), (b"old", [b"new"], []))

    def test_ifADirectoryCannotBeSyncedRecoveringTellsWhatWasDone(self) -> None:
        old = self.existing(b"d/file", b"old")
        directory, fsync = os.stat(self.at(b"d")).st_ino, os.fsync

        def broken(descriptor: int) -> None:
            if os.fstat(descriptor).st_ino == directory:
                raise OSError(errno.EIO, "broken")
            fsync(descriptor)

        self.patch(os, "fsync", broken)
        with self.assertRaises(OSError):
            self.place(self.file(b"d/file", b"new", old))
        (outcome,) = self.placer.recover(self.recorded)
        self.assertEqual(self.kept(self.assertPlaced(outcome, b"d/file").kept), b"old")

    def test_nothingIsMovedBeforeItIsRecorded(self) -> None:
        old = self.existing(b"file", b"old")
        seen = []
        self.steps["prepared"] = lambda: seen.append((self.read(b"file"), self.stored()))
        self.place(self.file(b"file", b"new", old))
        self.assertEqual(seen, [(b"old", [])])

    def test_aReaderSeesTheOldOrTheNewContentAndNothingElse(self) -> None:
        stat = self.existing(b"file", b"0" * 4096)
        seen: set[bytes | None] = set()
        stop = threading.Event()

        def look() -> None:
            while not stop.is_set():
                try:
                    seen.add(self.read(b"file"))
                except OSError:
                    seen.add(None)

        reader = threading.Thread(target=look)
        reader.start()
        try:
            for number in range(1, 10):
                (outcome,) = self.place(self.file(b"file", b"%d" % number * 4096, stat))
                stat = self.lstat(b"file")
                self.assertPlaced(outcome, b"file")
        finally:
            stop.set()
            reader.join()
        self.assertLessEqual(seen, {b"%d" % number * 4096 for number in range(10)})

    def test_nothingIsPlacedThroughADirectoryThatBecameALink(self) -> None:
        old = self.existing(b"d/old", b"old")
        for name in (b"/old", b"/gone"):
            with open(self.outside + name, "wb") as file:
                file.write(b"precious")

        def swap() -> None:
            os.rename(self.at(b"d"), self.at(b"e"))
            os.symlink(self.outside, self.at(b"d"))

        self.steps["recorded"] = swap
        outcomes = self.place(
            self.file(b"d/new", b"1"), self.file(b"d/old", b"2", old),
            self.deletion(b"d/gone", old), self.directory(b"d/sub"), self.link(b"d/link", b"x"),
        )
        self.assertEqual(sorted(os.listdir(self.outside)), [b"gone", b"old"])
        self.assertEqual(self.read(b"e/old"), b"old")
        self.assertEqual(outcomes.pop(2), Placed(Path(b"d/gone"), None))
        for outcome in outcomes:
            self.assertIsInstance(outcome, Failed)

    def test_deepAndLongPathsAreNoProblem(self) -> None:
        deep = [b"/".join([b"d"] * count) for count in range(1, 60)]
        long = [b"/".join([b"n" * 250] * count) for count in range(1, 16)]
        outcomes = self.place(*map(self.directory, deep + long))
        self.assertEqual({type(each) for each in outcomes}, {Placed})
        files = [self.file(deep[-1] + b"/f", b"1"), self.file(long[-1] + b"/" + b"f" * 255, b"2")]
        outcomes = self.place(*files)
        self.assertEqual({type(each) for each in outcomes}, {Placed})
        outcomes = self.place(*(self.deletion(each.path) for each in files))
        outcomes += self.place(*map(self.deletion, deep + long))
        self.assertEqual({type(each) for each in outcomes}, {Placed})

    def test_readOnlyDirectoriesAreWritableWhileItIsNeeded(self) -> None:
        self.write(b"d/e/old", b"old")
        self.unprivileged()
        os.chmod(self.at(b"d/e"), 0o555)
        os.chmod(self.at(b"d"), 0o400)
        self.start()
        os.chmod(self.at(b"d"), 0o500)
        old = self.lstat(b"d/e/old")
        os.chmod(self.at(b"d"), 0o400)
        outcomes = self.place(self.file(b"d/e/old", b"1", old), self.file(b"d/e/new", b"2"))
        self.assertEqual([type(each) for each in outcomes], [Placed, Placed])
        self.assertEqual(self.lstat(b"d").mode, 0o400)
        os.chmod(self.at(b"d"), 0o700)
        self.assertEqual(self.lstat(b"d/e").mode, 0o555)
        self.assertEqual((self.read(b"d/e/old"), self.read(b"d/e/new")), (b"1", b"2"))

    def test_aDirectoryCanBeMadeUnreadableWithThingsInIt(self) -> None:
        self.unprivileged()
        self.start()
        outcomes = self.place(
            self.directory(b"d", mode=0), self.directory(b"d/e", mode=0),
            self.file(b"d/e/f", b"data", mode=0),
        )
        self.assertEqual({type(each) for each in outcomes}, {Placed})
        self.assertEqual(self.lstat(b"d").mode, 0)
        outcomes = self.place(self.deletion(b"d", self.lstat(b"d")))
        self.assertEqual(type(outcomes[0]), Failed)

    def test_aDirectoryThatIsMovedAwayMeanwhileIsNotFollowed(self) -> None:
        os.mkdir(self.at(b"d"))
        self.steps["recorded"] = lambda: os.rename(self.at(b"d"), self.outside + b"/d")
        (outcome,) = self.place(self.file(b"d/file", b"data"))
        self.assertIsInstance(outcome, Failed)
        self.assertEqual(os.listdir(self.outside + b"/d"), [])

    def test_aModeThatIsSharedByUnreadablePathsIsHeld(self) -> None:
        self.unprivileged()
        self.start()
        outcomes = self.place(*(self.file(path, b"data", mode=0) for path in (b"a", b"b")))
        self.assertEqual({type(each) for each in outcomes}, {Placed})
        self.assertEqual({self.lstat(path).mode for path in (b"a", b"b")}, {0})


class PlaceWithoutRenameat2Tests(WithoutRenameat2, PlaceTests):
    """L{PlaceTests} again."""


class PlaceWithoutLinksTests(WithoutLinks, PlaceTests):
    """L{PlaceTests} again."""


class AnyNameTests(PlacingCase):
    """Names are bytes."""

    @given(
        st.binary(min_size=1, max_size=255).filter(
            lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
        )
    )
    @settings(max_examples=25, deadline=None)
    def test_anyNameCanBePlacedReplacedAndDeleted(self, name: bytes) -> None:
        self.examples = getattr(self, "examples", 0) + 1
        directory = b"%d" % self.examples
        path = directory + b"/" + name
        (_, created) = self.place(self.directory(directory), self.file(path, b"1"))
        self.assertPlaced(created, path)
        (replaced,) = self.place(self.file(path, b"2", self.lstat(path)))
        self.assertPlaced(replaced, path)
        self.assertEqual(self.read(path), b"2")
        (deleted,) = self.place(self.deletion(path))
        self.assertPlaced(deleted, path)
