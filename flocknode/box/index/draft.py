# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Changes of an index that belong together: drafted in memory, where
L{flocknode.box.merge.reconcile} works on them as a tree, then written, numbered and
summed up in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from flocknode.box.index.database import Index
from flocknode.box.index.rows import Row, is_complete, parents
from flocknode.box.index.totals import Totals
from flocknode.box.merge.history import is_alive, is_directory
from flocknode.box.merge.reconcile import numbering
from flocknode.box.values import History, Path, VersionId


class Change(msgspec.Struct, frozen=True, gc=False):
    """
    A row as it was before and as it is now.

    @ivar old: L{None}: there was none.
    @ivar new: L{None}: there is none any more.
    """

    path: Path
    old: Row | None
    new: Row | None


class Draft:
    """
    A L{Tree<flocknode.box.merge.reconcile.Tree>} over an index, whose changes are
    seen at once here and by others only after L{write}.

    @ivar local: paths with a change made in this folder -> its version.
    """

    def __init__(self, index: Index) -> None:
        self.local: dict[Path, VersionId] = {}
        self._index = index
        self._rows: dict[Path, Row] = {}
        self._before: dict[Path, Row | None] = {}
        self._touched: dict[Path, None] = {}
        self._alive: dict[Path, int] = {}
        # Directory -> how many of the touched paths below it are alive.
        self._renewed: set[Path] = set()

    def __bool__(self) -> bool:
        """Whether anything was changed."""
        return bool(self._touched)

    def prepare(self, paths: Iterable[Path]) -> None:
        """Read the rows of these at once: quicker than one by one when they are needed."""
        paths = [path for path in paths if path not in self._rows]
        self._before.update(dict.fromkeys(paths))
        self._rows.update((path, Row(path)) for path in paths)
        for row in self._index.known_rows(paths):
            self._before[row.path] = self._rows[row.path] = row

    def row(self, path: Path) -> Row:
        """The row as it is by now; an empty one if nothing is known."""
        row = self._rows.get(path)
        if row is None:
            stored = self._before[path] = self._index.row(path)
            row = self._rows[path] = Row(path) if stored is None else stored
        return row

    def put(self, row: Row) -> None:
        """Replace a row."""
        path = row.path
        before = self.row(path)
        known = path in self._touched
        change = is_alive(row.history) - (known and is_alive(before.history))
        self._touched[path] = None
        self._rows[path] = row
        if change:
            for above in parents(path):
                self._alive[above] = self._alive.get(above, 0) + change

    def renew(self, path: Path) -> None:
        """Announce a known path once more, even if it stays as it is."""
        self.row(path)
        self._touched[path] = None
        self._renewed.add(path)

    def get(self, path: Path) -> History | None:
        """See L{flocknode.box.merge.reconcile.Tree.get}."""
        history = self.row(path).history
        return history if history.heads else None

    def set(self, path: Path, history: History) -> None:
        """See L{flocknode.box.merge.reconcile.Tree.set}."""
        row = self.row(path)
        self.put(
            Row(path, row.number, history, row.complete, row.placed, row.local, row.shown)
        )

    def alive_below(self, path: Path) -> bool:
        """See L{flocknode.box.merge.reconcile.Tree.alive_below}."""
        if self._alive.get(path):
            return True
        self.row(path)
        before = self._before[path]
        if before is None or before.head is None or not is_directory(before.head.value):
            # Then nothing below was alive: the index is a tree.
            return False
        return any(below not in self._touched for below in self._index.alive_below(path))

    def write(self, totals: Totals, highest: int) -> tuple[list[Change], int]:
        """
        Write all that changed; within a transaction.  What is announced of a
        row (history, completeness) gets a new number if it changed.

        @param highest: the highest number given out so far.
        @return: the changes, in the order of their numbers, and the highest
            number now.
        """
        numbered: list[Path] = []
        others: list[Path] = []
        for path in self._touched:
            old = self._before[path]
            row = self._rows[path] = _adopted(self._rows[path])
            if row == old and path not in self._renewed:
                continue
            if old is None:
                if row.history.heads:
                    numbered.append(path)
            elif (
                row.history == old.history
                and row.complete == old.complete
                and path not in self._renewed
            ):
                others.append(path)
            else:
                numbered.append(path)
        emptied = self._emptied(numbered)
        numbered += emptied
        others = [path for path in others if path not in emptied]
        changes: list[Change] = []
        for path in numbering(self, numbered):
            row = self._rows[path]
            if row.history.heads:
                highest += 1
                local = self.local.get(path) == row.history.heads[0].id
                row = self._rows[path] = Row(
                    path, highest, row.history, row.complete, row.placed, local, row.shown
                )
                changes.append(Change(path, self._before[path], row))
            else:
                changes.append(Change(path, self._before[path], None))
        changes += [Change(path, self._before[path], self._rows[path]) for path in others]
        self._save(changes)
        for change in changes:
            totals.apply(change.old, change.new)
        return changes, highest

    def _emptied(self, numbered: list[Path]) -> dict[Path, None]:
        """
        Deleted directories above what is deleted: whoever hears of them in
        parts must not hear of the directory first.
        """
        known = set(numbered)
        found: dict[Path, None] = {}
        for path in numbered:
            if is_alive(self._rows[path].history):
                continue
            for above in parents(path):
                if above in known:
                    continue
                history = self.row(above).history
                if not history.heads or is_alive(history):
                    break
                known.add(above)
                found[above] = None
        return found

    def _save(self, changes: list[Change]) -> None:
        whole: list[Row] = []
        seen: list[Row] = []
        for change in changes:
            old, new = change.old, change.new
            if new is None:
                continue
            if old is not None and replace(old, shown=new.shown) == new:
                seen.append(new)
            else:
                whole.append(new)
        self._index.forget(change.path for change in changes if change.new is None)
        self._index.save(whole)
        self._index.save_shown(seen)


def _adopted(row: Row) -> Row:
    """
    The row with what follows from the rest of it.  A folder that holds the
    value of the head holds the head: nothing needs to be placed.
    """
    head, placed = row.head, row.placed
    if head is None:
        return row
    if placed is not None and placed.id != head.id and placed.value == head.value:
        placed = replace(placed, id=head.id)
    complete = is_complete(head, placed)
    if placed is row.placed and complete == row.complete:
        return row
    return Row(row.path, row.number, row.history, complete, placed, row.local, row.shown)
