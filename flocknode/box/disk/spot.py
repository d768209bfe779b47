# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A name in an open directory: where one placement happens.
"""

from __future__ import annotations

import errno
import os

import attrs

from flocknode.box.disk.directories import by_descriptor
from flocknode.box.disk.folder import FileType, Folder, Stat
from flocknode.box.values import Path


@attrs.frozen
class Spot:
    """
    A name in an open directory.

    @ivar directory: a descriptor, maybe opened with C{O_PATH}; whoever made
        this value closes it.
    """

    folder: Folder
    path: Path
    directory: int
    name: bytes

    def stat(self) -> Stat | None:
        """What is there now."""
        return self.folder.stat_in(self.directory, self.name)

    def read_back(self, placed: Stat | None) -> Stat | None:
        """
        What the index shall remember of what was just placed.

        @param placed: how it was prepared.  If it is not like that any more,
            somebody changed it already; then this is returned, so that the
            change is seen as one.
        """
        now = self.stat()
        if placed is not None and not placed.alike(now):
            return placed
        return now

    def is_empty_directory(self) -> bool:
        """
        @raise OSError: if it is no directory.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        directory = os.open(self.name, flags, dir_fd=self.directory)
        try:
            with os.scandir(directory) as entries:
                return next(entries, None) is None
        finally:
            os.close(directory)

    def open(self) -> int:
        """
        The regular file that is there, for its owner to read even if he did
        not let himself.

        @return: a new descriptor, for the caller to close.
        @raise OSError: if it cannot be opened.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(self.name, flags, dir_fd=self.directory)
        except PermissionError:
            held = os.open(
                self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory
            )
        try:
            stat = self.folder.fstat(held)
            if stat.type is not FileType.FILE:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            name = by_descriptor(held)
            os.chmod(name, stat.mode | 0o400)
            try:
                return os.open(name, flags & ~os.O_NOFOLLOW)
            finally:
                os.chmod(name, stat.mode)
        finally:
            os.close(held)
