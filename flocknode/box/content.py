# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How content is cut into blocks and named by a hash.

A file is cut into blocks of L{block_size_for} its size; only the last may be
shorter.  Each block is named by the plain BLAKE3 of its bytes.

 - Content of at most one block is named like that block: BLAKE3 of its bytes.
   An empty file is BLAKE3(b"") and has no block to fetch.
 - Longer content is named by its I{block list}: BLAKE3 in derive-key mode
   (context L{LIST_CONTEXT}) over::

       u32 block size, big-endian
       u64 size of the whole content, big-endian
       32 bytes of BLAKE3 for each block, in order

   The list is itself content: it is fetched by the hash of the file.  The
   own context makes it impossible that a block of a file passes for a list.

So whoever has verified the blocks has verified the file.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import attrs
from blake3 import blake3

from flocknode.box.values import Hash, Need
from flocknode.errors import ProtocolError

SMALLEST_BLOCK = 128 * 1024
"""Bytes; for files up to 256 MiB."""

LARGEST_BLOCK = 1024 * 1024
"""Bytes; a block with its record must fit between two rounds."""

LARGEST_CONTENT = 1 << 40
"""Bytes: the block list of larger content would be too long for a record
(L{flocknode.exchange.records.LARGEST_BLOCK})."""

_BLOCKS_BEFORE_DOUBLING = 2048
"""256 MiB / 128 KiB: past this many blocks the blocks are doubled."""

LIST_CONTEXT = "flocknode 2026 block list"
"""BLAKE3 derive-key context of a block list."""

_HEADER = struct.Struct(">IQ")

HASH_SIZE = 32
"""Bytes of a L{Hash}."""


@attrs.frozen
class BlockList:
    """
    The blocks of content that has more than one.

    @ivar block_size: bytes; the power of two that all blocks but the last have.
    @ivar size: bytes of the whole content, > C{block_size}.
    @ivar hashes: one for each block, in order.
    """

    block_size: int
    size: int
    hashes: tuple[Hash, ...]


def block_size_for(size: int) -> int:
    """
    @param size: bytes of the whole content.
    @return: 128 KiB up to 256 MiB, then doubling to at most 1 MiB.
    """
    block = SMALLEST_BLOCK
    while block < LARGEST_BLOCK and size > block * _BLOCKS_BEFORE_DOUBLING:
        block *= 2
    return block


def block_count(size: int, block_size: int) -> int:
    """How many blocks content of this size has; none if it is empty."""
    return -(-size // block_size)


def block_length(size: int, block_size: int, index: int) -> int:
    """The bytes of block C{index}, counted from 0."""
    return min(block_size, size - index * block_size)


def list_size(size: int, block_size: int) -> int:
    """The bytes of the encoded block list of content of this size."""
    return _HEADER.size + HASH_SIZE * block_count(size, block_size)


def block_hash(data: bytes | bytearray | memoryview) -> Hash:
    """The name of a block, of an empty file, and of a symlink's target."""
    return Hash(blake3(data).digest())


def list_hash(encoded: bytes) -> Hash:
    """The name of content whose encoded block list this is."""
    return Hash(blake3(encoded, derive_key_context=LIST_CONTEXT).digest())


def content_hash(size: int, block_size: int, hashes: Sequence[Hash]) -> Hash:
    """
    @param size: bytes of the whole content.
    @param hashes: of its blocks, in order; none if it is empty.
    @return: the name of the content.
    """
    if not hashes:
        return block_hash(b"")
    if len(hashes) == 1:
        return hashes[0]
    return list_hash(encode_list(block_size, size, hashes))


def encode_list(block_size: int, size: int, hashes: Sequence[Hash]) -> bytes:
    """The bytes of the block list, see the module's beginning."""
    return _HEADER.pack(block_size, size) + b"".join(hashes)


def decode_list(data: bytes) -> BlockList:
    """
    @raise ProtocolError: if this is not the one way in which
        L{encode_list} writes a list of two or more blocks of a size that
        L{block_size_for} may return.
    """
    if len(data) < _HEADER.size:
        raise ProtocolError("A block list ends before its header does.")
    block_size, size = _HEADER.unpack_from(data)
    if (
        not SMALLEST_BLOCK <= block_size <= LARGEST_BLOCK
        or block_size & (block_size - 1)
    ):
        raise ProtocolError(f"A block list with blocks of {block_size} bytes.")
    if size <= block_size:
        raise ProtocolError("A block list of content that is one block.")
    if len(data) != list_size(size, block_size):
        raise ProtocolError("A block list with too few or too many hashes.")
    return BlockList(
        block_size,
        size,
        tuple(
            Hash(bytes(data[at : at + HASH_SIZE]))
            for at in range(_HEADER.size, len(data), HASH_SIZE)
        ),
    )


def verify(hash: Hash, data: bytes, listing: bool = False) -> bool:
    """Are these the bytes that C{hash} names, as a block or as a list?"""
    return (list_hash(data) if listing else block_hash(data)) == hash


def verify_block(need: Need, data: bytes) -> bool:
    """Are these the bytes that C{need} asks for?  Size first: it is cheap."""
    return len(data) == need.size and verify(need.hash, data, need.listing)
