# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is in a folder: one directory at a time, and the hashes of one file.
Synchronous: for the box's worker threads.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence

import attrs

from flocknode.box.content import block_hash, block_length, block_size_for, content_hash
from flocknode.box.disk.folder import FileType, Folder, Stat, is_reserved
from flocknode.box.paths import LONGEST_PATH
from flocknode.box.values import Hash, Path
from flocknode.errors import BoxError

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


class Changed(BoxError):
    """The file changed while (or before) it was read: look again later."""


@attrs.frozen
class Listing:
    """
    One directory as it was read.

    @ivar path: of the directory; b"" is the box's root.
    @ivar entries: (name, stat) of what is in it and not ignored, by name.
        C{FileType.OTHER} is neither published nor read as deleted, and
        neither is anything below it.
    @ivar problem: one sentence (without names) if the directory or something
        in it could not be read.  Then C{entries} is empty and I{nothing is
        known}: what the index has below this path is not deleted.
    """

    path: Path
    entries: tuple[tuple[bytes, Stat], ...]
    problem: str | None = None


@attrs.frozen
class Hashed:
    """
    The content of a file or link at the moment of C{stat}.

    @ivar content: its content hash.
    @ivar size: bytes.
    @ivar block_size: bytes.
    @ivar blocks: hashes of its blocks, in order; none if it is empty.
    @ivar stat: of the open file, equal before and after reading.
    """

    content: Hash
    size: int
    block_size: int
    blocks: tuple[Hash, ...]
    stat: Stat


def known_by_itself(parent: Path, shown: Collection[bytes]) -> dict[bytes, bytes]:
    """The default of L{Scanner}: the disk shows each name as it is."""
    return {}


def nothing_ignored(path: Path, type: FileType) -> bool:
    """The default of L{Scanner}: no path is ignored."""
    return False


class Scanner:
    """
    Reads a folder.

    @param ignored: (path, type) -> is it left out?  A directory that is left
        out is not descended into.
    @param entering: called with (path, descriptor) of each directory after it
        was opened and before it is listed: a watch set here misses nothing.
        Called in the thread that scans.
    @param known_as: (directory, names in it) -> by which other name each is
        known.
    """

    def __init__(
        self,
        folder: Folder,
        ignored: Callable[[Path, FileType], bool] = nothing_ignored,
        entering: Callable[[Path, int], None] | None = None,
        known_as: Callable[[Path, Collection[bytes]], dict[bytes, bytes]] = known_by_itself,
    ) -> None:
        self._folder = folder
        self._known_as = known_as
        self._ignored = ignored
        self._entering = entering

    def walk(self, below: bytes = b"") -> Iterator[Listing]:
        """
        List C{below} and all directories in it, parents first, one for each
        step of the iterator: pause or stop between any two.

        A directory that is gone when its turn comes is not listed at all (its
        parent changed meanwhile: look there again).  A name that was renamed
        while its directory was read may be missing: confirm with
        L{Folder.lstat} before taking an absence for a deletion.
        """
        waiting = [below]
        while waiting:
            path = waiting.pop()
            listing = self.list(path)
            if listing is None:
                continue
            prefix = path + b"/" if path else b""
            waiting.extend(
                prefix + name
                for name, stat in reversed(listing.entries)
                if stat.type is FileType.DIRECTORY
            )
            yield listing

    def list(self, path: bytes) -> Listing | None:
        """
        One directory; None if it is not there (or is no directory).  If it is
        the root that is gone, that is a problem and not an absence.
        """
        try:
            directory = self._folder.open_directory(path)
        except OSError as error:
            if path and error.errno in _GONE:
                return None
            return _unreadable(path, error)
        try:
            if self._entering is not None:
                self._entering(Path(path), directory)
            return Listing(Path(path), tuple(self._entries(path, directory)))
        except OSError as error:
            return _unreadable(path, error)
        finally:
            os.close(directory)

    def _entries(self, path: bytes, directory: int) -> Sequence[tuple[bytes, Stat]]:
        prefix = path + b"/" if path else b""
        stat_of, ignored = self._folder.stat_of, self._ignored
        found: list[tuple[bytes, Stat]] = []
        with os.scandir(directory) as entries:
            # scandir of a descriptor gives names as str.
            shown = {os.fsencode(entry.name): entry for entry in entries}
        known_as = self._known_as(Path(path), shown.keys())
        for shown_name, entry in shown.items():
            name = known_as.get(shown_name, shown_name)
            if not path and is_reserved(name):
                continue
            if len(prefix) + len(name) > LONGEST_PATH:
                continue
            try:
                listed = stat_of(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
            stat = self._folder.seen(prefix + name, listed)
            if stat is not None and not ignored(Path(prefix + name), stat.type):
                found.append((name, stat))
        found.sort(key=lambda each: each[0])
        return found

    def hash_file(
        self,
        path: bytes,
        stat: Stat | None = None,
        block_size: int | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Hashed:
        """
        L{hash_open} of the regular file at this path.

        @raise OSError: if it cannot be opened or is not there.
        """
        descriptor = self._folder.open(path)
        try:
            return hash_open(self._folder, descriptor, stat, block_size, cancelled)
        finally:
            os.close(descriptor)

    def hash_link(self, path: bytes) -> Hashed:
        """
        A symbolic link; its content is its target.

        @raise Changed: if it was replaced meanwhile, or is not there.
        @raise OSError: if it is no link.
        """
        before = self._folder.lstat(path)
        target = self._folder.readlink(path)
        if before is None or before != self._folder.lstat(path):
            raise Changed("A link was replaced while it was read.")
        hash = block_hash(target)
        return Hashed(hash, len(target), block_size_for(len(target)), (hash,), before)


def hash_open(
    folder: Folder,
    descriptor: int,
    stat: Stat | None = None,
    block_size: int | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Hashed:
    """
    Read an open regular file (of the folder or of its version store) once, in
    pieces of a block.

    @param stat: what it should be, as far as is known.
    @param block_size: bytes; by default what its size asks for.
    @param cancelled: asked before each block.
    @raise Changed: if it is not C{stat} (any more), if it is another after
        reading than before, or if reading was cancelled.
    @raise OSError: if it cannot be read.
    """
    before = folder.fstat(descriptor)
    if stat is not None and stat != before:
        raise Changed("A file changed before it was read.")
    size = before.size
    block_size = block_size_for(size) if block_size is None else block_size
    # One buffer for all blocks: neither copied nor allocated again.
    buffer = memoryview(bytearray(min(size, block_size)))
    blocks = []
    for offset in range(0, size, block_size):
        if cancelled is not None and cancelled():
            raise Changed("Reading a file was cancelled.")
        block = buffer[: block_length(size, block_size, offset // block_size)]
        if not _read_block(descriptor, block, offset):
            raise Changed("A file became shorter while it was read.")
        blocks.append(block_hash(block))
    if folder.fstat(descriptor) != before:
        raise Changed("A file changed while it was read.")
    return Hashed(
        content_hash(size, block_size, blocks), size, block_size, tuple(blocks), before
    )


def _read_block(descriptor: int, block: memoryview, offset: int) -> bool:
    while block:
        count = os.preadv(descriptor, [block], offset)
        if count == 0:
            return False
        block = block[count:]
        offset += count
    return True


def _unreadable(path: bytes, error: OSError) -> Listing:
    return Listing(
        Path(path), (), f"A directory cannot be read: {os.strerror(error.errno or 0)}."
    )
