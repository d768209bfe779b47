# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
From tasks to placements, and from what came of those back into the index.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import attrs

from flocknode.box.content import block_hash, block_size_for
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
from flocknode.box.merge.conflict import conflict_path
from flocknode.box.merge.history import DIRECTORY, IMPLIED
from flocknode.box.merge.reconcile import settle_paths
from flocknode.box.receive.intents import Intent, pack_intent, unpack_intent
from flocknode.box.receive.tasks import Task
from flocknode.box.survey.changes import LocalChanges
from flocknode.box.survey.hashing import Changed, Hashed, hash_open
from flocknode.box.survey.observe import Observation
from flocknode.box.values import TOMBSTONE, Hash, Head, Kind, Path, Value

SECOND_LOOK = 2.0
"""Seconds after which what was replaced is looked at again: a writer may have
held it open."""


_UNREADABLE = "What was there cannot be read; it is in .flocknode/versions."

LAST = 1024
"""So many of those that were kept last are looked at again at the start."""


@attrs.frozen
class _Recheck:
    due: float
    kept: Kept
    path: Path
    before: Held | None


class Mover:
    """
    Places batches of one site, and keeps what came out.

    @param changes: what came out by surprise is a local change.
    @param now: seconds; C{wall}: seconds since the epoch.
    @param failed: told (path, one sentence, L{Planner.fail}'s C{patient}) of what
        could not be placed.
    @param cancelled: whether to stop hashing.
    @ivar kept: paths that something was kept of, since this was last emptied.
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
        self._now = now
        self._wall = wall
        self._failed = failed
        self._cancelled = cancelled
        self.kept: set[Path] = set()
        self._rechecks: deque[_Recheck] = deque()
        self.unfinished = True

    def watched(self) -> frozenset[bytes]:
        """Names in the version store that will be looked at once more."""
        return frozenset(each.kept.name for each in self._rechecks)

    def next_due(self) -> float | None:
        """When L{recheck} has something to do, or L{None}."""
        return self._rechecks[0].due if self._rechecks else None

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
        self._recheck_last()
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

    def _recheck_last(self) -> None:
        """What was kept just before the end may have been written to since."""
        newest: float | None = None
        for row in self._ledger.index.contents.kept_last(LAST):
            newest = row.kept if newest is None else newest
            if row.kept < newest - 2 * SECOND_LOOK:
                return
            stat = self._site.versions.stat(row.name)
            if stat is not None and (stat.size, stat.mtime_ns) != (row.size, row.mtime_ns):
                # It is not known any more what it was a change of.
                self._look_again(Kept(row.name, attrs.evolve(stat, inode=0)), row.path, None)

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
            self._look_again(outcome.kept, path, before)
            if before is not None:
                kept.append(self._kept_row(path, outcome.kept, before.value.content))
        seen = [
            (path, before, each, self._observe(path, each)) for path, before, each in surprises
        ]

        def also() -> None:
            self._changes.add_lists(lists)
            self._ledger.index.contents.add_kept(kept)
            self._ledger.index.clear_placing()

        lists: list[Hashed] = []
        values: dict[Kept, tuple[Value, int]] = {}
        for path, before, each, observation in seen:
            if observation is None:
                self._failed(path, _UNREADABLE)
                continue
            values[each] = self._changes.surprise(draft, path, before, observation, self._site)
            surprised.append(path)
            if observation.hashed is not None:
                lists.append(observation.hashed)
                kept.append(self._kept_row(path, each, observation.hashed.content))
        settle_paths(draft, surprised)
        for path, before, each, _ in seen:
            at = (path, before)
            if each in values:
                at = _followed(draft, path, before, *values[each])
            self._look_again(each, *at)
        return self._ledger.commit(draft, also), held_back

    def _look_again(self, kept: Kept, path: Path, before: Held | None) -> None:
        self._rechecks.append(_Recheck(self._now() + SECOND_LOOK, kept, path, before))

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
            disk = intent.prepared.stat or placement.expected
            events.look.add(path)
        if isinstance(outcome, Placed) and outcome.recheck:
            events.afresh.add(path)
        held = Held(head.id, head.value, head.size, disk)
        draft.put(attrs.evolve(draft.row(path), placed=held))
        if placement.source is not None:
            row = draft.row(placement.source)
            if row.head is not None and row.head.value.deleted:
                gone = Held(row.head.id, TOMBSTONE, 0, None)
                draft.put(attrs.evolve(row, placed=gone))
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

    def _kept_row(self, path: Path, kept: Kept, content: bytes) -> KeptRow:
        self.kept.add(path)
        stat = kept.stat
        kind = Kind.SYMLINK if stat.type is FileType.SYMLINK else Kind.FILE
        return KeptRow(
            kept.name, path, content, stat.size, kind, stat.mode, stat.mtime_ns, self._wall()
        )

    def _observe(self, path: Path, kept: Kept) -> Observation | None:
        """What lies in the version store, as if it still were at its path."""
        versions = self._site.versions
        stat: Stat = kept.stat
        try:
            if stat.type is FileType.SYMLINK:
                target = versions.readlink(kept.name)
                hash = block_hash(target)
                size = len(target)
                hashed = Hashed(hash, size, block_size_for(size), (hash,), stat)
                return Observation(path, stat, hashed)
            if stat.type is not FileType.FILE:
                return None
            descriptor = versions.open(kept.name)
            try:
                hashed = hash_open(self._site.folder, descriptor, cancelled=self._cancelled)
            finally:
                os.close(descriptor)
        except (OSError, Changed):
            return None
        return Observation(path, hashed.stat, hashed)

    # For somebody who asked

    def displaced(self, outcome: Placed | Surprise) -> list[Change]:
        """
        Something was put at a path as if the user had done it himself, and
        this came out: it is kept as what others replace is.  The index goes
        on saying what was there, until the folder is looked at.
        """
        kept, path = outcome.kept, outcome.path
        if kept is None:
            return []
        row = self._ledger.index.row(path)
        before = None if row is None else row.placed
        self._rechecks.append(_Recheck(self._now() + SECOND_LOOK, kept, path, before))
        if isinstance(outcome, Placed) and before is not None:
            with self._ledger.index.transaction():
                kept_row = self._kept_row(path, kept, before.value.content)
                self._ledger.index.contents.add_kept([kept_row])
            return []
        seen = self._observe(path, kept)
        if seen is None or seen.hashed is None:
            self._failed(path, _UNREADABLE)
            return []
        changes, (path, before) = self._take_back(path, before, kept, seen, seen.hashed)
        self._rechecks[-1] = attrs.evolve(self._rechecks[-1], path=path, before=before)
        return changes

    # Once more

    def recheck(self) -> list[Change]:
        """
        Look again at what came out a while ago.  What a writer did to it
        since, thinking it was in the folder, is a local change.
        """
        changed: list[Change] = []
        while self._rechecks and self._rechecks[0].due <= self._now():
            each = self._rechecks.popleft()
            if not self._site.versions.changed(each.kept):
                continue
            kept = self._site.versions.renew(each.kept)
            if kept is None:
                continue
            self._look_again(kept, each.path, each.before)
            seen = self._observe(each.path, kept)
            if seen is None or seen.hashed is None:
                continue
            more, (path, before) = self._take_back(
                each.path, each.before, kept, seen, seen.hashed
            )
            # What is written to it from now on is a change of that.
            self._rechecks[-1] = attrs.evolve(self._rechecks[-1], path=path, before=before)
            changed += more
        return changed

    def _take_back(
        self, path: Path, before: Held | None, kept: Kept, seen: Observation, hashed: Hashed
    ) -> tuple[list[Change], tuple[Path, Held | None]]:
        draft = Draft(self._ledger.index)
        value, size = self._changes.surprise(draft, path, before, seen, self._site)
        settle_paths(draft, [path])
        now_at = _followed(draft, path, before, value, size)
        row = self._kept_row(path, kept, hashed.content)

        def also() -> None:
            self._changes.add_lists([hashed])
            self._ledger.index.contents.add_kept([row])

        return self._ledger.commit(draft, also), now_at


def _followed(
    draft: Draft, path: Path, before: Held | None, value: Value, size: int
) -> tuple[Path, Held | None]:
    """Where a change that came out of the folder lives on, and as which version."""
    for at in (path, conflict_path(path, value)):
        head = draft.row(at).head
        if head is not None and head.value == value:
            return at, Held(head.id, value, size, None)
    return path, before


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
