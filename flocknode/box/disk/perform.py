# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The third step of placing: one placement after another is done, each by a
rename that cannot lose anything, and looked at afterwards.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from flocknode.box.disk import attributes, syscalls
from flocknode.box.disk.directories import Directories
from flocknode.box.disk.folder import FileType, Folder, Stat
from flocknode.box.disk.placement import (
    Failed,
    Occupied,
    Outcome,
    Placed,
    Placement,
    Prepared,
    Surprise,
)
from flocknode.box.disk.prepare import Inode
from flocknode.box.disk.replace import Careful, Exchange, Replaced
from flocknode.box.disk.spot import Spot
from flocknode.box.disk.staging import Staging
from flocknode.box.disk.versions import VersionStore
from flocknode.box.values import Kind, Path

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))

_FULL = frozenset((errno.ENOTEMPTY, errno.EEXIST))
"""What C{rmdir} says of a directory with something in it."""


def no_step(step: str, path: Path) -> None:
    """The default of L{Placer}: nobody follows its steps."""


class Actor:
    """
    Does the placements of one batch.

    @param directories: the batch's.
    @param step: see L{Placer}.
    """

    def __init__(
        self,
        folder: Folder,
        staging: Staging,
        versions: VersionStore,
        directories: Directories,
        step: Callable[[str, Path], None] = no_step,
    ) -> None:
        self._folder = folder
        self._staging = staging
        self._versions = versions
        self._directories = directories
        self._step = step
        way = Exchange if folder.capabilities.exchange else Careful
        self._replacing = way(folder, staging, versions, step)

    def act(self, prepared: Prepared, inode: Inode | None) -> Outcome:
        """
        Do one placement.

        @param inode: what goes to the path, if it is a new file or link.
        """
        placement = prepared.placement
        path = placement.path
        try:
            directory, name = self._directories.parent(path)
        except OSError as error:
            if placement.value.deleted and error.errno in _GONE:
                return Placed(path, None)
            return Failed.because(path, error)
        spot = Spot(self._folder, path, directory, name)
        try:
            outcome = self._dispatch(spot, prepared, inode)
        except OSError as error:
            return Failed.because(path, error)
        finally:
            os.close(directory)
        self._directories.touched(path)
        return outcome

    def _dispatch(self, spot: Spot, prepared: Prepared, inode: Inode | None) -> Outcome:
        placement, value = prepared.placement, prepared.placement.value
        if placement.source is not None:
            return self._rename(spot, placement, placement.source)
        current = spot.stat()
        if value.deleted and current is None:
            return Placed(spot.path, None)
        expected = placement.expected
        if expected is None or current is None:
            if expected is not None or current is not None:
                return Occupied(spot.path, current)
            return self._create(spot, placement, inode)
        if not expected.matches(current) or expected.type is FileType.OTHER:
            return Occupied(spot.path, current)
        if value.deleted:
            return self._delete(spot, prepared, expected)
        if value.kind is Kind.DIRECTORY and expected.type is FileType.DIRECTORY:
            self._set_directory_mode(spot.path, value.mode)
            return Placed(spot.path, current)
        if value.kind is not Kind.DIRECTORY and inode is None:
            return attributes.change(spot, placement, expected, self._folder.capabilities)
        return self._replace(spot, prepared, expected, inode)

    def _create(self, spot: Spot, placement: Placement, inode: Inode | None) -> Outcome:
        self._step("checked", spot.path)
        try:
            if placement.value.kind is Kind.DIRECTORY:
                # Its owner alone, until everything is in it.
                os.mkdir(spot.name, 0o700, dir_fd=spot.directory)
                self._set_directory_mode(spot.path, placement.value.mode)
            elif inode is None:
                return Occupied(spot.path, None)
            else:
                syscalls.rename_to_new(
                    self._staging.directory, inode.name, spot.directory, spot.name
                )
        except FileExistsError:
            return Occupied(spot.path, spot.stat())
        self._step("exchanged", spot.path)
        return Placed(spot.path, spot.read_back(None if inode is None else inode.stat))

    def _delete(self, spot: Spot, prepared: Prepared, expected: Stat) -> Outcome:
        self._step("checked", spot.path)
        if expected.type is FileType.DIRECTORY:
            try:
                os.rmdir(spot.name, dir_fd=spot.directory)
            except FileNotFoundError:
                return Placed(spot.path, None)
            except OSError as error:
                if error.errno == errno.ENOTDIR:
                    return Occupied(spot.path, spot.stat())
                if error.errno in _FULL:
                    error = OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
                return Failed.because(spot.path, error)
            self._step("exchanged", spot.path)
            return Placed(spot.path, None)
        keep = _keep_of(prepared)
        try:
            self._versions.move_in(spot.name, spot.directory, keep)
        except FileNotFoundError:
            return Placed(spot.path, None)
        self._step("exchanged", spot.path)
        out = self._versions.stat(keep)
        if out is not None and out.type in (FileType.DIRECTORY, FileType.OTHER):
            try:
                syscalls.rename_to_new(
                    self._versions.directory, keep, spot.directory, spot.name
                )
                return Occupied(spot.path, out)
            except FileExistsError:
                return Surprise(spot.path, spot.stat(), self._versions.settle(keep))
        return self._kept(spot.path, None, keep, expected.alike(out))

    def _replace(
        self, spot: Spot, prepared: Prepared, expected: Stat, inode: Inode | None
    ) -> Outcome:
        keep, value = _keep_of(prepared), prepared.placement.value
        if expected.type is FileType.DIRECTORY and not spot.is_empty_directory():
            return Failed.because(spot.path, OSError(errno.ENOTEMPTY, ""))
        replaced = self._replacing.replace(spot, keep, expected, inode)
        if not isinstance(replaced, Replaced):
            return replaced
        if value.kind is Kind.DIRECTORY:
            self._set_directory_mode(spot.path, value.mode)
        if replaced.out is None:
            return Placed(spot.path, replaced.stat)
        return self._kept(spot.path, replaced.stat, keep, replaced.expected)

    def _rename(self, spot: Spot, placement: Placement, source: Path) -> Outcome:
        try:
            directory, name = self._directories.parent(source)
        except OSError as error:
            if error.errno in _GONE:
                return Occupied(source, None)
            raise
        origin = Spot(self._folder, source, directory, name)
        try:
            outcome = self._rename_from(origin, spot, placement)
        finally:
            os.close(directory)
        self._directories.touched(source)
        return outcome

    def _rename_from(self, origin: Spot, spot: Spot, placement: Placement) -> Outcome:
        there, expected = origin.stat(), placement.source_expected
        if expected is None or there is None or not expected.matches(there):
            return Occupied(origin.path, there)
        self._step("checked", spot.path)
        try:
            self._move(origin, spot)
        except FileExistsError:
            return Occupied(spot.path, spot.stat())
        except FileNotFoundError:
            return Occupied(origin.path, origin.stat())
        self._step("exchanged", spot.path)
        moved = spot.stat()
        if moved is None or not expected.alike(moved):
            # Changed in the last instant: it is somebody's new file, and goes
            # back unless there is another by now.
            try:
                syscalls.rename_to_new(
                    spot.directory, spot.name, origin.directory, origin.name
                )
            except (FileExistsError, FileNotFoundError):
                return Occupied(spot.path, spot.stat())
            return Occupied(origin.path, origin.stat())
        return attributes.change(spot, placement, moved, self._folder.capabilities)

    def _move(self, origin: Spot, spot: Spot) -> None:
        capabilities = self._folder.capabilities
        if capabilities.noreplace or not capabilities.hard_links:
            syscalls.rename_to_new(origin.directory, origin.name, spot.directory, spot.name)
            return
        # Linked, it is at both names.  What then leaves the old one goes by
        # way of the store, since it may be something else by now.
        os.link(
            origin.name,
            spot.name,
            src_dir_fd=origin.directory,
            dst_dir_fd=spot.directory,
            follow_symlinks=False,
        )
        keep, store = self._versions.new_name(), self._versions.directory
        os.rename(origin.name, keep, src_dir_fd=origin.directory, dst_dir_fd=store)
        out, linked = self._versions.stat(keep), spot.stat()
        if out is not None and linked is not None and out.inode == linked.inode:
            self._versions.remove(keep)
        else:
            syscalls.rename_to_new(store, keep, origin.directory, origin.name)

    def _kept(self, path: Path, stat: Stat | None, keep: bytes, expected: bool) -> Outcome:
        """What came out lies in the store, and was expected or not."""
        try:
            kept = self._versions.settle(keep)
        except FileNotFoundError:
            return Placed(path, stat)
        return Placed(path, stat, kept) if expected else Surprise(path, stat, kept)

    def _set_directory_mode(self, path: Path, mode: int) -> None:
        if self._folder.capabilities.modes:
            self._directories.set_mode(path, mode & 0o777)


def _keep_of(prepared: Prepared) -> bytes:
    if prepared.keep is None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return prepared.keep
