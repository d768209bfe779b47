# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.hashprocess}, with real processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import flocknode
from flocknode.box.content import block_size_for
from flocknode.box.survey.hashprocess import HashProcesses, command
from flocknode.box.survey.hashprogram import Asked, hash_all
from tests.box.folders import FolderCase


class HashProcessesTests(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        self.cancelled = False

    def processes(self, count: int = 2, command: Sequence[str] = ()) -> HashProcesses:
        processes = HashProcesses(self.folder.root_fd, count, lambda: self.cancelled, command)
        self.addCleanup(processes.close)
        return processes

    def files(self, count: int) -> list[Asked]:
        found = []
        for number in range(count):
            path = b"f%d" % number
            self.write(path, os.urandom(150_000 + number))
            stat = self.folder.lstat(path)
            assert stat is not None
            times = stat.mtime_ns, stat.ctime_ns
            found.append(
                (path, stat.size, *times, stat.mode, stat.inode, block_size_for(stat.size))
            )
        return found

    def test_every_bunch_is_answered_in_its_place(self) -> None:
        files = self.files(7)
        expected = [hash_all(self.folder.root_fd, [each]) for each in files]
        for count in (1, 2, 3):
            processes = self.processes(count)
            first = processes.ask([[each] for each in files[:4]])
            second = processes.ask([[each] for each in files[4:]])
            self.assertTrue(processes.running)
            self.assertEqual(processes.replies(first), expected[:4])
            self.assertEqual(processes.replies(second), expected[4:])

    def test_more_than_a_pipe_holds_is_no_reason_to_wait_for_each_other(self) -> None:
        (asked,) = self.files(1)
        missing = (b"x" * 200, *asked[1:])
        processes = self.processes(1)
        bunches = [[asked, *[missing] * 500] for _ in range(40)]
        numbers = processes.ask(bunches)
        hashes = hash_all(self.folder.root_fd, [asked])
        self.assertEqual(processes.replies(numbers), [hashes + [None] * 500] * 40)

    def test_none_is_started_before_it_is_asked(self) -> None:
        processes = self.processes()
        self.assertFalse(processes.running)
        processes.close()
        self.assertEqual(processes.replies(processes.ask([self.files(1)])), [None])
        self.assertFalse(processes.running)

    def assert_not_answered(self, command: Sequence[str]) -> None:
        processes = self.processes(2, command)
        files = self.files(3)
        numbers = processes.ask([[each] for each in files])
        self.assertEqual(processes.replies(numbers), [None] * 3)
        self.assertFalse(processes.running)
        self.assertEqual(processes.replies(processes.ask([files])), [None])

    def test_what_cannot_be_started_or_ends_at_once_answers_nothing(self) -> None:
        self.assert_not_answered([self.mktemp()])
        self.assert_not_answered([sys.executable, "-c", "pass"])
        self.assert_not_answered([sys.executable, "-c", "print('half')"])

    def test_another_version_answers_nothing(self) -> None:
        root = self.folder.root_fd
        self.patch(flocknode, "__version__", "0.0.0")
        other = command(root)
        self.assertEqual(other.count("0.0.0"), 1)
        self.assert_not_answered(other)

    def test_one_that_ends_in_the_middle_takes_only_its_own_with_it(self) -> None:
        files = self.files(4)
        processes = self.processes(2)
        processes.replies(processes.ask([files]))
        processes._processes[0]._process.kill()
        processes._processes[0]._process.wait()
        numbers = processes.ask([[each] for each in files])
        replies = processes.replies(numbers)
        expected = [hash_all(self.folder.root_fd, [each]) for each in files]
        self.assertEqual(
            [reply for reply in replies if reply is not None],
            [each for each, reply in zip(expected, replies, strict=True) if reply is not None],
        )
        self.assertTrue(processes.running)
        again = processes.replies(processes.ask([[each] for each in files]))
        self.assertEqual(again, expected)

    def test_who_is_cancelled_waits_for_nobody(self) -> None:
        sleeping = [sys.executable, "-c", "import signal; signal.pause()"]
        processes = self.processes(1, sleeping)
        numbers = processes.ask([self.files(1)])
        self.assertTrue(processes.running)
        self.cancelled = True
        self.assertEqual(processes.replies(numbers), [None])
        self.assertFalse(processes.running)

    def test_nothing_stays_open_and_nobody_runs_after_the_end(self) -> None:
        before = os.listdir("/proc/self/fd")
        processes = self.processes(2)
        processes.replies(processes.ask([self.files(1)]))
        ids = [each._process.pid for each in processes._processes]
        processes.close()
        processes.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))
        for id in ids:
            with self.assertRaises(ProcessLookupError):
                os.kill(id, 0)
