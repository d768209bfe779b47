# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The version store: what was replaced or deleted, in C{.flocknode/versions}.

Its files come by renaming, so nothing is ever copied on the way in, with two
consequences that are handled here: a writer that still holds the file open
goes on writing to it (L{VersionStore.changed}: look again after 2 s), and an
inode with more hard links would still be reachable in the folder, where an
in-place writer would rewrite history (L{VersionStore.settle} copies it).
Taking something out of the store is always copying.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

import attrs

from flocknode.box.disk.copying import copy_content
from flocknode.box.disk.folder import FileType, Folder, Stat
from flocknode.box.disk.marker import open_private
from flocknode.box.disk.syscalls import names_in

DIRECTORY = b"versions"
"""Below C{.flocknode}."""

_NAME = re.compile(rb"([0-9a-f]{16})-[0-9a-f]{16}")

_COPY = b".copy"
"""Ends the name of a copy that is being made."""

_COPY_ATTEMPTS = 3
"""How often a file is copied anew because it changed while it was copied."""

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Kept:
    """
    What lies in the version store.

    @ivar name: its name there.
    @ivar stat: as it was when it was kept.  C{type} is FILE or SYMLINK; a
        DIRECTORY or OTHER only if somebody put one in a file's place in the
        last instant and something else there again before it could be put
        back.
    """

    name: bytes
    stat: Stat


class VersionStore:
    """
    The version store of a box.

    @param random: n -> n random bytes, so that names are never used twice.
    @ivar clock: seconds since the epoch; part of the names, for L{older}.
    @ivar directory: its descriptor.
    @raise BoxError: (from the constructor) if it cannot be made.
    """

    directory: int

    def __init__(
        self,
        folder: Folder,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._folder = folder
        self.clock = clock
        self._random = random
        self.directory = open_private(folder, DIRECTORY)

    def close(self) -> None:
        """Give up the descriptor.  Idempotent."""
        if self.directory >= 0:
            os.close(self.directory)
            self.directory = -1

    def new_name(self) -> bytes:
        """A name that nothing here has: when, and 8 random bytes, in hex."""
        when = max(0, int(self.clock() * 1e9))
        return b"%016x-%s" % (when, self._random(8).hex().encode("ascii"))

    def names(self) -> list[bytes]:
        """All that is kept, oldest first."""
        return sorted(name for name in names_in(self.directory) if _NAME.fullmatch(name))

    def stat(self, name: bytes) -> Stat | None:
        """None if it is not there."""
        return self._folder.stat_in(self.directory, name)

    def open(self, name: bytes) -> int:
        """
        A new descriptor of a kept file, for the caller to close.

        @raise OSError: if it is not there or no file.
        """
        flags = os.O_RDONLY | os.O_NONBLOCK | _SAFE
        try:
            return os.open(name, flags, dir_fd=self.directory)
        except PermissionError:
            # Its owner did not let himself read it; here nobody else looks.
            stat = self.stat(name)
            if stat is None or stat.type is not FileType.FILE:
                raise
            os.chmod(name, stat.mode | 0o400, dir_fd=self.directory)
            try:
                return os.open(name, flags, dir_fd=self.directory)
            finally:
                os.chmod(name, stat.mode, dir_fd=self.directory)

    def readlink(self, name: bytes) -> bytes:
        """The target of a kept link."""
        return os.readlink(name, dir_fd=self.directory)

    def settle(self, name: bytes) -> Kept:
        """
        What was just renamed into the store is made its own: an inode with
        another name left is replaced by a copy.  If it cannot be copied (the
        disk is full), it stays what it is: kept all the same.

        @raise OSError: if it is not there.
        """
        stat = self.stat(name)
        if stat is None:
            raise FileNotFoundError(2, os.strerror(2), name)
        if stat.type is FileType.FILE and stat.links > 1:
            try:
                stat = self._replace_by_copy(name)
            except OSError:
                self.remove(name + _COPY)
        return Kept(name, stat)

    def changed(self, kept: Kept) -> bool:
        """
        Did somebody who held it open write to it since?  Then hash it, and
        go on with L{renew}.  What is gone has not changed.
        """
        return self.stat(kept.name) not in (None, kept.stat)

    def renew(self, kept: Kept) -> Kept | None:
        """The same with its present stat; None if it is gone."""
        stat = self.stat(kept.name)
        return None if stat is None else Kept(kept.name, stat)

    def move_in(self, name: bytes, directory: int, kept: bytes) -> None:
        """
        Move C{name} out of the folder and in here, as C{kept}: a L{new_name}, so
        that nothing can be replaced.

        @param directory: the descriptor of the directory that C{name} is in.
        @raise OSError: C{rename} failed; nothing has changed.
        """
        os.rename(name, kept, src_dir_fd=directory, dst_dir_fd=self.directory)

    def remove(self, name: bytes) -> None:
        """Remove it, if it is there."""
        try:
            os.unlink(name, dir_fd=self.directory)
        except FileNotFoundError:
            return
        except OSError:
            self._remove_tree(name)

    def older(self, before: float) -> list[bytes]:
        """
        What was kept before this time, oldest first.

        @param before: seconds since the epoch.
        """
        limit = b"%016x" % max(0, int(before * 1e9))
        return [name for name in self.names() if name[:16] < limit]

    def unlisted(self, known: frozenset[bytes]) -> list[Kept]:
        """
        After a crash, and after C{Placer.recover}: what lies here that the
        index does not know.  Removes copies that were never finished.
        """
        for name in names_in(self.directory):
            if name.endswith(_COPY):
                self.remove(name)
        return [self.settle(name) for name in self.names() if name not in known]

    def _replace_by_copy(self, name: bytes) -> Stat:
        source = self.open(name)
        try:
            for _ in range(_COPY_ATTEMPTS):
                before = os.fstat(source)
                self._copy(source, before, name + _COPY)
                after = os.fstat(source)
                if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                    break
        finally:
            os.close(source)
        os.rename(
            name + _COPY, name, src_dir_fd=self.directory, dst_dir_fd=self.directory
        )
        stat = self.stat(name)
        if stat is None:
            raise FileNotFoundError(2, os.strerror(2), name)
        return stat

    def _copy(self, source: int, like: os.stat_result, name: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | _SAFE
        target = os.open(name, flags, 0o600, dir_fd=self.directory)
        try:
            copy_content(source, target)
            os.fchmod(target, like.st_mode & 0o777)
            os.utime(target, ns=(like.st_atime_ns, like.st_mtime_ns))
            os.fsync(target)
        finally:
            os.close(target)

    def _remove_tree(self, name: bytes) -> None:
        for _, directories, files, parent in os.fwalk(
            name, topdown=False, follow_symlinks=False, dir_fd=self.directory
        ):
            for file in files:
                os.unlink(file, dir_fd=parent)
            for directory in directories:
                # fwalk counts links to directories among the directories.
                try:
                    os.rmdir(directory, dir_fd=parent)
                except NotADirectoryError:
                    os.unlink(directory, dir_fd=parent)
        os.rmdir(name, dir_fd=self.directory)
