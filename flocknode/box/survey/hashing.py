# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is in a folder: one directory at a time, and the hashes of one file.
Synchronous: for the box's worker threads.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from operator import itemgetter

import attrs
import msgspec

from flocknode.box.content import block_hash, block_size_for, content_hash
from flocknode.box.disk.folder import FileType, Folder, Stat, is_reserved
from flocknode.box.disk.syscalls import rewind
from flocknode.box.index.columns import Disk, disk_tuple
from flocknode.box.paths import LONGEST_PATH
from flocknode.box.survey.blocks import hash_blocks
from flocknode.box.survey.spread import Spread
from flocknode.box.values import Hash, Path
from flocknode.errors import BoxError

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
# What os.fsencode does, without its checks.

_FORMAT = 0o170000
# C{S_IFMT}.

_LONGEST_NAME = 4 * 255
# Bytes: some file systems count characters.

_COMPARED = _FORMAT | 0o777
# Bits of a mode that the index knows.

_UNSIGNED = (1 << 64) - 1
# What L{flocknode.box.index.columns.unsigned} makes of a number of 64 bits.

_DIRECTORY = int(FileType.DIRECTORY)
_FILE = int(FileType.FILE)

PIECE = 8 * 1024 * 1024
"""Bytes that are hashed in one go of files that several threads hash."""


class Changed(BoxError):
    """The file changed while (or before) it was read: look again later."""


@attrs.frozen
class Listing:
    """
    One directory as it was read.

    @ivar path: of the directory; b"" is the box's root.
    @ivar entries: (name, stat) of what is in it and not ignored, by name.
        C{FileType.OTHER} is neither published nor read as deleted, and
        neither is anything below it.  Without what is as it is known to be.
    @ivar directories: (the names of) those to go into, by name.
    @ivar names: of everything that the directory shows, in no order.
    @ivar looked: how many names were looked at.
    @ivar problem: one sentence (without names) if the directory or something
        in it could not be read.  Then C{entries} is empty and I{nothing is
        known}: what the index has below this path is not deleted.
    """

    path: Path
    entries: tuple[tuple[bytes, Stat], ...]
    problem: str | None = None
    directories: tuple[bytes, ...] = ()
    names: tuple[bytes, ...] = ()
    looked: int = 0


class Hashed(msgspec.Struct, frozen=True, gc=False):
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


Known = MutableMapping[bytes, Disk]
"""What the index says is in a directory, by name."""


