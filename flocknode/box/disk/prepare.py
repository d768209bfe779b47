# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The first step of placing: inodes that are complete and durable, with mode and
mtime set, in the staging directory.  From there they only need to be renamed.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor

import attrs

from flocknode.box.disk.copying import copy_content
from flocknode.box.disk.folder import Folder, Stat
from flocknode.box.disk.placement import Placement
from flocknode.box.disk.staging import Staging
from flocknode.box.values import Kind

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC

_WORTH_A_THREAD = 2
"""From this many on, syncing in threads is one wait for the disk."""


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
        done: list[Inode | OSError | None] = [None] * len(batch)

        def prepare_unit(indexes: list[int]) -> None:
            for index in indexes:
                # The staged file itself goes to the last that needs it.
                done[index] = self._attempt(batch[index], index != indexes[-1])

        left = deque(units.values())

        def prepare_some() -> None:
            while left:
                try:
                    indexes = left.popleft()
                except IndexError:
                    return
                prepare_unit(indexes)

        if len(units) >= _WORTH_A_THREAD:
            # A thread takes one after another: to hand each over costs as much
            # as to prepare it, but for the waiting.
            shares = min(len(units), self._threads)
            waiting = [self._executor.submit(prepare_some) for _ in range(shares)]
            for share in waiting:
                share.result()
        else:
            prepare_some()
        return done

    def drop(self, inode: Inode) -> None:
        """It is not needed: a copy goes, staged content stays."""
        if inode.temporary:
            try:
                os.unlink(inode.name, dir_fd=self._staging.directory)
            except FileNotFoundError:
                return

    def _attempt(self, placement: Placement, copied: bool) -> Inode | OSError:
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

    def _prepare_file(self, placement: Placement, copied: bool) -> Inode:
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
            stat = self._finish(descriptor, placement)
        except (OSError, OverflowError):
            if name != placement.staged:
                os.unlink(name, dir_fd=self._staging.directory)
            raise
        finally:
            os.close(descriptor)
        return Inode(name, stat, copied)

    def _finish(self, descriptor: int, placement: Placement) -> Stat:
        value = placement.value
        if self._folder.capabilities.modes:
            os.fchmod(descriptor, value.mode & 0o777)
        os.utime(descriptor, ns=(value.mtime_ns, value.mtime_ns))
        os.fsync(descriptor)
        return self._folder.fstat(descriptor)

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
