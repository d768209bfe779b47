# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The part of a box's index that knows what may be forgotten, and what was; see
L{flocknode.box.merge.forgetting}.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from flocknode.box.merge.forgetting import Aging
from flocknode.box.merge.history import MAX_SUPERSEDED
from flocknode.box.values import Path, VersionId

_ID = 16
# Bytes of a version id.


class Memory:
    """
    @param database: the connection of an L{flocknode.box.index.database.Index}, whose
        transactions these methods take part in.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def aging(self, path: Path) -> Aging | None:
        """What of a path is on its way to be forgotten."""
        found = self._db.execute(
            "SELECT number, since, ids FROM aging WHERE path = ?", (path,)
        ).fetchone()
        return None if found is None else Aging(found[0], found[1], _unpack(found[2]))

    def set_aging(self, path: Path, aging: Aging | None) -> None:
        """Replace it; L{None}: there is nothing."""
        if aging is None:
            self._db.execute("DELETE FROM aging WHERE path = ?", (path,))
            return
        self._db.execute(
            "INSERT OR REPLACE INTO aging VALUES (?, ?, ?, ?)",
            (path, aging.number, aging.since, _pack(aging.ids)),
        )

    def gone(self, path: Path) -> frozenset[VersionId]:
        """The versions of a path that were forgotten, while others may speak of them."""
        found = self._db.execute("SELECT ids FROM forgotten WHERE path = ?", (path,)).fetchone()
        return frozenset() if found is None else _unpack(found[0])

    def is_empty(self) -> bool:
        """Whether nothing was forgotten that others may speak of."""
        return self._db.execute("SELECT 1 FROM forgotten LIMIT 1").fetchone() is None

    def add_gone(self, path: Path, ids: Iterable[VersionId], now: int) -> None:
        """
        These were forgotten.  At most L{MAX_SUPERSEDED} are kept of a path: what
        is learned again is forgotten again.
        """
        all_ids = list(ids)
        all_ids += self.gone(path).difference(all_ids)
        self._db.execute(
            "INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?)",
            (path, now, _pack(all_ids[:MAX_SUPERSEDED])),
        )

    def seen(self, paths: Iterable[Path], now: int) -> None:
        """Others still speak of what was forgotten of these."""
        self._db.executemany(
            "UPDATE forgotten SET seen = ? WHERE path = ?", ((now, path) for path in paths)
        )

    def tidy(self, before: int) -> None:
        """Drop what was forgotten if nobody has spoken of it since then."""
        self._db.execute("DELETE FROM forgotten WHERE seen < ?", (before,))


def _pack(ids: Iterable[VersionId]) -> bytes:
    return b"".join(ids)


def _unpack(packed: bytes) -> frozenset[VersionId]:
    return frozenset(VersionId(packed[at : at + _ID]) for at in range(0, len(packed), _ID))
