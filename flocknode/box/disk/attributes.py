# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Changing only mode and modification time of what is at a path.
"""

from __future__ import annotations

import errno
import os

from flocknode.box.disk.capabilities import Capabilities
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.placement import Failed, Occupied, Outcome, Placed, Placement
from flocknode.box.disk.spot import Spot
from flocknode.box.values import Kind

_TYPES = {Kind.FILE: FileType.FILE, Kind.SYMLINK: FileType.SYMLINK}


def change(
    spot: Spot, placement: Placement, expected: Stat, capabilities: Capabilities
) -> Outcome:
    """
    Give what is at C{spot} the mode and mtime of the placement's value.  What
    it has already is not touched; in particular, a write of the last instant
    shows in an mtime that was not to be set.

    @param expected: what is there, as just seen.
    @raise OSError: if the system refuses.
    """
    value = placement.value
    if _TYPES.get(value.kind) is not expected.type:
        return Failed.because(spot.path, OSError(errno.EINVAL, ""))
    if expected.type is FileType.SYMLINK:
        return _change_link(spot, placement, expected)
    retimed = value.mtime_ns != expected.mtime_ns
    remoded = capabilities.modes and value.mode & 0o777 != expected.mode
    if not retimed and not remoded:
        return Placed(spot.path, spot.read_back(expected))
    descriptor = spot.open()
    try:
        found = spot.folder.fstat(descriptor)
        if (found.inode, found.size, found.mtime_ns) != (
            expected.inode,
            expected.size,
            expected.mtime_ns,
        ):
            return Occupied(spot.path, found)
        if remoded:
            os.fchmod(descriptor, value.mode & 0o777)
        if retimed:
            os.utime(descriptor, ns=(value.mtime_ns, value.mtime_ns))
        os.fsync(descriptor)
        stat = spot.folder.fstat(descriptor)
    except OverflowError:
        return Failed.because(spot.path, OSError(errno.EINVAL, ""))
    finally:
        os.close(descriptor)
    if stat.size != expected.size:
        return Occupied(spot.path, stat)
    return Placed(spot.path, stat, recheck=retimed)


def _change_link(spot: Spot, placement: Placement, expected: Stat) -> Outcome:
    time = placement.value.mtime_ns
    if time != expected.mtime_ns:
        try:
            os.utime(
                spot.name, ns=(time, time), dir_fd=spot.directory, follow_symlinks=False
            )
        except OverflowError:
            return Failed.because(spot.path, OSError(errno.EINVAL, ""))
    stat = spot.stat()
    if stat is None or (stat.type, stat.inode) != (expected.type, expected.inode):
        return Occupied(spot.path, stat)
    return Placed(spot.path, stat)
