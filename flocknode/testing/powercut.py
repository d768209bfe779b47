# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A disk whose power fails: all that happens below a directory is recorded, ends
at the operation that one asks for, and can then be taken back as far as a real
file system may after a power loss::

    disk = PowerCut(root, yard, stop=17)
    with disk.on():
        ...                        # raises Off at the 17th operation
    disk.crash(names=disk.durable, data="dropped")

What is assumed of a file system is what the common ones promise (ext4, XFS,
Btrfs), and no more:

 - Names change in order: what survives of creations, renames and removals is a
   beginning of what was done.  Syncing a directory makes all durable up to the
   last change in it; syncing a file promises nothing about its name.
 - Of a file, content, size, mode and times survive as of its last sync; what
   came later survives, or does not, or its size does and not its bytes.

Real system calls are made, so inodes are the same after the crash; what is
removed only moves to the yard.  For tests of whatever must survive a crash;
other processes, and other threads that work elsewhere, are not disturbed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat as modes
from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any

import attrs

from flocknode.box.disk import syscalls
from flocknode.testing.inodes import (
    REAL,
    Data,
    Synced,
    exists,
    has_something,
    is_directory,
    read,
    restore,
)

_real_rename2 = syscalls.rename

_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Off(BaseException):
    """The machine is off: raised by whatever would change the disk."""


@attrs.frozen
class _Change:
    """
    @ivar directories: inodes of those whose names changed.
    @ivar undo: takes it back, after all later ones were taken back.
    """

    directories: frozenset[int]
    undo: Callable[[], object]