def nothing_known(path: Path) -> Known:
    """The default of L{Scanner.walk}: everything is listed."""
    return {}


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
    @param listed: called with (path, descriptor, names in it) of each directory
        before C{ignored} is asked about any of them.
    """

    def __init__(
        self,
        folder: Folder,
        ignored: Callable[[Path, FileType], bool] = nothing_ignored,
        entering: Callable[[Path, int], None] | None = None,
        known_as: Callable[[Path, Collection[bytes]], dict[bytes, bytes]] = known_by_itself,
        listed: Callable[[Path, int, Collection[bytes]], None] | None = None,
    ) -> None:
        self._folder = folder
        self._known_as = known_as
        self._ignored = ignored
        self._entering = entering
        self._listed = listed

    def walk(
        self, below: bytes = b"", known: Callable[[Path], Known] = nothing_known
    ) -> Iterator[Listing]:
        """
        List C{below} and all directories in it, parents first, one for each
        step of the iterator: pause or stop between any two.

        A directory that is gone when its turn comes is not listed at all (its
        parent changed meanwhile: look there again).  A name that was renamed
        while its directory was read may be missing: confirm with
        L{Folder.lstat} before taking an absence for a deletion.

        @param known: asked for each directory, see L{list}.
        """
        waiting = [below]
        while waiting:
            path = waiting.pop()
            listing = self.list(path, known(Path(path)))
            if listing is None:
                continue
            prefix = path + b"/" if path else b""
            waiting.extend(prefix + name for name in reversed(listing.directories))
            yield listing

    def list(self, path: bytes, known: Known | None = None) -> Listing | None:
        """
        One directory; None if it is not there (or is no directory).  If it is
        the root that is gone, that is a problem and not an absence.

        @param known: what is as this says is not listed, and is removed from
            it.  (A directory is if it has the same mode.)
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
            return self._listing(path, directory, known or {})
        except OSError as error:
            return _unreadable(path, error)
        finally:
            os.close(directory)

    def _listing(self, path: bytes, directory: int, known: Known) -> Listing:
        prefix = path + b"/" if path else b""
        stat_of, seen, ignored = self._folder.stat_of, self._folder.seen, self._ignored
        found: list[tuple[bytes, Stat]] = []
        directories: list[bytes] = []
        names: list[bytes] = []
        for name, entry in self._entries(path, directory).items():
            try:
                result = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            names.append(name)
            disk = known.get(name)
            if disk is not None and _is_known(disk, result):
                # Most of what is looked at: nothing is made of it.
                del known[name]
                continue
            here = Path(prefix + name)
            stat = seen(here, stat_of(result))
            if stat is None or ignored(here, stat.type):
                continue
            if stat.type is FileType.DIRECTORY:
                directories.append(name)
                if disk is not None and (disk[0], disk[4]) == (_DIRECTORY, stat.mode):
                    del known[name]
                    continue
            elif disk is not None and disk == disk_tuple(stat):
                del known[name]
                continue
            found.append((name, stat))
        found.sort(key=itemgetter(0))
        directories.sort()
        return Listing(
            Path(path), tuple(found), None, tuple(directories), tuple(names), len(names)
        )

    def _entries(self, path: bytes, directory: int) -> dict[bytes, os.DirEntry[str]]:
        """What is to be looked at, by the names by which it is known."""
        # It was opened, then watched: what came between the two must be seen as well.
        rewind(directory)
        with os.scandir(directory) as entries:
            # scandir of a descriptor gives names as str.
            shown = {entry.name.encode(_ENCODING, _ERRORS): entry for entry in entries}
        if self._listed is not None:
            self._listed(Path(path), directory, shown.keys())
        known_as = self._known_as(Path(path), shown.keys())
        if known_as:
            shown = {known_as.get(name, name): entry for name, entry in shown.items()}
        if not path:
            return {name: entry for name, entry in shown.items() if not is_reserved(name)}
        longest = LONGEST_PATH - len(path) - 1
        if longest < _LONGEST_NAME:
            return {name: entry for name, entry in shown.items() if len(name) <= longest}
        return shown

    def hash_file(
        self,
        path: bytes,
        stat: Stat | None = None,
        block_size: int | None = None,
        cancelled: Callable[[], bool] | None = None,
        spread: Spread | None = None,
    ) -> Hashed:
        """
        L{hash_open} of the regular file at this path.

        @raise OSError: if it cannot be opened or is not there.
        """
        descriptor, found = self._folder.open_file(path)
        try:
            return hash_open(
                self._folder, descriptor, stat, block_size, cancelled, found=found, spread=spread
            )
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
    *,
    found: os.stat_result | None = None,
    spread: Spread | None = None,
) -> Hashed:
    """
    Read an open regular file (of the folder or of its version store) once, see
    L{hash_blocks}.

    @param stat: what it should be, as far as is known.
    @param block_size: bytes; by default what its size asks for.
    @param cancelled: asked before each block of what is not read at once, in
        any thread.
    @param found: what C{fstat} has just said of it.
    @param spread: who shares the work of a large file.
    @raise Changed: if it is not C{stat} (any more), if it is another after
        reading than before, or if reading was cancelled.
    @raise OSError: if it cannot be read.
    """
    before = os.fstat(descriptor) if found is None else found
    if stat is None:
        stat = folder.stat_of(before)
    elif not _is(folder, stat, before):
        raise Changed("A file changed before it was read.")
    size = stat.size
    block_size = block_size_for(size) if block_size is None else block_size
    piece = PIECE // block_size * block_size or block_size

    def look() -> None:
        if cancelled is not None and cancelled():
            raise Changed("Reading a file was cancelled.")

    def hash_piece(start: int) -> list[bytes]:
        return hash_blocks(descriptor, start, min(start + piece, size), block_size, look)

    try:
        if spread is None:
            blocks = hash_blocks(descriptor, 0, size, block_size, look)
        else:
            pieces = spread.map(hash_piece, range(0, size, piece))
            blocks = [hash for each in pieces for hash in each]
    except EOFError:
        raise Changed("A file became shorter while it was read.") from None
    if not _is(folder, stat, os.fstat(descriptor)):
        raise Changed("A file changed while it was read.")
    return hashed_as(stat, block_size, blocks)


def hashed_as(stat: Stat, block_size: int, blocks: Iterable[bytes]) -> Hashed:
    """
    @param stat: of the file, before and after it was read.
    @param block_size: bytes.
    @param blocks: the hashes of its blocks, in order.
    """
    hashes = tuple(map(Hash, blocks))
    content = content_hash(stat.size, block_size, hashes)
    return Hashed(content, stat.size, block_size, hashes, stat)


def _is(folder: Folder, stat: Stat, result: os.stat_result) -> bool:
    """Is that what the system says of a file now?"""
    mode = result.st_mode
    same = (
        stat.mtime_ns == result.st_mtime_ns
        and stat.ctime_ns == result.st_ctime_ns
        and stat.size == result.st_size
        and stat.inode == result.st_ino
        and stat.mode == mode & 0o777
        and stat.type is FileType.FILE
        and mode & _FORMAT == modes.S_IFREG
    )
    # Not all that the system says counts in each folder.
    return same or (stat.type is FileType.FILE and stat == folder.stat_of(result))


def _is_known(disk: Disk, result: os.stat_result) -> bool:
    """Is it a file, and what the index says of it?  Asked of each file of each scan."""
    return (
        disk[3] == result.st_ctime_ns
        and disk[2] == result.st_mtime_ns
        and disk[1] == result.st_size
        and disk[5] & _UNSIGNED == result.st_ino
        and modes.S_IFREG | disk[4] == result.st_mode & _COMPARED
        and disk[0] == _FILE
    )


def _unreadable(path: bytes, error: OSError) -> Listing:
    return Listing(
        Path(path), (), f"A directory cannot be read: {os.strerror(error.errno or 0)}."
    )
