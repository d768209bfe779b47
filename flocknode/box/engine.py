# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The mind of a box: what was seen in the folder and what others announce goes
in; what is announced, needed and placed comes out.

Synchronous; one thread at a time.  Whatever has to be told is collected, see
L{BoxEngine.take_events}, always after the commit that it rests on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from random import Random

import attrs
from msgspec.structs import replace

from flocknode.box.calendar import Calendar
from flocknode.box.content import block_size_for
from flocknode.box.disk.site import Site
from flocknode.box.events import Events
from flocknode.box.forgetting import Forgetting
from flocknode.box.index.database import Index
from flocknode.box.index.draft import Draft
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.pages import read_page
from flocknode.box.index.rows import Placed, pack_shown, shown
from flocknode.box.merge.history import version_id
from flocknode.box.merge.incoming import check_entry
from flocknode.box.merge.reconcile import join_delta
from flocknode.box.receive.planner import Planner
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.changes import LocalChanges
from flocknode.box.survey.hashing import Hashed
from flocknode.box.survey.observe import Sighting
from flocknode.box.values import Entry, Hash, Head, Holder, Path, VersionId
from flocknode.errors import ProtocolError

_CHECKPOINTS = 4096
# Totals of local changes that are remembered until a round counts them.


@attrs.frozen
class Snapshot:
    """
    What the engine knows in numbers, for whoever may not wait for it.

    @ivar lacking: by holder; C{lacking_all} of one that has shown nothing.
    @ivar stored: (their index id, number) by holder.
    @ivar acknowledged: number by holder.
    @ivar unconfirmed: files whose deletion waits for L{BoxEngine.confirm}.
    """

    index_id: int = 0
    highest: int = 0
    new_total: int = 0
    digest: bytes = bytes(16)
    lacking: dict[Holder, int] = attrs.field(factory=dict)
    lacking_all: int = 0
    stored: dict[Holder, tuple[int, int]] = attrs.field(factory=dict)
    acknowledged: dict[Holder, int] = attrs.field(factory=dict)
    files: int = 0
    size: int = 0
    needed: int = 0
    needed_bytes: int = 0
    withheld: bool = False
    unconfirmed: int = 0
    conflicts: tuple[Path, ...] = ()
    problems: tuple[tuple[Path, str], ...] = ()

    @property
    def measures(self) -> tuple[object, ...]:
        """What of it others want to be told of when it changes."""
        return self.new_total, self.lacking_all, self.lacking, self.digest


