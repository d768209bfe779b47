# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whole boxes that exchange: L{flocknode.box.engine} over real folders.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.box.peers import Peer, exchange


class EngineTestCase(SynchronousTestCase):
    """Makes boxes in a temporary folder."""

    def setUp(self) -> None:
        self.base = self.mktemp()
        os.makedirs(self.base)

    def peer(self, name: str, **more: object) -> Peer:
        peer = Peer(self.base, name, **more)  # type: ignore[arg-type]
        self.addCleanup(peer.kill)
        return peer

    def peers(self, *names: str) -> list[Peer]:
        return [self.peer(name) for name in names]

    def assertLevel(self, *peers: Peer) -> None:
        """All have the same, on disk and in the index."""
        for other in peers[1:]:
            self.assertEqual(peers[0].tree(), other.tree())
            self.assertEqual(peers[0].engine.snapshot().digest, other.engine.snapshot().digest)
        for peer in peers:
            snapshot = peer.engine.snapshot()
            self.assertEqual((snapshot.needed, snapshot.needed_bytes), (0, 0))
            self.assertEqual(set(snapshot.lacking.values()) - {0}, set())
            self.assertEqual(peer.engine.planner.problems, {})
            self.assertEqual(peer.site.staging.contents(), frozenset())


class ExchangeTests(EngineTestCase):
    def test_a_new_file_arrives(self) -> None:
        a, b = self.peers("a", "b")
        a.put("notes/plan.txt", b"hello", mtime=12345.678, mode=0o640)
        exchange(a, b)
        self.assertEqual(
            b.tree()[b"notes/plan.txt"], ("file", 0o640, 12345678000000, b"hello")
        )
        self.assertLevel(a, b)

    def test_a_change_arrives_and_the_old_content_is_kept(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"one", mtime=100)
        exchange(a, b)
        a.put("plan", b"two", mtime=200)
        exchange(a, b)
        self.assertEqual(b.get("plan"), b"two")
        self.assertEqual(b.kept(), [b"one"])
        self.assertLevel(a, b)

    def test_a_deletion_arrives_and_the_content_is_kept(self) -> None:
        a, b = self.peers("a", "b")
        a.put("folder/plan", b"one")
        exchange(a, b)
        os.unlink(a.path("folder/plan"))
        os.rmdir(a.path("folder"))
        exchange(a, b)
        self.assertEqual(b.tree(), {})
        self.assertEqual(b.kept(), [b"one"])
        self.assertLevel(a, b)

    def test_a_whole_tree_is_deleted(self) -> None:
        a, b = self.peers("a", "b")
        for number in range(20):
            a.put(f"x/{number % 3}/{number % 5}/{number}", b"%d" % number)
        exchange(a, b)
        import shutil

        shutil.rmtree(a.path("x"))
        exchange(a, b)
        self.assertEqual(b.tree(), {})
        self.assertLevel(a, b)

    def test_a_renamed_file_is_renamed_and_not_sent(self) -> None:
        a, b = self.peers("a", "b")
        a.put("here/film", os.urandom(300_000))
        exchange(a, b)
        b.asked.clear()
        inode = os.stat(b.path("here/film")).st_ino
        os.makedirs(a.path("there"))
        os.rename(a.path("here/film"), a.path("there/movie"))
        exchange(a, b)
        self.assertEqual(os.stat(b.path("there/movie")).st_ino, inode)
        self.assertEqual(b.asked, [])
        self.assertEqual(b.kept(), [])
        self.assertLevel(a, b)

    def test_a_renamed_directory_is_not_sent(self) -> None:
        a, b = self.peers("a", "b")
        for number in range(10):
            a.put(f"old/{number}/file", b"content %d" % number)
        exchange(a, b)
        b.asked.clear()
        os.rename(a.path("old"), a.path("new"))
        exchange(a, b)
        self.assertEqual(b.asked, [])
        self.assertNotIn(b"old", b.names())
        self.assertLevel(a, b)

    def test_a_renamed_file_that_is_heard_of_in_pieces_is_not_sent(self) -> None:
        a, b = self.peers("a", "b")
        a.put("film", os.urandom(300_000))
        exchange(a, b)
        b.asked.clear()
        os.rename(a.path("film"), a.path("movie"))
        a.scan()
        start = b.engine.ledger.holder(a.holder).number
        while True:
            entries, to = a.engine.entries_after(start, 1)
            if to == start:
                break
            b.engine.join(a.holder, a.engine.ledger.index_id, start, to, entries)
            b.work()
            start = to
        self.assertEqual(b.names(), {b"movie"})
        exchange(a, b)
        self.assertEqual(b.asked, [])
        self.assertLevel(a, b)

    def test_content_that_is_here_is_copied_and_not_sent(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"the same" * 50_000)
        exchange(a, b)
        b.asked.clear()
        a.put("two", b"the same" * 50_000)
        a.put("three/two", b"the same" * 50_000)
        exchange(a, b)
        self.assertEqual(b.asked, [])
        self.assertLevel(a, b)

    def test_content_from_the_version_store_is_used_again(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"first")
        exchange(a, b)
        a.put("plan", b"second")
        exchange(a, b)
        b.asked.clear()
        a.put("plan", b"first")
        exchange(a, b)
        self.assertEqual(b.get("plan"), b"first")
        self.assertEqual(b.asked, [])

    def test_many_equal_files_are_sent_once(self) -> None:
        a, b = self.peers("a", "b")
        for number in range(300):
            a.put(f"licence-{number}", b"you may", mtime=number)
        exchange(a, b)
        self.assertEqual(len(b.asked), 1)
        self.assertLevel(a, b)

    def test_a_changed_mode_arrives_without_content(self) -> None:
        a, b = self.peers("a", "b")
        a.put("run", b"#!/bin/sh", mode=0o644)
        exchange(a, b)
        b.asked.clear()
        inode = os.stat(b.path("run")).st_ino
        os.chmod(a.path("run"), 0o755)
        exchange(a, b)
        self.assertEqual(b.asked, [])
        self.assertEqual(os.stat(b.path("run")).st_ino, inode)
        self.assertLevel(a, b)

    def test_a_changed_time_arrives_without_content(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x", mtime=1000)
        exchange(a, b)
        b.asked.clear()
        os.utime(a.path("file"), ns=(0, 0))
        exchange(a, b)
        self.assertEqual(os.stat(b.path("file")).st_mtime_ns, 0)
        self.assertEqual(b.asked, [])
        self.assertLevel(a, b)

    def test_the_mode_of_a_directory_arrives(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/file", b"x")
        os.chmod(a.path("d"), 0o700)
        exchange(a, b)
        self.assertEqual(b.tree()[b"d"], ("directory", 0o700))
        os.chmod(a.path("d"), 0o555)
        exchange(a, b)
        self.assertEqual(b.tree()[b"d"], ("directory", 0o555))
        self.assertLevel(a, b)
        os.chmod(a.path("d"), 0o755)
        os.chmod(b.path("d"), 0o755)

    def test_links_directories_and_empty_files_arrive(self) -> None:
        a, b = self.peers("a", "b")
        os.symlink("nowhere/at all", a.path("dangling"))
        os.symlink(b"\xff\xfe", a.path("odd"))
        os.makedirs(a.path("empty/er"))
        a.put("nothing", b"", mtime=5)
        a.put("nothing else", b"", mtime=6)
        exchange(a, b)
        self.assertEqual(os.readlink(b.path("odd")), b"\xff\xfe")
        self.assertLevel(a, b)
        os.unlink(a.path("dangling"))
        os.symlink("elsewhere", a.path("dangling"))
        exchange(a, b)
        self.assertEqual(os.readlink(b.path("dangling")), b"elsewhere")
        self.assertLevel(a, b)

    def test_odd_names_arrive(self) -> None:
        a, b = self.peers("a", "b")
        names = [
            b"-rf", b" ", b"new\nline", b"back\\slash", b"\xff\xfe", b"nfd-e\xcc\x81",
            b"nfc-\xc3\xa9", "שלום".encode(), "🐦".encode(), b"x" * 255, b"dot.", b"Case",
            b"case", b"...", b"con", b"a:b", b".hidden", b".flocknode2",
        ]  # fmt: skip
        for name in names:
            a.put(name, name)
        a.put(b"/".join([b"deep"] * 300), b"bottom")
        exchange(a, b)
        for name in names:
            self.assertEqual(b.get(name), name)
        self.assertLevel(a, b)

    def test_a_large_file_arrives(self) -> None:
        a, b = self.peers("a", "b")
        a.put("large", os.urandom(128 * 1024 * 5 + 17))
        exchange(a, b)
        self.assertEqual(len(b.asked), 1 + 6)
        self.assertLevel(a, b)

    def test_only_the_changed_block_of_a_large_file_is_sent(self) -> None:
        a, b = self.peers("a", "b")
        data = bytearray(os.urandom(128 * 1024 * 8))
        a.put("large", bytes(data))
        exchange(a, b)
        b.asked.clear()
        data[500_000] ^= 1
        a.put("large", bytes(data))
        exchange(a, b)
        self.assertEqual(len(b.asked), 2)
        self.assertLevel(a, b)

    def test_a_file_grows_into_larger_blocks_without_being_sent_again(self) -> None:
        a, b = self.peers("a", "b")
        block = os.urandom(1024)
        data = b"".join(block[number % 7 :] + b"%08d" % number for number in range(262_144))
        a.put("log", data[: 256 << 20])
        exchange(a, b)
        b.asked.clear()
        a.put("log", data[: 256 << 20] + b"more")
        exchange(a, b)
        # The list, and the last block.
        self.assertEqual(len(b.asked), 2)
        self.assertLevel(a, b)

    def test_a_file_becomes_a_directory_and_back(self) -> None:
        a, b = self.peers("a", "b")
        a.put("thing", b"file")
        exchange(a, b)
        os.unlink(a.path("thing"))
        a.put("thing/inside", b"x")
        exchange(a, b)
        self.assertEqual(b.names(), {b"thing", b"thing/inside"})
        self.assertLevel(a, b)
        os.unlink(a.path("thing/inside"))
        os.rmdir(a.path("thing"))
        a.put("thing", b"file again")
        exchange(a, b)
        self.assertEqual(b.get("thing"), b"file again")
        self.assertLevel(a, b)

    def test_a_file_becomes_a_link_and_back(self) -> None:
        a, b = self.peers("a", "b")
        a.put("thing", b"file")
        exchange(a, b)
        os.unlink(a.path("thing"))
        os.symlink("target", a.path("thing"))
        exchange(a, b)
        self.assertEqual(os.readlink(b.path("thing")), b"target")
        os.unlink(a.path("thing"))
        a.put("thing", b"file")
        exchange(a, b)
        self.assertLevel(a, b)

    def test_equal_folders_meet_without_a_conflict(self) -> None:
        base = self.base
        for name in ("a", "b"):
            os.makedirs(os.path.join(base, name, "d"))
            for number in range(5):
                path = os.path.join(base, name, "d", str(number))
                with open(path, "wb") as file:
                    file.write(b"%d" % number)
                os.utime(path, (1, number))
        a, b = self.peers("a", "b")
        exchange(a, b)
        self.assertEqual((a.asked, b.asked), ([], []))
        self.assertEqual(len(a.names()), 6)
        self.assertLevel(a, b)

    def test_three_boxes_pass_things_on(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        a.put("file", b"x" * 200_000)
        exchange(a, b)
        a.kill()
        exchange(b, c)
        self.assertEqual(c.get("file"), b"x" * 200_000)
        a.start()
        exchange(a, b, c)
        self.assertLevel(a, b, c)


class ConflictTests(EngineTestCase):
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


class LifeTests(EngineTestCase):
    def test_created_and_deleted_before_any_exchange_leaves_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("draft", b"x")
        a.scan()
        os.unlink(a.path("draft"))
        a.scan()
        self.assertIsNone(a.index.row(b"draft"))
        exchange(a, b)
        self.assertEqual(b.index.row(b"draft"), None)
        self.assertLevel(a, b)

    def test_a_change_that_nobody_heard_of_is_replaced_by_the_next(self) -> None:
        a, b = self.peers("a", "b")
        a.put("draft", b"one")
        a.scan()
        a.put("draft", b"two")
        a.scan()
        self.assertEqual(a.index.row(b"draft").history.superseded, ())
        a.engine.entries_after(0, 1 << 20)
        a.put("draft", b"three")
        a.scan()
        self.assertEqual(len(a.index.row(b"draft").history.superseded), 1)

    def test_receiving_what_is_known_makes_no_new_number(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        numbers = a.engine.ledger.highest, b.engine.ledger.highest
        exchange(a, b)
        entries, to = a.engine.entries_after(0, 1 << 20)
        self.assertTrue(b.engine.join(a.holder, a.engine.ledger.index_id, 0, to, entries))
        self.assertEqual((a.engine.ledger.highest, b.engine.ledger.highest), numbers)

    def test_a_gap_is_refused(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        a.scan()
        entries, to = a.engine.entries_after(0, 1 << 20)
        self.assertFalse(b.engine.join(a.holder, 77, 1, to, entries))
        self.assertTrue(b.engine.join(a.holder, 77, 0, to, entries))
        self.assertFalse(b.engine.join(a.holder, 77, to + 1, to + 2, []))

    def test_entries_come_in_pieces_of_the_asked_size(self) -> None:
        a = self.peer("a")
        for number in range(50):
            a.put(str(number), b"x")
        a.scan()
        entries, to = a.engine.entries_after(0, 1000)
        self.assertTrue(0 < len(entries) < 10)
        self.assertEqual(to, entries[-1].number)
        more, _ = a.engine.entries_after(to, 1 << 20)
        self.assertEqual(len(entries) + len(more), 50)
        numbers = [entry.number for entry in entries + more]
        self.assertEqual(numbers, sorted(numbers))

    def test_unsound_entries_are_left_out(self) -> None:
        import attrs

        a, b = self.peers("a", "b")
        a.put("file", b"x")
        a.scan()
        (entry,), to = a.engine.entries_after(0, 1 << 20)
        bad = [
            attrs.evolve(entry, path=b"../file"),
            attrs.evolve(entry, path=b".flocknode/box"),
            attrs.evolve(entry, block_size=1),
            attrs.evolve(entry, history=attrs.evolve(entry.history, heads=())),
        ]
        self.assertTrue(b.engine.join(a.holder, 5, 0, to, [*bad, entry]))
        self.assertEqual([row.path for row in b.index.rows()], [b"file"])

    def test_a_later_known_number_makes_a_new_index_id(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        before = a.engine.ledger.index_id
        a.engine.acknowledged(b.holder, before, 10_000)
        self.assertNotEqual(a.engine.ledger.index_id, before)
        self.assertEqual(a.engine.snapshot().acknowledged[b.holder], 0)
        a.restart()
        exchange(a, b)
        self.assertLevel(a, b)

    def test_counted_changes_are_lacking_and_others_are_not(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"x" * 1000)
        a.scan()
        first = a.engine.snapshot()
        self.assertEqual((first.new_total, first.lacking_all), (1256, 0))
        a.put("two", b"x" * 2000)
        a.scan()
        a.engine.counted(first.new_total)
        self.assertEqual(a.engine.snapshot().lacking_all, 1256)
        a.engine.counted(a.engine.snapshot().new_total)
        self.assertEqual(a.engine.snapshot().lacking_all, 1256 + 2256)
        exchange(a, b)
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 0})
        self.assertEqual(b.engine.snapshot().new_total, 0)

    def test_what_is_lacking_after_a_restart_counts(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"x" * 1000)
        a.restart()
        a.restart()
        self.assertEqual(a.engine.snapshot().lacking_all, 1256)
        b.hear(a)
        b.work()
        a.hear(b)
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 1256})

    def test_a_holder_with_a_new_index_lacks_everything(self) -> None:
        a, b = self.peers("a", "b")
        a.put("one", b"x" * 1000)
        exchange(a, b)
        a.engine.counted(1 << 40)
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 0})
        a.engine.join(b.holder, 4711, 0, 0, [])
        self.assertEqual(a.engine.snapshot().lacking, {b.holder: 1256})
        a.check_sums()

    def test_who_holds_what_is_needed_is_told(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        a.put("file", b"content" * 30_000)
        exchange(a, c)
        b.hear(a)
        b.work()
        content = b.index.row(b"file").head.value.content
        self.assertEqual(b.engine.planner.wants.get(content).holders, {a.holder})
        b.engine.take_events()
        b.hear(c)
        self.assertEqual(b.engine.take_events().sources, {content: {a.holder, c.holder}})

    def test_a_block_that_is_not_what_was_asked_for_is_refused(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        a.scan()
        b.hear(a)
        b.work()
        (hash,) = b.needs()
        self.assertEqual(b.engine.write([(hash, b"rubbish"), (hash, b"content")]), [False, True])
        b.work()
        self.assertEqual(b.get("file"), b"content")

    def test_needs_end_when_a_version_is_superseded(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        a.scan()
        b.hear(a)
        b.work()
        self.assertEqual(len(b.needs()), 1)
        os.unlink(a.path("file"))
        a.scan()
        b.hear(a)
        b.work()
        self.assertEqual(b.needs(), set())

    def test_what_is_received_can_be_served_before_it_is_whole(self) -> None:
        a, b = self.peers("a", "b")
        a.put("large", os.urandom(500_000))
        a.scan()
        b.hear(a)
        b.work()
        b.fetch([a])
        b.work()
        b.fetch([a], limit=2)
        list_, *blocks = b.asked
        for hash in (list_, *blocks):
            self.assertEqual(b.serve(hash), a.serve(hash))
        self.assertEqual(len(blocks), 2)

    def test_a_file_that_changed_is_not_served_as_what_it_was(self) -> None:
        a = self.peer("a")
        a.put("file", b"content")
        a.scan()
        content = a.index.row(b"file").head.value.content
        a.put("file", b"tnetnoc")
        self.assertIsNone(a.serve(content))

    def test_a_missing_folder_deletes_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        os.rename(a.root, a.root + b".away")
        os.makedirs(a.root)
        a.poll()
        self.assertIsNone(a.engine.planner)
        exchange(a, b, scan=False)
        self.assertEqual(b.get("file"), b"x")
        os.rmdir(a.root)
        os.rename(a.root + b".away", a.root)
        a.restart()
        exchange(a, b)
        self.assertLevel(a, b)

    def test_a_missing_marker_deletes_nothing(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"x")
        exchange(a, b)
        import shutil

        shutil.rmtree(a.path(".flocknode"))
        os.unlink(a.path("file"))
        a.scan()
        self.assertIsNone(a.engine.planner)
        exchange(a, b, scan=False)
        a.restart()
        self.assertIsNone(a.site)
        self.assertEqual(b.get("file"), b"x")

    def test_a_lost_index_is_rebuilt_without_a_conflict(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"one", mtime=3)
        a.put("other", b"two")
        exchange(a, b)
        a.put("file", b"three", mtime=2)
        exchange(a, b)
        b.kill()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(b.state + suffix):
                os.unlink(b.state + suffix)
        b.put("file", b"one", mtime=3)
        b.start()
        self.assertTrue(b.rebuilt)
        exchange(a, b)
        self.assertEqual(a.contents(), [b"three", b"two"])
        self.assertLevel(a, b)

    def test_old_versions_are_pruned(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", os.urandom(200_000))
        exchange(a, b)
        a.put("file", b"two")
        exchange(a, b)
        b.engine.prune()
        self.assertEqual(len(b.kept()), 1)
        b.engine._wall = lambda: 4e9
        b.engine.prune()
        self.assertEqual(b.kept(), [])
        self.assertEqual(b.site.versions.names(), [])
        left = b.index._db.execute("SELECT count(*) FROM blocklist").fetchone()
        self.assertEqual(left, (0,))


class SymlinkedTests(EngineTestCase):
    def test_nothing_is_written_through_a_link(self) -> None:
        a, b = self.peers("a", "b")
        outside = os.path.join(self.base, "outside")
        os.makedirs(outside)
        a.put("d/file", b"x")
        a.scan()
        os.symlink(os.path.abspath(outside), b.path("d"))
        exchange(a, b, scan=False)
        self.assertEqual(os.listdir(outside), [])
        exchange(a, b)
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(b.get("d/file"), b"x")
        self.assertLevel(a, b)
