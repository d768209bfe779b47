# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.recover}: a batch ends in the middle, as if the
process had been killed or the power had failed.
"""

from __future__ import annotations

import os

from flocknode.box.content import block_hash
from flocknode.box.disk.directories import Directories
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.placer import Occupied, Outcome, Placed, Placement, Prepared, Surprise
from flocknode.box.values import Kind, Path, Value
from tests.box.placing import PlacingCase, WithoutLinks, WithoutRenameat2

STEPS = ("prepared", "recorded", "checked", "exchanged", "acted", "synced")


class Crash(BaseException):
    """Nobody catches this."""


class RecoverCase(PlacingCase):
    """A batch that ends in the middle."""

    def setUp(self) -> None:
        super().setUp()
        # A process that is gone does not put modes right.
        self.patch(Directories, "finish", lambda self, executor: {})

    def crash(self, step: str, *batch: Placement) -> list[Prepared]:
        """Place until C{step}, and start again."""

        def fail() -> None:
            raise Crash

        self.steps[step] = fail
        self.assertRaises(Crash, self.place, *batch)
        rows = self.recorded
        self.start()
        return rows

    def recover(self, step: str, *batch: Placement) -> list[Outcome]:
        """What is found after that."""
        rows = self.crash(step, *batch)
        self.staging.sweep()
        return self.placer.recover(rows)

    def contents(self) -> set[bytes]:
        """All that could still be read, wherever it is."""
        live = [self.read(b"file")] if os.path.isfile(self.at(b"file")) else []
        return {*live, *self.staged(), *self.stored()}

    def tidy(self) -> None:
        """For the next example."""
        for directory in (b".flocknode/staging/", b".flocknode/versions/"):
            for name in os.listdir(self.at(directory)):
                os.unlink(self.at(directory + name))


class RecoverTests(RecoverCase):
    """What is found at the next start."""

    def test_whereverReplacingEndsThePathHasOldOrNewAndNothingIsLost(self) -> None:
        for step in STEPS:
            with self.subTest(step):
                old = self.existing(b"file", b"old")
                placement = self.file(b"file", b"new", old)
                rows = self.crash(step, placement)
                self.assertIn(self.read(b"file"), (b"old", b"new"))
                self.assertLessEqual({b"old", b"new"}, self.contents())
                self.staging.sweep()
                for outcome in self.placer.recover(rows):
                    self.assertConsistent(outcome)
                self.assertLessEqual({b"old", b"new"}, self.contents())
                self.tidy()

    def assertConsistent(self, outcome: Outcome) -> None:
        """It says what there is, and what is not placed can be placed."""
        if isinstance(outcome, Placed):
            self.assertEqual(self.read(b"file"), b"new")
            self.assertEqual(outcome.stat, self.lstat(b"file"))
            self.assertEqual(self.kept(outcome.kept), b"old")
            self.assertEqual(self.staged(), [])
        else:
            self.assertEqual(outcome, Occupied(Path(b"file"), self.lstat(b"file")))
            self.assertEqual(self.read(b"file"), b"old")
            self.assertEqual((self.staged(), self.stored()), ([b"new"], []))

    def test_whereverCreatingEndsItIsThereOrStaged(self) -> None:
        for step in STEPS:
            with self.subTest(step):
                rows = self.crash(step, self.file(b"file", b"new"))
                outcomes = self.placer.recover(rows)
                there = os.path.exists(self.at(b"file"))
                if rows:
                    self.assertEqual(isinstance(outcomes[0], Placed), there)
                self.assertEqual(self.staged(), [] if there else [b"new"])
                self.assertEqual(self.contents(), {b"new"})
                if there:
                    os.unlink(self.at(b"file"))
                self.tidy()

    def test_whereverDeletingEndsItIsThereOrKept(self) -> None:
        for step in STEPS:
            with self.subTest(step):
                self.existing(b"file", b"old")
                rows = self.crash(step, self.deletion(b"file"))
                outcomes = self.placer.recover(rows)
                there = os.path.exists(self.at(b"file"))
                for outcome in outcomes:
                    if there:
                        self.assertIsInstance(outcome, Occupied)
                    else:
                        assert isinstance(outcome, Placed)
                        self.assertEqual(self.kept(outcome.kept), b"old")
                self.assertEqual(self.contents(), {b"old"})
                self.tidy()

    def test_anEditAfterTheCrashIsNotTakenForWhatWasPlaced(self) -> None:
        old = self.existing(b"file", b"old")
        rows = self.crash("exchanged", self.file(b"file", b"new", old))
        self.save(b"file", b"later")
        (outcome,) = self.placer.recover(rows)
        assert isinstance(outcome, Placed)
        self.assertEqual(outcome.stat, rows[0].stat)
        self.assertNotEqual(outcome.stat, self.lstat(b"file"))
        self.assertEqual(self.kept(outcome.kept), b"old")

    def test_aNewFileThatWasEditedAfterTheCrashIsOccupied(self) -> None:
        rows = self.crash("exchanged", self.file(b"file", b"new"))
        self.save(b"file", b"later")
        self.assertEqual(
            self.placer.recover(rows), [Occupied(Path(b"file"), self.lstat(b"file"))]
        )

    def test_aLinkOnItsWayIsDropped(self) -> None:
        os.symlink(b"old", self.at(b"link"))
        outcomes = self.recover("checked", self.link(b"link", b"new", self.lstat(b"link")))
        self.assertEqual(outcomes, [Occupied(Path(b"link"), self.lstat(b"link"))])
        self.assertEqual(os.readlink(self.at(b"link")), b"old")
        self.assertEqual(os.listdir(self.at(b".flocknode/staging")), [])
        self.assertEqual(self.versions.names(), [])

    def test_aNewDirectoryGetsItsMode(self) -> None:
        (outcome,) = self.recover("exchanged", self.directory(b"d", mode=0o755))
        self.assertEqual(outcome, Placed(Path(b"d"), self.lstat(b"d")))
        self.assertEqual(self.lstat(b"d").mode, 0o755)

    def test_aDirectoryThatDidNotGetItsNewModeIsOccupied(self) -> None:
        os.mkdir(self.at(b"d"), 0o700)
        (outcome,) = self.recover("acted", self.directory(b"d", self.lstat(b"d"), 0o750))
        self.assertEqual(outcome, Occupied(Path(b"d"), self.lstat(b"d")))

    def test_aFileThatBecameADirectoryIsKept(self) -> None:
        for step in ("recorded", "checked", "exchanged", "acted"):
            with self.subTest(step):
                old = self.existing(b"file", b"old")
                (outcome,) = self.recover(step, self.directory(b"file", old))
                if self.lstat(b"file").type is FileType.FILE:
                    self.assertIsInstance(outcome, Occupied)
                    self.assertEqual(self.read(b"file"), b"old")
                    self.assertEqual(os.listdir(self.at(b".flocknode/versions")), [])
                else:
                    assert isinstance(outcome, Placed)
                    self.assertEqual(self.kept(outcome.kept), b"old")
                    self.assertEqual(self.lstat(b"file").mode, 0o755)
                    os.rmdir(self.at(b"file"))
                self.tidy()

    def test_aChangeOfModeIsRecognised(self) -> None:
        stat = self.existing(b"file", b"data")
        value = self.file(b"file", b"data", mode=0o600, mtime_ns=stat.mtime_ns).value
        self.assertEqual(value.kind, Kind.FILE)
        placement = Placement(Path(b"file"), value, 4, expected=stat)
        rows = self.crash("acted", placement)
        self.assertEqual(
            self.placer.recover(rows), [Placed(Path(b"file"), self.lstat(b"file"), recheck=True)]
        )
        os.chmod(self.at(b"file"), 0o644)
        self.assertEqual(
            self.placer.recover(rows), [Occupied(Path(b"file"), self.lstat(b"file"))]
        )

    def test_aRenameIsRecognised(self) -> None:
        stat = self.existing(b"old", b"data")
        value = self.file(b"new", b"data", mtime_ns=stat.mtime_ns).value
        placement = Placement(
            Path(b"new"), value, 4, source=Path(b"old"), source_expected=stat
        )
        rows = self.crash("exchanged", placement)
        self.assertEqual(self.placer.recover(rows), [Placed(Path(b"new"), self.lstat(b"new"))])


class RecoverWithoutRenameat2Tests(WithoutRenameat2, RecoverTests):
    """L{RecoverTests} again."""


class RecoverWithoutLinksTests(WithoutLinks, RecoverTests):
    """L{RecoverTests} again."""


class RecoverSurpriseTests(RecoverCase):
    """What only some file systems can keep."""

    def test_anEditOfTheLastInstantIsFoundInTheStore(self) -> None:
        old = self.existing(b"file", b"old")
        rows: list[Prepared] = []

        def edit() -> None:
            self.write(b"file", b"edited")

        self.steps["checked"] = edit
        rows = self.crash("exchanged", self.file(b"file", b"new", old))
        (outcome,) = self.placer.recover(rows)
        assert isinstance(outcome, Surprise)
        self.assertEqual(self.kept(outcome.kept), b"edited")
        self.assertEqual(outcome.stat, self.lstat(b"file"))

    def test_aDirectoryThatBecameAFileIsPlaced(self) -> None:
        for step in ("recorded", "checked", "exchanged"):
            with self.subTest(step):
                os.mkdir(self.at(b"file"))
                (outcome,) = self.recover(step, self.file(b"file", b"new", self.lstat(b"file")))
                placed = os.path.isfile(self.at(b"file"))
                self.assertEqual(isinstance(outcome, Placed), placed)
                self.assertEqual(self.staged(), [] if placed else [b"new"])
                self.assertEqual(os.listdir(self.at(b".flocknode/versions")), [])
                self.remove()
                self.tidy()

    def remove(self) -> None:
        """Whatever C{file} is."""
        if os.path.isdir(self.at(b"file")):
            os.rmdir(self.at(b"file"))
        elif os.path.exists(self.at(b"file")):
            os.unlink(self.at(b"file"))


class RecoverSurpriseWithoutRenameat2Tests(WithoutRenameat2, RecoverSurpriseTests):
    """L{RecoverSurpriseTests} again; here a directory is gone for a moment."""


class RecoverHalfARenameTests(RecoverCase, WithoutRenameat2):
    """Where a rename is a link and a removal, and ends between the two."""

    def halfway(self) -> list[Outcome]:
        """What is found after that."""
        old = self.existing(b"old", b"data")
        value = Value(False, Kind.FILE, old.mode, old.mtime_ns, block_hash(b"data"))
        placement = Placement(
            Path(b"new"), value, 4, source=Path(b"old"), source_expected=old
        )

        def link() -> None:
            os.link(self.at(b"old"), self.at(b"new"))
            raise Crash

        self.steps["checked"] = link
        self.assertRaises(Crash, self.place, placement)
        rows = self.recorded
        self.start()
        self.between()
        return self.placer.recover(rows)

    def between(self) -> None:
        """Before the next start."""

    def test_itIsFinished(self) -> None:
        (outcome,) = self.halfway()
        self.assertIsInstance(outcome, Placed)
        self.assertEqual(self.read(b"new"), b"data")
        self.assertFalse(os.path.exists(self.at(b"old")))
        self.assertEqual(self.stored(), [])

    def test_whatIsThereByNowStays(self) -> None:
        self.between = lambda: self.save(b"old", b"other")  # type: ignore[method-assign]
        self.halfway()
        self.assertEqual((self.read(b"old"), self.read(b"new")), (b"other", b"data"))
