# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Building content of several blocks from what is here already: what an
interrupted transfer left in the staging directory, blocks of other files, of
old versions, and of the version that it replaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs

from flocknode.box.content import BlockList, block_hash, block_length, block_size_for, verify
from flocknode.box.disk.site import Site
from flocknode.box.receive.finder import Finder
from flocknode.box.values import Hash, Path


@attrs.frozen
class Base:
    """What a path held before: a file of C{size} bytes."""

    path: Path
    size: int


class Assembly:
    """
    One content that is being built.

    @param base: what it replaces.  Its blocks are hashed at this content's
        block size, if the index knows them at another one.
    @ivar missing: positions of blocks that were not found so far.
    """

    def __init__(
        self, site: Site, finder: Finder, content: Hash, blocks: BlockList, base: Base | None
    ) -> None:
        self.missing = set(range(len(blocks.hashes)))
        self._site = site
        self._finder = finder
        self._content = content
        self._blocks = blocks
        self._base = base

    def run(self) -> Iterator[None]:
        """
        Look everywhere.  Each step is about a block's work, so that whoever
        runs it can pause or stop.

        @raise OSError: the staging file cannot be written.
        """
        yield from self._keep_staged()
        wanted: dict[Hash, list[int]] = {}
        for position in sorted(self.missing):
            wanted.setdefault(self._blocks.hashes[position], []).append(position)
        for hash in list(wanted):
            data = self._finder.block(hash, not_staged=self._content)
            if data is not None:
                self._write(wanted.pop(hash), data)
            yield
        base = self._base
        if base is None or not wanted:
            return
        if block_size_for(base.size) == self._blocks.block_size:
            # Then the index knows its blocks, and they were found above.
            return
        for data in self._pieces(base.path):
            self._write(wanted.pop(block_hash(data), []), data)
            yield

    def _keep_staged(self) -> Iterator[None]:
        blocks = self._blocks
        for position, hash in enumerate(blocks.hashes):
            length = block_length(blocks.size, blocks.block_size, position)
            data = self._site.staging.read(self._content, position * blocks.block_size, length)
            if not data:
                return
            if verify(hash, data):
                self.missing.discard(position)
            yield

    def _pieces(self, path: Path) -> Iterator[bytes]:
        try:
            descriptor = self._site.view.open(path)
        except OSError:
            return
        try:
            offset = 0
            while data := os.pread(descriptor, self._blocks.block_size, offset):
                yield data
                offset += len(data)
        finally:
            os.close(descriptor)

    def _write(self, positions: list[int], data: bytes) -> None:
        for position in positions:
            offset = position * self._blocks.block_size
            self._site.staging.write_block(self._content, offset, data)
            self.missing.discard(position)
