# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.following}.
"""

from __future__ import annotations

import os

from flocknode.box.disk import following
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.following import HOPS, FollowingFolder
from tests.box.folders import FolderCase


class FollowingTests(FolderCase):
    """Reading through links."""

    def setUp(self) -> None:
        super().setUp()
        self.following = FollowingFolder(self.folder)
        self.write(b"d/e/file", b"x")

    def link(self, path: bytes, target: bytes) -> None:
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        os.symlink(target, self.at(path))

    def type_of(self, path: bytes) -> FileType | None:
        stat = self.following.lstat(path)
        return None if stat is None else stat.type

    def test_links_in_the_box_are_what_they_lead_to(self) -> None:
        self.link(b"file", b"d/e/file")
        self.link(b"x/up", b"../d/./e/../e")
        self.link(b"absolute", self.at(b"d/e"))
        self.link(b"chain", b"x/up/file")
        for path in (b"file", b"x/up/file", b"absolute/file", b"chain"):
            self.assertEqual(self.following.resolve(path), b"d/e/file")
            self.assertEqual(self.type_of(path), FileType.FILE)
            descriptor = self.following.open(path)
            self.assertEqual(os.pread(descriptor, 9, 0), b"x")
            os.close(descriptor)
            self.assertTrue(self.following.is_followed(path))
        self.assertEqual(self.following.listdir(b"x/up"), [(b"file", FileType.FILE)])
        self.assertFalse(self.following.is_followed(b"d/e/file"))

    def test_links_out_of_it_or_to_nothing_or_to_what_is_ours_are_links(self) -> None:
        for number, target in enumerate(
            (
                *(b"/etc/passwd", b"/etc", b"../outside", b"..", b"d/../../box/d", b"nothing"),
                *(b".flocknode", b".flocknode/box", self.outside, self.root + b"-x", b"self6"),
            )
        ):
            path = b"self%d" % number
            self.link(path, target)
            self.assertEqual(self.type_of(path), FileType.SYMLINK, target)
            self.assertEqual(self.following.readlink(path), target)
            with self.assertRaises(OSError):
                os.close(self.following.open(path))

    def test_a_link_through_one_that_leads_out_is_not_followed(self) -> None:
        self.link(b"out", self.outside)
        self.link(b"x", b"out/../d")
        self.assertEqual(self.type_of(b"x"), FileType.SYMLINK)

    def test_loops_are_broken(self) -> None:
        self.link(b"d/root", b"..")
        self.link(b"d/itself", b"../d")
        self.link(b"d/e/up", b"../../d")
        self.link(b"a/x", b"../b")
        self.link(b"b/y", b"../a")
        for path in (b"d/root", b"d/itself", b"d/e/up", b"a/x/y", b"b/y/x"):
            self.assertEqual(self.type_of(path), FileType.SYMLINK, path)
        self.assertEqual(self.type_of(b"a/x"), FileType.DIRECTORY)

    def test_not_more_links_are_followed_than_is_bearable(self) -> None:
        for number in range(HOPS + 1):
            self.link(b"n%d/x" % number, b"../n%d" % (number + 1))
        os.mkdir(self.at(b"n%d" % (HOPS + 1)))
        path = b"n0" + b"/x" * HOPS
        self.assertEqual(self.type_of(path), FileType.DIRECTORY)
        self.assertEqual(self.type_of(path + b"/x"), FileType.SYMLINK)

    def test_a_link_that_is_kept_is_one(self) -> None:
        self.link(b"x", b"d")
        self.following.keep.add(b"x")
        self.assertEqual(self.type_of(b"x"), FileType.SYMLINK)
        self.assertIsNone(self.following.lstat(b"x/e"))

    def test_other_ways_to_a_path_are_known_once_they_were_gone(self) -> None:
        self.link(b"x", b"d/e")
        self.link(b"y/z", b"../d")
        self.assertEqual(self.following.others(b"d/e/file"), set())
        for path in (b"x", b"y/z"):
            self.following.lstat(path)
        self.assertEqual(self.following.others(b"d/e/file"), {b"x/file", b"y/z/e/file"})
        self.assertEqual(self.following.others(b"d"), {b"y/z"})
        os.unlink(self.at(b"x"))
        self.link(b"x", b"y")
        self.following.lstat(b"x")
        self.assertEqual(self.following.others(b"d/e/file"), {b"y/z/e/file", b"x/z/e/file"})

    def test_not_more_links_are_remembered_than_is_bearable(self) -> None:
        self.patch(following, "REMEMBERED", 1)
        for name in (b"x", b"y"):
            self.link(name, b"d")
            self.following.lstat(name)
        self.assertEqual(self.following.others(b"d"), {b"x"})
