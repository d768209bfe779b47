# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A path as the index of a box keeps it: L{Row}, and how its parts are packed.

A row says three things that must not be mixed up: what is known of the path
anywhere (L{Row.history}), what this folder really holds (L{Row.placed}), and
what each other holder has shown of it (L{Row.shown}).
"""

from __future__ import annotations

import struct

import msgspec

from flocknode.box.disk.folder import Stat
from flocknode.box.merge.history import matches
from flocknode.box.values import Head, History, Kind, Path, Value, VersionId

EMPTY = History()
"""The history of a path that nothing is known of."""

COST = 8192
"""Bytes that an entry counts for besides its content.  Its records take some
hundred on a link; but to put a file in place takes a disk about as long as a
fast link takes to carry so much, and rounds that are over before their files
are placed are followed by more rounds."""

_SHOWN = struct.Struct(">I16s?")
_decode = msgspec.msgpack.Decoder(
    tuple[
        list[tuple[bytes, int, bool, int, int, int, bytes, int]],
        tuple[tuple[VersionId, int], ...],
    ]
)


class Placed(msgspec.Struct, frozen=True, gc=False):
    """
    What this folder holds at a path.

    @ivar id: the version it is.
    @ivar size: bytes of content.
    @ivar disk: what C{lstat} said when that was last made sure of, read back
        after placing; L{None} if nothing is there (a tombstone).
    """

    id: VersionId
    value: Value
    size: int
    disk: Stat | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """
    All that the index knows of one path.

    @ivar number: this box's sequence number of the last change of what is
        announced (history or completeness).
    @ivar complete: the content of the settled head is held here.
    @ivar placed: what this folder holds; L{None} if it never held the path.
    @ivar local: what C{number} stands for is a change made in this folder.
    @ivar shown: packed: which version each other holder has shown, and whether
        complete; see L{shown}.
    """

    path: Path
    number: int = 0
    history: History = EMPTY
    complete: bool = False
    placed: Placed | None = None
    local: bool = False
    shown: bytes = b""

    @property
    def head(self) -> Head | None:
        """The settled head, or L{None} if nothing is known."""
        heads = self.history.heads
        return heads[0] if heads else None

    @property
    def pending(self) -> bool:
        """Whether the folder does not hold the settled head yet."""
        heads, placed = self.history.heads, self.placed
        return bool(heads) and (placed is None or placed.id != heads[0].id)

    @property
    def stays(self) -> bool:
        """
        Whether the folder holds it as deleted and there is a directory all the
        same: for what is ignored in it.
        """
        placed = self.placed
        return placed is not None and placed.value.deleted and placed.disk is not None

    @property
    def weight(self) -> int:
        """Bytes that this entry counts for."""
        heads = self.history.heads
        return heads[0].size + COST if heads else 0


def joined(parent: bytes, name: bytes) -> Path:
    """The path of C{name} in the directory C{parent} (empty: the box itself)."""
    return Path(parent + b"/" + name if parent else name)


def parents(path: bytes) -> list[Path]:
    """The directories above a path, the nearest first, without the box."""
    found = []
    parent, _, _ = path.rpartition(b"/")
    while parent:
        found.append(Path(parent))
        parent, _, _ = parent.rpartition(b"/")
    return found


def needs_content(value: Value, size: int) -> bool:
    """Whether a value has bytes that must come from somewhere."""
    return not value.deleted and value.kind is not Kind.DIRECTORY and size > 0


def is_complete(head: Head | None, placed: Placed | None) -> bool:
    """Whether the folder holds all content of that head."""
    if head is None:
        return False
    if not needs_content(head.value, head.size):
        return True
    return placed is not None and placed.value.content == head.value.content


def pack_history(history: History) -> bytes:
    """A history as stored in the index."""
    return msgspec.msgpack.encode(
        (
            [
                (
                    head.id,
                    head.depth,
                    head.value.deleted,
                    int(head.value.kind),
                    head.value.mode,
                    head.value.mtime_ns,
                    head.value.content,
                    head.size,
                )
                for head in history.heads
            ],
            history.superseded,
        )
    )


_KINDS = tuple(Kind)


def unpack_history(packed: bytes) -> History:
    """
    The reverse of L{pack_history}.

    @raise ValueError: that is nothing that it returns.
    """
    packed_heads, superseded = _decode.decode(packed)
    heads = tuple(
        [
            Head(VersionId(id), depth, Value(deleted, _KINDS[kind], mode, mtime_ns, content), size)
            for id, depth, deleted, kind, mode, mtime_ns, content, size in packed_heads
        ]
    )
    if not all(map(matches, heads)):
        raise ValueError("A version whose id does not speak of its value.")
    return History(heads, superseded)


def shown(packed: bytes) -> dict[int, tuple[VersionId, bool]]:
    """
    What others have shown of a path.

    @return: by the index's number of the holder: (version, complete).
    """
    return {
        holder: (VersionId(version), complete)
        for holder, version, complete in _SHOWN.iter_unpack(packed)
    }


def pack_shown(holders: dict[int, tuple[VersionId, bool]]) -> bytes:
    """The reverse of L{shown}."""
    return b"".join(
        _SHOWN.pack(holder, version, complete)
        for holder, (version, complete) in sorted(holders.items())
    )
