# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Paths that would be one on a disk that does not tell case or accents apart.
"""

from __future__ import annotations

from collections import OrderedDict

from flocknode.box.disk.naming import Naming
from flocknode.box.index.database import Index
from flocknode.box.index.rows import Row, joined, parents
from flocknode.box.merge.history import is_alive
from flocknode.box.paths import split
from flocknode.box.values import Path

_DIRECTORIES = 64
"""Of how many directories the names are kept at hand."""


class Namesakes:
    """
    Finds which of several paths is held here: the one that is, else the
    lowest in the order of bytes.

    @param names: what the disk makes of names.
    """

    def __init__(self, index: Index, names: Naming) -> None:
        self._index = index
        self._names = names
        self._known: OrderedDict[bytes, dict[str, set[bytes]]] = OrderedDict()

    def note(self, path: Path) -> None:
        """Something is known of this path."""
        parent, name = split(path)
        known = self._known.get(parent)
        if known is not None:
            known.setdefault(self._names.key(name), set()).add(name)

    def others(self, path: Path) -> list[Row]:
        """Rows of other paths that would be this one, alive or on disk."""
        if self._names.exact:
            return []
        parent, name = split(path)
        names = self._in(parent).get(self._names.key(name), set())
        rows = (self._index.row(joined(parent, each)) for each in names if each != name)
        return [row for row in rows if row is not None and is_present(row)]

    def is_displaced(self, path: Path) -> bool:
        """Does another have the name that this path, or one above it, would have?"""
        return any(self._loses(each) for each in (path, *parents(path)))

    def _loses(self, path: Path) -> bool:
        others = self.others(path)
        if not others or self._index.disk(path) is not None:
            return False
        return any(is_there(other) or other.path < path for other in others)

    def _in(self, parent: bytes) -> dict[str, set[bytes]]:
        known = self._known.get(parent)
        if known is None:
            known = self._known[parent] = {}
            for name, _, _ in self._index.names(parent):
                known.setdefault(self._names.key(name), set()).add(name)
            if len(self._known) > _DIRECTORIES:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(parent)
        return known


def is_there(row: Row) -> bool:
    """Is it on disk?"""
    return row.placed is not None and row.placed.disk is not None


def is_present(row: Row) -> bool:
    """Is it on disk, or to be there?"""
    return is_there(row) or is_alive(row.history)
