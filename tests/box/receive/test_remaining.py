# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.remaining}.
"""

from __future__ import annotations

import errno
import os
import shutil

from flocknode.box.disk.perform import no_step
from flocknode.box.values import Path
from tests.box.peers import PeerCase, exchange

PATTERNS = {b".flockignore"}


class Ignored(PeerCase):
    """A deleted directory has stayed for what is ignored in it."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")
        self.a.put(".flockignore", b"*.o\n")
        self.a.put("d/e/file", b"x")
        exchange(self.a, self.b)
        self.b.put("d/e/x.o", b"x")
        self.b.put("d/e/y.o", b"y")
        shutil.rmtree(self.a.path("d"))
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), PATTERNS | {b"d", b"d/e", b"d/e/x.o", b"d/e/y.o"})

    def assertGone(self) -> None:
        exchange(self.a, self.b, scan=False)
        self.assertEqual(self.b.names(), PATTERNS)
        self.assertLevel(self.a, self.b)

    def test_it_goes_with_the_last_of_that(self) -> None:
        os.unlink(self.b.path("d/e/x.o"))
        self.b.look([b"d/e/x.o"])
        exchange(self.a, self.b, scan=False)
        self.assertIn(b"d/e/y.o", self.b.names())
        os.unlink(self.b.path("d/e/y.o"))
        self.b.look([b"d/e/y.o"])
        self.assertGone()

    def test_a_scan_finds_that_it_can_go(self) -> None:
        os.unlink(self.b.path("d/e/x.o"))
        os.unlink(self.b.path("d/e/y.o"))
        self.b.scan()
        self.assertGone()

    def test_it_goes_if_that_went_while_no_node_ran(self) -> None:
        os.unlink(self.b.path("d/e/x.o"))
        os.unlink(self.b.path("d/e/y.o"))
        self.b.restart()
        self.assertGone()

    def test_it_goes_when_what_is_in_it_was_removed_with_a_directory_of_its_own(self) -> None:
        shutil.rmtree(self.b.path("d/e"))
        self.b.look([b"d/e"])
        self.assertGone()

    def test_it_stays_if_something_ignored_comes_in_the_last_instant(self) -> None:
        os.unlink(self.b.path("d/e/x.o"))
        os.unlink(self.b.path("d/e/y.o"))

        def come(step: str, path: Path) -> None:
            if (step, path) == ("checked", b"d/e"):
                self.b.put("d/e/z.o", b"z")

        self.b.hook = come
        self.b.scan()
        exchange(self.a, self.b)
        self.b.hook = no_step
        self.assertEqual(self.b.names(), PATTERNS | {b"d", b"d/e", b"d/e/z.o"})
        self.assertEqual(self.b.engine.snapshot().problems, ())
        os.unlink(self.b.path("d/e/z.o"))
        self.b.look([b"d/e/z.o"])
        self.assertGone()

    def test_it_does_not_come_back_by_being_looked_at(self) -> None:
        for afresh in (False, True):
            self.b.look([b"d", b"d/e"], afresh)
            exchange(self.a, self.b)
        self.assertEqual(self.a.names(), PATTERNS)
        self.assertTrue(self.b.head(b"d/e").value.deleted)

    def test_it_comes_back_with_a_new_mode(self) -> None:
        os.chmod(self.b.path("d"), 0o750)
        exchange(self.a, self.b)
        self.assertEqual(self.a.tree()[b"d"], ("directory", 0o750))

    def test_one_that_somebody_has_made_in_its_place_is_new(self) -> None:
        # Side by side: so it is certainly another inode.
        os.mkdir(self.b.path("new"), 0o755)
        shutil.rmtree(self.b.path("d"))
        os.rename(self.b.path("new"), self.b.path("d"))
        self.b.look([b"d"])
        exchange(self.a, self.b)
        self.assertEqual(self.a.tree()[b"d"], ("directory", 0o755))
        self.assertLevel(self.a, self.b)

    def test_what_is_ignored_itself_by_now_is_left_alone(self) -> None:
        self.a.put(".flockignore", b"*.o\nd/\n")
        exchange(self.a, self.b)
        os.unlink(self.b.path("d/e/x.o"))
        os.unlink(self.b.path("d/e/y.o"))
        self.b.look([b"d/e/x.o", b"d/e/y.o"])
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), PATTERNS | {b"d", b"d/e"})


class Full(PeerCase):
    """Something is in a directory that has to go."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")
        self.a.put("d/file", b"x")
        exchange(self.a, self.b)

    def refuse(self, path: bytes) -> None:
        """The disk does not give up this file for now."""
        move_in = self.b.site.versions.move_in

        def refused(name: bytes, directory: int, keep: bytes) -> None:
            if name == path:
                raise OSError(errno.EIO, "")
            move_in(name, directory, keep)

        self.patch(self.b.site.versions, "move_in", refused)

    def test_it_goes_at_once_with_the_last_of_that(self) -> None:
        self.refuse(b"file")
        shutil.rmtree(self.a.path("d"))
        self.a.scan()
        self.b.hear(self.a)
        self.b.work()
        # Again and again, so that it would be tried again in a long while only.
        for _ in range(6):
            self.b.wait(60)
        self.assertEqual(self.b.names(), {b"d", b"d/file"})
        os.unlink(self.b.path("d/file"))
        self.b.look([b"d/file"])
        self.b.work()
        self.assertEqual(self.b.names(), set())
        exchange(self.a, self.b)
        self.assertLevel(self.a, self.b)

    def test_what_takes_its_place_comes_at_once_too(self) -> None:
        self.refuse(b"file")
        shutil.rmtree(self.a.path("d"))
        self.a.put("d", b"a file now")
        self.a.scan()
        exchange(self.a, self.b)
        for _ in range(6):
            self.b.wait(60)
        self.assertEqual(self.b.names(), {b"d", b"d/file"})
        os.unlink(self.b.path("d/file"))
        self.b.look([b"d/file"])
        exchange(self.a, self.b, scan=False)
        self.assertEqual(self.b.get("d"), b"a file now")
        self.assertLevel(self.a, self.b)
