# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.content}.
"""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box import content
from flocknode.box.values import Hash, Need
from flocknode.errors import ProtocolError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class BlockSizeTests(SynchronousTestCase):
    """How large the blocks of a file are."""

    def test_is128KiBUpTo256MiB(self) -> None:
        for size in (0, 1, 128 * KIB, 256 * MIB):
            self.assertEqual(content.block_size_for(size), 128 * KIB)

    def test_doublesWithTheFileUpTo1MiB(self) -> None:
        self.assertEqual(content.block_size_for(256 * MIB + 1), 256 * KIB)
        self.assertEqual(content.block_size_for(512 * MIB), 256 * KIB)
        self.assertEqual(content.block_size_for(512 * MIB + 1), 512 * KIB)
        self.assertEqual(content.block_size_for(GIB + 1), MIB)
        self.assertEqual(content.block_size_for(5000 * GIB), MIB)

    @given(st.integers(0, 1 << 40))
    @settings(max_examples=50, deadline=None)
    def test_allBlocksTogetherAreTheFile(self, size: int) -> None:
        block = content.block_size_for(size)
        count = content.block_count(size, block)
        last = content.block_length(size, block, count - 1) if count else 0
        self.assertEqual(max(0, count - 1) * block + last, size)
        self.assertEqual(last > 0, size > 0)


class HashTests(SynchronousTestCase):
    """How content is named."""

    def test_contentOfOneBlockIsNamedLikeTheBlock(self) -> None:
        hash = content.block_hash(b"data")
        self.assertEqual(hash, blake3(b"data").digest())
        self.assertEqual(content.content_hash(4, 128 * KIB, [hash]), hash)

    def test_emptyContentIsTheHashOfNothing(self) -> None:
        self.assertEqual(content.content_hash(0, 128 * KIB, []), blake3(b"").digest())

    def test_longerContentIsNamedByItsListUnderItsOwnContext(self) -> None:
        hashes = [content.block_hash(b"a"), content.block_hash(b"b")]
        encoded = content.encode_list(128 * KIB, 128 * KIB + 1, hashes)
        name = content.content_hash(128 * KIB + 1, 128 * KIB, hashes)
        self.assertEqual(
            name, blake3(encoded, derive_key_context="flocknode 2026 block list").digest()
        )
        self.assertNotEqual(name, content.block_hash(encoded))

    def test_aBlockIsVerifiedByItsHashAndSize(self) -> None:
        hash = content.block_hash(b"data")
        need = Need(hash, 4, hash, 4)
        self.assertTrue(content.verify_block(need, b"data"))
        self.assertFalse(content.verify_block(need, b"Data"))
        self.assertFalse(content.verify_block(Need(hash, 5, hash, 5), b"data"))

    def test_aBlockListIsVerifiedAsAListOnly(self) -> None:
        encoded = content.encode_list(128 * KIB, 128 * KIB + 1, [Hash(bytes(32))] * 2)
        hash = content.list_hash(encoded)
        need = Need(hash, len(encoded), hash, 128 * KIB + 1, listing=True)
        self.assertTrue(content.verify_block(need, encoded))
        self.assertFalse(
            content.verify_block(Need(hash, len(encoded), hash, 128 * KIB + 1), encoded)
        )


class BlockListTests(SynchronousTestCase):
    """The bytes of block lists."""

    @given(st.integers(17, 20), st.integers(2, 40))
    @settings(max_examples=50, deadline=None)
    def test_comesBackAsItWasEncoded(self, power: int, count: int) -> None:
        block = 1 << power
        size = (count - 1) * block + 1
        hashes = tuple(content.block_hash(bytes([index])) for index in range(count))
        encoded = content.encode_list(block, size, hashes)
        self.assertEqual(len(encoded), content.list_size(size, block))
        self.assertEqual(
            content.decode_list(encoded), content.BlockList(block, size, hashes)
        )

    @given(st.binary(max_size=200))
    @settings(deadline=None)
    def test_anyBytesAreAListOrAProtocolError(self, data: bytes) -> None:
        try:
            decoded = content.decode_list(data)
        except ProtocolError:
            return
        again = content.encode_list(decoded.block_size, decoded.size, decoded.hashes)
        self.assertEqual(again, data)

    def test_refusesWhatNobodyEncodes(self) -> None:
        hashes = [Hash(bytes(32))] * 2
        for block, size in (
            (64 * KIB, 64 * KIB + 1),
            (2 * MIB, 2 * MIB + 1),
            (128 * KIB + 1, 128 * KIB + 2),
            (128 * KIB, 128 * KIB),
            (128 * KIB, 256 * KIB + 1),
            (0, 1),
        ):
            with self.assertRaises(ProtocolError):
                content.decode_list(content.encode_list(block, size, hashes))