class PowerCut:
    """
    The part of a disk below one directory.

    @param root: absolute; as it is now, all of it is durable.
    @param yard: a directory on the same file system, not below C{root}, for
        what is removed; made if it is not there.
    @param stop: the operation (from 1) that is not done any more, nor any
        later one; L{None}: they are only recorded.
    @ivar done: operations that changed or synced something, so far.
    @ivar off: the power has failed.  L{Off} may have got lost in a thread.
    @ivar durable: how many changes of names would survive for sure.
    """

    def __init__(self, root: bytes, yard: bytes, stop: int | None = None) -> None:
        self.done = 0
        self.durable = 0
        self._stop = stop
        self.off = False
        self._root = os.path.realpath(root)
        os.makedirs(yard, exist_ok=True)
        self._yard = REAL["open"](yard, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._changes: list[_Change] = []
        self._unsynced: dict[int, Synced] = {}
        self._handles: list[int] = [self._yard]
        self._lock = RLock()

    @property
    def changes(self) -> int:
        """How many changes of names there were."""
        return len(self._changes)

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Record within; for one disk at a time in a process."""
        functions: dict[str, Any] = {
            "open": self._open, "rename": self._rename, "link": self._link,
            "unlink": self._unlink, "mkdir": self._mkdir, "rmdir": self._rmdir,
            "symlink": self._symlink, "fsync": self._fsync, "fdatasync": self._fsync,
            "pwrite": self._writing("pwrite"), "write": self._writing("write"),
            "ftruncate": self._writing("ftruncate"), "copy_file_range": self._copy,
            "fchmod": self._fchmod, "chmod": self._chmod, "utime": self._utime,
        }  # fmt: skip
        for name, function in functions.items():
            setattr(os, name, function)
        syscalls.rename = self._rename2
        try:
            yield
        finally:
            for name, function in REAL.items():
                setattr(os, name, function)
            syscalls.rename = _real_rename2

    def crash(self, names: int, data: Data) -> None:
        """
        Make of the disk what may be found after the power failed.

        @param names: how many of the L{changes} survive; not less than
            L{durable}.
        """
        if names < self.durable:
            raise ValueError("what is durable survives")
        self.off = True
        for change in reversed(self._changes[names:]):
            change.undo()
        del self._changes[names:]
        for synced in self._unsynced.values():
            if data != "kept":
                restore(synced, torn=data == "torn")
        self._unsynced.clear()

    def close(self) -> None:
        """Give up all descriptors.  Idempotent."""
        for handle in self._handles:
            os.close(handle)
        self._handles.clear()

    # What is recorded

    def _step(self) -> None:
        """Before each operation."""
        if self._stop is not None and self.done + 1 >= self._stop:
            self.off = True
        if self.off:
            raise Off
        self.done += 1

    def _is_ours(self, path: bytes) -> bool:
        return path == self._root or path.startswith(self._root + b"/")

    def _held(self, descriptor: int) -> bool:
        """Is what is open below the root?"""
        return self._is_ours(os.readlink(b"/proc/self/fd/%d" % descriptor))

    def _at(self, name: bytes | str, dir_fd: int | None) -> tuple[int, bytes] | None:
        """
        @return: a descriptor of its own of the directory and the name in it;
            L{None}: it is elsewhere.
        """
        directory, last = os.path.split(os.fsencode(name))
        try:
            held: int = REAL["open"](
                directory or b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd
            )
        except OSError:
            return None
        if not self._held(held):
            os.close(held)
            return None
        self._handles.append(held)
        return held, last

    def _changed(self, undo: Callable[[], object], *directories: int) -> None:
        inodes = frozenset(os.fstat(directory).st_ino for directory in directories)
        self._changes.append(_Change(inodes, undo))

    def _to_yard(self, directory: int, name: bytes) -> Callable[[], object]:
        """@return: what brings it back."""
        away = os.urandom(8).hex().encode("ascii")
        move = REAL["rename"]
        move(name, away, src_dir_fd=directory, dst_dir_fd=self._yard)
        return lambda: move(away, name, src_dir_fd=self._yard, dst_dir_fd=directory)

    def _remove(self, directory: int, name: bytes) -> Callable[[], object]:
        """@return: what brings it back."""
        stat = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.st_nlink < 2 or modes.S_ISDIR(stat.st_mode):
            return self._to_yard(directory, name)
        # Whoever counts its other names must not count one in the yard.
        held = self._hold(REAL["open"](name, _HOLD, dir_fd=directory))
        REAL["unlink"](name, dir_fd=directory)
        return lambda: REAL["link"](
            b"/proc/self/fd/%d" % held, name, dst_dir_fd=directory, follow_symlinks=True
        )

    def _hold(self, descriptor: int) -> int:
        self._handles.append(descriptor)
        return descriptor

    def _dirty(self, descriptor: int) -> None:
        """Remember the inode as it is, unless it is different from its last sync already."""
        stat = os.fstat(descriptor)
        if stat.st_ino in self._unsynced or modes.S_ISLNK(stat.st_mode):
            return
        handle = self._hold(os.dup(descriptor))
        content = read(handle) if modes.S_ISREG(stat.st_mode) else None
        self._unsynced[stat.st_ino] = Synced(
            handle, content, stat.st_mode & 0o7777, stat.st_mtime_ns
        )

    # The system calls

    def _open(
        self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        real = REAL["open"]
        spot = self._at(path, dir_fd) if flags & (os.O_CREAT | os.O_TRUNC) else None
        if spot is None:
            opened: int = real(path, flags, mode, dir_fd=dir_fd)
            return opened
        with self._lock:
            directory, name = spot
            there = exists(directory, name)
            if there and not flags & os.O_TRUNC:
                descriptor: int = real(name, flags, mode, dir_fd=directory)
                return descriptor
            self._step()
            descriptor = real(name, flags & ~os.O_TRUNC, mode, dir_fd=directory)
            if not there:
                self._changed(lambda: self._to_yard(directory, name), directory)
            self._dirty(descriptor)
            REAL["ftruncate"](descriptor, 0)
            return descriptor

    def _rename(
        self,
        source: Any,
        target: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
    ) -> None:
        old, new = self._at(source, src_dir_fd), self._at(target, dst_dir_fd)
        if old is None or new is None:
            REAL["rename"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        with self._lock:
            self._step()
            back: Callable[[], object] = _nothing
            moved = os.stat(old[1], dir_fd=old[0], follow_symlinks=False)
            if exists(*new):
                there = os.stat(new[1], dir_fd=new[0], follow_symlinks=False)
                if there.st_ino == moved.st_ino:
                    return
                if modes.S_ISDIR(there.st_mode) or modes.S_ISDIR(moved.st_mode):
                    raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), new[1])
                back = self._remove(*new)
            REAL["rename"](old[1], new[1], src_dir_fd=old[0], dst_dir_fd=new[0])

            def undo() -> None:
                REAL["rename"](new[1], old[1], src_dir_fd=new[0], dst_dir_fd=old[0])
                back()

            self._changed(undo, old[0], new[0])

    def _rename2(
        self, source_fd: int, source: bytes, target_fd: int, target: bytes, flags: int
    ) -> None:
        old, new = self._at(source, source_fd), self._at(target, target_fd)
        if old is None or new is None:
            return _real_rename2(source_fd, source, target_fd, target, flags)
        with self._lock:
            self._step()
            _real_rename2(old[0], old[1], new[0], new[1], flags)
            self._changed(
                lambda: _real_rename2(new[0], new[1], old[0], old[1], flags), old[0], new[0]
            )

    def _link(
        self,
        source: Any,
        target: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        new = self._at(target, dst_dir_fd)
        with self._lock:
            if new is not None:
                self._step()
            REAL["link"](
                source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd,
                follow_symlinks=follow_symlinks,
            )  # fmt: skip
            if new is not None:
                directory, name = new
                self._changed(lambda: REAL["unlink"](name, dir_fd=directory), directory)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        spot = self._at(path, dir_fd)
        if spot is None or not exists(*spot) or is_directory(*spot):
            REAL["unlink"](path, dir_fd=dir_fd)
            return
        with self._lock:
            self._step()
            self._changed(self._remove(*spot), spot[0])

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._make(path, dir_fd, lambda: REAL["mkdir"](path, mode, dir_fd=dir_fd))

    def _symlink(self, target: Any, path: Any, *, dir_fd: int | None = None) -> None:
        self._make(path, dir_fd, lambda: REAL["symlink"](target, path, dir_fd=dir_fd))

    def _make(self, path: Any, dir_fd: int | None, make: Callable[[], object]) -> None:
        spot = self._at(path, dir_fd)
        with self._lock:
            if spot is not None and not exists(*spot):
                self._step()
            make()
            if spot is not None:
                directory, name = spot
                self._changed(lambda: self._to_yard(directory, name), directory)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        spot = self._at(path, dir_fd)
        if spot is None or not is_directory(*spot) or has_something(*spot):
            REAL["rmdir"](path, dir_fd=dir_fd)
            return
        with self._lock:
            self._step()
            self._changed(self._to_yard(*spot), spot[0])

    def _fsync(self, descriptor: int) -> None:
        if not self._held(descriptor):
            REAL["fsync"](descriptor)
            return
        with self._lock:
            self._step()
            inode = os.fstat(descriptor).st_ino
            self._unsynced.pop(inode, None)
            for number in range(len(self._changes), self.durable, -1):
                if inode in self._changes[number - 1].directories:
                    self.durable = number
                    break

    def _writing(self, name: str) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any) -> Any:
            return self._write(descriptor, lambda: REAL[name](descriptor, *arguments))

        return call

    def _copy(self, source: int, target: int, *arguments: Any) -> Any:
        return self._write(
            target, lambda: REAL["copy_file_range"](source, target, *arguments)
        )

    def _fchmod(self, descriptor: int, mode: int) -> None:
        self._write(descriptor, lambda: REAL["fchmod"](descriptor, mode))

    def _write(self, descriptor: int, write: Callable[[], Any]) -> Any:
        if not self._held(descriptor):
            return write()
        with self._lock:
            self._step()
            self._dirty(descriptor)
            return write()

    def _chmod(self, path: Any, mode: int, **named: Any) -> None:
        self._of(path, named, lambda: REAL["chmod"](path, mode, **named))

    def _utime(self, path: Any, *arguments: Any, **named: Any) -> None:
        self._of(path, named, lambda: REAL["utime"](path, *arguments, **named))

    def _of(self, path: Any, named: dict[str, Any], change: Callable[[], Any]) -> None:
        """Mode or times of something that is open, or has a name."""
        if isinstance(path, int):
            self._write(path, change)
            return
        follow = 0 if named.get("follow_symlinks", True) else os.O_NOFOLLOW
        held = REAL["open"](path, os.O_PATH | os.O_CLOEXEC | follow, dir_fd=named.get("dir_fd"))
        try:
            self._write(held, change)
        finally:
            os.close(held)


def _nothing() -> None:
    """There is nothing to bring back."""
