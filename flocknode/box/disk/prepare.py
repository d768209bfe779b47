# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The first step of placing: inodes that are complete and durable, with mode and
mtime set, in the staging directory.  From there they only need to be renamed.

First all are made ready and the system is asked to write them, then each is
synced.  Syncing makes a journaling file system commit all that has happened so
far, and wait for that.  So the first one commits for all of them, and the
others find little to do.  If each were made ready and synced in turn, every one
would be part of another commit.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, wait
from typing import TypeVar

import attrs

from flocknode.box.disk import syscalls
from flocknode.box.disk.copying import copy_content
from flocknode.box.disk.folder import Folder, Stat
from flocknode.box.disk.placement import Placement
from flocknode.box.disk.staging import Staging
from flocknode.box.values import Kind

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC

T = TypeVar("T")

_WORTH_A_THREAD = 2
"""From this many on, syncing in threads is one wait for the disk."""

_AT_ONCE = 128
"""How many files are open between being made ready and being synced."""


@attrs.frozen
class Inode:
    """
    What is ready to be renamed to its path.

    @ivar name: in the staging directory.
    @ivar temporary: it is a copy or a link, made for this placement only.
    """

    name: bytes
    stat: Stat
    temporary: bool


@attrs.frozen
class _Ready:
    """
    A file that only has to be synced.

    @ivar descriptor: of it; closed by L{Preparer.prepare}.
    """

    name: bytes
    descriptor: int
    temporary: bool


def makes_inode(placement: Placement) -> bool:
    """Does a new file or link go to the path?"""
    return (
        not placement.value.deleted
        and placement.value.kind is not Kind.DIRECTORY
        and (placement.staged is not None or placement.target is not None)
    )


class Preparer:
    """
    Prepares the new files and links of batches.

    @param executor: what syncs files, in so many C{threads}.
    """

    def __init__(
        self, folder: Folder, staging: Staging, executor: Executor, threads: int
    ) -> None:
        self._folder = folder
        self._threads = threads
        self._staging = staging
        self._executor = executor

    def prepare(self, batch: Sequence[Placement]) -> list[Inode | OSError | None]:
        """
        @return: for each placement its inode, why there is none, or None if
            it does not need one.
        """
        units: dict[object, list[int]] = {}
        for index, placement in enumerate(batch):
            if makes_inode(placement):
                units.setdefault(placement.staged or index, []).append(index)
        # The staged file itself goes to the last that needs it.
        last = {unit[-1] for unit in units.values()}
        done: list[Inode | OSError | None] = [None] * len(batch)

        def make_ready(unit: list[int]) -> None:
            for index in unit:
                made = self._attempt(batch[index], index not in last)
                if isinstance(made, _Ready):
                    ready.append((index, made))
                else:
                    done[index] = made

        def sync(each: tuple[int, _Ready]) -> None:
            index, file = each
            done[index] = self._sync(file)

        for portion in _portions(units.values()):
            ready: list[tuple[int, _Ready]] = []
            try:
                self._share(portion, make_ready)
                self._share(ready, sync)
            finally:
                for _, file in ready:
                    os.close(file.descriptor)
        return done

    def _share(self, items: Iterable[T], work: Callable[[T], None]) -> None:
        """Do all of this in the threads, and wait for it."""
        left = deque(items)

        def do_some() -> None:
            while left:
                try:
                    item = left.popleft()
                except IndexError:
                    return
                work(item)

        if len(left) < _WORTH_A_THREAD:
            do_some()
            return
        # A thread takes one after another: to hand each over costs as much
        # as to prepare it, but for the waiting.
        shares = min(len(left), self._threads)
        waiting = [self._executor.submit(do_some) for _ in range(shares)]
        wait(waiting)
        for share in waiting:
            share.result()

    def drop(self, inode: Inode) -> None:
        """It is not needed: a copy goes, staged content stays."""
        if inode.temporary:
            self._remove(inode.name)

    def _remove(self, name: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._staging.directory)

    def _attempt(self, placement: Placement, copied: bool) -> Inode | _Ready | OSError:
        try:
            if placement.value.kind is Kind.SYMLINK:
                return self._prepare_link(placement)
            return self._prepare_file(placement, copied)
        except OSError as error:
            return error
        except (OverflowError, ValueError):
            # A time beyond the system's, a NUL in a target.
            return OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def _prepare_link(self, placement: Placement) -> Inode:
        name = self._staging.temporary_name()
        directory = self._staging.directory
        time = placement.value.mtime_ns
        if placement.target is None or not self._folder.capabilities.symlinks:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        os.symlink(placement.target, name, dir_fd=directory)
        try:
            os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)
            stat = self._folder.stat_in(directory, name)
            if stat is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        except (OSError, OverflowError):
            os.unlink(name, dir_fd=directory)
            raise
        return Inode(name, stat, True)

    def _prepare_file(self, placement: Placement, copied: bool) -> _Ready:
        name = placement.staged
        if name is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if not copied:
            self._staging.release(name)
        descriptor = self._open(name, placement.size)
        try:
            if os.fstat(descriptor).st_size != placement.size:
                raise OSError(errno.EINVAL, "the staged content is not whole")
            if copied:
                name, source = self._staging.temporary_name(), descriptor
                descriptor = self._create(name)
                try:
                    copy_content(source, descriptor)
                finally:
                    os.close(source)
            self._set_attributes(descriptor, placement)
            syscalls.begin_writing(descriptor)
        except BaseException:
            os.close(descriptor)
            if name != placement.staged:
                self._remove(name)
            raise
        return _Ready(name, descriptor, copied)

    def _sync(self, file: _Ready) -> Inode | OSError:
        try:
            os.fsync(file.descriptor)
            stat = self._folder.fstat(file.descriptor)
        except OSError as error:
            if file.temporary:
                self._remove(file.name)
            return error
        return Inode(file.name, stat, file.temporary)

    def _set_attributes(self, descriptor: int, placement: Placement) -> None:
        value = placement.value
        if self._folder.capabilities.modes:
            os.fchmod(descriptor, value.mode & 0o777)
        os.utime(descriptor, ns=(value.mtime_ns, value.mtime_ns))

    def _open(self, name: bytes, size: int) -> int:
        directory = self._staging.directory
        try:
            return os.open(name, os.O_RDONLY | _SAFE, dir_fd=directory)
        except PermissionError:
            # Prepared for an unreadable file before, but not placed then.
            os.chmod(name, 0o600, dir_fd=directory)
            return os.open(name, os.O_RDONLY | _SAFE, dir_fd=directory)
        except FileNotFoundError:
            if size:
                raise
            # Empty content has no blocks that could have arrived.
            return self._create(name)

    def _create(self, name: bytes) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE
        return os.open(name, flags, 0o600, dir_fd=self._staging.directory)


def _portions(units: Iterable[list[int]]) -> Iterator[list[list[int]]]:
    """L{_AT_ONCE} of all these at a time, still together by unit."""
    portion: list[list[int]] = []
    room = _AT_ONCE
    for unit in units:
        start = 0
        while start < len(unit):
            some = unit[start : start + room]
            portion.append(some)
            start += len(some)
            room -= len(some)
            if not room:
                yield portion
                portion, room = [], _AT_ONCE
    if portion:
        yield portion
