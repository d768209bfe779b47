# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Paths that nobody has ever heard of: nearly all of a first scan.

What L{flocknode.box.index.draft}, L{flocknode.box.merge.history} and
L{flocknode.box.merge.reconcile} would make of them is known beforehand: each
gets one version without parents, with which nothing has to be joined, settled
or made a directory of.  So the rows are made at once.  It is all or nothing: if
a single path of a slice is known, the slice goes the long way, which comes to
the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from flocknode.box.disk.folder import Capabilities, FileType, Stat
from flocknode.box.index.database import Index
from flocknode.box.index.rows import Placed, Row
from flocknode.box.merge.conflict import MARK
from flocknode.box.merge.history import first_version, is_directory
from flocknode.box.paths import split
from flocknode.box.survey.observe import Observation, observed_value
from flocknode.box.values import Path


def all_new(index: Index, observations: Sequence[Observation]) -> bool:
    """
    Is each of these something that is there now, in a directory that is known
    or among them, and is nothing known of any of them?

    False also if one has the name of a conflict sibling: those are numbered in
    another order.
    """
    paths = {seen.path for seen in observations}
    directories = {
        seen.path for seen in observations if _type_of(seen) is FileType.DIRECTORY
    }
    if len(paths) < len(observations) or not all(map(_is_whole, observations)):
        return False
    above = {Path(split(path)[0]) for path in paths} - directories - {b""}
    return all(_is_known_directory(index, path) for path in above) and not index.knows_any(paths)


def rows_of(
    observations: Sequence[Observation], capabilities: Capabilities, after: int
) -> list[Row]:
    """
    The rows of paths that are L{all_new}, in the order of their numbers:
    directories before what is in them.

    @param after: the highest number given out so far.
    """
    rows = []
    ordered = sorted(observations, key=lambda seen: seen.path)
    for number, seen in enumerate(ordered, after + 1):
        value, size = observed_value(None, seen, capabilities)
        history = first_version(value, size)
        placed = Placed(history.heads[0].id, value, size, trusted_stat(seen))
        rows.append(Row(seen.path, number, history, True, placed, True))
    return rows


def trusted_stat(seen: Observation) -> Stat | None:
    """
    What of this the index may take for what is on disk.  If it is doubtful,
    that is not what is there: whoever compares hashes it again, also after a
    restart.
    """
    stat = seen.stat
    if stat is None or not seen.doubtful:
        return stat
    return replace(stat, ctime_ns=stat.ctime_ns - 1)


def _type_of(seen: Observation) -> FileType | None:
    return None if seen.stat is None else seen.stat.type


def _is_whole(seen: Observation) -> bool:
    """Is all of it known that a version takes, and its name an ordinary one?"""
    if seen.hashed is None and _type_of(seen) is not FileType.DIRECTORY:
        return False
    return seen.path.find(MARK) < 0


def _is_known_directory(index: Index, path: Path) -> bool:
    row = index.row(path)
    return row is not None and all(is_directory(head.value) for head in row.history.heads)
