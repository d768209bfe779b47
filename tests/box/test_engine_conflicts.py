# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Changes that meet: L{flocknode.box.engine} over real folders.
"""

from __future__ import annotations

import os

from tests.box.peers import PeerCase, exchange


class ConflictTests(PeerCase):
    def test_two_changes_of_a_file_both_survive(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        a.put("plan", b"from a", mtime=1000)
        b.put("plan", b"from b", mtime=2000)
        exchange(a, b)
        self.assertEqual(a.get("plan"), b"from b")
        self.assertEqual(a.contents(), [b"from a", b"from b"])
        self.assertEqual(len(a.engine.snapshot().conflicts), 1)
        self.assertLevel(a, b)

    def test_three_changes_of_a_file_all_survive(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        a.put("plan", b"base", mtime=1)
        exchange(a, b, c)
        for time, peer in enumerate((a, b, c)):
            peer.put("plan", peer.holder, mtime=1000 + time)
        exchange(a, b, c)
        self.assertEqual(a.contents(), sorted(peer.holder for peer in (a, b, c)))
        self.assertLevel(a, b, c)

    def test_files_of_the_same_name_both_survive(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"from a", mtime=1000)
        b.put("plan", b"from b", mtime=2000)
        exchange(a, b)
        self.assertEqual(b.contents(), [b"from a", b"from b"])
        self.assertLevel(a, b)

    def test_a_change_survives_a_deletion(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base")
        exchange(a, b)
        os.unlink(a.path("plan"))
        b.put("plan", b"changed")
        exchange(a, b)
        self.assertEqual(a.get("plan"), b"changed")
        self.assertLevel(a, b)

    def test_a_new_file_survives_the_deletion_of_its_directory(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/old", b"x")
        exchange(a, b)
        os.unlink(a.path("d/old"))
        os.rmdir(a.path("d"))
        b.put("d/new", b"y")
        exchange(a, b)
        self.assertEqual(a.names(), {b"d", b"d/new"})
        self.assertLevel(a, b)

    def test_a_file_and_a_directory_of_the_same_name_both_survive(self) -> None:
        a, b = self.peers("a", "b")
        a.put("thing", b"file", mtime=1)
        b.put("thing/inside", b"y")
        exchange(a, b)
        self.assertEqual(a.contents(), [b"file", b"y"])
        self.assertEqual(a.get("thing/inside"), b"y")
        self.assertLevel(a, b)

    def test_a_change_while_a_newer_version_is_on_its_way_loses_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base" * 100_000, mtime=1)
        exchange(a, b)
        a.put("plan", b"from a" * 100_000, mtime=1000)
        a.scan()
        b.hear(a)
        b.work()
        b.fetch([a], limit=1)
        b.work()
        b.fetch([a], limit=1)
        b.put("plan", b"from b" * 100_000, mtime=2000)
        exchange(a, b)
        self.assertEqual(a.contents(), [b"from a" * 100_000, b"from b" * 100_000])
        self.assertEqual(a.get("plan"), b"from b" * 100_000)
        self.assertLevel(a, b)

    def test_a_deletion_while_a_newer_version_is_on_its_way_loses_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base")
        exchange(a, b)
        a.put("plan", b"from a")
        a.scan()
        b.hear(a)
        b.work()
        os.unlink(b.path("plan"))
        exchange(a, b)
        self.assertEqual(b.get("plan"), b"from a")
        self.assertLevel(a, b)

    def test_an_unscanned_change_is_never_overwritten(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        a.put("plan", b"from a", mtime=1000)
        a.scan()
        b.put("plan", b"from b", mtime=2000)
        exchange(a, b, scan=False)
        self.assertEqual(b.contents(), [b"from a", b"from b"])
        self.assertLevel(a, b)

    def test_an_unscanned_new_file_is_never_overwritten(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"from a", mtime=1000)
        a.scan()
        b.put("plan", b"from b", mtime=2000)
        exchange(a, b, scan=False)
        self.assertEqual(b.contents(), [b"from a", b"from b"])
        self.assertLevel(a, b)

    def test_what_was_seen_before_something_was_placed_is_not_a_change(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        a.put("gone", b"base", mtime=1)
        exchange(a, b)
        for name in ("plan", "gone"):
            os.utime(b.path(name), (2, 2))
            b.put("new", b"x")
        seen = b.see()
        a.put("plan", b"from a", mtime=1000)
        os.unlink(a.path("gone"))
        a.put("new", b"y", mtime=5)
        b.look([b"plan", b"gone", b"new"])
        exchange(a, b, scan=False)
        before = b.engine.ledger.highest
        for sighting in seen:
            b.engine.observe(sighting)
        self.assertEqual(b.engine.ledger.highest, before)
        exchange(a, b)
        self.assertLevel(a, b)

    def test_an_unscanned_file_is_not_deleted_with_its_directory(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/x", b"x")
        exchange(a, b)
        os.unlink(a.path("d/x"))
        os.rmdir(a.path("d"))
        a.scan()
        b.put("d/y", b"y")
        exchange(a, b, scan=False)
        b.wait(2)
        exchange(a, b)
        self.assertEqual(a.names(), {b"d", b"d/y"})
        self.assertLevel(a, b)

    def test_a_change_of_the_last_instant_becomes_a_version(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        a.put("plan", b"from a", mtime=1000)

        def write(step: str, path: bytes) -> None:
            if step == "checked" and path == b"plan":
                b.hook = lambda step, path: None
                b.put("plan.new", b"from b", mtime=2000)
                os.rename(b.path("plan.new"), b.path("plan"))

        b.hook = write
        exchange(a, b)
        self.assertEqual(b.contents(), [b"from a", b"from b"])
        self.assertEqual(b.get("plan"), b"from b")
        self.assertLevel(a, b)

    def test_a_change_in_the_last_instant_of_a_deletion_survives(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        os.unlink(a.path("plan"))

        def write(step: str, path: bytes) -> None:
            if step == "checked" and path == b"plan":
                b.hook = lambda step, path: None
                b.put("plan", b"from b", mtime=2000)

        b.hook = write
        exchange(a, b)
        self.assertEqual(a.get("plan"), b"from b")
        self.assertLevel(a, b)

    def test_a_writer_that_holds_a_replaced_file_open_loses_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        a.put("plan", b"from a", mtime=1000)
        with open(b.path("plan"), "ab") as writer:
            exchange(a, b)
            writer.write(b" and more")
        self.assertEqual(b.get("plan"), b"from a")
        b.wait(2.5)
        exchange(a, b)
        self.assertEqual(b.contents(), [b"base and more", b"from a"])
        self.assertLevel(a, b)
