# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Conflicts end the same everywhere: L{flocknode.box.engine} over real folders.
"""

from __future__ import annotations

import os

from tests.box.peers import Peer, PeerCase, exchange

PEOPLE = ("olivia", "bertram", "casimir")


class DeterminismTests(PeerCase):
    """
    Whoever hears of what in whatever order: all hold the same, and nothing
    says who it was.
    """

    boxes: list[Peer]
    count = 0

    def put(self, number: int, peer: int, kind: str) -> None:
        """This box has something of this kind at C{thing}."""
        box = self.boxes[peer]
        path = box.path("thing")
        if kind == "directory":
            box.put("thing/inside", b"inside", mtime=number)
        elif kind == "link":
            os.symlink("target", path)
            os.utime(path, (number, number), follow_symlinks=False)
        elif kind == "deleted":
            if os.path.lexists(path):
                os.unlink(path)
        else:
            if os.path.lexists(path):
                os.unlink(path)
            box.put("thing", kind.encode(), mtime=number)

    def tree(self, kinds: tuple[str, str], order: tuple[int, ...], base: bool) -> object:
        """What all three hold after two of them have had different things."""
        self.count += 1
        self.boxes = self.peers(*(f"{name}{self.count}" for name in PEOPLE))
        if base:
            self.boxes[0].put("thing", b"base", mtime=1)
            exchange(*self.boxes)
        for number, kind in enumerate(kinds):
            if base and kind in ("directory", "link"):
                os.unlink(self.boxes[number].path("thing"))
            self.put(1000 + number, number, kind)
        for box in self.boxes:
            box.scan()
        exchange(*(self.boxes[number] for number in order), scan=False)
        self.assertLevel(*self.boxes)
        tree = self.boxes[0].tree()
        for box in self.boxes:
            for path in tree:
                self.assertNotIn(box.holder[:6], path)
        return {path: value for path, value in tree.items() if value[0] != "directory"}

    def assertSame(self, first: str, second: str, base: bool = False) -> None:
        orders = ((0, 1, 2), (2, 1, 0))
        trees = [self.tree((first, second), order, base) for order in orders]
        for tree in trees[1:]:
            self.assertEqual(tree, trees[0])

    def test_a_directory_and_a_file(self) -> None:
        self.assertSame("directory", "file")
        self.assertSame("directory", "file", base=True)

    def test_a_directory_and_a_link(self) -> None:
        self.assertSame("directory", "link")

    def test_a_link_and_a_file(self) -> None:
        self.assertSame("link", "file")
        self.assertSame("file", "link")
        self.assertSame("link", "file", base=True)

    def test_a_deletion_and_a_change(self) -> None:
        self.assertSame("deleted", "file", base=True)
        self.assertSame("file", "deleted", base=True)

    def test_a_deletion_and_something_else_in_its_place(self) -> None:
        self.assertSame("deleted", "link", base=True)
        self.assertSame("deleted", "directory", base=True)

    def test_two_changes(self) -> None:
        self.assertSame("one", "two", base=True)

    def test_names_that_differ_in_case_are_two_files(self) -> None:
        a, b = self.peers("a", "b")
        if not a.site.capabilities.names.case_sensitive:
            self.skipTest("This file system does not tell the cases of letters apart.")
        a.put("Plan.txt", b"upper", mtime=1000)
        b.put("plan.txt", b"lower", mtime=2000)
        exchange(a, b)
        self.assertEqual(b.names(), {b"Plan.txt", b"plan.txt"})
        self.assertEqual(b.contents(), [b"lower", b"upper"])
        self.assertLevel(a, b)

    def test_a_rename_that_changes_only_the_case_is_no_conflict(self) -> None:
        a, b = self.peers("a", "b")
        if not a.site.capabilities.names.case_sensitive:
            self.skipTest("This file system does not tell the cases of letters apart.")
        a.put("Plan.txt", b"content", mtime=1000)
        exchange(a, b)
        os.rename(a.path("Plan.txt"), a.path("plan.txt"))
        exchange(a, b)
        self.assertEqual(b.names(), {b"plan.txt"})
        self.assertLevel(a, b)
