# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What people do to files, on one flock of three real nodes: each test works in
a folder of its own of the same box.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.cluster import Cluster, Tree, tree, wait_until


@functools.cache
def running() -> Cluster:
    """The one flock of these tests; trial knows no fixtures for classes."""
    cluster = Cluster("Changes.flock")
    atexit.register(cluster.close)
    cluster.start()
    return cluster


class Changes(SynchronousTestCase):
    """Changes on nodes that are all there."""

    def setUp(self) -> None:
        self.cluster = running()
        self.cluster.together()
        self.name = self._testMethodName[:40]
        self.here = self.cluster.box(0) / self.name
        self.here.mkdir()

    def at(self, node: int) -> Path:
        """This test's folder on that node."""
        return self.cluster.box(node) / self.name

    def equal(self) -> Tree:
        """Wait until all hold what node 1 holds now."""
        try:
            return self.cluster.wait_same(0)
        except AssertionError:
            # The other tests begin with another flock, not with this one's fault.
            self.cluster.close()
            running.cache_clear()
            raise

    def sent(self) -> int:
        """Bytes of content that all nodes have sent so far."""
        found = [self.cluster.status(node) for node in range(3)]
        return sum(status["content_sent"] for status in found if status)

    def rounds(self) -> int:
        """Rounds that node 1 has finished."""
        status = self.cluster.status(0)
        assert status is not None
        return int(status["rounds"])

    def test_a_file_created_and_written_in_one_go_arrives(self) -> None:
        (self.here / "a.txt").write_text("in one go\n")
        self.equal()

    def test_every_way_of_writing_arrives_exactly(self) -> None:
        one = self.here / "one"
        one.write_bytes(b"first content\n")
        self.equal()
        shutil.copy2(one, self.here / "copy")
        os.system(f"echo shell > '{self.here}/echo'")
        self.equal()
        with one.open("ab") as file:
            file.write(b"appended\n")
        self.equal()
        os.truncate(one, 5)
        self.equal()
        with one.open("r+b") as file:
            file.write(b"FIRST")
        self.equal()
        with (self.here / "steps").open("wb", buffering=0) as file:
            for step in range(20):
                file.write(b"step %d\n" % step)
                os.fsync(file.fileno())
        found = self.equal()
        folder = os.fsencode(self.name)
        self.assertEqual(
            {folder + b"/" + n for n in (b"one", b"copy", b"echo", b"steps")} | {folder},
            {p for p in found if p.startswith(folder)},
        )
        self.assertEqual((self.at(2) / "one").read_bytes(), b"FIRST")

    def test_files_of_every_size_arrive(self) -> None:
        for size in (0, 1, 10, 4095, 4096, 4097, 131_071, 131_072, 131_073, 1_048_576, 9_000_001):
            (self.here / f"{size}").write_bytes(os.urandom(size))
        self.equal()

    def test_every_name_that_the_disk_can_hold_arrives(self) -> None:
        names = [
            b"two words", b"'single' \"double\"", b"new\nline", b"back\\slash", "🐦🐦".encode(),
            "שלום".encode(), "é".encode(), "é".encode(), b"not\xff\xfeutf8", b"Case", b"case",
            b"n" * 255, b"-leading-dash", b"trailing dot.", b"trailing space ", b"*?[x]", b"%41",
            b"\x01\x02\x7f", b"con", b"..."
        ]  # fmt: skip
        for name in names:
            (Path(os.fsdecode(os.fsencode(self.here) + b"/" + name))).write_bytes(name)
        os.makedirs(self.here / "/".join(["d" * 100] * 16))
        (self.here / "/".join(["d" * 100] * 16) / "deep").write_bytes(b"deep")
        found = self.equal()
        for name in names:
            self.assertIn(os.fsencode(self.name) + b"/" + name, found)

    def test_a_tree_of_500_files_is_made_moved_and_removed(self) -> None:
        wood = self.here / "wood"
        for branch in range(25):
            (wood / f"branch{branch}").mkdir(parents=True)
            for leaf in range(20):
                (wood / f"branch{branch}" / f"leaf{leaf}").write_bytes(b"%d %d" % (branch, leaf))
        self.equal()
        self.cluster.wait_settled()
        before = self.sent()
        wood.rename(self.here / "forest")
        self.equal()
        self.assertEqual(self.sent(), before, "a rename sends no content")
        shutil.rmtree(self.here / "forest")
        self.equal()
        self.assertEqual(list(self.at(2).iterdir()), [])

    def test_renames_into_out_of_and_inside_the_box(self) -> None:
        outside = self.cluster.top / "outside"
        outside.mkdir(exist_ok=True)
        (outside / "comes").write_bytes(os.urandom(200_000))
        (outside / "folder").mkdir()
        (outside / "folder" / "child").write_bytes(b"comes along")
        (outside / "comes").rename(self.here / "came")
        (outside / "folder").rename(self.here / "folder")
        self.equal()
        self.cluster.wait_settled()
        before = self.sent()
        (self.here / "came").rename(self.here / "stays")
        (self.here / "folder").rename(self.here / "directory")
        self.equal()
        self.assertEqual(self.sent(), before, "a rename sends no content")
        (self.here / "stays").rename(outside / "gone")
        (self.here / "directory").rename(outside / "gone too")
        self.equal()
        self.assertEqual(list(self.at(1).iterdir()), [])

    def test_modes_times_links_and_kinds(self) -> None:
        file = self.here / "file"
        file.write_bytes(b"content")
        (self.here / "link").symlink_to("file")
        (self.here / "dangling").symlink_to("nowhere/at all")
        (self.here / "empty").mkdir()
        self.equal()
        self.cluster.wait_settled()
        before = self.sent()
        file.chmod(0o751)
        (self.here / "empty").chmod(0o700)
        self.equal()
        os.utime(file, ns=(0, 0))
        self.equal()
        os.utime(file, ns=(1, 1_234_567_890_123_456_789))
        self.equal()
        self.assertEqual(self.sent(), before, "attributes send no content")
        (self.here / "empty").rmdir()
        (self.here / "empty").write_bytes(b"a file now")
        self.equal()
        (self.here / "empty").unlink()
        (self.here / "empty").mkdir()
        (self.here / "empty" / "child").write_bytes(b"a folder again")
        file.unlink()
        file.symlink_to("link")
        self.equal()

    def test_a_change_in_a_large_file_sends_one_block(self) -> None:
        large = self.here / "large"
        large.write_bytes(os.urandom(4 << 20))
        self.equal()
        self.cluster.wait_settled()
        before = self.sent()
        with large.open("r+b") as file:
            file.seek(3_000_000)
            file.write(b"!")
        self.equal()
        self.cluster.wait_settled()
        sent = self.sent() - before
        # Each of the two others gets the block once and the block list of 32 hashes.
        self.assertLessEqual(sent, 2 * (131_072 + 32 * 32 + 64))

    def test_three_nodes_change_different_files_in_one_round(self) -> None:
        self.equal()
        for attempt in range(6):  # a slot boundary may fall between the three
            self.cluster.wait_settled()
            before = self.rounds()
            for node in range(3):
                (self.at(node) / f"{attempt} from {node}").write_bytes(os.urandom(1000))
            wanted = {os.fsencode(f"{self.name}/{attempt} from {node}") for node in range(3)}
            self.cluster.wait_equal((), lambda found, names: names <= set(found), wanted)
            self.cluster.wait_settled()
            if self.rounds() == before + 1:
                return
        self.fail("three simultaneous changes always took more than one round")

    def test_no_round_follows_what_a_node_itself_has_placed(self) -> None:
        (self.here / "once").write_bytes(b"x" * 5000)
        self.equal()
        self.cluster.wait_settled()
        before = self.rounds()
        os.utime(self.cluster.box(1))  # the box's own folder does not count either
        wait_until(lambda: self.cluster.status(1), "status")
        (self.here / "twice").write_bytes(b"y")
        self.equal()
        self.cluster.wait_settled()
        self.assertLessEqual(self.rounds(), before + 2)

    def test_a_replaced_file_is_never_absent_and_never_mixed(self) -> None:
        size = (512 << 20) if os.environ.get("FLOCKNODE_SOAK") else (8 << 20)
        target = self.here / "target"
        target.write_bytes(b"a" * size)
        self.equal()
        seen: set[bytes] = set()
        path = self.at(1) / "target"
        staged = self.cluster.top / "staged"
        staged.write_bytes(b"b" * size)
        staged.replace(target)

        def replaced() -> bool:
            for _ in range(50):
                with path.open("rb") as file:  # raises if it is absent
                    first = file.read(1)
                    file.seek(-1, os.SEEK_END)
                    self.assertEqual(file.tell(), size - 1)
                    self.assertEqual(file.read(1), first)
                seen.add(first)
                if b"b" in seen:
                    return True
            return False

        wait_until(replaced, "the replacement arrives")
        self.equal()


class Sizes(SynchronousTestCase):
    """Very large files: only in long campaigns."""

    if not os.environ.get("FLOCKNODE_SOAK"):
        skip = "files over 32 MiB are for `make soak`"

    def test_a_file_of_300_000_003_bytes_arrives(self) -> None:
        cluster = Cluster("Sizes.flock")
        self.addCleanup(cluster.close)
        cluster.start()
        with (cluster.box(0) / "large").open("wb") as file:
            for _ in range(300):
                file.write(os.urandom(1_000_000))
            file.write(b"end")
        wanted = tree(cluster.box(0))
        cluster.wait_equal(holds=lambda found: found == wanted)
