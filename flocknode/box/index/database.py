# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The index of a box: what is known, held and shown of every path, in SQLite.

A write-ahead log and C{synchronous=FULL}: what L{Index.transaction} has
committed survives a power loss.  L{Index} belongs to one thread at a time;
whoever reads in another thread opens its own with C{reading=True}.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from flocknode.box.disk.folder import FileType
from flocknode.box.index import schema as index_schema
from flocknode.box.index.bulk import insert
from flocknode.box.index.columns import (
    DISK,
    ROW,
    Disk,
    from_columns,
    signed,
    to_columns,
    unsigned,
)
from flocknode.box.index.contents import Contents
from flocknode.box.index.damage import Damaged, hinders_opening, look_for_damage
from flocknode.box.index.memory import Memory
from flocknode.box.index.rows import Row, joined
from flocknode.box.paths import split
from flocknode.box.values import Holder, Path
from flocknode.errors import BoxError


@attrs.frozen
class HolderRow:
    """
    What is known of another holder of the box.

    @ivar key: the index's number for it and its present index.
    @ivar index_id: of its index; 0 if nothing of it is stored.
    @ivar number: stored here up to this number of its.
    @ivar acknowledged: it has stored this index up to here.
    @ivar level: bytes of what is complete here that it shows complete too.
    """

    key: int
    holder: Holder
    index_id: int
    number: int
    acknowledged: int
    level: int


_SAVE = f"INSERT OR REPLACE INTO entry ({ROW})"
_WIDTH = ROW.count(",") + 1
_ANY_CHILD = "SELECT 1 FROM entry WHERE parent = ? LIMIT 1"

_WAL_PAGES = 4000
# 16 MB.  A first scan changes the same pages again and again, since contents
# are in no order; with SQLite's 4 MB they are written to the file as often.

_AT_ONCE = 256
# Names that are asked for in one statement; SQLite takes 999 everywhere.

_HOLDER = "id, holder, index_id, number, acknowledged, level"


