# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.locks}.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import WireError
from flocknode.wire.locks import PathLock


class PathLockTests(SynchronousTestCase):
    """L{PathLock}."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "socket")

    def test_a_held_path_is_refused(self) -> None:
        lock = PathLock(self.path)
        self.addCleanup(lock.release)
        with self.assertRaises(WireError):
            PathLock(self.path)

    def test_another_path_is_not(self) -> None:
        self.addCleanup(PathLock(self.path).release)
        self.addCleanup(PathLock(self.path + "2").release)

    def test_a_released_path_is_free_and_nothing_is_left(self) -> None:
        PathLock(self.path).release()
        self.assertEqual(os.listdir(self.folder), [])
        PathLock(self.path).release()

    def test_a_lock_file_that_nobody_holds_is_taken_over(self) -> None:
        open(self.path + ".lock", "w").close()
        PathLock(self.path).release()

    def test_a_lock_file_that_is_removed_in_between_is_made_anew(self) -> None:
        flock = fcntl.flock
        calls: list[int] = []

        def flock_late(descriptor: int, operation: int) -> None:
            if not calls:
                os.unlink(self.path + ".lock")
            calls.append(descriptor)
            flock(descriptor, operation)

        with mock.patch.object(fcntl, "flock", flock_late):
            lock = PathLock(self.path)
        self.addCleanup(lock.release)
        self.assertEqual(len(calls), 2)
        with self.assertRaises(WireError):
            PathLock(self.path)

    def test_a_missing_folder_is_said_in_one_sentence(self) -> None:
        path = os.path.join(self.folder, "missing", "socket")
        with self.assertRaises(WireError) as caught:
            PathLock(path)
        self.assertEqual(
            str(caught.exception),
            f"cannot make the lock file {path}.lock: No such file or directory.",
        )

    def test_a_link_in_its_place_is_not_followed(self) -> None:
        os.symlink(os.path.join(self.folder, "elsewhere"), self.path + ".lock")
        with self.assertRaises(WireError):
            PathLock(self.path)
        self.assertEqual(os.listdir(self.folder), ["socket.lock"])
