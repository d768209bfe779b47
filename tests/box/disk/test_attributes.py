# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.attributes}, by way of the placer.
"""

from __future__ import annotations

import os

from flocknode.box.disk.placer import Failed, Occupied, Placement
from flocknode.box.disk.spot import Spot
from flocknode.box.values import Kind, Path, Value
from tests.box.placing import MTIME, PlacingCase


class AttributeTests(PlacingCase):
    """Changing mode and time only."""

    def change(self, path: bytes, mode: int, mtime_ns: int, kind: Kind = Kind.FILE) -> Placement:
        """What is at C{path} shall get this mode and time."""
        stat = self.lstat(path)
        return Placement(
            Path(path), Value(False, kind, mode, mtime_ns, bytes(32)), stat.size, expected=stat
        )

    def test_modeAndTimeAreSetAndTheInodeStays(self) -> None:
        old = self.existing(b"file", b"data")
        (outcome,) = self.place(self.change(b"file", 0o400, MTIME))
        stat = self.assertPlaced(outcome, b"file").stat
        assert stat is not None
        self.assertEqual((stat.mode, stat.mtime_ns, stat.inode), (0o400, MTIME, old.inode))
        self.assertEqual(self.stored(), [])

    def test_aTimeThatWasSetMayHideAWriteAndAModeMayNot(self) -> None:
        old = self.existing(b"file", b"data")
        (outcome,) = self.place(self.change(b"file", 0o400, old.mtime_ns))
        self.assertFalse(self.assertPlaced(outcome, b"file").recheck)
        (outcome,) = self.place(self.change(b"file", 0o400, MTIME))
        self.assertTrue(self.assertPlaced(outcome, b"file").recheck)

    def test_nothingHappensToWhatIsNotAsExpected(self) -> None:
        self.existing(b"file", b"data")
        placement = self.change(b"file", 0o400, MTIME)
        self.save(b"file", b"edit")
        (outcome,) = self.place(placement)
        self.assertEqual(outcome, Occupied(Path(b"file"), self.lstat(b"file")))
        self.assertNotEqual(self.lstat(b"file").mtime_ns, MTIME)

    def test_theTimeOfALinkIsItsOwn(self) -> None:
        self.existing(b"file", b"data")
        os.symlink(b"file", self.at(b"link"))
        (outcome,) = self.place(self.change(b"link", 0, MTIME, Kind.SYMLINK))
        self.assertPlaced(outcome, b"link")
        self.assertEqual(self.lstat(b"link").mtime_ns, MTIME)
        self.assertEqual(self.lstat(b"file").mtime_ns, 1_000_000_000)

    def test_aFileThatItsOwnerCannotReadIsNoProblem(self) -> None:
        self.existing(b"file", b"data")
        self.unprivileged()
        self.start()
        os.chmod(self.at(b"file"), 0)
        (outcome,) = self.place(self.change(b"file", 0o200, MTIME))
        self.assertPlaced(outcome, b"file")
        self.assertEqual(self.lstat(b"file").mode, 0o200)
        (outcome,) = self.place(self.change(b"file", 0o200, MTIME + 1))
        self.assertPlaced(outcome, b"file")
        self.assertEqual(self.lstat(b"file").mode, 0o200)

    def test_aKindThatIsNotThereIsAFailure(self) -> None:
        self.existing(b"file", b"data")
        (outcome,) = self.place(self.change(b"file", 0, MTIME, Kind.SYMLINK))
        self.assertIsInstance(outcome, Failed)

    def test_whatIsSetAlreadyIsNotTouched(self) -> None:
        old = self.existing(b"file", b"data")
        (outcome,) = self.place(self.change(b"file", old.mode, old.mtime_ns))
        placed = self.assertPlaced(outcome, b"file")
        self.assertEqual((placed.stat, placed.recheck), (old, False))

    def test_anEditOfTheLastInstantIsNotHidden(self) -> None:
        opened = Spot.open

        def edited(spot: Spot) -> int:
            self.save(b"file", b"edit")
            return opened(spot)

        self.existing(b"file", b"data")
        placement = self.change(b"file", 0o400, MTIME)
        self.patch(Spot, "open", edited)
        (outcome,) = self.place(placement)
        self.assertEqual(outcome, Occupied(Path(b"file"), self.lstat(b"file")))
        self.assertNotEqual(self.lstat(b"file").mtime_ns, MTIME)

    def test_aWriteWhileTheTimeIsSetShowsInTheSize(self) -> None:
        utime = os.utime

        def disturbed(file: int, *, ns: tuple[int, int]) -> None:
            self.write(b"file", b"longer than before")
            utime(file, ns=ns)

        self.existing(b"file", b"data")
        placement = self.change(b"file", 0o644, MTIME)
        self.patch(os, "utime", disturbed)
        (outcome,) = self.place(placement)
        self.assertIsInstance(outcome, Occupied)

    def test_timesThatTheSystemCannotHoldAreFailures(self) -> None:
        self.existing(b"file", b"data")
        os.symlink(b"file", self.at(b"link"))
        outcomes = self.place(
            self.change(b"file", 0o644, 1 << 100),
            self.change(b"link", 0, 1 << 100, Kind.SYMLINK),
        )
        self.assertEqual([type(each) for each in outcomes], [Failed, Failed])

    def test_aLinkThatIsReplacedInTheLastInstantIsOccupied(self) -> None:
        utime = os.utime

        def disturbed(name: bytes, **named: object) -> None:
            os.unlink(self.at(b"link"))
            os.symlink(b"other", self.at(b"link"))
            utime(name, **named)  # type: ignore[arg-type]

        os.symlink(b"file", self.at(b"link"))
        placement = self.change(b"link", 0, MTIME, Kind.SYMLINK)
        self.patch(os, "utime", disturbed)
        (outcome,) = self.place(placement)
        self.assertIsInstance(outcome, Occupied)
        self.assertEqual(os.readlink(self.at(b"link")), b"other")
