# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
After a crash in the middle of a batch: what became of each placement that was
recorded and never finished.  Nothing else may have touched the index since.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from flocknode.box.disk import syscalls
from flocknode.box.disk.folder import FileType, Folder, Stat, split
from flocknode.box.disk.placement import Occupied, Outcome, Placed, Placement, Prepared, Surprise
from flocknode.box.disk.staging import Staging
from flocknode.box.disk.versions import VersionStore
from flocknode.box.values import Kind, Path

_UNFINISHED = 0o700
"""The mode that a new directory has until its batch ends."""


def recover(
    folder: Folder,
    staging: Staging,
    versions: VersionStore,
    rows: Sequence[Prepared],
) -> list[Outcome]:
    """
    See L{flocknode.box.disk.placer.Placer.recover}.
    """
    return [_recover_one(folder, staging, versions, row) for row in rows]


def _recover_one(
    folder: Folder, staging: Staging, versions: VersionStore, row: Prepared
) -> Outcome:
    placement = row.placement
    path, expected = placement.path, placement.expected
    there = folder.lstat(path)
    arrived = _arrived(folder, row, there)
    out = None if row.keep is None else versions.stat(row.keep)
    if row.keep is None or out is None:
        if arrived and there is not None and placement.source is not None:
            _leave_source(folder, versions, placement.source, there)
        there = folder.lstat(path)
        if arrived:
            return Placed(path, there, recheck=_is_change(row))
        if (
            placement.source is None
            and row.stat is not None
            and there is not None
            and (there.type, there.inode) == (row.stat.type, row.stat.inode)
        ):
            # It got there, and was changed since by somebody who saw it.
            return Placed(path, row.stat)
        return Occupied(path, there)
    if row.stat is not None and row.stat.alike(out):
        # New content on its way: it did not get there.
        if placement.staged is None:
            versions.remove(row.keep)
        else:
            _back_to_staging(staging, versions, row.keep, placement.staged)
        return Occupied(path, there)
    if expected is not None and expected.type is not FileType.DIRECTORY and expected.alike(there):
        # Still there: what is in the store is its second name, or its copy.
        versions.remove(row.keep)
        return Occupied(path, folder.lstat(path))
    if out.type is FileType.DIRECTORY:
        # An empty directory that was replaced, or is to replace something.
        versions.remove(row.keep)
        return Placed(path, folder.lstat(path)) if arrived else Occupied(path, there)
    # It was done; if the path is something else by now, it was changed since.
    stat = folder.lstat(path) if arrived else row.stat
    if stat is None and not placement.value.deleted:
        return Occupied(path, there)
    kept = versions.settle(row.keep)
    if expected is not None and _is_expected(folder, expected, out):
        return Placed(path, stat, kept)
    return Surprise(path, stat, kept)


def _leave_source(folder: Folder, versions: VersionStore, source: Path, moved: Stat) -> None:
    """
    Where a rename is a link and a removal, the first may have been done and
    not the second: what has both names shall have one.
    """
    left = folder.lstat(source)
    if left is None or left.type is not FileType.FILE or left.inode != moved.inode:
        return
    parent, name = split(source)
    directory = folder.open_directory(parent)
    try:
        keep = versions.new_name()
        # By way of the store, since it may be something else by now.
        os.rename(name, keep, src_dir_fd=directory, dst_dir_fd=versions.directory)
        out = versions.stat(keep)
        if out is not None and out.inode == moved.inode:
            versions.remove(keep)
        else:
            syscalls.rename_to_new(versions.directory, keep, directory, name)
        os.fsync(directory)
    except PermissionError:
        # Then it comes back as a file of its own, and nothing is lost.
        return
    finally:
        os.close(directory)


def _is_expected(folder: Folder, expected: Stat, out: Stat) -> bool:
    """Is what lies in the store what was to be replaced, or its copy?"""
    if not folder.capabilities.hard_links:
        out = replace(out, inode=expected.inode)
    return expected.alike(out)


def _arrived(folder: Folder, row: Prepared, there: Stat | None) -> bool:
    """Is the path what it should become?"""
    placement = row.placement
    value, expected = placement.value, placement.expected
    if value.deleted or there is None:
        return value.deleted and there is None
    if value.kind is Kind.DIRECTORY:
        return there.type is FileType.DIRECTORY and _has_mode(folder, placement, there)
    if row.stat is not None:
        return row.stat.alike(there)
    return (
        expected is not None
        and expected.inode == there.inode
        and expected.size == there.size
        and value.mtime_ns == there.mtime_ns
        and (value.mode == there.mode or value.kind is Kind.SYMLINK)
    )


def _has_mode(folder: Folder, placement: Placement, there: Stat) -> bool:
    """Finishes a new directory whose mode was not yet set."""
    mode, expected = placement.value.mode & 0o777, placement.expected
    if there.mode == mode or not folder.capabilities.modes:
        return True
    is_new = expected is None or expected.type is not FileType.DIRECTORY
    if not is_new or there.mode != _UNFINISHED:
        return False
    descriptor = folder.open_directory(placement.path)
    try:
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _is_change(row: Prepared) -> bool:
    """Were mode or mtime changed in place?"""
    value = row.placement.value
    return row.stat is None and not value.deleted and value.kind is Kind.FILE


def _back_to_staging(
    staging: Staging, versions: VersionStore, keep: bytes, staged: bytes
) -> None:
    os.rename(
        keep, staged, src_dir_fd=versions.directory, dst_dir_fd=staging.directory
    )