class Index:
    """
    The index file of a box.

    @param path: of the file; created with its tables if it is not there.
    @param reading: only to read, beside another L{Index} that writes.
    @param carried: it lies on a medium that comes and goes: see
        L{flocknode.box.carried}.
    @ivar contents: where content is.
    @ivar memory: what may be forgotten.
    @raise Damaged: the file is not (any more) what was written to it, as far as
        can be seen without reading all of it.
    @raise BoxError: the file cannot be opened or is no index.
    """

    def __init__(self, path: str, reading: bool = False, carried: bool = False) -> None:
        try:
            if not reading:
                os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            try:
                self._set_up(reading, carried)
            except BaseException:
                self._db.close()
                raise
        except Damaged:
            raise
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            if hinders_opening(error):
                raise Damaged(f"The index {path} is damaged.") from error
            raise BoxError(
                f"The index {path} cannot be used ({error}); move it away to have"
                " it built anew."
            ) from error

        self.contents = Contents(self._db)
        self.memory = Memory(self._db)

    def _set_up(self, reading: bool, carried: bool) -> None:
        if carried:
            # Whoever had the medium may have put anything into the schema.
            self._db.execute("PRAGMA trusted_schema = OFF")
        self._db.execute(f"PRAGMA journal_mode = {'TRUNCATE' if carried else 'WAL'}")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -8192")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        if reading:
            self._db.execute("PRAGMA query_only = ON")
        else:
            index_schema.prepare(self._db)
            look_for_damage(self._db, index_schema.CREATE)

    def close(self) -> None:
        """Close the file.  Idempotent."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within; durable after it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite may have done so by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """All that is read within is of the same moment, whatever is written."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    # What is kept once

    def meta(self, key: str) -> Any:
        """What L{set_meta} stored, or L{None}."""
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,))
        row = found.fetchone()
        return None if row is None else row[0]

    def set_meta(self, key: str, value: int | bytes) -> None:
        """Store an integer of 64 bits, signed, or bytes."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # Entries

    def row(self, path: bytes) -> Row | None:
        """What is known of a path."""
        found = self._db.execute(
            f"SELECT {ROW} FROM entry WHERE parent = ? AND name = ?", split(path)
        ).fetchone()
        return None if found is None else from_columns(found)

    def known_rows(self, paths: Iterable[Path]) -> Iterator[Row]:
        """L{row} of many paths at once: of those of which anything is known."""
        for parent, wanted in _by_directory(paths).items():
            names = [split(path)[1] for path in wanted]
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                places = ", ".join("?" * len(some))
                yield from self._rows(
                    f"WHERE parent = ? AND name IN ({places})", (parent, *some)
                )

    def knows_any(self, paths: Iterable[Path]) -> bool:
        """Is anything known of any of these?"""
        # Mostly nothing at all is known of a whole directory.
        known = [
            names
            for parent, names in _by_directory(paths).items()
            if self._db.execute(_ANY_CHILD, (parent,)).fetchone()
        ]
        return bool(known) and any(True for _ in self.known_rows(itertools.chain(*known)))

    def save(self, rows: Iterable[Row]) -> None:
        """Insert or replace."""
        insert(self._db, _SAVE, _WIDTH, map(to_columns, rows))

    def save_shown(self, rows: Iterable[Row]) -> None:
        """Of known rows, replace only what others have shown."""
        self._db.executemany(
            "UPDATE entry SET shown = ? WHERE parent = ? AND name = ?",
            ((row.shown, *split(row.path)) for row in rows),
        )

    def forget(self, paths: Iterable[bytes]) -> None:
        """Remove rows, as if nothing had ever been known of those paths."""
        self._db.executemany(
            "DELETE FROM entry WHERE parent = ? AND name = ?", map(split, paths)
        )

    def _rows(self, condition: str, values: tuple[Any, ...] = ()) -> Iterator[Row]:
        for columns in self._db.execute(f"SELECT {ROW} FROM entry {condition}", values):
            yield from_columns(columns)

    def rows(self) -> Iterator[Row]:
        """All of them, in no order."""
        return self._rows("")

    def rows_after(self, number: int) -> Iterator[Row]:
        """Those with a higher number, ascending."""
        return self._rows("WHERE number > ? ORDER BY number", (number,))

    def some_after(self, number: int, count: int) -> list[Row]:
        """The first so many of L{rows_after}."""
        return list(self._rows("WHERE number > ? ORDER BY number LIMIT ?", (number, count)))

    def highest_number(self) -> int:
        """Of all rows; 0 if there are none."""
        (found,) = self._db.execute("SELECT max(number) FROM entry").fetchone()
        return found or 0

    def pending(self) -> Iterator[Row]:
        """Those whose settled head is not what the folder holds."""
        return self._rows("WHERE pending")

    def pending_below(self, path: bytes) -> list[Row]:
        """Those of them anywhere below a directory (empty: the box itself)."""
        if not path:
            return list(self.pending())
        return list(
            self._rows(
                "WHERE pending AND (parent = ? OR (parent > ? AND parent < ?))",
                (path, path + b"/", path + b"0"),  # "0" follows "/"
            )
        )

    def children(self, path: bytes) -> Iterator[Row]:
        """Those directly in the directory (empty: the box itself)."""
        return self._rows("WHERE parent = ?", (path,))

    def alive_below(self, path: bytes) -> Iterator[Path]:
        """Paths anywhere below whose head is not deleted, in no order."""
        for condition, values in (
            ("parent = ?", (path,)),
            ("parent > ? AND parent < ?", (path + b"/", path + b"0")),
        ):
            for parent, name in self._db.execute(
                f"SELECT parent, name FROM entry WHERE alive AND {condition}", values
            ):
                yield joined(parent, name)

    def local_between(self, after: int, to: int) -> Iterator[Row]:
        """Local changes by their number, C{after} exclusive, C{to} inclusive."""
        return self._rows("WHERE local AND number > ? AND number <= ?", (after, to))

    def below(self, path: bytes) -> Iterator[Row]:
        """Those anywhere below, in no order."""
        if not path:
            return self._rows("")
        return self._rows(
            "WHERE parent = ? OR (parent > ? AND parent < ?)",
            (path, path + b"/", path + b"0"),  # "0" follows "/"
        )

    def below_after(self, path: bytes, number: int, count: int) -> list[Row]:
        """Those anywhere below with a higher number; at most so many."""
        # The plus: by path, not by number.
        return list(
            self._rows(
                "WHERE (parent = ? OR (parent > ? AND parent < ?)) AND +number > ? LIMIT ?",
                (path, path + b"/", path + b"0", number, count),
            )
        )

    def disk(self, path: bytes) -> Disk | None:
        """What was on disk at a path; L{None}: nothing."""
        found: Disk | None = self._db.execute(
            f"SELECT {DISK} FROM entry"
            " WHERE parent = ? AND name = ? AND disk_type IS NOT NULL",
            split(path),
        ).fetchone()
        return found

    def disks(self, parent: bytes) -> dict[bytes, Disk]:
        """What was on disk directly in a directory: name -> disk values."""
        found = self._db.execute(
            f"SELECT name, {DISK} FROM entry"
            " WHERE parent = ? AND disk_type IS NOT NULL",
            (parent,),
        )
        return {columns[0]: columns[1:] for columns in found}

    def names(self, parent: bytes) -> list[tuple[bytes, bool, bool]]:
        """Names directly in a directory: (name, is it alive, is it on disk)."""
        found = self._db.execute(
            "SELECT name, alive, disk_type IS NOT NULL FROM entry"
            " WHERE parent = ? AND (alive OR disk_type IS NOT NULL)",
            (parent,),
        )
        return [(name, bool(alive), bool(there)) for name, alive, there in found]

    def foreign_links(self) -> set[bytes]:
        """Symbolic links on disk that were not made in this folder."""
        found = self._db.execute(
            "SELECT parent, name FROM entry WHERE disk_type = ? AND NOT local",
            (int(FileType.SYMLINK),),
        )
        return {joined(parent, name) for parent, name in found}

    def named_like(self, part: bytes) -> list[Path]:
        """What is on disk with these bytes in its name."""
        query = "SELECT parent, name FROM entry WHERE disk_type IS NOT NULL AND instr(name, ?)"
        found = self._db.execute(query, (part,))
        return [joined(parent, name) for parent, name in found]

    def files(self) -> Iterator[tuple[Path, int, int, bytes]]:
        """Regular files on disk, in no order: path, size, mtime, content."""
        found = self._db.execute(
            "SELECT parent, name, disk_size, disk_mtime, content FROM entry"
            " WHERE disk_type = ? AND content IS NOT NULL",
            (int(FileType.FILE),),
        )
        for parent, name, size, mtime, content in found:
            yield joined(parent, name), size, mtime, content

    def changed(self, local: int, any: int) -> list[Path]:
        """Paths of local changes after one number, and of any after another."""
        found = self._db.execute(
            "SELECT parent, name FROM entry WHERE (local AND number > ?) OR number > ?",
            (local, any),
        )
        return [joined(parent, name) for parent, name in found]

    # What is being placed

    def add_placing(self, rows: Iterable[tuple[Path, bytes]]) -> None:
        """Before anything is moved: (path, packed details)."""
        self._db.executemany("INSERT OR REPLACE INTO placing VALUES (?, ?)", rows)

    def placing(self) -> list[tuple[Path, bytes]]:
        """After a crash: what was being placed."""
        return list(self._db.execute("SELECT path, details FROM placing"))

    def clear_placing(self) -> None:
        """All of it has been seen to."""
        self._db.execute("DELETE FROM placing")

    # Others

    def holders(self) -> list[HolderRow]:
        """All others that are known."""
        found = list(self._db.execute(f"SELECT {_HOLDER} FROM holder"))
        if any(tuple(map(type, row)) != (int, bytes, int, int, int, int) for row in found):
            raise Damaged("The index is damaged: a holder is not as it was written.")
        return [
            HolderRow(key, Holder(holder), unsigned(index), number, acknowledged, level)
            for key, holder, index, number, acknowledged, level in found
        ]

    def new_holder(self, holder: Holder, index_id: int, acknowledged: int) -> HolderRow:
        """A holder with another index than before (or the first): a new key."""
        self._db.execute("DELETE FROM holder WHERE holder = ?", (holder,))
        key = self._db.execute(
            "INSERT INTO holder (holder, index_id, number, acknowledged, level)"
            " VALUES (?, ?, 0, ?, 0)",
            (holder, signed(index_id), acknowledged),
        ).lastrowid
        assert key is not None
        return HolderRow(key, holder, index_id, 0, acknowledged, 0)

    def save_holders(self, rows: Iterable[HolderRow]) -> None:
        """Replace what is known of known holders."""
        self._db.executemany(
            "UPDATE holder SET number = ?, acknowledged = ?, level = ? WHERE id = ?",
            ((row.number, row.acknowledged, row.level, row.key) for row in rows),
        )


def _by_directory(paths: Iterable[Path]) -> dict[bytes, list[Path]]:
    """Paths by the directory that they lie in."""
    found: dict[bytes, list[Path]] = {}
    for path in paths:
        found.setdefault(path.rpartition(b"/")[0], []).append(path)
    return found
