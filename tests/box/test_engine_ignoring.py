# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What boxes do about paths that are ignored.
"""

from __future__ import annotations

import os
import shutil

from tests.box.peers import PeerCase, exchange


class IgnoringTests(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")

    def test_ignored_files_are_not_sent_and_the_patterns_are(self) -> None:
        self.a.put(".flockignore", b"*.o\nbuild/\n")
        for path in ("x.o", "x.c", "build/x.c", "d/x.o", "d/x.c"):
            self.a.put(path, path.encode())
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b".flockignore", b"x.c", b"d", b"d/x.c"})
        self.assertIsNone(self.a.index.row(b"build/x.c"))

    def test_what_others_announce_is_passed_on_and_not_placed(self) -> None:
        c = self.peer("c")
        self.b.put(".flockignore", b"*.o\n")
        self.b.scan()
        self.a.put("x.o", b"x")
        self.a.put("d/x.o", b"x")
        self.a.scan()
        self.b.hear(self.a)
        self.b.work()
        self.assertEqual(self.b.names(), {b".flockignore"} | {b"d"})
        self.assertEqual(self.b.needs(), set())
        snapshot = self.b.engine.snapshot()
        self.assertEqual((snapshot.needed, snapshot.needed_bytes, snapshot.problems), (0, 0, ()))
        c.hear(self.b)
        self.assertEqual(c.head(b"x.o"), self.a.head(b"x.o"))
        self.b.restart()
        self.b.work()
        self.assertEqual(self.b.engine.snapshot().needed, 0)

    def test_what_becomes_ignored_stays_everywhere_and_is_not_watched(self) -> None:
        self.a.put("x.o", b"old")
        self.a.put("build/x", b"old")
        exchange(self.a, self.b)
        self.a.put(".flockignore", b"*.o\nbuild/\n")
        exchange(self.a, self.b)
        self.a.put("x.o", b"new")
        shutil.rmtree(self.a.path("build"))
        exchange(self.a, self.b)
        self.assertEqual(self.b.get("x.o"), b"old")
        self.assertEqual(self.b.get("build/x"), b"old")
        os.unlink(self.b.path("x.o"))
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("x.o"), b"new")
        self.assertFalse(self.b.head(b"x.o").value.deleted)

    def test_what_is_not_ignored_any_more_appears(self) -> None:
        self.a.put("d/.flockignore", b"*.o\n")
        self.a.put("d/here.o", b"here")
        exchange(self.a, self.b)
        self.b.put("d/there.o", b"there")
        exchange(self.a, self.b)
        self.a.put("d/.flockignore", b"*.tmp\n")
        self.a.look([b"d/.flockignore"])
        exchange(self.a, self.b, scan=False)
        self.assertEqual(self.b.get("d/here.o"), b"here")
        self.assertEqual(self.a.get("d/there.o"), b"there")
        self.assertLevel(self.a, self.b)

    def test_what_waited_while_it_was_ignored_is_placed_when_the_patterns_go(self) -> None:
        self.b.put(".flockignore", b"x\n")
        self.a.put("x", b"content")
        self.b.scan()
        self.a.scan()
        self.b.hear(self.a)
        self.b.work()
        self.assertNotIn(b"x", self.b.names())
        os.unlink(self.b.path(".flockignore"))
        exchange(self.a, self.b)
        self.assertEqual(self.b.get("x"), b"content")
        self.assertLevel(self.a, self.b)

    def test_what_is_being_waited_for_is_dropped_when_it_becomes_ignored(self) -> None:
        self.a.put("x", b"content")
        self.a.scan()
        self.b.hear(self.a)
        self.b.work()
        self.assertEqual(len(self.b.needs()), 1)
        self.b.put(".flockignore", b"x\n")
        self.b.scan()
        self.b.work()
        self.assertEqual(self.b.needs(), set())
        self.b.check_sums()

    def test_what_is_ignored_is_not_read_as_deleted_by_whatever_look(self) -> None:
        for path in ("x.o", "d/x.o", "d/file"):
            self.a.put(path, b"content")
        exchange(self.a, self.b)
        self.a.put(".flockignore", b"*.o\n")
        self.a.scan()
        os.unlink(self.a.path("x.o"))
        shutil.rmtree(self.a.path("d"))
        self.a.look([b"x.o", b"d/x.o", b"d"])
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b".flockignore", b"x.o", b"d", b"d/x.o"})

    def test_a_deletion_elsewhere_leaves_ignored_files(self) -> None:
        self.a.put("x.o", b"x")
        exchange(self.a, self.b)
        self.b.put(".flockignore", b"*.o\n")
        self.b.scan()
        os.unlink(self.a.path("x.o"))
        self.a.scan()
        self.b.hear(self.a)
        self.b.work()
        self.assertEqual(self.b.get("x.o"), b"x")
        self.assertTrue(self.b.head(b"x.o").value.deleted)

    def test_a_deleted_directory_stays_for_the_ignored_files_in_it(self) -> None:
        self.a.put(".flockignore", b"*.o\n")
        self.a.put("d/e/file", b"x")
        exchange(self.a, self.b)
        self.b.put("d/e/x.o", b"kept")
        shutil.rmtree(self.a.path("d"))
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b".flockignore", b"d", b"d/e", b"d/e/x.o"})
        self.assertEqual(self.b.engine.snapshot().problems, ())
        for path in (b"d", b"d/e"):
            self.assertTrue(self.b.head(path).value.deleted)
        for _ in range(2):
            exchange(self.a, self.b)
            self.b.restart()
        self.assertEqual(self.a.names(), {b".flockignore"})
        self.assertEqual(self.b.get("d/e/x.o"), b"kept")

    def test_a_directory_that_stayed_comes_back_with_what_is_put_into_it(self) -> None:
        self.a.put(".flockignore", b"*.o\n")
        self.a.put("d/file", b"x")
        exchange(self.a, self.b)
        self.b.put("d/x.o", b"kept")
        shutil.rmtree(self.a.path("d"))
        exchange(self.a, self.b)
        self.b.put("d/new", b"new")
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("d/new"), b"new")
        self.assertFalse(self.b.head(b"d").value.deleted)
        self.b.check_sums()

    def test_a_directory_that_stayed_goes_when_somebody_removes_it(self) -> None:
        self.a.put(".flockignore", b"*.o\n")
        self.a.put("d/file", b"x")
        exchange(self.a, self.b)
        self.b.put("d/x.o", b"kept")
        shutil.rmtree(self.a.path("d"))
        exchange(self.a, self.b)
        shutil.rmtree(self.b.path("d"))
        exchange(self.a, self.b)
        self.assertLevel(self.a, self.b)
        os.mkdir(self.b.path("d"))
        exchange(self.a, self.b)
        self.assertIn(b"d", self.a.names())
        self.assertLevel(self.a, self.b)

    def test_what_is_ignored_is_not_replaced_and_that_is_told(self) -> None:
        self.b.put(".flockignore", b"x/\n")
        self.b.put("x/mine", b"mine")
        self.b.scan()
        self.a.put("x", b"theirs")
        exchange(self.a, self.b)
        self.assertEqual(self.b.get("x/mine"), b"mine")
        self.assertIn("ignored", dict(self.b.engine.snapshot().problems)[b"x"])  # type: ignore[index]
        shutil.rmtree(self.b.path("x"))
        self.b.look([b"x"])
        exchange(self.a, self.b)
        self.assertEqual(self.b.get("x"), b"theirs")
        self.assertLevel(self.a, self.b)

    def test_a_file_of_patterns_with_a_wrong_line_is_one_problem(self) -> None:
        self.a.put(".flockignore", b"*.o\nbad\\\n")
        self.a.put("x.o", b"x")
        exchange(self.a, self.b)
        for peer in (self.a, self.b):
            ((path, reason),) = peer.engine.snapshot().problems
            self.assertEqual(path, b".flockignore")
            self.assertIn("Line 2", reason)
        self.assertEqual(self.b.names(), {b".flockignore"})

    def test_the_first_look_at_a_folder_needs_no_second(self) -> None:
        self.a.put(".flockignore", b"*.o\n")
        self.a.put("x", b"x")
        self.a.engine.planner.surveyed = False  # type: ignore[union-attr]
        self.a.scan()
        self.assertEqual(self.a.engine.take_events().rescan, set())