class BoxEngine:
    """
    All decisions of one box.

    @param index: opened for writing.
    @param random: makes index ids.
    @param now: seconds, monotonic; C{wall}: seconds since the epoch.
    @param cancelled: whether to stop as soon as possible.
    @ivar ledger: the index and its sums.
    @ivar planner: what is being done about the folder; L{None} while it is
        not there.
    @ivar withheld: nothing is announced for now: the index was lost, and what
        others know of this folder comes first.
    """

    def __init__(
        self,
        index: Index,
        random: Random,
        settings: BoxSettings = BoxSettings(),  # noqa: B008
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.ledger = Ledger(index, random)
        self.planner: Planner | None = None
        self.withheld = False
        self._settings = settings
        self._now = now
        self._calendar = Calendar(self.ledger.date(), now, wall)
        self._cancelled = cancelled
        self._forgetting = Forgetting(self.ledger, settings.members, self._calendar)
        self._events = Events()
        self._changes = LocalChanges(self.ledger)
        self._checkpoints: deque[tuple[int, int]] = deque()
        # (total of local changes, highest number then), not yet counted.

    # The folder comes and goes

    def attach(self, site: Site) -> None:
        """
        The folder is there.  What was being placed when it (or the process)
        went away is found out.  Nothing is placed before L{surveyed}.
        """
        if self.ledger.folder_id is None:
            self.ledger.set_folder(site.folder_id)
        self.planner = Planner(
            self.ledger,
            self._changes,
            site,
            self._settings,
            now=self._now,
            calendar=self._calendar,
            cancelled=self._cancelled,
        )
        self.planner.events = self._events
        self.planner.start()
        self._checkpoint()

    def surveyed(self) -> None:
        """All that is in the folder is known: placing may begin."""
        if self.planner is not None:
            self.planner.surveyed = True

    def detach(self) -> None:
        """The folder is gone; nothing can be received or placed."""
        if self.planner is not None:
            self.planner.close()
            self.planner = None

    def take_events(self) -> Events:
        """What is to be told since this was last asked."""
        events, self._events = self._events, Events()
        if self.planner is not None:
            self.planner.events = self._events
        return events

    # What was seen in the folder

    def observe(self, sighting: Sighting) -> None:
        """
        Take in what a survey found.

        @raise flocknode.box.survey.changes.Away: the folder is not the box's (any
            more).
        """
        planner = self.planner
        if planner is None:
            return
        for path, reason in sighting.problems:
            planner.fail(path, reason)
        if not sighting.observations or planner.postpone():
            return
        changes, again = self._changes.observe(planner.site, sighting.observations)
        self._events.look |= again
        self._checkpoint()
        planner.follow(changes)
        for seen in sighting.observations:
            if seen.path not in again:
                planner.looked_at(seen.path)
        # Of what changed, the planner knows already.
        again.update(change.path for change in changes)
        planner.remaining.seen(s for s in sighting.observations if s.path not in again)

    def _checkpoint(self) -> None:
        total = self._changes.total
        if total and (not self._checkpoints or self._checkpoints[-1][0] != total):
            self._checkpoints.append((total, self.ledger.highest))
            if len(self._checkpoints) > _CHECKPOINTS:
                self._checkpoints.popleft()

    def counted(self, total: int) -> None:
        """Local changes up to this C{new_total} are in a round."""
        number = 0
        while self._checkpoints and self._checkpoints[0][0] <= total:
            number = self._checkpoints.popleft()[1]
        self.ledger.counted(number)

    # What others say

    def join(
        self, holder: Holder, index_id: int, start: int, to: int, entries: Sequence[Entry]
    ) -> bool:
        """
        Take in a part of another's index.

        @param start: it continues from this number of theirs.
        @param to: and is complete up to this one.
        @return: false if what it continues from is not stored here.
        """
        known = self.ledger.holder(holder)
        stored = known.number if known is not None and known.index_id == index_id else 0
        if start > stored:
            return False
        row = self.ledger.meet(holder, index_id)
        entries = [entry for entry in entries if _is_sound(entry)]
        draft = Draft(self.ledger.index)
        draft.prepare(entry.path for entry in entries)
        entries, also = self._forgetting.sift(draft, entries)
        changed = join_delta(draft, ((entry.path, entry.history) for entry in entries))
        for entry in entries:
            _show(draft, row.key, entry)
            _remind(draft, row.acknowledged, entry, changed)
            # They know the path, maybe as the very version that was made here:
            # no change of it can be taken back as if it had never been.
            self._changes.announced(entry.path)
        if to > stored:
            self.ledger.stored(row, to)
        changes = self.ledger.commit(draft, also)
        if self.planner is not None:
            self.planner.follow(changes)
        return True

    def acknowledged(self, holder: Holder, index_id: int, number: int) -> None:
        """Another has stored this index up to a number."""
        self.ledger.acknowledge(holder, index_id, number)

    def entries_after(self, number: int, limit: int) -> tuple[list[Entry], int]:
        """
        What is announced to others.

        @param limit: bytes, about, that the entries may take as a record; at
            least one entry is returned if there is any.
        @return: entries in the order of their numbers, and the number up to
            which this is all that there is.  Entries past that number belong
            to others, see L{flocknode.box.merge.forward}.
        """
        if self.withheld:
            return [], 0
        page, to = read_page(self.ledger.index, number, limit)
        entries: list[Entry] = []
        for row in page:
            self._changes.announced(row.path)
            size = row.history.heads[0].size if row.history.heads else 0
            # What others would not take would keep them from all that follows.
            entry = Entry(row.path, row.number, row.history, block_size_for(size), row.complete)
            if _is_sound(entry):
                entries.append(entry)
        to = self.ledger.highest if to is None else to
        self.ledger.announced = max(self.ledger.announced, to)
        return entries, to

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> list[bool]:
        """
        Take in blocks and block lists.

        @return: for each, whether the bytes are what the hash names.
        """
        if self.planner is None:
            return [False] * len(blocks)
        return self.planner.write(blocks)

    # Work that nobody waits for

    def step(self) -> None:
        """Do a piece of the work that is waiting."""
        if self.planner is not None:
            self.planner.step()
            self._checkpoint()

    def delay(self) -> float | None:
        """Seconds until L{step} has something to do; L{None}: nothing is waiting."""
        return None if self.planner is None else self.planner.delay()

    def confirm(self) -> int:
        """
        Deletions that wait were meant.

        @return: how many files go on to be deleted.
        """
        return 0 if self.planner is None else self.planner.confirm()

    def prune(self) -> None:
        """Now and every hour, remove what is not to be kept, and lists that nobody needs."""
        if self.planner is not None:
            self.planner.prune()

    def forget(self) -> bool:
        """
        Forget a slice of what nobody needs to know any more.

        @return: whether there is more of it; else it begins anew, and once a
            day is enough.
        """
        planner = self.planner
        if planner is None or not planner.surveyed or self.withheld:
            return False
        return self._forgetting.run(planner.site)

    def distrust(self, path: Path, rotten: Hashed) -> bool:
        """
        What the folder holds is not what it should be and was not changed by
        anybody: fetch it again, if it is somewhere.  What is there now goes to
        the version store then.

        @return: whether that is done.
        """
        planner, row = self.planner, self.ledger.index.row(path)
        if planner is None or row is None or row.head is None or row.placed is None:
            return False
        placed, head = row.placed, row.head
        if row.pending or placed.disk != rotten.stat or placed.value.content == rotten.content:
            return False
        if not self.ledger.showing(row, head) and not self._is_elsewhere(path, head):
            return False
        value = replace(placed.value, content=rotten.content)
        held = Placed(version_id([placed.id], value), value, rotten.size, placed.disk)
        draft = Draft(self.ledger.index)
        draft.put(replace(row, placed=held))
        changes = self.ledger.commit(draft, lambda: self._changes.add_lists([rotten]))
        planner.follow(changes)
        return True

    def _is_elsewhere(self, path: Path, head: Head) -> bool:
        contents = self.ledger.index.contents
        if contents.kept_with(head.value.content):
            return True
        return any(other != path for other, _ in contents.holding(head.value.content))

    def snapshot(self) -> Snapshot:
        """The numbers as they are now."""
        ledger, totals = self.ledger, self.ledger.totals
        holders = ledger.holders()
        planner = self.planner
        problems: dict[Path, str] = {} if planner is None else planner.all_problems()
        left = (0, 0) if planner is None else (planner.left.files, planner.left.size)
        return Snapshot(
            index_id=ledger.index_id,
            highest=0 if self.withheld else ledger.highest,
            new_total=self._changes.total,
            digest=totals.digest.to_bytes(16, "big"),
            # Nobody lacks what is not announced.
            lacking={} if self.withheld else ledger.lacking(),
            lacking_all=0 if self.withheld else totals.lacking(None),
            stored={row.holder: (row.index_id, row.number) for row in holders},
            acknowledged={row.holder: row.acknowledged for row in holders},
            files=totals.files,
            size=totals.size,
            needed=totals.needed - left[0],
            needed_bytes=totals.needed_bytes - left[1],
            withheld=self.withheld,
            unconfirmed=0 if self.planner is None else self.planner.unconfirmed,
            conflicts=tuple(sorted(totals.conflicts)),
            problems=tuple(problems.items()),
        )


def _is_sound(entry: Entry) -> bool:
    try:
        check_entry(entry)
    except ProtocolError:
        return False
    return True


def _remind(draft: Draft, acknowledged: int, entry: Entry, changed: AbstractSet[Path]) -> None:
    """
    The holder shows something older than what it has acknowledged: it has
    forgotten that, or was restored from a backup.  Tell it once more.
    """
    row = draft.row(entry.path)
    if entry.path in changed or row.number > acknowledged or not row.number:
        return
    if row.history.heads != entry.history.heads:
        draft.renew(entry.path)


def _show(draft: Draft, key: int, entry: Entry) -> None:
    """The holder shows this of the path."""
    row = draft.row(entry.path)
    heads = entry.history.heads
    holders = shown(row.shown)
    if len(heads) == 1:
        holders[key] = (VersionId(heads[0].id), entry.complete)
    else:
        holders.pop(key, None)
    packed = pack_shown(holders)
    if packed != row.shown:
        draft.put(replace(row, shown=packed))
