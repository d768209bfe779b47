# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.patterns}.
"""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.patterns import BUILT_IN, LONGEST_FILE, MOST_PATTERNS, parse


class PatternTests(SynchronousTestCase):
    """What one file of patterns says."""

    def says(self, text: str, path: str, directory: bool = False) -> bool | None:
        patterns, trouble = parse(text.encode())
        self.assertEqual(trouble, "")
        return patterns.says(path, directory)

    def test_a_name_matches_at_any_depth_and_a_path_only_there(self) -> None:
        for path in ("a", "x/a", "x/y/a"):
            self.assertTrue(self.says("a", path))
        self.assertTrue(self.says("/a", "a"))
        self.assertIsNone(self.says("/a", "x/a"))
        self.assertIsNone(self.says("x/a", "y/x/a"))
        self.assertTrue(self.says("**/x/a", "y/x/a"))

    def test_a_slash_at_the_end_is_for_directories_only(self) -> None:
        for pattern in ("build/", "*/", "x/build/"):
            self.assertIsNone(self.says(pattern, "x/build"))
            self.assertTrue(self.says(pattern, "x/build", True))

    def test_of_several_that_match_the_last_counts(self) -> None:
        self.assertIs(self.says("*.o\n!keep.o", "keep.o"), False)
        self.assertIs(self.says("!keep.o\n*.o", "keep.o"), True)
        self.assertIs(self.says("*.o\n!/x/keep.o", "x/keep.o"), False)

    def test_nothing_is_said_of_what_lies_below_a_match(self) -> None:
        self.assertIsNone(self.says("*.txt\n!keep/", "keep/other"))
        self.assertIs(self.says("*.txt\n!keep/", "keep/a.txt"), True)
        self.assertIsNone(self.says("x/**", "x", True))
        self.assertIsNone(self.says("x/**/", "x", True))
        self.assertIs(self.says("x/**/", "x/y/z", True), True)

    def test_comments_empty_lines_and_what_editors_add_do_not_matter(self) -> None:
        text = "\ufeff*.o\r\n\r\n# a comment\r\n\\#name\r\n"
        self.assertTrue(self.says(text, "x.o"))
        self.assertTrue(self.says(text, "#name"))
        self.assertIsNone(self.says(text, "# a comment"))

    def test_names_that_are_no_text_can_be_named(self) -> None:
        patterns, _ = parse(b"\xff*\n")
        self.assertTrue(patterns.says(b"\xffx".decode("utf-8", "surrogateescape"), False))

    def test_wrong_lines_are_told_and_the_others_count(self) -> None:
        patterns, trouble = parse(b"*.o\nbad\\\n!\n*.pyc\n[x\n")
        self.assertEqual(trouble, "Lines 2, 3, 5 are no pattern that can be used: correct it.")
        self.assertTrue(patterns.says("x.o", False))
        self.assertTrue(patterns.says("x.pyc", False))

    def test_of_a_file_that_is_too_long_the_beginning_counts(self) -> None:
        patterns, trouble = parse(b"*.o\n" + b"# filled\n" * LONGEST_FILE + b"*.pyc\n")
        self.assertIn("first 64 KiB", trouble)
        self.assertTrue(patterns.says("x.o", False))
        self.assertIsNone(patterns.says("x.pyc", False))
        patterns, trouble = parse(b"".join(b"%d\n" % each for each in range(MOST_PATTERNS + 1)))
        self.assertIn("first 1000 patterns", trouble)
        self.assertEqual(len(patterns), MOST_PATTERNS)

    def test_what_would_take_long_to_match_is_no_pattern(self) -> None:
        for slow in ("*a" * 20 + "b", "**/a/" * 10 + "b", "x" * 5000):
            patterns, trouble = parse(slow.encode())
            self.assertEqual((len(patterns), trouble[:6]), (0, "Line 1"))

    def test_what_is_let_in_is_quick_on_the_worst_of_names(self) -> None:
        patterns, trouble = parse(b"*a*a*b\n**/a/**/b/c\n")
        self.assertEqual(trouble, "")
        start = time.process_time()
        for path in ("a" * 255, "a/" * 2000 + "a"):
            self.assertIsNone(patterns.says(path, False))
        self.assertLess(time.process_time() - start, 2)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60), st.text("ab/*.", min_size=1, max_size=8))
    def test_whatever_a_file_holds_it_is_read(self, data: bytes, path: str) -> None:
        patterns, _ = parse(data)
        patterns.says(path, True)


class BuiltInTests(SynchronousTestCase):
    """What is ignored without being asked."""

    def test_what_programs_leave_lying_about_is_ignored(self) -> None:
        for name in (
            *(".notes.txt.swp", ".notes.swo", "#notes#", ".#notes"),
            *(".~lock.a.odt#", "~$a.docx", "film.part", "film.crdownload", "film.partial"),
            *(".DS_Store", "._x", "Thumbs.db", "desktop.ini", ".fuse_hidden0001"),
            *(".nfs0000a1", ".flocknode"),
        ):
            self.assertTrue(BUILT_IN.says(name, False), name)
        for name in ("$RECYCLE.BIN", "System Volume Information"):
            self.assertTrue(BUILT_IN.says(name, True), name)

    def test_other_names_are_not(self) -> None:
        for name in (
            *("swp", "a.sw", "4913", "notes.txt~", "~x", "#x", "x#", ".x", "part", ".nfsrc"),
            "a.txt",
        ):
            self.assertIsNone(BUILT_IN.says(name, False), name)
