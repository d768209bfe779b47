# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When an index file is damaged: how that is seen, and putting it aside.

An index can be built anew from the folder, so nothing of it is repaired.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

from flocknode.errors import BoxError

MOST_ASIDE = 3
"""Damaged files of one index that are kept, for whoever wants to know why."""

SUFFIX = ".corrupt-"
"""In the name of a file that was put aside, before the time in UTC."""

_PARTS = ("-wal", "-shm")
# What SQLite puts beside a file.

_NO_TEXT = "Could not decode to UTF-8"
# Nothing but names of tables is text in an index.

_OUTSIDE = (
    "unable to open",
    "locked",
    "I/O error",
    "is full",
    "readonly",
    "read-only",
    "out of memory",
    "denied",
    "locking protocol",
)
# In SQLite's words for what is wrong with the place of a file, not with the file.


class Damaged(BoxError):
    """The index is not what was written to it."""


def is_damage(error: BaseException | None) -> bool:
    """
    Does this (or what led to it) say that a file is damaged?

    SQLite's C{SQLITE_CORRUPT} and C{SQLITE_NOTADB} are C{DatabaseError} itself;
    what passes (a full disk, a lock) and what is a bug are its subclasses.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Damaged) or type(error) is sqlite3.DatabaseError:
            return True
        if isinstance(error, sqlite3.OperationalError) and _NO_TEXT in str(error):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def hinders_opening(error: BaseException) -> bool:
    """
    Does this error, met while a file was opened and prepared, say that it is
    damaged?  There, too, whatever is said of statements that have no mistake
    in them, or of text that is none (an error's own text comes from the file).
    """
    if isinstance(error, sqlite3.OperationalError):
        return not any(words in str(error) for words in _OUTSIDE)
    return isinstance(error, UnicodeDecodeError) or is_damage(error)


def look_for_damage(connection: sqlite3.Connection, like: str) -> None:
    """
    @param like: the statements that create the tables that there must be.
    @raise Damaged: something is wrong with the file.
    """
    # The quick one does not compare rows with what finds them: it would miss a
    # path with another letter, which then went to all.
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Damaged(f"The index is damaged: {found}.")
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(like)
        for (table,) in fresh.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            if not _columns(fresh, table) <= _columns(connection, table):
                raise Damaged(f"The index is damaged: its table {table} is not as it was made.")


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def put_aside(path: str, now: float) -> str:
    """
    Rename a damaged index, and what belongs to it; the oldest that were put
    aside before go.

    @param now: seconds since the epoch.
    @return: its new path.
    @raise OSError: it cannot be renamed.
    """
    aside = path + SUFFIX + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    while os.path.lexists(aside):
        aside += "+"
    os.rename(path, aside)
    for part in _PARTS:
        # Without its log a file is older than it was, but no new one takes it over.
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + part, aside + part)
    folder, name = os.path.split(path)
    before = sorted(
        other
        for other in os.listdir(folder or ".")
        if other.startswith(name + SUFFIX) and not other.endswith(_PARTS)
    )
    for other in before[:-MOST_ASIDE]:
        for part in ("", *_PARTS):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, other + part))
    return aside
