# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The part of a box's index that knows where content is: in the folder, in the
version store, and which blocks it is made of.

What is found here is a hint.  Files change at any time: bytes are hashed
before they are used.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from flocknode.box.content import BlockList
from flocknode.box.index.bulk import insert
from flocknode.box.index.columns import DISK, Disk
from flocknode.box.index.rows import joined
from flocknode.box.values import Hash, Kind, Path

_KEPT = "name, path, content, size, kind, mode, mtime, kept"
_KINDS = tuple(Kind)
_LIST_HEADER = struct.Struct(">IQ")
# Of an encoded block list, see L{flocknode.box.content}.

MOST_LISTS = 1_000
"""Lists that a block is looked for in, at most: some 20 ms."""

MOST_ID = (1 << 63) - 1
"""SQLite's largest row id."""


@attrs.frozen
class KeptRow:
    """Something in the version store; C{kept} is in seconds since the epoch."""

    name: bytes
    path: Path
    content: bytes
    size: int
    kind: Kind
    mode: int
    mtime_ns: int
    kept: float


@attrs.frozen
class FoundBlock:
    """
    A block of a content.

    @ivar position: in the block list, from 0.
    @ivar size: of the whole content; as C{block_size}, in bytes.
    """

    content: Hash
    position: int
    block_size: int
    size: int


