# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.marker}.
"""

from __future__ import annotations

import os

from flocknode.box.disk import marker
from flocknode.box.disk.folder import Folder
from flocknode.errors import BoxError
from tests.box.folders import FolderCase


class MarkerTests(FolderCase):
    """The marker of a box."""

    def fresh(self) -> Folder:
        """A folder that is no box yet."""
        folder = Folder(self.outside)
        self.addCleanup(folder.close)
        return folder

    def test_aFolderWithoutAMarkerHasNoId(self) -> None:
        self.assertIsNone(marker.read(self.fresh()))
        self.assertEqual(os.listdir(self.outside), [])

    def test_comesBackAsWritten(self) -> None:
        folder = self.fresh()
        folder_id = marker.write(folder)
        self.assertEqual(len(folder_id), 16)
        self.assertEqual(marker.read(folder), folder_id)
        self.assertEqual(os.stat(self.outside + b"/.flocknode").st_mode & 0o777, 0o700)

    def test_everyFolderGetsItsOwn(self) -> None:
        self.assertNotEqual(marker.write(self.fresh()), marker.read(self.folder))

    def test_anExistingMarkerIsKept(self) -> None:
        folder_id = marker.read(self.folder)
        self.assertEqual(marker.write(self.folder, bytes(16)), folder_id)

    def test_theIdCanBeGiven(self) -> None:
        folder = self.fresh()
        marker.write(folder, b"0123456789abcdef")
        self.assertEqual(marker.read(folder), b"0123456789abcdef")

    def test_theNameOfTheBoxComesBackToo(self) -> None:
        for name in ("papers", "Übersicht 2", "x" * 255):
            folder = self.fresh()
            folder_id = marker.write(folder, name=name)
            self.assertEqual((marker.read(folder), marker.read_name(folder)), (folder_id, name))
            os.unlink(self.outside + b"/.flocknode/box")

    def test_aMarkerWithoutANameIsOne(self) -> None:
        self.assertIsNotNone(marker.read(self.folder))
        self.assertIsNone(marker.read_name(self.folder))
        self.assertIsNone(marker.read_name(self.fresh()))

    def test_aLineTooManyIsSomethingElse(self) -> None:
        text = b"0" * 32 + b"\nname x\n"
        for more in (b"name y\n", b"x", b"name " + b"x" * 300 + b"\n"):
            self.write(b".flocknode/box", text + more)
            with self.assertRaises(BoxError):
                marker.read(self.folder)

    def test_aMarkerCutOffWhileItWasWrittenIsNone(self) -> None:
        os.mkdir(self.outside + b"/.flocknode")
        with open(self.outside + b"/.flocknode/box.new", "wb") as file:
            file.write(b"0123")
        folder = self.fresh()
        self.assertIsNone(marker.read(folder))
        self.assertEqual(marker.write(folder), marker.read(folder))

    def test_somethingElseInItsPlaceIsOneSentence(self) -> None:
        self.write(b".flocknode/box", b"my notes\n")
        with self.assertRaises(BoxError):
            marker.read(self.folder)
        with self.assertRaises(BoxError):
            marker.write(self.folder)

    def test_aLinkIsNoMarkerAndIsNotWrittenThrough(self) -> None:
        other = self.outside + b"/private"
        os.mkdir(other)
        folder = self.fresh()
        os.symlink(other, self.outside + b"/.flocknode")
        self.assertIsNone(marker.read(folder))
        with self.assertRaises(BoxError):
            marker.write(folder)
        self.assertEqual(os.listdir(other), [])

    def test_privateDirectoriesAreMadeForTheOwnerOnly(self) -> None:
        os.close(marker.open_private(self.folder, b"things"))
        os.close(marker.open_private(self.folder, b"things"))
        mode = os.stat(self.at(b".flocknode/things")).st_mode & 0o777
        self.assertEqual(mode, 0o700)

    def test_withoutAMarkerNothingPrivateIsMade(self) -> None:
        with self.assertRaises(BoxError):
            marker.open_private(self.fresh(), b"things")
        self.assertEqual(os.listdir(self.outside), [])
