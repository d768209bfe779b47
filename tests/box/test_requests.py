# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.requests} and what it asks of
L{flocknode.box.receive}, over real folders.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from flocknode.box.receive.restoring import id_of
from flocknode.box.requests import Answer, Requests, Steps
from flocknode.errors import BoxError
from tests.box.peers import Peer, PeerCase, exchange


def run(steps: Steps) -> Answer:
    """All of it at once."""
    for answer in steps:
        if answer is not None:
            return answer
    raise AssertionError("There is no answer.")


class RequestsCase(PeerCase):
    """Two boxes, the second of which is asked; its calendar stands still."""

    def setUp(self) -> None:
        super().setUp()
        self.calendar = 5000.0
        self.a, self.b = self.peers("a", "b")
        for peer in (self.a, self.b):
            peer.planner._mover.out._wall = lambda: self.calendar

    def at(self, time: float, path: str, content: bytes | None, mode: int = 0o644) -> None:
        """At some time the first box has this, and the second hears of it."""
        self.calendar = time
        if content is None:
            os.unlink(self.a.path(path))
        else:
            self.a.put(path, content, time, mode)
        exchange(self.a, self.b)

    def ask(self, peer: Peer | None = None) -> Requests:
        return Requests((peer or self.b).engine)

    def refused(self, call: Callable[[], Any]) -> str:
        """It is refused in one sentence, and changes nothing."""
        before = self.b.tree()
        error = self.assertRaises(BoxError, call)
        self.assertEqual(self.b.tree(), before)
        self.assertRegex(str(error), r"\A[^\n]+\.\Z")
        return str(error)

    def restore(self, path: str, at: str | float, to: str | None = None) -> Answer:
        answer = run(self.ask().restore(path, at, to))
        self.b.work()
        return answer

    def not_restored(self, path: str, at: str | float, to: str | None = None) -> str:
        return self.refused(lambda: run(self.ask().restore(path, at, to)))

    def kept_id(self, number: int) -> str:
        """Of what was kept, counted from the oldest."""
        return id_of(self.b.index.contents.kept()[number])


class Versions(RequestsCase):
    """Listing what is kept."""

    def test_the_newest_comes_first(self) -> None:
        self.at(1000, "d/file", b"one")
        self.at(2000, "d/file", b"three")
        self.at(3000, "d/file", None)
        self.assertEqual(
            self.ask().versions("d/file"),
            [
                {
                    "id": self.kept_id(1),
                    "path": "d/file",
                    "kind": "file",
                    "size": 5,
                    "mtime": 2000.0,
                    "kept": 3000.0,
                },
                {
                    "id": self.kept_id(0),
                    "path": "d/file",
                    "kind": "file",
                    "size": 3,
                    "mtime": 1000.0,
                    "kept": 2000.0,
                },
            ],
        )

    def test_a_directory_has_those_of_what_lies_below_it(self) -> None:
        for name in ("d/x", "d/e/y", "d.z", "d0"):
            self.at(1000, name, b"x")
            self.at(2000, name, b"y")
        for path, found in {
            "d": {"d/x", "d/e/y"},
            "./d//": {"d/x", "d/e/y"},
            ".": {"d/x", "d/e/y", "d.z", "d0"},
            "d.z": {"d.z"},
            "nothing": set(),
        }.items():
            self.assertEqual({each["path"] for each in self.ask().versions(path)}, found)

    def test_absolute_paths_below_the_box_are_understood(self) -> None:
        self.at(1000, "d/x", b"x")
        self.at(2000, "d/x", b"y")
        root = os.path.abspath(os.fsdecode(self.b.root))
        link = os.path.join(self.base, "link")
        os.symlink(root, link)
        for path in (root, root + "/d/x", root + "/d/../d", os.path.abspath(link) + "/d/x"):
            self.assertEqual(len(self.ask().versions(path)), 1, path)

    def test_paths_outside_are_refused(self) -> None:
        root = os.path.abspath(os.fsdecode(self.b.root))
        for path in ("..", "d/../../x", "/etc/passwd", root + "x", ".flocknode/box", "a\0b"):
            refused = self.refused(partial(self.ask().versions, path))
            self.assertIn("no path in this box", refused)


