# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How a L{Row} and a L{Stat} lie in the columns of the index.
"""

from __future__ import annotations

from typing import Any

from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.index.damage import Damaged
from flocknode.box.index.rows import Placed, Row, joined, pack_history, unpack_history
from flocknode.box.merge.history import is_alive
from flocknode.box.paths import split
from flocknode.box.values import Kind, Value, VersionId

Disk = tuple[int, int, int, int, int, int]
"""type, size, mtime, ctime, mode and inode of a L{Stat}, as stored."""


ROW = (
    "parent, name, number, history, alive, complete, pending, placed_id, placed_kind,"
    " placed_mode, placed_mtime, content, placed_size, disk_type, disk_size,"
    " disk_mtime, disk_ctime, disk_mode, disk_inode, local, shown"
)
"""The columns of a row, in the order of L{to_columns}."""

DISK = "disk_type, disk_size, disk_mtime, disk_ctime, disk_mode, disk_inode"
"""Those of a L{Disk}."""

_TOMBSTONE = -1
_TYPES = tuple(FileType)
_KINDS = tuple(Kind)


_NONE = type(None)
_HELD = tuple(
    (bytes, int, int, int, content, int, *disk)
    for content in (bytes, _NONE)
    for disk in ((int,) * 6, (_NONE,) * 6)
)
_SHAPES = frozenset(
    (bytes, bytes, int, bytes, int, int, int, *held, int, bytes)
    for held in (*_HELD, (_NONE,) * 12)
)
# The types that a row's columns can have together.


def signed(number: int) -> int:
    """A number of 64 bits as SQLite stores it."""
    return number - (1 << 64) if number >= 1 << 63 else number


def unsigned(number: int) -> int:
    """The reverse of L{signed}."""
    return number + (1 << 64) if number < 0 else number


def disk_tuple(stat: Stat) -> Disk:
    """What of a L{Stat} is stored, as it is stored."""
    return (
        int(stat.type),
        stat.size,
        stat.mtime_ns,
        stat.ctime_ns,
        stat.mode,
        signed(stat.inode),
    )


def disk_stat(disk: Disk) -> Stat:
    """The reverse of L{disk_tuple}."""
    type, size, mtime, ctime, mode, inode = disk
    return Stat(_TYPES[type], size, mtime, ctime, mode, unsigned(inode))


def to_columns(row: Row) -> tuple[Any, ...]:
    """A row as it is stored."""
    parent, name = split(row.path)
    placed = row.placed
    disk: tuple[int | None, ...] = (None,) * 6
    if placed is None:
        held: tuple[Any, ...] = (None,) * 6
    else:
        value = placed.value
        kind = _TOMBSTONE if value.deleted else int(value.kind)
        content = value.content or None
        held = (placed.id, kind, value.mode, value.mtime_ns, content, placed.size)
        if placed.disk is not None:
            disk = disk_tuple(placed.disk)
    return (
        parent,
        name,
        row.number,
        pack_history(row.history),
        is_alive(row.history),
        row.complete,
        row.pending,
        *held,
        *disk,
        row.local,
        row.shown,
    )


def from_columns(columns: tuple[Any, ...]) -> Row:
    """
    The reverse of L{to_columns}.

    @raise Damaged: that is not what it can have returned.
    """
    if tuple(map(type, columns)) not in _SHAPES:
        raise Damaged("The index is damaged: a row is not as it was written.")
    try:
        return _row(columns)
    except (ValueError, TypeError, IndexError) as error:
        raise Damaged("The index is damaged: a row cannot be read.") from error


def _row(columns: tuple[Any, ...]) -> Row:
    parent, name, number, history, _, complete, _, id, kind, mode, mtime = columns[:11]
    content, size = columns[11:13]
    local, shown = columns[19:]
    placed = None
    if id is not None:
        deleted = kind == _TOMBSTONE
        value = Value(
            deleted, Kind.FILE if deleted else _KINDS[kind], mode, mtime, content or b""
        )
        disk = None if columns[13] is None else disk_stat(columns[13:19])
        placed = Placed(VersionId(id), value, size, disk)
    return Row(
        joined(parent, name),
        number,
        unpack_history(history),
        bool(complete),
        placed,
        bool(local),
        shown,
    )
