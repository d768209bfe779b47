# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.testing.powercut}: what may be found after a power loss.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk import syscalls
from flocknode.testing.inodes import Data
from flocknode.testing.powercut import Off, PowerCut


class PowerCutTests(SynchronousTestCase):
    def setUp(self) -> None:
        base = os.path.abspath(self.mktemp()).encode()
        self.root = base + b"/root"
        self.yard = base + b"/yard"
        os.makedirs(self.root)
        self.write(b"old", b"old content")
        self.directory = os.open(self.root, os.O_RDONLY)
        self.addCleanup(os.close, self.directory)
        self.disk = self.cut()

    def cut(self, stop: int | None = None) -> PowerCut:
        disk = PowerCut(self.root, self.yard, stop)
        self.addCleanup(disk.close)
        return disk

    def write(self, name: bytes, data: bytes, sync: bool = False) -> None:
        descriptor = os.open(os.path.join(self.root, name), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            os.pwrite(descriptor, data, 0)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: bytes, new: bytes) -> None:
        os.rename(old, new, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def found(self) -> dict[bytes, bytes]:
        """All files, by name."""
        found = {}
        for name in os.listdir(self.root):
            with open(os.path.join(self.root, name), "rb") as file:
                found[name] = file.read()
        return found

    def after(self, names: int, data: Data) -> dict[bytes, bytes]:
        self.disk.crash(names, data)
        return self.found()

    def test_what_was_not_synced_is_as_it_was(self) -> None:
        with self.disk.on():
            self.write(b"old", b"new content")
        self.assertEqual(self.after(0, "dropped"), {b"old": b"old content"})

    def test_or_it_is_all_there(self) -> None:
        with self.disk.on():
            self.write(b"old", b"new content")
        self.assertEqual(self.after(0, "kept"), {b"old": b"new content"})

    def test_or_it_has_only_the_right_size(self) -> None:
        with self.disk.on():
            self.write(b"new", b"new content")
        self.assertEqual(self.after(1, "torn")[b"new"], bytes(11))

    def test_what_was_synced_is_there_but_not_its_name(self) -> None:
        with self.disk.on():
            self.write(b"new", b"new content", sync=True)
        self.assertEqual((self.disk.durable, self.disk.changes), (0, 1))
        self.assertEqual(self.after(0, "dropped"), {b"old": b"old content"})

    def test_with_its_directory_it_is(self) -> None:
        with self.disk.on():
            self.write(b"new", b"new content", sync=True)
            os.fsync(self.directory)
        self.assertEqual(self.disk.durable, 1)
        self.assertEqual(self.after(1, "dropped")[b"new"], b"new content")

    def test_what_is_durable_cannot_be_lost(self) -> None:
        with self.disk.on():
            self.rename(b"old", b"new")
            os.fsync(self.directory)
        self.assertRaises(ValueError, self.disk.crash, 0, "kept")

    def test_all_changes_of_names_are_taken_back_in_order(self) -> None:
        with self.disk.on():
            self.write(b"one", b"1", sync=True)
            self.rename(b"one", b"old")
            self.write(b"two", b"2", sync=True)
            syscalls.rename(self.directory, b"two", self.directory, b"old", syscalls.EXCHANGE)
            os.link(b"two", b"link", src_dir_fd=self.directory, dst_dir_fd=self.directory)
            os.unlink(b"two", dir_fd=self.directory)
            os.mkdir(b"directory", dir_fd=self.directory)
            os.rmdir(b"directory", dir_fd=self.directory)
        self.assertEqual(self.found(), {b"old": b"2", b"link": b"1"})
        self.assertEqual(self.after(0, "dropped"), {b"old": b"old content"})

    def test_inodes_stay_the_same(self) -> None:
        inode = os.stat(self.root + b"/old").st_ino
        with self.disk.on():
            self.write(b"one", b"1", sync=True)
            self.rename(b"one", b"old")
        self.disk.crash(0, "kept")
        self.assertEqual(os.stat(self.root + b"/old").st_ino, inode)

    def test_modes_and_times_are_as_of_the_last_sync(self) -> None:
        os.chmod(self.root + b"/old", 0o600)
        with self.disk.on():
            os.chmod(b"old", 0o640, dir_fd=self.directory)
            os.utime(b"old", (5, 5), dir_fd=self.directory)
        self.disk.crash(0, "dropped")
        stat = os.stat(self.root + b"/old")
        self.assertEqual(stat.st_mode & 0o777, 0o600)
        self.assertNotEqual(stat.st_mtime, 5)

    def test_nothing_is_done_from_the_given_operation_on(self) -> None:
        self.disk = self.cut(2)
        with self.disk.on():
            self.rename(b"old", b"new")
            self.assertRaises(Off, self.rename, b"new", b"newer")
            self.assertRaises(Off, os.fsync, self.directory)
        self.assertTrue(self.disk.off)
        self.assertEqual(list(self.found()), [b"new"])

    def test_what_is_elsewhere_is_not_touched(self) -> None:
        self.disk = self.cut(1)
        with self.disk.on():
            os.mkdir(self.yard + b"/elsewhere")
        self.assertEqual(self.disk.done, 0)

    def test_afterwards_the_system_calls_are_the_systems(self) -> None:
        before = os.rename, os.open, syscalls.rename
        with self.disk.on():
            self.assertNotEqual(os.rename, before[0])
        self.assertEqual((os.rename, os.open, syscalls.rename), before)
