# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What Forban brought in, and what it has shown and is gone, for good: so that what
its owner deleted or renamed is not brought in again, when the box itself has
forgotten that it was there; and what is on its way into a box.  In a SQLite
database; for one thread.

What is noted first is what is here: after a crash something may be brought in
once more, but is never taken for brought in.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import attrs

from flocknode.box.listing import ListedFile
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.fetch.wanting import Version

MOST = 1_000_000
"""Files that are remembered; those of the longest ago are forgotten."""

_DAYS = 40
# Days whose bytes are remembered.

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fetched (
    shelf TEXT NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, content BLOB NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (shelf, path, size, content)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fetched_at ON fetched (at);
CREATE TABLE IF NOT EXISTS arrivals (
    name TEXT PRIMARY KEY, shelf TEXT NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER, due REAL NOT NULL, asked INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS days (day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
PRAGMA user_version = 1;
"""


@attrs.frozen
class Arrival:
    """
    A file that is here and not in its box yet.

    @ivar name: of the file in the folder of what has arrived.
    @ivar shelf: name of the box; C{path}: in it.
    @ivar mtime_ns: nanoseconds since the epoch, or L{None}.
    @ivar due: when it shall be in the box: seconds since the epoch.
    @ivar asked: a person asked for it.
    """

    name: str
    shelf: str
    path: Path
    size: int
    mtime_ns: int | None
    due: float
    asked: bool


@attrs.frozen
class Brought:
    """
    A file was brought in.

    @ivar shelf: name of the box; C{path}: in it.
    @ivar at: when: seconds since the epoch.
    @ivar counted: among the bytes of the day.
    @ivar arrival: it is still on its way into its box.
    """

    shelf: str
    path: Path
    version: Version
    at: float
    counted: bool = True
    arrival: Arrival | None = None


@attrs.frozen
class Arrived:
    """
    What waited is in its box, or shall not be there any more.

    @ivar name: see L{Arrival.name}.
    """

    name: str


Note: TypeAlias = Brought | Arrived


class Fetched:
    """
    The database.

    @raise BoxError: it cannot be used.
    """

    def __init__(self, path: str) -> None:
        try:
            os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
            self._db = _open(path)
        except (sqlite3.DatabaseError, OSError) as error:
            raise BoxError(
                f"What Forban brought in is noted in {path}, which cannot be used ({error});"
                " move it away to begin a new one."
            ) from error

    def close(self) -> None:
        """Close it.  Idempotent."""
        self._db.close()

    def versions(self, shelf: str, paths: Iterable[Path]) -> dict[Path, list[Version]]:
        """What was brought in to these paths; paths with nothing are left out."""
        found: dict[Path, list[Version]] = {}
        for path in paths:
            rows = self._db.execute(
                "SELECT size, content FROM fetched WHERE shelf = ? AND path = ?", (shelf, path)
            ).fetchall()
            if rows:
                found[path] = [Version(size, bytes(content)) for size, content in rows]
        return found

    def note(self, notes: Iterable[Note]) -> None:
        """All of this happened, and is noted in one go."""
        with self._db:
            for note in notes:
                if isinstance(note, Arrived):
                    self._db.execute("DELETE FROM arrivals WHERE name = ?", (note.name,))
                else:
                    self._add(note)

    def _add(self, note: Brought) -> None:
        version = note.version
        self._db.execute(
            "INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?, ?)",
            (note.shelf, note.path, version.size, version.content, int(note.at)),
        )
        if note.arrival is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO arrivals VALUES (?, ?, ?, ?, ?, ?, ?)",
                attrs.astuple(note.arrival),
            )
        day = int(note.at // 86_400)
        self._db.execute(
            "INSERT INTO days VALUES (?, ?)"
            " ON CONFLICT (day) DO UPDATE SET bytes = bytes + excluded.bytes",
            (day, version.size if note.counted else 0),
        )
        self._db.execute("DELETE FROM days WHERE day < ?", (day - _DAYS,))

    def gone(self, shelf: str, files: Iterable[ListedFile], now: float) -> None:
        """
        These were shown, and are not in the box any more: as if they had been
        brought in once.

        @param now: seconds since the epoch.
        """
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?, ?)",
                ((shelf, file.path, file.size, file.content, int(now)) for file in files),
            )

    def trim(self, most: int = MOST) -> None:
        """Forget what is too much."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM fetched").fetchone()
        if count <= most:
            return
        with self._db:
            self._db.execute(
                "DELETE FROM fetched WHERE (shelf, path, size, content) IN"
                " (SELECT shelf, path, size, content FROM fetched ORDER BY at LIMIT ?)",
                (count - most,),
            )

    def today(self, now: float) -> int:
        """Bytes that were brought in on this day (UTC)."""
        row = self._db.execute(
            "SELECT bytes FROM days WHERE day = ?", (int(now // 86_400),)
        ).fetchone()
        return int(row[0]) if row else 0

    def arrivals(self) -> list[Arrival]:
        """What is on its way into a box."""
        rows: Sequence[tuple[str, str, bytes, int, int | None, float, int]] = self._db.execute(
            "SELECT name, shelf, path, size, mtime_ns, due, asked FROM arrivals ORDER BY due"
        ).fetchall()
        return list(_arrivals(rows))


def _open(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # What was written last may be lost with the power: it is fetched again then.
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise sqlite3.DatabaseError("it is damaged")
    except BaseException:
        db.close()
        raise
    return db


def _arrivals(
    rows: Iterable[tuple[str, str, bytes, int, int | None, float, int]],
) -> Iterator[Arrival]:
    for name, shelf, path, size, mtime_ns, due, asked in rows:
        yield Arrival(name, shelf, Path(bytes(path)), size, mtime_ns, due, bool(asked))