class Restoring(RequestsCase):
    """Putting kept content back."""

    def test_what_was_deleted_comes_back_as_it_was_and_travels(self) -> None:
        self.at(1000, "d/e/file", b"content", 0o640)
        self.calendar = 2000
        os.unlink(self.a.path("d/e/file"))
        os.removedirs(self.a.path("d/e"))
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), set())
        self.assertEqual(self.restore("d/e/file", self.kept_id(0))["restored"], ["d/e/file"])
        self.assertEqual(self.b.tree()[b"d/e/file"], ("file", 0o640, 1000 * 10**9, b"content"))
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("d/e/file"), b"content")
        self.assertLevel(self.a, self.b)

    def test_what_is_there_now_is_kept(self) -> None:
        self.at(1000, "file", b"one")
        self.at(2000, "file", b"two")
        self.calendar = 3000
        self.restore("file", self.kept_id(0))
        self.assertEqual(self.b.get("file"), b"one")
        self.assertEqual(self.b.kept(), [b"one", b"two"])
        newest = self.ask().versions("file")[0]
        self.assertEqual((newest["mtime"], newest["kept"]), (2000.0, 3000.0))

    def test_it_is_a_change_like_any_other(self) -> None:
        self.at(1000, "file", b"one")
        self.at(2000, "file", b"two")
        self.restore("file", self.kept_id(0))
        exchange(self.a, self.b)
        self.assertEqual((self.a.contents(), self.a.kept()), ([b"one"], [b"two"]))
        self.assertLevel(self.a, self.b)
        self.assertEqual(self.b.engine.snapshot().new_total > 0, True)

    def test_there_and_back(self) -> None:
        self.at(1000, "file", b"one")
        self.at(2000, "file", b"two")
        self.restore("file", self.kept_id(0))
        exchange(self.a, self.b)
        self.restore("file", self.ask().versions("file")[0]["id"])
        exchange(self.a, self.b)
        self.assertEqual(self.a.contents(), [b"two"])
        self.assertLevel(self.a, self.b)

    def test_the_kept_version_stays_and_shares_nothing(self) -> None:
        self.at(1000, "file", b"one")
        self.at(2000, "file", b"two")
        self.restore("file", self.kept_id(0))
        kept = self.b.site.versions.stat(self.b.site.versions.names()[0])
        there = self.b.site.folder.lstat(b"file")
        assert kept is not None
        assert there is not None
        self.assertNotEqual(kept.inode, there.inode)
        self.assertEqual((kept.links, there.links), (1, 1))
        with open(self.b.path("file"), "r+b") as writer:
            writer.write(b"ONE")
        self.assertIn(b"one", self.b.kept())

    def test_by_time_it_is_what_was_there_then(self) -> None:
        for number in (1, 2, 3, 4):
            self.at(1000 * number, "file", b"%d" % number)
        for time, content in ((3999, b"3"), (2000, b"2"), (1000, b"1"), (1999.9, b"1")):
            self.restore("file", time, f"restored-{time}")
            self.assertEqual(self.b.get(f"restored-{time}"), content)

    def test_by_time_nothing_is_guessed(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        self.assertIn("No version", self.not_restored("file", 999))
        self.assertIn("not been replaced since", self.not_restored("file", 2000))
        self.assertIn("No earlier version of other", self.not_restored("other", 1500))

    def test_an_id_may_be_short_but_not_too_short_nor_wrong(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        id = self.kept_id(0)
        wrong = "0000" if id[0] != "0" else "1111"
        for each in (id[:3], wrong, ""):
            self.assertIn("has the id", self.not_restored("file", each))
        self.restore("file", id[:4])
        self.assertEqual(self.b.get("file"), b"1")

    def test_a_directory_comes_back_as_it_was_then(self) -> None:
        self.at(1000, "d/deleted", b"deleted")
        self.at(1000, "d/e/changed", b"old")
        self.at(1000, "d/same", b"same")
        self.at(2000, "d/deleted", None)
        self.at(2000, "d/e/changed", b"new")
        self.at(2500, "d/new", b"new")
        done = self.restore("d", 1500)
        self.assertEqual(done, {"restored": ["d/deleted", "d/e/changed"], "problems": []})
        self.assertEqual(self.b.contents(), [b"deleted", b"new", b"old", b"same"])

    def test_a_directory_comes_back_elsewhere(self) -> None:
        self.at(1000, "d/e/x", b"x")
        self.at(2000, "d/e/x", None)
        self.restore("d", 1500, "then")
        self.assertEqual(self.b.get("then/e/x"), b"x")
        self.restore("", 1500, "all")
        self.assertEqual(self.b.get("all/d/e/x"), b"x")

    def test_what_cannot_be_restored_of_a_directory_holds_nothing_up(self) -> None:
        for name in ("d/x", "d/y"):
            self.at(1000, name, b"old")
            self.at(2000, name, b"new")
        self.b.put("d/x", b"just changed")
        done = self.restore("d", 1500)
        self.assertEqual(done["restored"], ["d/y"])
        self.assertEqual(len(done["problems"]), 1)
        self.assertEqual(self.b.get("d/x"), b"just changed")

    def test_links_come_back_as_links(self) -> None:
        os.symlink("somewhere", self.a.path("link"))
        exchange(self.a, self.b)
        self.calendar = 4e9
        os.unlink(self.a.path("link"))
        exchange(self.a, self.b)
        self.restore("link", self.kept_id(0))
        self.assertEqual(os.readlink(self.b.path("link")), b"somewhere")
        exchange(self.a, self.b)
        self.assertLevel(self.a, self.b)

    def test_elsewhere_nothing_is_replaced(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        self.assertIn("choose another name", self.not_restored("file", self.kept_id(0), "file"))

    def test_what_was_just_changed_is_left_alone(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        self.b.put("file", b"3", 3000)
        self.assertIn("just been changed", self.not_restored("file", self.kept_id(0)))
        self.b.work()
        self.restore("file", self.kept_id(0))
        self.assertEqual(self.b.get("file"), b"1")

    def test_what_is_changed_while_it_is_restored_is_left_alone(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        steps = self.ask().restore("file", self.kept_id(0), None)
        self.assertIsNone(next(steps))
        self.b.put("file", b"3", 3000)
        self.assertIn("just been changed", self.refused(lambda: run(steps)))
        self.assertEqual(self.b.get("file"), b"3")
        self.assertEqual(os.listdir(self.b.path(".flocknode/staging")), [])

    def test_a_change_of_the_last_instant_is_not_lost(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")

        def write(step: str, path: bytes) -> None:
            if step == "checked" and path == b"file":
                self.b.hook = lambda step, path: None
                self.b.put("file", b"3", 3000)

        self.b.hook = write
        self.restore("file", self.kept_id(0))
        exchange(self.a, self.b)
        self.assertEqual(self.b.contents(), [b"1", b"3"])
        self.assertLevel(self.a, self.b)

    def test_a_writer_that_holds_the_replaced_file_open_loses_nothing(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        with open(self.b.path("file"), "ab") as writer:
            self.restore("file", self.kept_id(0))
            writer.write(b" and more")
        self.b.wait(3)
        exchange(self.a, self.b)
        self.assertEqual(self.b.contents(), [b"1", b"2 and more"])
        self.assertLevel(self.a, self.b)

    def test_a_newer_version_on_its_way_comes_first(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        self.a.put("file", b"3", 3000)
        self.a.scan()
        self.b.hear(self.a)
        self.assertIn("on its way", self.not_restored("file", self.kept_id(0)))

    def test_a_file_cannot_replace_a_directory(self) -> None:
        self.at(1000, "thing", b"1")
        self.at(2000, "thing", None)
        self.at(3000, "thing/inside", b"2")
        self.assertIn("is a directory now", self.not_restored("thing", self.kept_id(0)))

    def test_nor_lie_below_a_file(self) -> None:
        self.at(1000, "d/x", b"1")
        self.calendar = 2000
        os.unlink(self.a.path("d/x"))
        os.rmdir(self.a.path("d"))
        exchange(self.a, self.b)
        self.at(3000, "d", b"2")
        self.assertIn("is no directory now", self.not_restored("d/x", self.kept_id(0)))

    def test_what_was_written_to_in_the_store_is_not_restored(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        (name,) = self.b.site.versions.names()
        with open(self.b.path(b".flocknode/versions/" + name), "ab") as late:
            late.write(b"x")
        self.assertIn("not kept unchanged", self.not_restored("file", self.kept_id(0)))

    def test_what_is_so_already_is_not_touched(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        self.restore("file", self.kept_id(0))
        before = self.b.site.folder.lstat(b"file")
        self.assertEqual(self.restore("file", self.kept_id(0))["restored"], ["file"])
        self.assertEqual(self.b.site.folder.lstat(b"file"), before)

    def test_large_files_are_copied_a_piece_at_a_time(self) -> None:
        self.patch(os, "copy_file_range", self.refuse)
        content = os.urandom(3 << 20)
        self.at(1000, "file", content)
        self.at(2000, "file", b"2")
        steps = list(self.ask().restore("file", self.kept_id(0), None))
        self.assertEqual(len(steps), 4)
        self.assertEqual(self.b.get("file"), content)

    def refuse(self, *arguments: object) -> int:
        raise OSError(38, "not here")

    def test_a_folder_that_goes_away_meanwhile_gets_nothing(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        steps = self.ask().restore("file", self.kept_id(0), None)
        next(steps)
        self.b.engine.detach()
        self.assertIn("not there", self.refused(lambda: next(steps)))
        self.assertIn("not there", self.refused(self.ask))

    def test_nothing_is_done_before_the_folder_is_known(self) -> None:
        self.at(1000, "file", b"1")
        self.at(2000, "file", b"2")
        self.b.planner.surveyed = False
        self.assertIn("scanned", self.not_restored("file", self.kept_id(0)))
