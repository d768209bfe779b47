# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.ignoring}.
"""

from __future__ import annotations

import os

from flocknode.box.disk import ignoring
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.ignoring import Ignored
from flocknode.box.patterns import LONGEST_FILE
from tests.box.folders import FolderCase

FILE, DIRECTORY = FileType.FILE, FileType.DIRECTORY


class IgnoredTests(FolderCase):
    """Patterns as they lie in a folder."""

    def setUp(self) -> None:
        super().setUp()
        self.ignored = Ignored(self.folder)

    def left(self, *paths: bytes) -> list[bytes]:
        """Those of these files that are not ignored."""
        return [path for path in paths if not self.ignored(path, FILE)]

    def test_a_file_of_patterns_holds_where_it_lies_and_below(self) -> None:
        self.write(b"d/.flockignore", b"*.o\n/top\n")
        paths = (b"x.o", b"d/x.o", b"d/e/x.o", b"top", b"d/top", b"d/e/top")
        self.assertEqual(self.left(*paths), [b"x.o", b"top", b"d/e/top"])

    def test_the_nearest_file_decides(self) -> None:
        self.write(b".flockignore", b"*.o\n!keep.o\n")
        self.write(b"d/.flockignore", b"!x.o\nkeep.o\n")
        self.assertEqual(
            self.left(b"x.o", b"keep.o", b"d/x.o", b"d/keep.o", b"d/e/x.o"),
            [b"keep.o", b"d/x.o", b"d/e/x.o"],
        )

    def test_nothing_in_an_ignored_directory_comes_back(self) -> None:
        self.write(b".flockignore", b"build/\n!build/keep\n!keep\n")
        self.write(b"build/.flockignore", b"!*\n")
        self.assertTrue(self.ignored(b"build", DIRECTORY))
        self.assertEqual(self.left(b"build/keep", b"build/.flockignore", b"build/e/keep"), [])

    def test_what_is_ignored_by_itself_can_be_taken_back(self) -> None:
        self.assertEqual(self.left(b"x.part", b"d/x.part"), [])
        self.write(b"d/.flockignore", b"!*.part\n")
        self.ignored.refresh(b"d")
        self.assertEqual(self.left(b"x.part", b"d/x.part"), [b"d/x.part"])

    def test_our_own_directory_cannot_be_taken_back(self) -> None:
        self.write(b".flockignore", b"!.flocknode\n")
        self.assertTrue(self.ignored(b".flocknode", DIRECTORY))
        self.assertTrue(self.ignored(b".flocknode/box", FILE))
        self.assertFalse(self.ignored(b"d/.flocknode", DIRECTORY))

    def test_the_file_of_patterns_itself_is_not_ignored(self) -> None:
        self.write(b".flockignore", b"*\n")
        self.assertEqual(self.left(b".flockignore", b"x"), [b".flockignore"])

    def test_links_are_ignored_if_asked_for(self) -> None:
        self.assertFalse(self.ignored(b"x", FileType.SYMLINK))
        self.assertTrue(Ignored(self.folder, links=True)(b"x", FileType.SYMLINK))

    def test_rules_are_kept_until_the_directory_is_entered(self) -> None:
        self.assertEqual(self.left(b"d/x.o"), [b"d/x.o"])
        self.write(b"d/.flockignore", b"*.o\n")
        self.assertEqual(self.left(b"d/x.o"), [b"d/x.o"])
        directory = self.folder.open_directory(b"d")
        self.addCleanup(os.close, directory)
        self.ignored.listed(b"d", directory)
        self.assertEqual(self.left(b"d/x.o"), [])
        os.unlink(self.at(b"d/.flockignore"))
        self.ignored.listed(b"d", directory)
        self.assertEqual(self.left(b"d/x.o"), [b"d/x.o"])

    def test_a_directory_without_patterns_is_not_looked_at(self) -> None:
        self.write(b".flockignore", b"*.o\n")
        os.mkdir(self.at(b"d"))
        self.assertEqual(self.left(b"x.o"), [])
        self.patch(self.folder, "open", lambda path: self.fail(f"{path!r} was opened"))
        self.ignored.listed(b"d", None)
        self.assertEqual(self.left(b"d/x.o", b"d/x.c"), [b"d/x.c"])

    def test_patterns_that_are_gone_are_noticed_without_a_look(self) -> None:
        self.write(b"d/.flockignore", b"*.o\nbad\\\n")
        self.assertEqual(self.left(b"d/x.o"), [])
        self.assertIn(b"d/.flockignore", self.ignored.problems)
        os.unlink(self.at(b"d/.flockignore"))
        self.ignored.listed(b"d", None)
        self.ignored.listed(b"d", None)
        self.assertEqual(self.left(b"d/x.o"), [b"d/x.o"])
        self.assertEqual(self.ignored.problems, {})

    def test_no_more_rules_are_kept_than_is_bearable(self) -> None:
        self.patch(ignoring, "REMEMBERED", 3)
        self.write(b"d/.flockignore", b"*.o\n")
        for _ in range(2):
            paths = [b"d/%d/e/x.o" % number for number in range(5)]
            self.assertEqual(self.left(*paths), [])
            self.assertLessEqual(len(self.ignored._rules), 3)

    def test_what_is_wrong_with_a_file_is_told_until_it_is_right(self) -> None:
        self.write(b".flockignore", b"*.o\nbad\\\n")
        self.assertEqual(self.left(b"x.o"), [])
        self.assertIn("Line 2", self.ignored.problems[b".flockignore"])
        self.write(b".flockignore", b"*.o\n")
        self.ignored.refresh(b"")
        self.assertEqual(self.left(b"x.o"), [])
        self.assertEqual(self.ignored.problems, {})

    def test_a_file_that_is_too_long_is_told(self) -> None:
        self.write(b".flockignore", b"*.o\n" + b"#\n" * LONGEST_FILE)
        self.assertEqual(self.left(b"x.o"), [])
        self.assertIn("first 64 KiB", self.ignored.problems[b".flockignore"])

    def test_something_else_of_that_name_says_nothing(self) -> None:
        os.mkdir(self.at(b".flockignore"))
        os.symlink(b"/etc/passwd", self.at(b"link"))
        os.mkdir(self.at(b"d"))
        os.symlink(b"../link", self.at(b"d/.flockignore"))
        self.assertEqual(self.left(b"x", b"d/x"), [b"x", b"d/x"])
        self.assertEqual(self.ignored.problems, {})

    def test_a_directory_with_nothing_but_ignored_things_is_known(self) -> None:
        self.write(b".flockignore", b"*.o\nbuild/\n")
        self.write(b"d/e/x.o")
        self.write(b"d/build/file")
        self.assertTrue(self.ignored.only_ignored(b"d"))
        self.write(b"d/e/file")
        self.assertFalse(self.ignored.only_ignored(b"d"))
        os.mkdir(self.at(b"empty"))
        self.assertFalse(self.ignored.only_ignored(b"empty"))

    def test_an_empty_directory_is_not_there_for_what_is_ignored(self) -> None:
        self.write(b".flockignore", b"*.o\n")
        self.write(b"d/e/f/x.o", b"")
        self.assertTrue(self.ignored.only_ignored(b"d"))
        os.mkdir(self.at(b"d/e/empty"))
        self.assertFalse(self.ignored.only_ignored(b"d"))
        os.makedirs(self.at(b"only/empty"))
        self.assertFalse(self.ignored.only_ignored(b"only"))
