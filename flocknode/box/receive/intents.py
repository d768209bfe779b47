# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The rows of the index's C{placing} table: what is committed before anything is
moved, so that after a crash it is known what every path was to become.
"""

from __future__ import annotations

import attrs
import msgspec

from flocknode.box.disk.folder import Stat
from flocknode.box.disk.placement import Placement, Prepared
from flocknode.box.index.columns import disk_stat, disk_tuple
from flocknode.box.values import Head, Kind, Path, Value, VersionId


@attrs.frozen
class Intent:
    """
    A placement and the version that it makes of its path.

    @ivar head: whose value is placed (but for the mode of a directory that is
        not known yet).
    """

    head: Head
    prepared: Prepared


def pack_intent(intent: Intent) -> bytes:
    """As stored."""
    head, prepared = intent.head, intent.prepared
    placement = prepared.placement
    return msgspec.msgpack.encode(
        (
            (head.id, head.depth, _value(head.value), head.size),
            (
                placement.path,
                _value(placement.value),
                placement.size,
                placement.staged,
                placement.target,
                _stat(placement.expected),
                placement.source,
                _stat(placement.source_expected),
            ),
            _stat(prepared.stat),
            prepared.keep,
        )
    )


def unpack_intent(packed: bytes) -> Intent:
    """The reverse of L{pack_intent}."""
    head, placement, stat, keep = msgspec.msgpack.decode(packed)
    id, depth, value, size = head
    path, target_value, length, staged, target, expected, source, source_expected = placement
    return Intent(
        Head(VersionId(id), depth, _to_value(value), size),
        Prepared(
            Placement(
                Path(path),
                _to_value(target_value),
                length,
                staged,
                target,
                _to_stat(expected),
                None if source is None else Path(source),
                _to_stat(source_expected),
            ),
            _to_stat(stat),
            keep,
        ),
    )


def _value(value: Value) -> tuple[bool, int, int, int, bytes]:
    return value.deleted, int(value.kind), value.mode, value.mtime_ns, value.content


def _to_value(packed: tuple[bool, int, int, int, bytes]) -> Value:
    deleted, kind, mode, mtime_ns, content = packed
    return Value(deleted, Kind(kind), mode, mtime_ns, content)


def _stat(stat: Stat | None) -> tuple[int, ...] | None:
    return None if stat is None else disk_tuple(stat)


def _to_stat(packed: tuple[int, int, int, int, int, int] | None) -> Stat | None:
    return None if packed is None else disk_stat(packed)
