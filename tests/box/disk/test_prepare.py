# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.prepare}: in which order files are made ready and
synced.  What comes of it is tested with the whole placer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flocknode.box.content import block_hash
from flocknode.box.disk import prepare, syscalls
from flocknode.box.disk.placement import Placement
from flocknode.box.disk.prepare import Inode, Preparer
from tests.box.placing import PlacingCase


class PreparerTests(PlacingCase):
    """
    @ivar seen: (what was done, inode), in order.
    """

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[str, int]] = []
        executor = ThreadPoolExecutor(3)
        self.addCleanup(executor.shutdown)
        self.preparer = Preparer(self.folder, self.staging, executor, 3)

    def watch(self, module: Any, name: str) -> None:
        """Note each call with a descriptor."""
        real: Callable[..., object] = getattr(module, name)

        def noting(descriptor: int, *arguments: object, **named: object) -> object:
            self.seen.append((name, os.fstat(descriptor).st_ino))
            return real(descriptor, *arguments, **named)

        self.patch(module, name, noting)

    def watch_all(self) -> None:
        # To find them out, a file of its own is changed.
        self.assertTrue(self.folder.capabilities)
        self.watch(os, "utime")
        self.watch(os, "fsync")
        self.watch(syscalls, "begin_writing")

    def several(self, count: int) -> list[Placement]:
        """Files of different content."""
        return [self.file(b"%d" % number, b"%d" % number) for number in range(count)]

    def test_each_is_synced_when_all_are_ready(self) -> None:
        files = self.several(9)
        self.watch_all()
        inodes = self.preparer.prepare(files)
        wanted = {each.stat.inode for each in inodes if isinstance(each, Inode)}
        self.assertEqual(len(wanted), 9)
        self.assertEqual([name for name, _ in self.seen[18:]], ["fsync"] * 9)
        for what in ("utime", "begin_writing", "fsync"):
            self.assertEqual({inode for name, inode in self.seen if name == what}, wanted)

    def test_no_more_are_open_than_allowed_even_of_one_content(self) -> None:
        self.patch(prepare, "_AT_ONCE", 4)
        one = [self.file(b"same%d" % number, b"same") for number in range(9)]
        batch = [*self.several(3), *one, self.file(b"last", b"last")]
        made, closed = self.preparer._attempt, os.close
        held: set[int] = set()

        def attempt(placement: Placement, copied: bool) -> object:
            ready = made(placement, copied)
            assert isinstance(ready, prepare._Ready)
            held.add(ready.descriptor)
            sizes.append(len(held))
            return ready

        def close(descriptor: int) -> None:
            held.discard(descriptor)
            closed(descriptor)

        sizes: list[int] = []
        self.patch(self.preparer, "_attempt", attempt)
        self.patch(os, "close", close)
        inodes = self.preparer.prepare(batch)
        self.assertEqual(len({each.stat.inode for each in inodes if isinstance(each, Inode)}), 13)
        self.assertEqual((max(sizes), held), (4, set()))
        copies = [isinstance(each, Inode) and each.temporary for each in inodes]
        self.assertEqual(copies, [False] * 3 + [True] * 8 + [False] * 2)

    def test_what_cannot_be_synced_fails_alone_and_leaves_no_copy(self) -> None:
        batch = [self.file(b"a", b"one"), self.file(b"b", b"one"), self.file(b"c", b"two")]
        real, bad = os.fsync, self.staging.name(block_hash(b"two"))

        def fsync(descriptor: int) -> None:
            name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
            if name.startswith("tmp-") or os.fsencode(name) == bad:
                raise OSError(errno.EIO, "bad sector")
            real(descriptor)

        self.patch(os, "fsync", fsync)
        first, second, third = self.preparer.prepare(batch)
        for failed in (first, third):
            assert isinstance(failed, OSError)
            self.assertEqual(failed.errno, errno.EIO)
        self.assertIsInstance(second, Inode)
        self.assertEqual(self.staged(), [b"one", b"two"])

    def test_a_copy_that_cannot_be_begun_fails_for_its_own_reason(self) -> None:
        def refuse(name: bytes) -> int:
            raise OSError(errno.ENOSPC, "full")

        self.patch(self.preparer, "_create", refuse)
        first, second = self.preparer.prepare([self.file(b"a", b"x"), self.file(b"b", b"x")])
        assert isinstance(first, OSError)
        self.assertEqual(first.errno, errno.ENOSPC)
        self.assertIsInstance(second, Inode)
