# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Patterns and links in a box with its threads and its watcher.
"""

from __future__ import annotations

import os

import attrs

from tests.box.test_box import QUICK, BoxTestCase, until, until_alive


class LiveTests(BoxTestCase):
    """Nobody asks for a scan."""

    async def test_patterns_hold_from_the_moment_they_are_there(self) -> None:
        box = await self.made("a")
        self.put(box, "d/x.o", b"x")
        await until_alive(box, b"d", b"d/x.o")
        self.put(box, "d/.flockignore", b"*.o\n")
        await until_alive(box, b"d", b"d/x.o", b"d/.flockignore")
        self.put(box, "d/y.o", b"y")
        self.put(box, "d/seen", b"")
        await until_alive(box, b"d", b"d/x.o", b"d/.flockignore", b"d/seen")
        os.unlink(self.path(box, "d/.flockignore"))
        await until_alive(box, b"d", b"d/x.o", b"d/seen", b"d/y.o")

    async def test_wrong_patterns_are_in_the_status(self) -> None:
        box = await self.made("a")
        self.put(box, ".flockignore", b"bad\\\n")
        await until(lambda: box.status.problems, "a problem is told")
        ((path, reason),) = box.status.problems
        self.assertEqual(path, ".flockignore")
        self.assertIn("Line 1", reason)

    async def test_what_changes_behind_a_followed_link_is_heard_of_where_it_is(self) -> None:
        box = await self.made("a", attrs.evolve(QUICK, symlinks="follow"))
        self.put(box, "d/file", b"x")
        os.symlink("d", self.path(box, "link"))
        await until_alive(box, b"d", b"d/file", b"link", b"link/file")
        self.put(box, "d/new", b"x")
        await until_alive(box, b"d", b"d/file", b"link", b"link/file", b"d/new", b"link/new")

    async def test_ignored_links_are_not_announced(self) -> None:
        box = await self.made("a", attrs.evolve(QUICK, symlinks="ignore"))
        os.symlink("nothing", self.path(box, "link"))
        self.put(box, "file", b"x")
        await until_alive(box, b"file")
