# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.hashprogram}.
"""

from __future__ import annotations

import io
import marshal
import os

from blake3 import blake3

from flocknode.box.content import block_hash, block_size_for
from flocknode.box.survey import blocks
from flocknode.box.survey.hashprogram import LENGTH, Asked, frame, hash_all, serve
from tests.box.folders import FolderCase


class HashAllTests(FolderCase):
    def asked(self, path: bytes) -> Asked:
        stat = self.folder.lstat(path)
        assert stat is not None
        times = stat.mtime_ns, stat.ctime_ns
        return path, stat.size, *times, stat.mode, stat.inode, block_size_for(stat.size)

    def test_each_has_the_hashes_of_its_blocks(self) -> None:
        data = [os.urandom(size) for size in (300_000, 200_000, 131_072)]
        for number, each in enumerate(data):
            self.write(b"f%d" % number, each)
        files = [self.asked(b"f%d" % number) for number in range(3)]
        self.assertEqual(
            hash_all(self.folder.root_fd, files),
            [
                [bytes(block_hash(each[at : at + 131_072])) for at in range(0, len(each), 131_072)]
                for each in data
            ],
        )

    def test_what_is_not_as_it_was_asked_for_is_not_answered(self) -> None:
        self.write(b"file", b"x" * 200_000)
        asked = self.asked(b"file")
        for place in range(1, 6):
            other = list(asked)
            other[place] += 1  # type: ignore[operator]
            self.assertEqual(hash_all(self.folder.root_fd, [tuple(other)]), [None])  # type: ignore[list-item]
        unnumbered = (*asked[:5], 0, asked[6])
        self.assertNotEqual(hash_all(self.folder.root_fd, [unnumbered]), [None])

    def test_what_changes_while_it_is_read_is_not_answered(self) -> None:
        for change in (b"", b"x" * 100_000, b"z" * 300_000):
            self.write(b"file", b"y" * 300_000)

            def hash(data: memoryview, change: bytes = change) -> blake3:
                self.write(b"file", change)
                return blake3(data)

            self.patch(blocks, "blake3", hash)
            self.assertEqual(hash_all(self.folder.root_fd, [self.asked(b"file")]), [None])

    def test_what_becomes_shorter_is_not_answered(self) -> None:
        self.write(b"file", b"y" * 300_000)
        asked = self.asked(b"file")
        read = os.pread

        def shorter(descriptor: int, size: int, offset: int) -> bytes:
            os.truncate(self.at(b"file"), 10)
            return read(descriptor, size, offset)

        self.patch(os, "pread", shorter)
        self.assertEqual(hash_all(self.folder.root_fd, [asked]), [None])

    def test_links_and_what_is_no_file_are_not_answered_nor_waited_for(self) -> None:
        self.write(b"file", b"x" * 200_000)
        asked = self.asked(b"file")
        os.mkdir(self.at(b"d"))
        os.symlink(b"file", self.at(b"link"))
        os.symlink(b".", self.at(b"here"))
        os.mkfifo(self.at(b"fifo"))
        paths = [b"link", b"here/file", b"fifo", b"d", b"missing", b"../file", b"no\0name"]
        files = [(path, *asked[1:]) for path in paths]
        self.assertEqual(hash_all(self.folder.root_fd, files), [None] * len(paths))

    def test_nothing_stays_open(self) -> None:
        self.write(b"file", b"x" * 200_000)
        asked = self.asked(b"file")
        before = os.listdir("/proc/self/fd")
        hash_all(self.folder.root_fd, [asked, (b"file", 1, *asked[2:])])
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))

    def test_requests_are_answered_until_they_end(self) -> None:
        self.write(b"file", b"x" * 200_000)
        asked = self.asked(b"file")
        replies = io.BytesIO()
        requests = frame((7, [asked])) + frame((8, []))
        serve(self.folder.root_fd, io.BytesIO(requests + b"\1"), replies)
        found, data = [], replies.getvalue()
        while data:
            end = LENGTH.size + LENGTH.unpack_from(data)[0]
            found.append(marshal.loads(data[LENGTH.size : end]))
            data = data[end:]
        self.assertEqual(found, [(7, hash_all(self.folder.root_fd, [asked])), (8, [])])
