# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.staging}.
"""

from __future__ import annotations

import os

from flocknode.box.content import BlockList, block_hash
from flocknode.box.disk.staging import Staging
from flocknode.box.values import Hash
from tests.box.folders import FolderCase

BLOCK = 128 * 1024


class StagingTests(FolderCase):
    """Content that grows until it is whole."""

    def setUp(self) -> None:
        super().setUp()
        self.staging = Staging(self.folder)
        self.addCleanup(self.staging.close)
        parts = [b"a" * BLOCK, b"b" * BLOCK, b"c" * 10]
        self.parts = parts
        self.blocks = BlockList(BLOCK, 2 * BLOCK + 10, tuple(map(block_hash, parts)))
        self.content = Hash(b"\xab" * 32)

    def path(self, content: Hash) -> bytes:
        """Of a staging file."""
        return self.at(b".flocknode/staging/" + self.staging.name(content))

    def test_blocksMayArriveInAnyOrder(self) -> None:
        for index in (2, 0, 1):
            self.staging.write_block(self.content, index * BLOCK, self.parts[index])
        with open(self.path(self.content), "rb") as file:
            self.assertEqual(file.read(), b"".join(self.parts))

    def test_whatIsThereCanBeRead(self) -> None:
        self.staging.write_block(self.content, BLOCK, self.parts[1])
        self.assertEqual(self.staging.read(self.content, BLOCK, 5), b"bbbbb")
        self.assertIsNone(self.staging.read(Hash(bytes(32)), 0, 5))

    def test_afterARestartTheRightBlocksAreFound(self) -> None:
        self.staging.write_block(self.content, 0, self.parts[0])
        self.staging.write_block(self.content, 2 * BLOCK, self.parts[2])
        again = Staging(self.folder)
        self.addCleanup(again.close)
        self.assertEqual(again.present(self.content, self.blocks), {0, 2})

    def test_blocksThatWereCutOffOrAreWrongAreNotFound(self) -> None:
        self.staging.write_block(self.content, 0, self.parts[0][:-1] + b"X")
        self.staging.write_block(self.content, BLOCK, self.parts[1][:100])
        self.assertEqual(self.staging.present(self.content, self.blocks), frozenset())
        self.assertEqual(self.staging.present(Hash(bytes(32)), self.blocks), frozenset())

    def test_blocksOfZeroesInAHoleAreNotTakenForMissingIfWritten(self) -> None:
        zeroes = BlockList(BLOCK, 2 * BLOCK, (block_hash(bytes(BLOCK)),) * 2)
        self.staging.write_block(self.content, 0, bytes(BLOCK))
        self.staging.write_block(self.content, BLOCK, bytes(BLOCK))
        self.assertEqual(self.staging.present(self.content, zeroes), {0, 1})

    def test_smallContentIsWrittenWholeWhateverWasThere(self) -> None:
        content = block_hash(b"new")
        self.staging.write_block(content, 0, b"older and longer")
        self.assertFalse(self.staging.whole(content, 3))
        self.staging.write_whole(content, b"new")
        self.assertTrue(self.staging.whole(content, 3))
        self.assertFalse(self.staging.whole(content, 2))

    def test_nothingIsWrittenToAFileThatHasLeft(self) -> None:
        self.staging.write_block(self.content, 0, b"placed")
        self.staging.release(self.staging.name(self.content))
        os.rename(self.path(self.content), self.at(b"file"))
        self.staging.write_block(self.content, 0, b"again!")
        self.assertEqual(self.read(b"file"), b"placed")

    def test_moreContentThanFilesMayBeOpenGrowsAtOnce(self) -> None:
        contents = [block_hash(b"%d" % number) for number in range(100)]
        for part in (b"one", b"two"):
            for content in contents:
                self.staging.write_block(content, 3 * (part == b"two"), part)
        self.assertEqual(self.staging.contents(), frozenset(contents))
        self.assertEqual({self.staging.read(each, 0, 9) for each in contents}, {b"onetwo"})

    def test_discardedContentIsGone(self) -> None:
        self.staging.write_block(self.content, 0, b"data")
        self.staging.discard(self.content)
        self.staging.discard(self.content)
        self.assertEqual(self.staging.contents(), frozenset())
        self.staging.write_block(self.content, 0, b"new")
        self.assertEqual(self.staging.read(self.content, 0, 9), b"new")

    def test_sweepingRemovesOnlyWhatIsTemporary(self) -> None:
        self.staging.write_block(self.content, 0, b"data")
        self.write(b".flocknode/staging/" + self.staging.temporary_name())
        self.staging.sweep()
        name = self.staging.name(self.content)
        self.assertEqual(os.listdir(self.at(b".flocknode/staging")), [name])

    def test_aLinkInAFilesPlaceIsNotWrittenThrough(self) -> None:
        os.symlink(self.outside + b"/x", self.path(self.content))
        with self.assertRaises(OSError):
            self.staging.write_block(self.content, 0, b"data")
        self.assertEqual(os.listdir(self.outside), [])

    def test_aFileMadeUnreadableByPreparingCanStillBeUsed(self) -> None:
        self.unprivileged()
        content = block_hash(b"data")
        self.staging.write_whole(content, b"data")
        os.chmod(self.path(content), 0)
        self.assertEqual(self.staging.read(content, 0, 4), b"data")
        os.chmod(self.path(content), 0)
        self.staging.write_whole(content, b"data")
        self.assertTrue(self.staging.whole(content, 4))

    def test_saysHowMuchRoomIsLeft(self) -> None:
        self.assertGreater(self.staging.free(), 0)
