# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.finder} and L{flocknode.box.receive.assemble}.
"""

from __future__ import annotations

import os

from flocknode.box.content import BlockList, block_hash, content_hash
from flocknode.box.receive.assemble import Assembly, Base
from flocknode.box.receive.finder import Finder
from flocknode.box.values import Hash, Path
from tests.box.peers import PeerCase, exchange

BLOCK = 128 * 1024


class FinderTests(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        self.box = self.peer("a")
        self.data = os.urandom(3 * BLOCK + 5)
        self.box.put("large", self.data)
        self.box.put("small", b"content")
        os.symlink("target", self.box.path("link"))
        self.box.scan()
        self.finder = Finder(self.box.index.contents, self.box.site)
        self.addCleanup(self.finder.close)

    def test_blocks_of_files_and_links_are_found(self) -> None:
        for data in (
            b"content", b"target", self.data[:BLOCK], self.data[2 * BLOCK : 3 * BLOCK],
            self.data[-5:],
        ):  # fmt: skip
            self.assertEqual(self.finder.block(block_hash(data)), data)
        self.assertEqual(self.finder.suspects, set())

    def test_a_list_is_found_by_the_hash_of_its_file(self) -> None:
        content = self.box.content(b"large")
        listed = self.finder.list_or_block(content)
        self.assertEqual(listed, self.box.index.contents.block_list(content))
        self.assertIsNone(self.finder.block(content))
        self.assertEqual(self.finder.suspects, set())

    def test_lists_of_what_was_there_before_hide_nothing(self) -> None:
        for count in range(2, 14):  # zeros, as in the image of a disk that grows
            self.box.put("zeros", bytes(count * BLOCK))
            self.box.scan()
        self.assertEqual(self.finder.block(block_hash(bytes(BLOCK))), bytes(BLOCK))

    def test_what_is_nowhere_is_not_found(self) -> None:
        self.assertIsNone(self.finder.list_or_block(Hash(bytes(32))))

    def test_a_file_that_does_not_hold_what_it_should_is_suspect(self) -> None:
        self.assertEqual(self.finder.block(block_hash(b"content")), b"content")
        self.box.put("small", b"CONTENT")
        self.assertIsNone(self.finder.block(block_hash(b"content")))
        self.assertEqual(self.finder.suspects, {b"small"})

    def test_another_place_is_tried(self) -> None:
        self.box.put("copy", b"content")
        self.box.scan()
        self.assertEqual(self.finder.block(block_hash(b"content")), b"content")
        # Whichever it was, and another inode than the one that is held open.
        for name in ("copy", "small"):
            os.unlink(self.box.path(name))
            self.finder.close()
            found = self.finder.block(block_hash(b"content"))
            self.assertEqual(found, b"content" if name == "copy" else None)

    def test_a_file_that_is_gone_is_suspect(self) -> None:
        os.unlink(self.box.path("small"))
        self.assertIsNone(self.finder.block(block_hash(b"content")))
        self.assertEqual(self.finder.suspects, {b"small"})

    def test_kept_versions_are_found(self) -> None:
        other = self.peer("b")
        exchange(self.box, other)
        self.box.put("large", b"other")
        self.box.put("small", b"other too")
        os.unlink(self.box.path("link"))
        exchange(self.box, other)
        finder = Finder(other.index.contents, other.site)
        self.addCleanup(finder.close)
        for data in (b"content", b"target", self.data[:BLOCK]):
            self.assertEqual(finder.block(block_hash(data)), data)

    def test_no_more_files_are_held_open_than_allowed(self) -> None:
        hashes = []
        for number in range(50):
            self.box.put(str(number), b"%d" % number)
            hashes.append(block_hash(b"%d" % number))
        self.box.scan()
        before = len(os.listdir("/proc/self/fd"))
        for hash in hashes:
            self.assertIsNotNone(self.finder.block(hash))
        self.assertEqual(len(os.listdir("/proc/self/fd")) - before, 32)
        self.finder.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def assemble(self, data: bytes, block: int, base: bytes | None) -> tuple[Assembly, Hash]:
        pieces = [data[at : at + block] for at in range(0, len(data), block)]
        hashes = tuple(map(block_hash, pieces))
        content = content_hash(len(data), block, hashes)
        found = Base(Path(base), len(self.box.get(base))) if base is not None else None
        blocks = BlockList(block, len(data), hashes)
        assembly = Assembly(self.box.site, self.finder, content, blocks, found)
        for _ in assembly.run():
            pass
        return assembly, content

    def test_blocks_that_are_here_are_put_together(self) -> None:
        data = self.data[BLOCK : 2 * BLOCK] + self.data[:BLOCK] + b"new"
        assembly, content = self.assemble(data, BLOCK, None)
        self.assertEqual(assembly.missing, {2})
        self.assertEqual(self.box.site.staging.read(content, 0, 2 * BLOCK), data[: 2 * BLOCK])

    def test_the_base_is_hashed_at_another_block_size(self) -> None:
        data = self.data[: 2 * BLOCK] + b"x" * (2 * BLOCK)
        without, _ = self.assemble(data, 2 * BLOCK, None)
        self.assertEqual(without.missing, {0, 1})
        assembly, content = self.assemble(data, 2 * BLOCK, b"large")
        self.assertEqual(assembly.missing, {1})
        self.assertEqual(self.box.site.staging.read(content, 0, 2 * BLOCK), data[: 2 * BLOCK])

    def test_a_base_that_is_gone_is_no_error(self) -> None:
        self.box.put("base", b"x" * BLOCK * 3)
        os.rename(self.box.path("base"), self.box.path("away"))
        os.symlink("away", self.box.path("base"))
        assembly, _ = self.assemble(b"y" * 5 * BLOCK, 2 * BLOCK, b"base")
        self.assertEqual(assembly.missing, {0, 1, 2})

    def test_what_is_staged_already_is_kept_if_it_is_right(self) -> None:
        data = os.urandom(4 * BLOCK)
        staging = self.box.site.staging
        hashes = [block_hash(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
        content = content_hash(len(data), BLOCK, hashes)
        staging.write_block(content, BLOCK, data[BLOCK : 2 * BLOCK])
        staging.write_block(content, 3 * BLOCK, b"?" * BLOCK)
        assembly, _ = self.assemble(data, BLOCK, None)
        self.assertEqual(assembly.missing, {0, 2, 3})
