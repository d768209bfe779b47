# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What arrives, and how: L{flocknode.box.engine} over real folders.
"""

from __future__ import annotations

import errno
import os
import shutil

from flocknode.box.content import block_hash
from flocknode.box.receive import seeker
from tests.box.folders import refuse
from tests.box.peers import PeerCase, exchange


class ExchangeTests(PeerCase):
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

    def test_a_sparse_file_stays_sparse(self) -> None:
        a, b = self.peers("a", "b")
        size = 8 << 20
        with open(a.path("sparse"), "wb") as file:
            file.truncate(size)
            file.seek(size // 2)
            file.write(b"data")
        os.utime(a.path("sparse"), (5, 5))
        exchange(a, b)
        self.assertLevel(a, b)
        self.assertLess(os.stat(b.path("sparse")).st_blocks * 512, size // 4)
        self.assertEqual(os.stat(b.path("sparse")).st_size, size)

    def test_a_whole_tree_is_deleted(self) -> None:
        a, b = self.peers("a", "b")
        for number in range(20):
            a.put(f"x/{number % 3}/{number % 5}/{number}", b"%d" % number)
        exchange(a, b)
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
        start = b.number_of(a)
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

    def test_of_much_that_was_staged_nothing_is_left(self) -> None:
        self.patch(seeker, "_MANY", 3)
        a, b = self.peers("a", "b")
        for number in range(9):
            b.site.staging.write_whole(block_hash(b"%d" % number), b"%d" % number)
        b.restart()
        a.put("plan", b"3")
        a.put("other", b"one")
        contents = b.site.staging.contents
        self.patch(b.site.staging, "contents", refuse(errno.EIO))
        exchange(a, b)
        self.assertEqual(len(contents()), 8)
        self.patch(b.site.staging, "contents", contents)
        a.put("another", b"two")
        exchange(a, b)
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




class SymlinkedTests(PeerCase):
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