class Contents:
    """
    Where content is, by its hash.

    @param database: the connection of an L{flocknode.box.index.database.Index}, whose
        transactions these methods take part in.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def holding(self, content: bytes) -> list[tuple[Path, Disk]]:
        """Where in the folder a content was when last looked at."""
        found = self._db.execute(
            f"SELECT parent, name, {DISK} FROM entry"
            " WHERE content = ? AND disk_type IS NOT NULL",
            (content,),
        )
        return [(joined(row[0], row[1]), row[2:]) for row in found]

    def block_list(self, content: bytes) -> bytes | None:
        """The encoded block list of a content of several blocks."""
        found = self._db.execute(
            "SELECT data FROM blocklist WHERE content = ?", (content,)
        ).fetchone()
        return None if found is None else bytes(found[0])

    def add_block_lists(self, lists: Iterable[tuple[bytes, bytes, BlockList]]) -> None:
        """
        Remember verified block lists; known already is fine.

        @param lists: (content, encoded, decoded).
        """
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM blocklist").fetchone()
        numbered = list(enumerate(lists, last + 1))
        insert(
            self._db,
            "INSERT OR IGNORE INTO blocklist (id, content, data)",
            3,
            ((id, content, data) for id, (content, data, _) in numbered),
        )
        # Without those that were known already.
        found = self._db.execute("SELECT id FROM blocklist WHERE id > ?", (last,))
        new = {id for (id,) in found}
        insert(
            self._db,
            "INSERT OR IGNORE INTO block",
            3,
            (
                (int.from_bytes(hash[:8], "big", signed=True), id, position)
                for id, (_, _, decoded) in numbered
                if id in new
                for position, hash in enumerate(decoded.hashes)
            ),
        )

    def find_block(self, hash: bytes) -> Iterator[FoundBlock]:
        """
        Where a block of a larger content may be: one place in each of the
        lists that have it, the newest first.  Lists outlive their content (see
        L{forget_block_lists}), and one content may hold the same block a
        million times: neither may hide the place where it still is.
        """
        prefix = int.from_bytes(hash[:8], "big", signed=True)
        newest = MOST_ID
        for _ in range(MOST_LISTS):
            # CROSS JOIN: SQLite must begin with the prefix.
            found = self._db.execute(
                "SELECT list, position, content, substr(data, 1, 12)"
                " FROM block CROSS JOIN blocklist ON blocklist.id = block.list"
                " WHERE prefix = ? AND list < ? ORDER BY list DESC LIMIT 1",
                (prefix, newest),
            ).fetchone()
            if found is None:
                return
            newest, position, content, header = found
            yield FoundBlock(Hash(content), position, *_LIST_HEADER.unpack(header))

    def forget_block_lists(self, wanted: Iterable[bytes]) -> None:
        """Remove lists of what is neither held, kept nor in C{wanted}."""
        self._db.execute("CREATE TEMP TABLE keep (content BLOB PRIMARY KEY)")
        self._db.executemany(
            "INSERT OR IGNORE INTO keep VALUES (?)", ((content,) for content in wanted)
        )
        condition = (
            "content NOT IN (SELECT content FROM entry WHERE content IS NOT NULL)"
            " AND content NOT IN (SELECT content FROM version)"
            " AND content NOT IN (SELECT content FROM keep)"
        )
        self._db.execute(
            "DELETE FROM block WHERE list IN"
            f" (SELECT id FROM blocklist WHERE {condition})"
        )
        self._db.execute(f"DELETE FROM blocklist WHERE {condition}")
        self._db.execute("DROP TABLE keep")

    # The version store

    def add_kept(self, kept: Iterable[KeptRow]) -> None:
        """Remember what lies in the version store."""
        self._db.executemany(
            f"INSERT OR REPLACE INTO version ({_KEPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            map(attrs.astuple, kept),
        )

    def kept_with(self, content: bytes) -> list[KeptRow]:
        """Where in the version store a content lies."""
        return self._kept("WHERE content = ?", (content,))

    def kept(self) -> list[KeptRow]:
        """All that lies in the version store, oldest first."""
        return self._kept("ORDER BY kept")

    def kept_at(self, path: bytes) -> list[KeptRow]:
        """What was kept of this path, newest first."""
        return self._kept("WHERE path = ? ORDER BY kept DESC, name DESC", (path,))

    def kept_under(self, path: bytes, limit: int = -1) -> list[KeptRow]:
        """
        What was kept of this path and of all below it (empty: of the box),
        newest first.

        @param limit: so many; -1: all.
        """
        order = "ORDER BY kept DESC, name DESC LIMIT ?"
        if not path:
            return self._kept(order, (limit,))
        return self._kept(
            f"WHERE path = ? OR (path > ? AND path < ?) {order}",
            (path, path + b"/", path + b"0", limit),  # "0" follows "/"
        )

    def kept_oldest(self, limit: int, after: tuple[float, bytes]) -> list[KeptRow]:
        """So many that follow this (C{kept}, C{name}), oldest first."""
        return self._kept(
            "WHERE (kept, name) > (?, ?) ORDER BY kept, name LIMIT ?", (*after, limit)
        )

    def kept_paths(self, limit: int, after: bytes) -> list[Path]:
        """So many paths that something was kept of, following this one."""
        found = self._db.execute(
            "SELECT DISTINCT path FROM version WHERE path > ? ORDER BY path LIMIT ?",
            (after, limit),
        )
        return [Path(path) for (path,) in found]

    def kept_size(self) -> int:
        """Bytes of all that lies in the version store."""
        (size,) = self._db.execute("SELECT sum(size) FROM version").fetchone()
        return size or 0

    def kept_last(self, limit: int) -> list[KeptRow]:
        """Those that were kept last, the newest first."""
        return self._kept("ORDER BY kept DESC LIMIT ?", (limit,))

    def kept_names(self) -> frozenset[bytes]:
        """The names of all of it."""
        return frozenset(name for (name,) in self._db.execute("SELECT name FROM version"))

    def forget_kept(self, names: Iterable[bytes]) -> None:
        """These do not lie there any more."""
        self._db.executemany(
            "DELETE FROM version WHERE name = ?", ((name,) for name in names)
        )

    def _kept(self, condition: str, values: tuple[Any, ...] = ()) -> list[KeptRow]:
        return [
            KeptRow(name, Path(path), content, size, _KINDS[kind], mode, mtime, kept)
            for name, path, content, size, kind, mode, mtime, kept in self._db.execute(
                f"SELECT {_KEPT} FROM version {condition}", values
            )
        ]
