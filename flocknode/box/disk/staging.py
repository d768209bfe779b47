# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Where received content grows until it is whole: C{.flocknode/staging}, one
file per content, named by the hexadecimal content hash, sparse while blocks
are missing.  Nothing here is visible under a final name.

Used by one thread at a time, but L{Staging.read}, which any thread may call.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict

from flocknode.box.content import BlockList, block_hash, block_length, verify
from flocknode.box.disk.copying import next_data, write_sparse
from flocknode.box.disk.folder import Folder
from flocknode.box.disk.marker import open_private
from flocknode.box.disk.syscalls import names_in
from flocknode.box.values import Hash

DIRECTORY = b"staging"
"""Below C{.flocknode}."""

_OPEN_FILES = 32
"""How many files that blocks arrive for are held open."""

_CONTENT = re.compile(rb"[0-9a-f]{64}")

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """
    The staging directory of a box.

    Errors of the system (C{ENOSPC} above all) come out as L{OSError}.

    @ivar directory: its descriptor.
    @raise BoxError: (from the constructor) if it cannot be made.
    """

    directory: int

    def __init__(self, folder: Folder) -> None:
        self.directory = open_private(folder, DIRECTORY)
        self._files: OrderedDict[bytes, int] = OrderedDict()

    def close(self) -> None:
        """Give up all descriptors.  Idempotent."""
        for name in list(self._files):
            self.release(name)
        if self.directory >= 0:
            os.close(self.directory)
            self.directory = -1

    def name(self, content: Hash) -> bytes:
        """The staging file's name, for C{Placement.staged}."""
        return content.hex().encode("ascii")

    def temporary_name(self) -> bytes:
        """A new name for something that L{sweep} removes after a crash."""
        return b"tmp-" + os.urandom(8).hex().encode("ascii")

    def write_block(self, content: Hash, offset: int, data: bytes) -> None:
        """
        Write verified bytes at their place; the file is made if missing.  What
        is zero takes no room.
        """
        name = self.name(content)
        descriptor = self._files.get(name)
        if descriptor is None:
            descriptor = self._create(name, 0)
            self._files[name] = descriptor
            if len(self._files) > _OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
        else:
            self._files.move_to_end(name)
        write_sparse(descriptor, data, offset)

    def write_whole(self, content: Hash, data: bytes) -> None:
        """
        The same for content of one block (or none), whatever was there
        before.
        """
        name = self.name(content)
        self.release(name)
        descriptor = self._create(name, os.O_TRUNC)
        try:
            write_sparse(descriptor, data, 0)
        finally:
            os.close(descriptor)

    def read(self, content: Hash, offset: int, size: int) -> bytes | None:
        """
        What is there, for serving a block of content that is not yet whole;
        hash it before use.  None if there is no such file.
        """
        descriptor = self._open(self.name(content))
        if descriptor is None:
            return None
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    def present(self, content: Hash, blocks: BlockList) -> frozenset[int]:
        """
        After a restart: which blocks (counted from 0) are there and right.
        Holes are not read, but may be what a block of zeros became.
        """
        descriptor = self._open(self.name(content))
        if descriptor is None:
            return frozenset()
        found = set()
        zeros: dict[int, Hash] = {}
        # Length -> hash of so many.
        try:
            data_at = 0
            size = os.fstat(descriptor).st_size
            for index, hash in enumerate(blocks.hashes):
                offset = index * blocks.block_size
                length = block_length(blocks.size, blocks.block_size, index)
                if data_at < offset:
                    data_at = next_data(descriptor, offset)
                if data_at >= offset + length:
                    if length not in zeros:
                        zeros[length] = block_hash(bytes(length))
                    if zeros[length] == hash and offset + length <= size:
                        found.add(index)
                    continue
                if verify(hash, os.pread(descriptor, length, offset)):
                    found.add(index)
        finally:
            os.close(descriptor)
        return frozenset(found)

    def whole(self, content: Hash, size: int) -> bool:
        """Is there one block (or empty content) of this hash and size?"""
        data = self.read(content, 0, size + 1)
        return data is not None and len(data) == size and verify(content, data)

    def release(self, name: bytes) -> None:
        """
        Close the file if blocks were written to it: it is about to leave, and
        nothing may be written to it where it goes.
        """
        descriptor = self._files.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def discard(self, content: Hash) -> None:
        """Remove the file, if there is one."""
        name = self.name(content)
        self.release(name)
        try:
            os.unlink(name, dir_fd=self.directory)
        except FileNotFoundError:
            return

    def contents(self) -> frozenset[Hash]:
        """All content that has a file here, whole or not."""
        return frozenset(
            Hash(bytes.fromhex(name.decode("ascii")))
            for name in names_in(self.directory)
            if _CONTENT.fullmatch(name)
        )

    def sweep(self) -> None:
        """At start: remove what interrupted work left behind."""
        for name in names_in(self.directory):
            if name.startswith(b"tmp-"):
                os.unlink(name, dir_fd=self.directory)

    def allocated(self, content: Hash) -> int:
        """Bytes that its file takes on the disk so far."""
        try:
            found = os.stat(self.name(content), dir_fd=self.directory, follow_symlinks=False)
        except OSError:
            return 0
        return found.st_blocks * 512

    def free(self) -> int:
        """Bytes that this user can still write to the file system."""
        result = os.fstatvfs(self.directory)
        return result.f_bavail * result.f_frsize

    def _create(self, name: bytes, flags: int) -> int:
        flags |= os.O_RDWR | os.O_CREAT | _SAFE
        try:
            return os.open(name, flags, 0o600, dir_fd=self.directory)
        except PermissionError:
            # Prepared for a read-only file before, but never placed.
            os.chmod(name, 0o600, dir_fd=self.directory)
            return os.open(name, flags, 0o600, dir_fd=self.directory)

    def _open(self, name: bytes) -> int | None:
        try:
            return os.open(name, os.O_RDONLY | _SAFE, dir_fd=self.directory)
        except FileNotFoundError:
            return None
        except PermissionError:
            os.chmod(name, 0o600, dir_fd=self.directory)
            return os.open(name, os.O_RDONLY | _SAFE, dir_fd=self.directory)
