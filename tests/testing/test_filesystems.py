# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The twins of other file systems, seen through what a box finds out of them.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Callable

import attrs

from flocknode.box.disk import capabilities
from flocknode.box.disk.capabilities import Capabilities
from flocknode.box.disk.folder import Folder
from flocknode.testing.filesystems import Twin
from tests.box.folders import FolderCase

MADE = (Twin.case_insensitive, Twin.windows, Twin.macos)


class TwinTests(FolderCase):
    """A box that is opened on a twin."""

    def probe(self, make: Callable[[bytes], Twin]) -> tuple[Twin, Capabilities]:
        """What a box finds out of it; nothing is left behind."""
        twin = make(self.root)
        twin.install(self.patch)
        folder = Folder(self.root)
        self.addCleanup(folder.close)
        before = os.listdir(self.at(b".flocknode"))
        found = folder.capabilities
        self.assertEqual(os.listdir(self.at(b".flocknode")), before)
        return twin, found

    def test_a_box_finds_out_what_a_case_insensitive_disk_is(self) -> None:
        twin, found = self.probe(Twin.case_insensitive)
        self.assertEqual(found.names, twin.names)

    def test_a_box_finds_out_what_a_disk_of_windows_is(self) -> None:
        twin, found = self.probe(Twin.windows)
        self.assertEqual(found.names, twin.names)
        self.assertEqual(
            (found.symlinks, found.exchange, found.noreplace), (False, False, False)
        )

    def test_a_box_finds_out_what_a_disk_of_a_mac_is(self) -> None:
        twin, found = self.probe(Twin.macos)
        self.assertEqual(found.names, twin.names)

    def test_what_lies_elsewhere_is_not_mapped(self) -> None:
        for make in MADE:
            make(self.root).install(self.patch)
        directory = os.open(self.outside, os.O_RDONLY)
        self.addCleanup(os.close, directory)
        there = attrs.evolve(capabilities.probe(directory), mtime_step_ns=1)
        self.assertEqual(there, Capabilities(names=there.names))
        self.assertTrue(there.names.exact)

    def test_names_are_found_as_the_system_finds_them(self) -> None:
        self.write(b"Dir/File", b"x")
        twin, _ = self.probe(Twin.windows)
        folder = Folder(self.root)
        self.addCleanup(folder.close)
        self.assertIsNotNone(folder.lstat(b"dir/FILE"))
        self.assertIsNotNone(folder.lstat(b"dir/file. "))
        directory = folder.open_directory(b"DIR")
        self.addCleanup(os.close, directory)
        with self.assertRaises(OSError) as caught:
            twin.name_in(directory, b"a:b", True)
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_a_mac_shows_accents_decomposed(self) -> None:
        twin, _ = self.probe(Twin.macos)
        shown = twin.shown("é".encode()).decode()
        self.assertEqual(shown, unicodedata.normalize("NFD", "é"))
