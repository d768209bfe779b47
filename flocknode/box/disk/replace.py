# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Putting something in the place of something else.

L{Exchange} is for file systems that can exchange two names: the new inode is
in the version store, under the name where the old one is to lie, and the two
swap in one instant.  L{Careful} is for those that cannot: the old inode is
linked (or copied) into the store, looked at again, and then replaced; a file
that somebody renames over it between the look and the replacing is lost.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import attrs

from flocknode.box.disk import syscalls
from flocknode.box.disk.copying import copy_content
from flocknode.box.disk.folder import FileType, Folder, Stat
from flocknode.box.disk.placement import Failed, Occupied, Outcome, Surprise
from flocknode.box.disk.prepare import Inode
from flocknode.box.disk.spot import Spot
from flocknode.box.disk.staging import Staging
from flocknode.box.disk.versions import VersionStore
from flocknode.box.values import Path

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Replaced:
    """
    It was done.

    @ivar stat: of what is at the path now.
    @ivar out: of what was there and now lies in the version store; None if
        nothing does (an empty directory is not kept).
    @ivar expected: that is what was expected.
    """

    stat: Stat | None
    out: Stat | None
    expected: bool


@attrs.frozen
class Exchange:
    """Replacing by C{RENAME_EXCHANGE}."""

    _folder: Folder
    _staging: Staging
    _versions: VersionStore
    _step: Callable[[str, Path], None]

    def replace(
        self, spot: Spot, keep: bytes, expected: Stat, inode: Inode | None
    ) -> Replaced | Outcome:
        """
        @param keep: the name in the version store for what is replaced.
        @param inode: what to put there; None: a directory.
        @return: L{Occupied} or L{Failed} if nothing was done.
        @raise OSError: likewise.
        """
        self._bring(keep, inode)
        self._step("checked", spot.path)
        try:
            self._swap(spot, keep)
        except FileNotFoundError:
            self._take_back(keep, inode)
            return Occupied(spot.path, spot.stat())
        except OSError:
            self._take_back(keep, inode)
            raise
        self._step("exchanged", spot.path)
        stat = spot.read_back(None if inode is None else inode.stat)
        out = self._versions.stat(keep)
        if out is None or out.type in (FileType.FILE, FileType.SYMLINK):
            return Replaced(stat, out, out is None or expected.alike(out))
        if expected.type is FileType.DIRECTORY and self._remove_empty(keep):
            return Replaced(stat, None, True)
        undone = self._undo(spot, keep, inode, out)
        if isinstance(undone, Occupied) and expected.type is out.type:
            return Failed.because(spot.path, OSError(errno.ENOTEMPTY, ""))
        return undone

    def _undo(
        self, spot: Spot, keep: bytes, inode: Inode | None, out: Stat
    ) -> Occupied | Surprise:
        """A directory with something in it, or a device, came out: put it back."""
        try:
            self._swap(spot, keep)
        except FileNotFoundError:
            try:
                syscalls.rename_to_new(
                    self._versions.directory, keep, spot.directory, spot.name
                )
            except FileExistsError:
                return Surprise(spot.path, spot.stat(), self._versions.settle(keep))
            return Occupied(spot.path, out)
        back = self._versions.stat(keep)
        ours = FileType.DIRECTORY if inode is None else inode.stat.type
        if back is not None and (
            back.type is not ours or (inode is not None and not inode.stat.alike(back))
        ):
            # Somebody put yet something else there while it was ours.
            return Surprise(spot.path, spot.stat(), self._versions.settle(keep))
        self._take_back(keep, inode)
        return Occupied(spot.path, out)

    def _bring(self, keep: bytes, inode: Inode | None) -> None:
        if inode is None:
            os.mkdir(keep, 0o700, dir_fd=self._versions.directory)
            return
        os.rename(
            inode.name,
            keep,
            src_dir_fd=self._staging.directory,
            dst_dir_fd=self._versions.directory,
        )

    def _take_back(self, keep: bytes, inode: Inode | None) -> None:
        if inode is None:
            self._remove_empty(keep)
            return
        os.rename(
            keep,
            inode.name,
            src_dir_fd=self._versions.directory,
            dst_dir_fd=self._staging.directory,
        )

    def _swap(self, spot: Spot, keep: bytes) -> None:
        syscalls.rename(
            self._versions.directory, keep, spot.directory, spot.name, syscalls.EXCHANGE
        )

    def _remove_empty(self, keep: bytes) -> bool:
        try:
            os.rmdir(keep, dir_fd=self._versions.directory)
        except OSError:
            return False
        return True


