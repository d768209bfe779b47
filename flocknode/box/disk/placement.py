# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The values that placing is made of: what a path shall become, what must be
recorded before, and what came of it.
"""

from __future__ import annotations

import errno
import os
from typing import TypeAlias

import attrs

from flocknode.box.disk.folder import Stat
from flocknode.box.disk.versions import Kept
from flocknode.box.values import Path, Value

_REASONS = {
    errno.ENOSPC: "There is not enough room on the disk: make room.",
    errno.EDQUOT: "The disk quota is used up: make room.",
    errno.EROFS: "The file system is mounted read-only: mount it writable.",
    errno.EACCES: "Permission denied: let this user write to the directory.",
    errno.EPERM: "Not permitted: let this user change the file and its directory.",
    errno.ENOTEMPTY: "The directory is not empty: something in it is not of the box.",
    errno.EXDEV: "Another file system is mounted here: unmount it or make it its own box.",
    errno.ENAMETOOLONG: "The name is too long for this file system.",
    errno.EOPNOTSUPP: "This file system cannot hold it.",
    errno.EIO: "The disk reports an error: check it and its cable.",
    errno.EMFILE: "Too many files are open: raise the limit of open files (ulimit -n).",
    errno.ENFILE: "Too many files are open on this machine: raise fs.file-max.",
}


def reason_for(error: OSError) -> str:
    """What the system said, as a sentence."""
    return _REASONS.get(error.errno or 0, f"{os.strerror(error.errno or 0)}.")


@attrs.frozen
class Placement:
    """
    What a path shall become.

     - a file: C{staged}, or C{source} to rename it on disk, or neither to
       only change mode and mtime of what is there;
     - a symbolic link: C{target} (or neither, to only change its mtime);
     - a directory: made if it is not there, its mode set;
     - deleted: C{value.deleted}.

    @ivar path: whose parent directory is there or in the same batch.
    @ivar size: bytes of the content.
    @ivar staged: L{Staging.name} of the whole, verified content.  It is
        consumed; if several of a batch name the same, it is copied for each.
    @ivar target: where a symbolic link points, byte for byte.
    @ivar expected: what the index says is there; None: nothing.
    @ivar source: a path that has this content and is deleted by the same
        change: it is renamed to C{path}, where C{expected} is None.  The
        outcome then tells of both paths.
    @ivar source_expected: what the index says is at C{source}.
    """

    path: Path
    value: Value
    size: int = 0
    staged: bytes | None = None
    target: bytes | None = None
    expected: Stat | None = None
    source: Path | None = None
    source_expected: Stat | None = None


@attrs.frozen
class Prepared:
    """
    What the caller must commit before anything is moved.

    @ivar stat: of the inode that will be at the path.  At start, a path with
        a stat that is L{alike<Stat.alike>} is adopted as this version.
        None for deletions, attribute changes and directories.
    @ivar keep: the name under which what is replaced or deleted will lie in
        the version store; None if nothing will.  Until the exchange, the new
        content may lie there.
    """

    placement: Placement
    stat: Stat | None
    keep: bytes | None


@attrs.frozen
class Placed:
    """
    The path is what it shall be.

    @ivar stat: as read back (C{disk_*} of the index); None: deleted.
    @ivar kept: what was replaced or deleted.  Look at it again after 2 s
        (L{VersionStore.changed}).
    @ivar recheck: its times were set in place, which hides a write of the
        very same instant: hash the file once more.
    """

    path: Path
    stat: Stat | None
    kept: Kept | None = None
    recheck: bool = False


@attrs.frozen
class Surprise:
    """
    The path is what it shall be, but what came out is not what was expected:
    a change of the last instant, which now exists in the version store only.

    @ivar stat: as in L{Placed}.
    @ivar kept: the change; make it a local version whose parent is what was
        placed before.
    """

    path: Path
    stat: Stat | None
    kept: Kept


@attrs.frozen
class Occupied:
    """
    Nothing was done: the path is not what was expected.

    @ivar path: the path to look at again (of a rename, maybe its source).
    @ivar stat: what is there; None: nothing.
    """

    path: Path
    stat: Stat | None


@attrs.frozen
class Failed:
    """
    Nothing was done: the system refused.  The staged content is still there.

    @ivar reason: one sentence.
    @ivar errno: C{ENOTEMPTY} for a directory that still has something in it;
        C{ENOSPC}, C{EACCES}, C{ENOENT} (its parent is gone), …
    """

    path: Path
    reason: str
    errno: int

    @classmethod
    def because(cls, path: Path, error: OSError) -> Failed:
        """What the system said."""
        return cls(path, reason_for(error), error.errno or 0)


Outcome: TypeAlias = Placed | Surprise | Occupied | Failed
