# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
From what was seen on disk to the value that a path has now.  Pure.
"""

from __future__ import annotations

import attrs
import msgspec

from flocknode.box.disk.folder import Capabilities, FileType, Stat
from flocknode.box.index.rows import Placed
from flocknode.box.survey.hashing import Hashed
from flocknode.box.values import TOMBSTONE, Kind, Path, Value

_KINDS = {
    FileType.FILE: Kind.FILE,
    FileType.DIRECTORY: Kind.DIRECTORY,
    FileType.SYMLINK: Kind.SYMLINK,
}
_MODES = {Kind.FILE: 0o644, Kind.DIRECTORY: 0o755, Kind.SYMLINK: 0}
# For what comes from a file system without permission bits.


class Observation(msgspec.Struct, frozen=True, gc=False):
    """
    What a path was seen to be.

    @ivar stat: L{None}: nothing is there.
    @ivar hashed: the content of a file or link; its C{stat} equals C{stat}.
    @ivar doubtful: it may have changed since without showing it.
    """

    path: Path
    stat: Stat | None
    hashed: Hashed | None = None
    doubtful: bool = False


@attrs.frozen
class Sighting:
    """
    A slice of what was seen, in the order in which it must be taken in.

    @ivar again: to be looked at again soon: they changed while they were read.
    @ivar doubtful: to be hashed again later: they changed so shortly before
        that another change may show the same times.
    @ivar problems: why a path could not be read, one sentence each.
    @ivar looked: how many paths were compared for it.
    """

    observations: tuple[Observation, ...] = ()
    again: frozenset[Path] = frozenset()
    doubtful: frozenset[Path] = frozenset()
    problems: tuple[tuple[Path, str], ...] = ()
    looked: int = 0


def observed_value(
    placed: Placed | None, seen: Observation, capabilities: Capabilities
) -> tuple[Value, int]:
    """
    The value that a path has now, and the size of its content.

    What did not change on disk since C{placed} was put there keeps its value
    from C{placed}: a file system that rounds times or has no permission bits
    must not spread that.
    """
    stat = seen.stat
    if stat is None:
        return TOMBSTONE, 0
    kind = _KINDS[stat.type]
    before, disk = _comparable(placed, stat)
    mode = 0
    if kind is not Kind.SYMLINK:
        if before is not None and disk is not None and disk.mode == stat.mode:
            mode = before.mode
        elif capabilities.modes:
            mode = stat.mode
            if kind is Kind.DIRECTORY and mode == 0:
                # That would say "unknown", see IMPLIED, and be opened for all.
                mode = 0o700
        else:
            mode = _MODES[kind] if before is None else before.mode
    if kind is Kind.DIRECTORY:
        return Value(kind=kind, mode=mode), 0
    mtime_ns = stat.mtime_ns
    if before is not None and disk is not None and disk.mtime_ns == stat.mtime_ns:
        mtime_ns = before.mtime_ns
    content, size = (b"", 0) if seen.hashed is None else (seen.hashed.content, seen.hashed.size)
    return Value(kind=kind, mode=mode, mtime_ns=mtime_ns, content=content), size


def _comparable(placed: Placed | None, stat: Stat) -> tuple[Value | None, Stat | None]:
    """What was placed, if it was of the same kind as what is there."""
    if placed is None or placed.disk is None or placed.disk.type != stat.type:
        return None, None
    if placed.value.deleted:
        # A deleted directory that stayed has no mode.
        return None, None
    return placed.value, placed.disk