@attrs.frozen
class Careful:
    """Replacing where names cannot be exchanged."""

    _folder: Folder
    _staging: Staging
    _versions: VersionStore
    _step: Callable[[str, Path], None]

    def replace(
        self, spot: Spot, keep: bytes, expected: Stat, inode: Inode | None
    ) -> Replaced | Outcome:
        """As L{Exchange.replace}."""
        if expected.type is FileType.DIRECTORY:
            return self._replace_directory(spot, inode)
        if inode is None:
            return self._replace_by_directory(spot, keep, expected)
        try:
            self._keep(spot, keep, expected)
        except FileNotFoundError:
            return Occupied(spot.path, spot.stat())
        current = spot.stat()
        if not expected.alike(current):
            self._versions.remove(keep)
            return Occupied(spot.path, current)
        self._step("checked", spot.path)
        try:
            os.rename(
                inode.name,
                spot.name,
                src_dir_fd=self._staging.directory,
                dst_dir_fd=spot.directory,
            )
        except OSError:
            self._versions.remove(keep)
            raise
        self._step("exchanged", spot.path)
        out = self._versions.stat(keep)
        # A copy has its own inode, and was compared before.
        linked = self._folder.capabilities.hard_links
        as_expected = not linked or expected.alike(out)
        return Replaced(spot.read_back(inode.stat), out, as_expected)

    def _replace_by_directory(
        self, spot: Spot, keep: bytes, expected: Stat
    ) -> Replaced | Outcome:
        self._step("checked", spot.path)
        try:
            self._versions.move_in(spot.name, spot.directory, keep)
        except FileNotFoundError:
            return Occupied(spot.path, None)
        out = self._versions.stat(keep)
        try:
            os.mkdir(spot.name, 0o700, dir_fd=spot.directory)
        except FileExistsError:
            return Surprise(spot.path, spot.stat(), self._versions.settle(keep))
        self._step("exchanged", spot.path)
        return Replaced(spot.stat(), out, expected.alike(out))

    def _replace_directory(self, spot: Spot, inode: Inode | None) -> Replaced | Outcome:
        if inode is None:
            return Failed.because(spot.path, OSError(errno.EINVAL, ""))
        os.rmdir(spot.name, dir_fd=spot.directory)
        self._step("checked", spot.path)
        try:
            syscalls.rename_to_new(
                self._staging.directory, inode.name, spot.directory, spot.name
            )
        except FileExistsError:
            return Occupied(spot.path, spot.stat())
        self._step("exchanged", spot.path)
        return Replaced(spot.read_back(inode.stat), None, True)

    def _keep(self, spot: Spot, keep: bytes, expected: Stat) -> None:
        """The old content gets a second name in the store, or a copy."""
        if self._folder.capabilities.hard_links:
            os.link(
                spot.name,
                keep,
                src_dir_fd=spot.directory,
                dst_dir_fd=self._versions.directory,
                follow_symlinks=False,
            )
        elif expected.type is FileType.SYMLINK:
            target = os.readlink(spot.name, dir_fd=spot.directory)
            store, time = self._versions.directory, expected.mtime_ns
            os.symlink(target, keep, dir_fd=store)
            os.utime(keep, ns=(time, time), dir_fd=store, follow_symlinks=False)
        else:
            self._copy(spot, keep)

    def _copy(self, spot: Spot, keep: bytes) -> None:
        source = spot.open()
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE
            target = os.open(keep, flags, 0o600, dir_fd=self._versions.directory)
            try:
                like = os.fstat(source)
                copy_content(source, target)
                if self._folder.capabilities.modes:
                    os.fchmod(target, like.st_mode & 0o777)
                os.utime(target, ns=(like.st_atime_ns, like.st_mtime_ns))
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)
