# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
File operations below one directory, none of which can leave it.

Everything starts at a descriptor of the box's root and goes through real
directories only: a component that is (or meanwhile becomes) a symbolic link,
or another mounted file system, ends the walk with an error.  Names are bytes.

All is synchronous and waits for the disk: never call it in the reactor.
Errors of the system come out as L{OSError}.
"""

from __future__ import annotations

import enum
import errno
import os
import stat as modes

import msgspec

from flocknode.box.disk import syscalls
from flocknode.box.disk.capabilities import Capabilities, probe
from flocknode.box.paths import PRIVATE, check_path, is_reserved, split
from flocknode.errors import BoxError
from flocknode.media.devices import type_of

__all__ = [
    "PRIVATE",
    "Capabilities",
    "FileType",
    "Folder",
    "Stat",
    "check_path",
    "is_reserved",
    "split",
]

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _SAFE

_WAITLESS = os.O_RDONLY | os.O_NONBLOCK | _SAFE
"""For what should be a file: opening a FIFO would wait for its writer."""

_PASSING = os.O_PATH | os.O_DIRECTORY | _SAFE
"""To go through a directory needs no right to read it."""

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
"""What opening says when a path is not there; C{ELOOP}: below a link."""


_LAST_TIME = (1 << 63) - 1
"""Nanoseconds: the last time that the index can hold."""

_UNNUMBERED = frozenset(("vfat", "msdos", "exfat"))
"""File systems without inodes: Linux makes numbers up, others after each mount
(C{iunique} in its sources).  None of them has hard links."""


class FileType(enum.IntEnum):
    """
    What a name stands for on disk.

    C{OTHER} is what a box does not hold: a device, FIFO or socket, or a
    directory on which another file system is mounted.
    """

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    OTHER = 3


class Stat(msgspec.Struct, frozen=True, eq=False, gc=False):
    """
    What the file system says of a name, links not followed.

    @ivar size: bytes; of a symlink, of its target.
    @ivar mtime_ns: nanoseconds since the epoch.
    @ivar ctime_ns: likewise; every rename changes it.
    @ivar mode: permission bits, C{& 0o777}.
    @ivar inode: its number; 0 where a file has none that lasts.
    @ivar links: how many names the inode has; not compared.
    """

    type: FileType
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    inode: int
    links: int = 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stat) and self._compared == other._compared

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._compared)

    @property
    def _compared(self) -> tuple[int, ...]:
        return self.type, self.size, self.mtime_ns, self.ctime_ns, self.mode, self.inode

    def alike(self, other: Stat | None) -> bool:
        """
        Is this the same file with the same content, as far as can be told
        across a rename (which changes the C{ctime})?  Of directories only the
        type and mode count: the rest changes with what is in them.
        """
        if other is None or self.type != other.type:
            return False
        if self.type == FileType.DIRECTORY:
            return self.mode == other.mode
        return (
            self.inode == other.inode
            and self.size == other.size
            and self.mtime_ns == other.mtime_ns
            and self.mode == other.mode
        )

    def matches(self, other: Stat | None) -> bool:
        """L{alike}, and not even the C{ctime} differs (of files and links)."""
        return self.alike(other) and (
            self.type == FileType.DIRECTORY
            or (other is not None and self.ctime_ns == other.ctime_ns)
        )


TYPES = {
    modes.S_IFREG: FileType.FILE,
    modes.S_IFDIR: FileType.DIRECTORY,
    modes.S_IFLNK: FileType.SYMLINK,
}
"""By what C{S_IFMT} leaves of a mode; all others are L{FileType.OTHER}."""

_FORMAT = 0o170000
"""C{S_IFMT}: calling it for each file is a tenth of looking at it."""


class Folder:
    """
    The root of a box, held by a descriptor.

    @param capabilities: what its file system can hold, if that is known; by
        default it is probed.
    @ivar root: its path as given.
    @ivar root_fd: the descriptor.
    @raise BoxError: (from the constructor) if it is no directory that can be
        opened.
    """

    root: bytes
    root_fd: int

    def __init__(
        self, root: bytes | str, capabilities: Capabilities | None = None
    ) -> None:
        self.root = os.fsencode(root)
        try:
            # The root itself may be a link: the user named it.
            self.root_fd = os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)
        except OSError as error:
            raise BoxError(
                f"The folder {os.fsdecode(self.root)} cannot be opened: "
                f"{os.strerror(error.errno or 0)}."
            ) from None
        self._device = os.fstat(self.root_fd).st_dev
        self._numbered = type_of(self.root_fd) not in _UNNUMBERED
        self._openat2 = _has_openat2(self.root_fd)
        self._capabilities = capabilities

    def close(self) -> None:
        """Give up the descriptor.  Idempotent."""
        if self.root_fd >= 0:
            os.close(self.root_fd)
            self.root_fd = -1

    def in_place(self) -> bool:
        """
        Is C{root} still the directory that is held?  False once it was
        unmounted, renamed or replaced, or something else is mounted there.
        """
        try:
            there = os.stat(self.root)
        except OSError:
            return False
        held = os.fstat(self.root_fd)
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    @property
    def beneath(self) -> bool:
        """Is a path opened by L{syscalls.open_beneath}?"""
        return self._openat2

    @property
    def capabilities(self) -> Capabilities:
        """
        Probed at the first use, in C{.flocknode}, which must be there (see
        L{flocknode.box.disk.marker}).

        @raise OSError: if probing fails.
        """
        if self._capabilities is None:
            directory = self.open_directory(PRIVATE)
            try:
                self._capabilities = probe(directory)
            finally:
                os.close(directory)
        return self._capabilities

    def open_directory(self, path: bytes, flags: int = 0) -> int:
        """
        @param path: b"" is the root.
        @param flags: more of C{os.O_*}, as C{O_PATH}.
        @return: a new descriptor, for the caller to close.
        @raise OSError: C{ENOENT}, C{ENOTDIR}, C{ELOOP} (a component is a
            link), C{EXDEV} (on another file system), C{EACCES}, …
        """
        descriptor = self._open(path or b".", _DIRECTORY | flags)
        if os.fstat(descriptor).st_dev != self._device:
            # A btrfs subvolume is no mount, yet nothing can be renamed to it.
            os.close(descriptor)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        return descriptor

    def open(self, path: bytes) -> int:
        """
        Open a regular file for reading.

        @return: a new descriptor, for the caller to close.
        @raise OSError: as L{open_directory}; C{EINVAL} if it is no regular
            file.
        """
        return self.open_file(path)[0]

    def open_file(self, path: bytes) -> tuple[int, os.stat_result]:
        """L{open}, and what C{fstat} says of it."""
        descriptor = self._open(path, _WAITLESS)
        found = os.fstat(descriptor)
        if found.st_mode & _FORMAT != modes.S_IFREG:
            os.close(descriptor)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return descriptor, found

    def lstat(self, path: bytes) -> Stat | None:
        """
        @return: None if nothing is there.
        @raise OSError: if it cannot be told, which is not the same.
        """
        parent, name = split(path)
        try:
            directory = self.open_directory(parent, os.O_PATH)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        try:
            return self.stat_in(directory, name or b".")
        finally:
            os.close(directory)

    def stat_in(self, directory: int, name: bytes) -> Stat | None:
        """
        L{lstat} of a name in an open directory.

        @raise OSError: if it cannot be told.
        """
        try:
            result = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return self.stat_of(result)

    def stat_of(self, result: os.stat_result) -> Stat:
        """What the system's answer means in this box."""
        mode, mtime, ctime = result.st_mode, result.st_mtime_ns, result.st_ctime_ns
        type = TYPES.get(mode & _FORMAT, FileType.OTHER)
        if type is FileType.DIRECTORY and result.st_dev != self._device:
            type = FileType.OTHER
        if not (-_LAST_TIME <= mtime <= _LAST_TIME and -_LAST_TIME <= ctime <= _LAST_TIME):
            mtime, ctime = _bounded(mtime), _bounded(ctime)
        return Stat(
            type,
            result.st_size,
            mtime,
            ctime,
            mode & 0o777,
            result.st_ino if self._numbered else 0,
            result.st_nlink,
        )

    def seen(self, path: bytes, stat: Stat) -> Stat | None:
        """
        What a name that was listed stands for, to whoever reads here.

        @param stat: what the system says of it.
        """
        return stat

    def fstat(self, descriptor: int) -> Stat:
        """Of an open file."""
        return self.stat_of(os.fstat(descriptor))

    def listdir(self, path: bytes) -> list[tuple[bytes, FileType]]:
        """
        The names in a directory, in no order, those L{is_reserved} left out
        at the top.
        """
        directory = self.open_directory(path)
        try:
            with os.scandir(directory) as entries:
                # scandir of a descriptor gives names as str.
                found = [(os.fsencode(entry.name), entry) for entry in entries]
            return [
                (name, self.stat_of(entry.stat(follow_symlinks=False)).type)
                for name, entry in found
                if path or not is_reserved(name)
            ]
        finally:
            os.close(directory)

    def readlink(self, path: bytes) -> bytes:
        """The target of a symbolic link, byte for byte."""
        parent, name = split(path)
        directory = self.open_directory(parent, os.O_PATH)
        try:
            return os.readlink(name, dir_fd=directory)
        finally:
            os.close(directory)

    def _open(self, path: bytes, flags: int) -> int:
        if self._openat2:
            return syscalls.open_beneath(self.root_fd, path, flags)
        return self._walk(path, flags)

    def _walk(self, path: bytes, flags: int) -> int:
        """What L{syscalls.open_beneath} does, in one step per component."""
        *parents, name = path.split(b"/")
        if b"\0" in path:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        if b".." in parents or name == b"..":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        directory = self.root_fd
        try:
            for parent in parents:
                below = os.open(parent, _PASSING, dir_fd=directory)
                if directory != self.root_fd:
                    os.close(directory)
                directory = below
                if os.fstat(directory).st_dev != self._device:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
            return os.open(name, flags, dir_fd=directory)
        finally:
            if directory != self.root_fd:
                os.close(directory)


def _has_openat2(directory: int) -> bool:
    try:
        os.close(syscalls.open_beneath(directory, b".", _DIRECTORY))
    except OSError:
        return False
    return True


def _bounded(time: int) -> int:
    """Nanoseconds since 1970 that 64 bits hold: file systems know times after 2262."""
    return max(-_LAST_TIME, min(time, _LAST_TIME))
