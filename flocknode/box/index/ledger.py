# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The index of a box as its engine keeps it: numbers, sums and holders go with
every change, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random

import attrs

from flocknode.box.index.columns import signed, unsigned
from flocknode.box.index.database import HolderRow, Index
from flocknode.box.index.draft import Change, Draft
from flocknode.box.index.rows import Row, shown
from flocknode.box.index.totals import Totals, is_conflict_name
from flocknode.box.merge.conflict import MARK
from flocknode.box.values import Head, Holder

_SUMS = "sums"
_HIGHEST = "highest"
_INDEX_ID = "index"
_FOLDER_ID = "folder"
_DATE = "date"

_GROUPS = 256
# Groups of holders that are remembered.


def _nothing() -> None:
    """What else is written with a commit by default."""


class Ledger:
    """
    An index with what must never disagree with it.

    @param random: makes index ids.
    @ivar index: for reading; rows are changed by L{commit} only.
    @ivar index_id: names this index towards others: 64 bits, not 0.
    @ivar folder_id: of the folder that this index belongs to; L{None}: of none
        yet, it is new.
    @ivar announced: the highest number that others may have heard of.
    @ivar highest: the highest number that is committed.
    @ivar totals: the sums.
    """

    def __init__(self, index: Index, random: Random) -> None:
        self.index = index
        self._random = random
        self.folder_id: bytes | None = index.meta(_FOLDER_ID)
        self.highest: int = index.meta(_HIGHEST) or 0
        self.announced = self.highest
        stored = index.meta(_INDEX_ID)
        if stored is None:
            with index.transaction():
                self._new_id()
        else:
            self.index_id = unsigned(stored)
        self._load()

    def _new_id(self) -> None:
        self.index_id = self._random.randrange(1, 1 << 64)
        self.index.set_meta(_INDEX_ID, signed(self.index_id))

    def _load(self) -> None:
        self.highest = self.index.meta(_HIGHEST) or 0
        self.totals = Totals(self.highest)
        packed = self.index.meta(_SUMS)
        if packed is not None:
            self.totals.unpack(packed)
        else:
            for each in self.index.rows():
                self.totals.apply(None, each)
        self.totals.conflicts.update(
            filter(is_conflict_name, self.index.named_like(MARK))
        )
        self._holders: dict[Holder, HolderRow] = {}
        self._names: dict[int, Holder] = {}
        self._groups: dict[frozenset[Holder], frozenset[Holder]] = {}
        # Each group only once: a hundred thousand files are of very few.
        for row in self.index.holders():
            self._keep(row)
            self.totals.level[row.key] = row.level
        self._dirty: set[Holder] = set()

    def set_folder(self, folder_id: bytes) -> None:
        """This index belongs to that folder from now on."""
        with self.index.transaction():
            self.index.set_meta(_FOLDER_ID, folder_id)
        self.folder_id = folder_id

    def date(self) -> int | None:
        """What L{set_date} stored, if it ever did."""
        date: int | None = self.index.meta(_DATE)
        return date

    def set_date(self, date: int) -> None:
        """How far L{flocknode.box.calendar} is, in seconds since the epoch."""
        with self.index.transaction():
            self.index.set_meta(_DATE, date)

    def commit(self, draft: Draft, also: Callable[[], None] = _nothing) -> list[Change]:
        """
        Make what was drafted last.

        @param also: writes what belongs to it, within the same transaction.
        @return: the rows that changed, by their new numbers.
        """
        changes: list[Change] = []

        def write() -> int:
            written, highest = draft.write(self.totals, self.highest)
            changes.extend(written)
            return highest

        self._commit(write, also)
        return changes

    def add(self, rows: Sequence[Row], also: Callable[[], None] = _nothing) -> list[Change]:
        """
        L{commit} of rows that nothing has to be drafted for: of none of these
        paths anything is known.

        @param rows: by their numbers, which follow L{highest}; at least one.
        """

        def write() -> int:
            self.index.save(rows)
            for row in rows:
                self.totals.apply(None, row)
            return rows[-1].number

        self._commit(write, also)
        return [Change(row.path, None, row) for row in rows]

    def _commit(self, write: Callable[[], int], also: Callable[[], None]) -> None:
        """
        @param write: writes rows, and says which number is the highest now.
        """
        try:
            with self.index.transaction():
                highest = write()
                also()
                self.index.set_meta(_HIGHEST, highest)
                self._save_sums()
        except BaseException:
            # What is in memory is ahead of the index: go back to it.
            self._load()
            raise
        self.highest = highest
        self._dirty.clear()

    def forget(self, changes: Iterable[Change], also: Callable[[], None] = _nothing) -> None:
        """
        Replace or remove rows of which others are told nothing: numbers stay.

        @param also: writes what belongs to it, within the same transaction.
        """
        try:
            with self.index.transaction():
                changes = list(changes)
                self.index.forget(change.path for change in changes if change.new is None)
                self.index.save(change.new for change in changes if change.new is not None)
                for change in changes:
                    self.totals.apply(change.old, change.new)
                also()
                self._save_sums()
        except BaseException:
            self._load()
            raise
        self._dirty.clear()

    def _save_sums(self) -> None:
        self.index.set_meta(_SUMS, self.totals.pack())
        rows = []
        for holder, row in self._holders.items():
            level = self.totals.level.get(row.key, 0)
            if level != row.level or holder in self._dirty:
                rows.append(attrs.evolve(row, level=level))
        for row in rows:
            self._keep(row)
        self.index.save_holders(rows)

    # Others

    def holder(self, holder: Holder) -> HolderRow | None:
        """What is known of another; L{None}: nothing."""
        return self._holders.get(holder)

    def holders(self) -> list[HolderRow]:
        """All others that are known."""
        return list(self._holders.values())

    def _keep(self, row: HolderRow) -> None:
        self._holders[row.holder] = row
        self._names[row.key] = row.holder

    def meet(self, holder: Holder, index_id: int) -> HolderRow:
        """
        The row of a holder whose index has this id.  Nothing that it showed
        of another index counts any more, nor what it acknowledged with that: it
        may have lost it.
        """
        row = self._holders.get(holder)
        if row is not None and row.index_id == index_id:
            return row
        acknowledged = 0 if row is None or row.index_id else row.acknowledged
        with self.index.transaction():
            new = self.index.new_holder(holder, index_id, acknowledged)
        if row is not None:
            del self._names[row.key]
            self.totals.forget_holder(row.key)
        self._keep(new)
        return new

    def stored(self, row: HolderRow, number: int) -> None:
        """Its index is stored here up to this number, with the next commit."""
        self._keep(attrs.evolve(row, number=number))
        self._dirty.add(row.holder)

    def acknowledge(self, holder: Holder, index_id: int, number: int) -> bool:
        """
        Another has stored this index up to a number.  It is written down with
        the next commit: losing it costs a repetition.

        @return: whether the index has another id now, since more of it is
            known elsewhere than was ever announced from here (it was restored
            from a backup): everything is to be announced anew.
        """
        if index_id != self.index_id:
            return False
        if number > self.announced:
            with self.index.transaction():
                self._new_id()
                rows = [attrs.evolve(row, acknowledged=0) for row in self.holders()]
                self.index.save_holders(rows)
            for row in rows:
                self._keep(row)
            return True
        known = self._holders.get(holder) or self.meet(holder, 0)
        if number > known.acknowledged:
            self._keep(attrs.evolve(known, acknowledged=number))
            self._dirty.add(holder)
        return False

    def counted(self, number: int) -> None:
        """Local changes up to this number are in a round."""
        if number > self.totals.counted:
            self.totals.count(number, self.index.local_between(self.totals.counted, number))

    def lacking(self) -> dict[Holder, int]:
        """Of each known holder: see L{Totals.lacking}."""
        return {row.holder: self.totals.lacking(row.key) for row in self._holders.values()}

    def showing(self, row: Row, head: Head) -> frozenset[Holder]:
        """
        Who holds the content of this head whole, as they show for this path.
        A version with the same value has the same content.
        """
        if not row.shown:
            return frozenset()
        showing = frozenset(
            self._names[key]
            for key, (version, complete) in shown(row.shown).items()
            if complete and version[8:] == head.id[8:] and key in self._names
        )
        if len(self._groups) > _GROUPS:
            self._groups.clear()
        return self._groups.setdefault(showing, showing)


def same_sums(index: Index, cancelled: Callable[[], bool]) -> bool:
    """
    Are the sums that are stored those of the rows?

    @param index: opened for reading.
    @param cancelled: asked often; if so, the answer is yes.
    """
    fresh = Totals()
    with index.moment():
        packed = index.meta(_SUMS)
        for row in index.rows():
            if cancelled():
                return True
            fresh.apply(None, row)
    return packed is None or bool(packed == fresh.pack())
