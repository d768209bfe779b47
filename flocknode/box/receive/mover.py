# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
From tasks to placements, and from what came of those back into the index.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence

import attrs
from msgspec.structs import replace

from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.placement import (
    Failed,
    Occupied,
    Outcome,
    Placed,
    Placement,
    Prepared,
    Surprise,
    reason_for,
)
from flocknode.box.disk.site import Site
from flocknode.box.disk.versions import Kept
from flocknode.box.events import Events
from flocknode.box.index.contents import KeptRow
from flocknode.box.index.draft import Change, Draft
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Placed as Held
from flocknode.box.index.rows import Row, parents
from flocknode.box.merge.history import DIRECTORY, IMPLIED
from flocknode.box.merge.reconcile import settle_paths
from flocknode.box.receive.intents import Intent, pack_intent, unpack_intent
from flocknode.box.receive.secondlook import UNREADABLE, SecondLook, followed
from flocknode.box.receive.tasks import Task
from flocknode.box.survey.changes import LocalChanges
from flocknode.box.survey.hashing import Hashed
from flocknode.box.values import TOMBSTONE, Hash, Head, Kind, Path, Value


class Mover:
    """
    Places batches of one site, and keeps what came out.

    @param changes: what came out by surprise is a local change.
    @param now: seconds; C{wall}: seconds since the epoch.
    @param failed: told (path, one sentence, L{Planner.fail}'s C{patient}) of what
        could not be placed.
    @param cancelled: whether to stop hashing.
    @ivar out: what came out of the folder.
    @ivar unfinished: of what was being placed, it is not known what became:
        L{recover} must come before anything else, and may fail.
    """

    def __init__(
        self,
        ledger: Ledger,
        changes: LocalChanges,
        site: Site,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        failed: Callable[..., None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._changes = changes
        self._site = site
        self._failed = failed
        self.unfinished = True
        self.out = SecondLook(
            ledger, changes, site, now=now, wall=wall, failed=failed, cancelled=cancelled
        )

    # A batch

    def place(self, batch: Sequence[Task], events: Events) -> tuple[list[Change], set[Path]]:
        """
        Place what these tasks ask for.

        @return: the rows that changed, and the paths that are not placed and
            to be tried again later.
        """
        intents: list[Intent] = []
        rows = {
            row.path: row for row in self._ledger.index.known_rows(task.path for task in batch)
        }
        for task in batch:
            row = rows.get(task.path)
            if row is not None and row.head is not None:
                placement = self._placement(row, row.head, task)
                intents.append(Intent(row.head, Prepared(placement, None, None)))
        heads = {intent.prepared.placement.path: intent.head for intent in intents}
        recorded: list[Intent] = []

        def record(prepared: Sequence[Prepared]) -> None:
            recorded.extend(Intent(heads[each.placement.path], each) for each in prepared)
            with self._ledger.index.transaction():
                self._ledger.index.add_placing(
                    (each.prepared.placement.path, pack_intent(each)) for each in recorded
                )

        placements = [intent.prepared.placement for intent in intents]
        try:
            outcomes = self._site.placer.place(placements, record)
        except OSError as error:
            # Some of it may be done: find out as after a crash.
            self.unfinished = bool(recorded)
            for path in heads:
                self._failed(path, reason_for(error))
            return [], set(heads)
        self.unfinished = True
        finished = self._finish(list(zip(intents, outcomes, strict=True)), events)
        self.unfinished = False
        return finished

    def _placement(self, row: Row, head: Head, task: Task) -> Placement:
        value = DIRECTORY if head.value == IMPLIED else head.value
        placed = row.placed
        expected = None if placed is None else placed.disk
        if value.deleted or value.kind is Kind.DIRECTORY:
            return Placement(row.path, value, expected=expected)
        if task.source is not None:
            source = self._ledger.index.row(task.source)
            there = None if source is None or source.placed is None else source.placed.disk
            return Placement(
                row.path, value, head.size, source=task.source, source_expected=there
            )
        content = Hash(value.content)
        if value.kind is Kind.SYMLINK:
            target = self._site.staging.read(content, 0, head.size) if task.content else None
            return Placement(row.path, value, head.size, target=target, expected=expected)
        same = (
            placed is not None
            and expected is not None
            and placed.value.kind is Kind.FILE
            and placed.value.content == content
        )
        staged = None if same else self._site.staging.name(content)
        return Placement(row.path, value, head.size, staged, None, expected)

    # After a crash

    def recover(self, events: Events) -> list[Change]:
        """
        Before anything else: find out what became of what was being placed.

        @raise OSError: it cannot be found out now.
        """
        intents = [unpack_intent(packed) for _, packed in self._ledger.index.placing()]
        self._put_modes_back(intents)
        changes: list[Change] = []
        if intents:
            outcomes = self._site.placer.recover([intent.prepared for intent in intents])
            found = [
                (intent, _as_recorded(intent.prepared, outcome))
                for intent, outcome in zip(intents, outcomes, strict=True)
            ]
            changes, _ = self._finish(found, events)
        self._site.staging.sweep()
        self._site.versions.unlisted(self._ledger.index.contents.kept_names())
        self.unfinished = False
        self.out.expect_last()
        return changes

    def _put_modes_back(self, intents: Iterable[Intent]) -> None:
        """Directories were made writable for a batch that did not end."""
        folder = self._site.folder
        above: set[Path] = set()
        for intent in intents:
            placement = intent.prepared.placement
            for path in (placement.path, placement.source or placement.path):
                above.update(parents(path))
        for path in sorted(above, reverse=True):
            row = self._ledger.index.row(path)
            disk = None if row is None or row.placed is None else row.placed.disk
            if disk is None or disk.type is not FileType.DIRECTORY:
                continue
            try:
                there = folder.lstat(path)
                if there is None or there.type is not FileType.DIRECTORY:
                    continue
                if there.mode != disk.mode and there.mode == disk.mode | 0o700:
                    descriptor = folder.open_directory(path)
                    try:
                        os.fchmod(descriptor, disk.mode)
                    finally:
                        os.close(descriptor)
            except OSError:
                continue

    # What came of it

    def _finish(
        self, found: Iterable[tuple[Intent, Outcome]], events: Events
    ) -> tuple[list[Change], set[Path]]:
        found = list(found)
        draft = Draft(self._ledger.index)
        draft.prepare(intent.prepared.placement.path for intent, _ in found)
        held_back: set[Path] = set()
        surprised: list[Path] = []
        surprises: list[tuple[Path, Held | None, Kept]] = []
        kept: list[KeptRow] = []
        for intent, outcome in found:
            placement = intent.prepared.placement
            path = placement.path
            if isinstance(outcome, Failed) and self._stays(intent, outcome):
                self._hold(draft, intent, Placed(path, self._site.folder.lstat(path)), events)
                continue
            if isinstance(outcome, (Occupied, Failed)):
                held_back.add(path)
                self._look_into(placement, outcome, events)
                continue
            before = draft.row(path).placed
            self._hold(draft, intent, outcome, events)
            if outcome.kept is None:
                continue
            if isinstance(outcome, Surprise):
                surprises.append((path, before, outcome.kept))
                continue
            self.out.expect(outcome.kept, path, before)
            if before is not None:
                kept.append(self.out.row(path, outcome.kept, before.value.content))
        seen = [
            (path, before, each, self.out.observe(path, each)) for path, before, each in surprises
        ]

        def also() -> None:
            self._changes.add_lists(lists)
            self._ledger.index.contents.add_kept(kept)
            self._ledger.index.clear_placing()

        lists: list[Hashed] = []
        values: dict[Kept, tuple[Value, int]] = {}
        for path, before, each, observation in seen:
            if observation is None:
                self._failed(path, UNREADABLE)
                continue
            values[each] = self._changes.surprise(draft, path, before, observation, self._site)
            surprised.append(path)
            if observation.hashed is not None:
                lists.append(observation.hashed)
                kept.append(self.out.row(path, each, observation.hashed.content))
        settle_paths(draft, surprised)
        for path, before, each, _ in seen:
            at = (path, before)
            if each in values:
                at = followed(draft, path, before, *values[each])
            self.out.expect(each, *at)
        return self._ledger.commit(draft, also), held_back

    def _stays(self, intent: Intent, outcome: Failed) -> bool:
        """
        Is it a deleted directory in which nothing is left but what is
        ignored?  It stays on disk; the index says that it is deleted.
        """
        if outcome.errno != errno.ENOTEMPTY or not intent.head.value.deleted:
            return False
        try:
            return self._site.ignored.only_ignored(outcome.path)
        except OSError:
            return False

    def _hold(
        self, draft: Draft, intent: Intent, outcome: Placed | Surprise, events: Events
    ) -> None:
        """The folder holds that version now."""
        placement, head = intent.prepared.placement, intent.head
        path, disk = placement.path, outcome.stat
        if head.value.deleted:
            # But of a directory that stays for what is ignored in it.
            disk = disk if disk is not None and disk.type is FileType.DIRECTORY else None
        elif disk is None:
            # It went away in the same instant, which is a local change.
            disk = intent.prepared.stat or placement.expected or _as_made(placement.value)
            events.look.add(path)
        if isinstance(outcome, Placed) and outcome.recheck:
            events.afresh.add(path)
            if disk is not None:
                # Not what is there: it is hashed again, also after a restart.
                disk = replace(disk, ctime_ns=disk.ctime_ns - 1)
        held = Held(head.id, head.value, head.size, disk)
        draft.put(replace(draft.row(path), placed=held))
        if placement.source is not None:
            row = draft.row(placement.source)
            if row.head is not None and row.head.value.deleted:
                gone = Held(row.head.id, TOMBSTONE, 0, None)
                draft.put(replace(row, placed=gone))
            else:
                events.look.add(placement.source)

    def _look_into(
        self, placement: Placement, outcome: Occupied | Failed, events: Events
    ) -> None:
        path = placement.path
        if isinstance(outcome, Occupied):
            events.look.update((path, outcome.path))
            stat = outcome.stat
            if stat is not None and self._site.ignored(outcome.path, stat.type):
                self._failed(path, "Something ignored is in its place: move that away.")
            return
        # Of a directory with something in it, only what is in it can tell more.
        self._failed(path, outcome.reason, outcome.errno == errno.ENOTEMPTY)
        if outcome.errno == errno.ENOTEMPTY:
            events.rescan.add(path)
        elif outcome.errno in (errno.ENOENT, errno.ENOTDIR):
            events.look.add(Path(path.rpartition(b"/")[0] or path))


def _as_made(value: Value) -> Stat | None:
    """Of a new directory that nobody has looked at: enough to be missed."""
    if value.kind is not Kind.DIRECTORY:
        return None
    return Stat(FileType.DIRECTORY, 0, 0, 0, value.mode & 0o777, 0)


def _as_recorded(prepared: Prepared, outcome: Outcome) -> Outcome:
    """
    After a crash: what the index shall remember of a path.  What is there may
    be somebody's change after it was placed, to be seen as one.
    """
    if not isinstance(outcome, (Placed, Surprise)):
        return outcome
    stat, value = outcome.stat, prepared.placement.value
    if prepared.stat is not None and not prepared.stat.alike(stat):
        return attrs.evolve(outcome, stat=prepared.stat)
    other = stat is not None and stat.type is not FileType.DIRECTORY
    if value.kind is Kind.DIRECTORY and other:
        return attrs.evolve(outcome, stat=None)
    return outcome
