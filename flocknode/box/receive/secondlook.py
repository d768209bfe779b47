# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What came out of the folder when something was placed there lies in the version
store.  It is looked at once more: a writer may have held it open, and what he
wrote since, thinking it was in the folder, is a local change.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import attrs
from msgspec.structs import replace

from flocknode.box.content import block_hash, block_size_for
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.placement import Placed, Surprise
from flocknode.box.disk.site import Site
from flocknode.box.disk.versions import Kept
from flocknode.box.index.contents import KeptRow
from flocknode.box.index.draft import Change, Draft
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Placed as Held
from flocknode.box.merge.conflict import conflict_path
from flocknode.box.merge.reconcile import settle_paths
from flocknode.box.survey.changes import LocalChanges
from flocknode.box.survey.hashing import Changed, Hashed, hash_open
from flocknode.box.survey.observe import Observation
from flocknode.box.values import Kind, Path, Value

SECOND_LOOK = 2.0
"""Seconds after which what was replaced is looked at again: a writer may have
held it open."""


UNREADABLE = "What was there cannot be read; it is in .flocknode/versions."

LAST = 1024
"""So many of those that were kept last are looked at again at the start."""


@attrs.frozen
class _Recheck:
    due: float
    kept: Kept
    path: Path
    before: Held | None


class SecondLook:
    """
    What came out of one site.

    @param changes: what was written to it since is a local change.
    @param now: seconds; C{wall}: seconds since the epoch.
    @param failed: told (path, one sentence) of what cannot be read.
    @param cancelled: whether to stop hashing.
    @ivar kept: paths that something was kept of, since this was last emptied.
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
        self.kept: set[Path] = set()
        self._ledger = ledger
        self._changes = changes
        self._site = site
        self._now = now
        self._wall = wall
        self._failed = failed
        self._cancelled = cancelled
        self._rechecks: deque[_Recheck] = deque()

    def watched(self) -> frozenset[bytes]:
        """Names in the version store that will be looked at once more."""
        return frozenset(each.kept.name for each in self._rechecks)

    def next_due(self) -> float | None:
        """When L{look} has something to do, or L{None}."""
        return self._rechecks[0].due if self._rechecks else None

    def expect(self, kept: Kept, path: Path, before: Held | None) -> None:
        """
        Look at it again after a while.

        @param before: what it was changed from, as far as is known.
        """
        self._rechecks.append(_Recheck(self._now() + SECOND_LOOK, kept, path, before))

    def expect_last(self) -> None:
        """What was kept just before the end may have been written to since."""
        newest: float | None = None
        for row in self._ledger.index.contents.kept_last(LAST):
            newest = row.kept if newest is None else newest
            if row.kept < newest - 2 * SECOND_LOOK:
                return
            stat = self._site.versions.stat(row.name)
            if stat is not None and (stat.size, stat.mtime_ns) != (row.size, row.mtime_ns):
                # It is not known any more what it was a change of.
                self.expect(Kept(row.name, replace(stat, inode=0)), row.path, None)

    def row(self, path: Path, kept: Kept, content: bytes) -> KeptRow:
        """What the index remembers of it."""
        self.kept.add(path)
        stat = kept.stat
        kind = Kind.SYMLINK if stat.type is FileType.SYMLINK else Kind.FILE
        return KeptRow(
            kept.name, path, content, stat.size, kind, stat.mode, stat.mtime_ns, self._wall()
        )

    def observe(self, path: Path, kept: Kept) -> Observation | None:
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
                kept_row = self.row(path, kept, before.value.content)
                self._ledger.index.contents.add_kept([kept_row])
            return []
        seen = self.observe(path, kept)
        if seen is None or seen.hashed is None:
            self._failed(path, UNREADABLE)
            return []
        changes, (path, before) = self._take_back(path, before, kept, seen, seen.hashed)
        self._rechecks[-1] = attrs.evolve(self._rechecks[-1], path=path, before=before)
        return changes

    # Once more

    def look(self) -> list[Change]:
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
            self.expect(kept, each.path, each.before)
            seen = self.observe(each.path, kept)
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
        now_at = followed(draft, path, before, value, size)
        row = self.row(path, kept, hashed.content)

        def also() -> None:
            self._changes.add_lists([hashed])
            self._ledger.index.contents.add_kept([row])

        return self._ledger.commit(draft, also), now_at


def followed(
    draft: Draft, path: Path, before: Held | None, value: Value, size: int
) -> tuple[Path, Held | None]:
    """Where a change that came out of the folder lives on, and as which version."""
    for at in (path, conflict_path(path, value)):
        head = draft.row(at).head
        if head is not None and head.value == value:
            return at, Held(head.id, value, size, None)
    return path, before
