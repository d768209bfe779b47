# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The hashes of the blocks of an open file.  Here is nothing else, and nothing of
ours is imported: L{flocknode.box.survey.hashprogram} is to start quickly.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from blake3 import blake3

WHOLE = 1024 * 1024
"""Bytes of a file that is read in one go: each call costs as much as reading
some KiB, and the interpreter lock."""


def go_on() -> None:
    """Nothing speaks against the next block."""


def hash_blocks(
    descriptor: int,
    start: int,
    end: int,
    block_size: int,
    before: Callable[[], None] = go_on,
) -> list[bytes]:
    """
    Read a part of a file once.

    @param start: of the first block, in bytes; C{end}: of the last.
    @param block_size: bytes.
    @param before: called before each block of what is not read at once; what
        it raises ends the reading.
    @return: BLAKE3 of each block.
    @raise EOFError: the file ends before.
    @raise OSError: it cannot be read.
    """
    if end - start <= WHOLE:
        data = os.pread(descriptor, end - start, start)
        if len(data) == end - start:
            if len(data) <= block_size:
                return [blake3(data).digest()] if data else []
            view = memoryview(data)
            return [
                blake3(view[at : at + block_size]).digest()
                for at in range(0, len(data), block_size)
            ]
        # Some file systems give less at a time than there is.
    # One buffer for all blocks: neither copied nor allocated again.
    buffer = memoryview(bytearray(min(end - start, block_size)))
    blocks = []
    for offset in range(start, end, block_size):
        before()
        block = buffer[: min(block_size, end - offset)]
        _read_block(descriptor, block, offset)
        blocks.append(blake3(block).digest())
    return blocks


def _read_block(descriptor: int, block: memoryview, offset: int) -> None:
    while block:
        count = os.preadv(descriptor, [block], offset)
        if count == 0:
            raise EOFError
        block = block[count:]
        offset += count
