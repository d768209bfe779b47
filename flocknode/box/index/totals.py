# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box knows of itself in sums: its digest, how much it holds and needs,
and how much of it every other holder lacks.

All are kept incrementally, from each row's state before and after a change,
so that asking for them costs nothing however large the box is.  Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec
from blake3 import blake3

from flocknode.box.index.rows import Row, shown
from flocknode.box.merge.conflict import MARK, original
from flocknode.box.merge.history import is_alive
from flocknode.box.values import Kind, Path

DIGEST_MODULUS = 1 << 128
"""Digests of entries are added modulo this."""

_LENGTH = struct.Struct(">I")


def row_digest(row: Row) -> int:
    """BLAKE3 over the path, the sorted ids of the heads, and completeness."""
    ids = b"".join([head.id for head in row.history.heads])
    packed = _LENGTH.pack(len(row.path)) + row.path + ids + (b"\1" if row.complete else b"\0")
    return int.from_bytes(blake3(packed).digest(length=16), "big")


def is_conflict_name(path: bytes) -> bool:
    """Whether the last component is the name of a conflict sibling."""
    return MARK in path and original(path.rpartition(b"/")[2]) is not None


class Totals:
    """
    The running sums of one index.

    @ivar digest: the sum of L{row_digest} of all rows that are not deleted:
        tombstones are forgotten here and there at different times.
    @ivar files: files and symlinks that the folder holds; C{size} their bytes.
    @ivar needed: files and symlinks that are still to be placed;
        C{needed_bytes} of them are to be received.
    @ivar complete: the weight of all entries that are complete here.
    @ivar level: by holder key, the weight of those that it shows complete too.
    @ivar conflicts: paths of conflict siblings in the folder.
    @ivar counted: local changes up to this number have been in a round.
    """

    def __init__(self, counted: int = 0) -> None:
        self.digest = self.files = self.size = self.needed = self.needed_bytes = 0
        self.complete = 0
        self.level: dict[int, int] = {}
        self.conflicts: set[Path] = set()
        self.counted = counted
        self._uncounted = 0
        # Of C{complete}, what local changes made that were in no round yet.
        self._uncounted_level: dict[int, int] = {}

    def pack(self) -> bytes:
        """All but C{level}, C{conflicts} and what is counted, to be stored."""
        return msgspec.msgpack.encode(
            (
                self.digest.to_bytes(16, "big"),
                self.files,
                self.size,
                self.needed,
                self.needed_bytes,
                self.complete,
            )
        )

    def unpack(self, packed: bytes) -> None:
        """The reverse of L{pack}."""
        digest, *sums = msgspec.msgpack.decode(packed)
        self.digest = int.from_bytes(digest, "big")
        self.files, self.size, self.needed, self.needed_bytes, self.complete = sums

    def apply(self, old: Row | None, new: Row | None) -> None:
        """A row changed; L{None}: there was, or is, none."""
        if old is not None:
            self._add(old, -1)
        if new is not None:
            self._add(new, 1)

    def _add(self, row: Row, sign: int) -> None:
        head, placed = row.head, row.placed
        if head is None:
            return
        if is_alive(row.history):
            self.digest = (self.digest + sign * row_digest(row)) % DIGEST_MODULUS
        if (
            placed is not None
            and not placed.value.deleted
            and placed.value.kind is not Kind.DIRECTORY
        ):
            self.files += sign
            self.size += sign * placed.size
            if is_conflict_name(row.path):
                if sign > 0:
                    self.conflicts.add(row.path)
                else:
                    self.conflicts.discard(row.path)
        if row.pending and not head.value.deleted and head.value.kind is not Kind.DIRECTORY:
            self.needed += sign
            if not row.complete:
                self.needed_bytes += sign * head.size
        if not row.complete:
            return
        weight, uncounted = sign * row.weight, self._is_uncounted(row)
        self.complete += weight
        if uncounted:
            self._uncounted += weight
        for key in _holders_level(row):
            self.level[key] = self.level.get(key, 0) + weight
            if uncounted:
                self._uncounted_level[key] = self._uncounted_level.get(key, 0) + weight

    def _is_uncounted(self, row: Row) -> bool:
        return row.local and row.number > self.counted

    def count(self, to: int, rows: Iterable[Row]) -> None:
        """
        Local changes up to the number C{to} are in a round now.

        @param rows: the local ones after L{counted}, up to C{to}.
        """
        for row in rows:
            if row.complete:
                self._uncounted -= row.weight
                for key in _holders_level(row):
                    # A holder may have been forgotten meanwhile.
                    if key in self._uncounted_level:
                        self._uncounted_level[key] -= row.weight
        self.counted = to

    def forget_holder(self, key: int) -> None:
        """That holder has another index now, of which nothing is known."""
        self.level.pop(key, None)
        self._uncounted_level.pop(key, None)

    def lacking(self, key: int | None) -> int:
        """
        Bytes that are complete here and that the holder does not show
        complete, without local changes that were in no round yet.

        @param key: of the holder; L{None}: it has not shown anything.
        """
        total = self.complete - self._uncounted
        if key is None:
            return total
        return total - (self.level.get(key, 0) - self._uncounted_level.get(key, 0))


def _holders_level(row: Row) -> Iterable[int]:
    """The keys of the holders that show a complete row as it is here."""
    if not row.shown or len(row.history.heads) != 1:
        return ()
    id = row.history.heads[0].id
    return [
        key
        for key, (version, complete) in shown(row.shown).items()
        if complete and version == id
    ]
