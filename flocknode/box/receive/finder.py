# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Finding a block by its hash in what is here: the folder, the version store,
what is being received.  Nothing is returned that was not hashed again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator

from flocknode.box.content import LARGEST_BLOCK, block_length, block_size_for, verify
from flocknode.box.disk.folder import FileType, Folder
from flocknode.box.disk.site import Site
from flocknode.box.disk.spot import Spot
from flocknode.box.index.columns import Disk
from flocknode.box.index.contents import Contents
from flocknode.box.paths import split
from flocknode.box.values import Hash, Kind, Path

_OPEN_FILES = 32
"""How many files that blocks were read from are held open."""


class Finder:
    """
    Reads blocks.  Belongs to one thread; closed in it.

    @ivar suspects: paths whose file did not hold what the index says, since
        this was last emptied: they changed, and are to be hashed again.
    """

    def __init__(self, contents: Contents, site: Site) -> None:
        self.suspects: set[Path] = set()
        self._contents = contents
        self._site = site
        self._files: OrderedDict[bytes, int] = OrderedDict()

    def close(self) -> None:
        """Give up all descriptors.  Idempotent."""
        while self._files:
            os.close(self._files.popitem()[1])

    def list_or_block(self, hash: Hash) -> bytes | None:
        """What others may ask for: a block, or an encoded block list."""
        return self._contents.block_list(hash) or self.block(hash)

    def block(self, hash: Hash, not_staged: Hash | None = None) -> bytes | None:
        """
        A block of any content, or content that is one block.

        @param not_staged: do not look into this content's staging file.
        @return: its bytes, hashed again; L{None}: it is not here (any more).
        """
        data = self.read(hash, 0, None, hash, hash != not_staged)
        if data is not None:
            return data
        for found in self._contents.find_block(hash):
            length = block_length(found.size, found.block_size, found.position)
            offset = found.position * found.block_size
            staged = found.content != not_staged
            data = self.read(found.content, offset, length, hash, staged)
            if data is not None:
                return data
        return None

    def read(
        self,
        content: Hash,
        offset: int,
        length: int | None,
        hash: Hash,
        staged: bool = True,
    ) -> bytes | None:
        """
        One block of known content.

        @param length: bytes; L{None}: the content is that block.
        @param staged: look into its staging file, too.
        """
        descriptor = self._files.get(content)
        if descriptor is not None:
            data = _read(descriptor, offset, length)
            if data is not None and verify(hash, data):
                self._files.move_to_end(content)
                return data
            os.close(self._files.pop(content))
        for data in self._candidates(content, offset, length, staged):
            if verify(hash, data):
                return data
            self._close(content)
        return None

    def _candidates(
        self, content: Hash, offset: int, length: int | None, staged: bool
    ) -> Iterator[bytes]:
        for path, disk in self._contents.holding(content):
            if length is None and disk[1] > block_size_for(disk[1]):
                continue
            data = self._from_folder(content, path, disk, offset, length)
            if data is not None:
                yield data
            # Whoever comes back for more was not content with it.
            self.suspects.add(path)
        for kept in self._contents.kept_with(content):
            if length is None and kept.size > block_size_for(kept.size):
                continue
            data = self._from_store(content, kept.name, kept.kind, offset, length)
            if data is not None:
                yield data
        if not staged:
            return
        try:
            data = self._site.staging.read(
                content, offset, LARGEST_BLOCK + 1 if length is None else length
            )
        except OSError:
            return
        if data is not None:
            yield data

    def _from_folder(
        self, content: Hash, path: Path, disk: Disk, offset: int, length: int | None
    ) -> bytes | None:
        folder = self._site.view
        try:
            if disk[0] == int(FileType.SYMLINK):
                return folder.readlink(path)[offset:]
            return self._from_file(content, _open(folder, path), offset, length)
        except OSError:
            return None

    def _from_store(
        self, content: Hash, name: bytes, kind: Kind, offset: int, length: int | None
    ) -> bytes | None:
        versions = self._site.versions
        try:
            if kind is Kind.SYMLINK:
                return versions.readlink(name)[offset:]
            return self._from_file(content, versions.open(name), offset, length)
        except OSError:
            return None

    def _from_file(
        self, content: Hash, descriptor: int, offset: int, length: int | None
    ) -> bytes | None:
        self._close(content)
        self._files[content] = descriptor
        if len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return _read(descriptor, offset, length)

    def _close(self, content: Hash) -> None:
        descriptor = self._files.pop(content, None)
        if descriptor is not None:
            os.close(descriptor)


def _open(folder: Folder, path: Path) -> int:
    """A file, for its owner to read even if he did not let himself."""
    try:
        return folder.open(path)
    except PermissionError:
        parent, name = split(path)
        directory = folder.open_directory(parent, os.O_PATH)
        try:
            return Spot(folder, path, directory, name).open()
        finally:
            os.close(directory)


def _read(descriptor: int, offset: int, length: int | None) -> bytes | None:
    """L{None}: it cannot be read, or is longer than any block."""
    try:
        data = os.pread(descriptor, LARGEST_BLOCK + 1 if length is None else length, offset)
    except OSError:
        return None
    return data if len(data) <= LARGEST_BLOCK else None
