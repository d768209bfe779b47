# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Going through an index, a slice at a time, to forget what nobody needs to know
any more; the rules are in L{flocknode.box.merge.forgetting}.

Who has to have acknowledged: every configured member that has ever shown this
box or acknowledged anything of it here.  One that never did may not have the
box at all (nobody needs to have all boxes), and would keep everything
remembered for ever.  If it brings an old copy all the same, that is answered
by whoever still remembers: see C{BoxEngine.join}.  Until some member has shown
the box, nothing is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from msgspec.structs import replace

from flocknode.box.calendar import Calendar
from flocknode.box.disk.site import Site
from flocknode.box.index.draft import Change, Draft
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Row
from flocknode.box.merge import forgetting
from flocknode.box.merge.forgetting import UNLEARNED, Aging, aging, is_due, unlearned
from flocknode.box.values import Entry, Holder, Path, VersionId

SLICE = 256
"""Rows in a slice: some 10 ms."""


class Forgetting:
    """
    @param members: all that may hold the box; L{None}: all that ever did.
    @param calendar: tells how old something is.
    """

    def __init__(
        self, ledger: Ledger, members: frozenset[Holder] | None, calendar: Calendar
    ) -> None:
        self._ledger = ledger
        self._members = members
        self._calendar = calendar
        self._reached = 0
        self._is_empty = ledger.index.memory.is_empty()

    def heard(self) -> int:
        """The number that all who hold the box have acknowledged."""
        return min(
            (
                row.acknowledged
                for row in self._ledger.holders()
                if self._members is None or row.holder in self._members
            ),
            default=-1,
        )

    def run(self, site: Site) -> bool:
        """
        Do a slice.

        @param site: where what is forgotten must not be.
        @return: whether there is more to do; else it begins anew.
        """
        heard, now = self.heard(), int(self._calendar.today())
        if heard < 0:
            return False
        memory = self._ledger.index.memory
        rows = self._ledger.index.some_after(self._reached, SLICE)
        changes: list[Change] = []
        agings: list[tuple[Path, Aging | None]] = []
        gone: list[tuple[Path, frozenset[VersionId]]] = []
        for row in rows:
            before = after = memory.aging(row.path)
            history = row.history
            if before is not None and before.since > now:
                # The index is that of another time.
                after = None
            elif before is not None and is_due(before, heard, now) and _may_go(row, site):
                history = forgetting.forgotten(history, row.number, before, heard)
                if history != row.history:
                    new = replace(row, history=history) if history.heads else None
                    changes.append(Change(row.path, row, new))
                if history.heads and history != row.history:
                    gone.append((row.path, before.ids))
                after = None
            if after is None:
                after = aging(history, row.number, now)
            if after != before:
                agings.append((row.path, after))

        def also() -> None:
            for path, new in agings:
                memory.set_aging(path, new)
            for path, ids in gone:
                memory.add_gone(path, ids, now)
            if not rows:
                memory.tidy(now - UNLEARNED)

        if agings or not rows:
            self._ledger.forget(changes, also)
            self._is_empty = memory.is_empty()
        self._reached = rows[-1].number if rows else 0
        return bool(rows)

    def sift(
        self, draft: Draft, entries: Iterable[Entry]
    ) -> tuple[list[Entry], Callable[[], None]]:
        """
        What others announce, without what was forgotten here.

        @return: the entries; and what is to be written with them.
        """
        entries = list(entries)
        if self._is_empty:
            return entries, _nothing
        memory, now = self._ledger.index.memory, int(self._calendar.today())
        heads = {head.id for entry in entries for head in entry.history.heads}
        sifted: list[Entry] = []
        seen: list[Path] = []
        for entry in entries:
            gone = memory.gone(entry.path) if entry.history.superseded else frozenset()
            if gone:
                mine = draft.row(entry.path).history
                history = unlearned(entry.history, mine, gone, heads)
                if history != entry.history:
                    seen.append(entry.path)
                    entry = attrs.evolve(entry, history=history)  # noqa: PLW2901
            sifted.append(entry)
        return sifted, lambda: memory.seen(seen, now)


def _nothing() -> None:
    """Nothing else is to be written."""


def _may_go(row: Row, site: Site) -> bool:
    """
    Does the folder hold what it should?  What it holds of old must stay known,
    and a deleted directory in which something ignored is left would be new.
    """
    head = row.head
    if head is None or row.pending:
        return False
    if not head.value.deleted:
        return True
    try:
        return site.folder.lstat(row.path) is None
    except OSError:
        return False
