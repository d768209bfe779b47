# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Changes made in the folder become versions.

The only parent of such a version is what the folder held before, whatever
newer version has been heard of since: whoever made the change had not seen
that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from flocknode.box.content import BlockList, encode_list
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.index.draft import Change, Draft
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import COST, Placed, Row, parents
from flocknode.box.merge.history import NOTHING, Unseen, local_change
from flocknode.box.merge.reconcile import settle_paths
from flocknode.box.survey.hashing import Hashed
from flocknode.box.survey.newcomers import all_new, rows_of, trusted_stat
from flocknode.box.survey.observe import Observation, observed_value
from flocknode.box.values import Path, Value, VersionId
from flocknode.errors import BoxError

REMEMBERED = 20_000
"""Local changes that can still be taken back, at most.  Beyond, the oldest
count as announced: the next change of such a path is a version on top."""


class Away(BoxError):
    """The folder is not the box's (any more): what is missing in it is not deleted."""


class LocalChanges:
    """
    Takes in what was seen in the folder.

    @ivar total: bytes of all local changes since the start, C{size + 256} each.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.total = 0
        self._ledger = ledger
        self._unseen: OrderedDict[Path, Unseen] = OrderedDict()

    def announced(self, path: Path) -> None:
        """The path's entry was handed out: others may have heard of it."""
        self._unseen.pop(path, None)

    def observe(
        self, site: Site, observations: Iterable[Observation]
    ) -> tuple[list[Change], set[Path]]:
        """
        Take in what was seen, in one transaction.

        @return: the rows that changed, and paths that are different again by
            now: look at them anew.
        @raise Away: something seems deleted, but the folder is not the box's.
        """
        observations = tuple(observations)
        if all_new(self._ledger.index, observations):
            return self._add(site, observations), set()
        draft = Draft(self._ledger.index)
        observations = tuple(self._with_all_below(site, observations))
        draft.prepare(seen.path for seen in observations)
        again: set[Path] = set()
        unseen: dict[Path, Unseen | None] = {}
        lists: list[Hashed] = []
        total = self.total
        for seen in observations:
            row = draft.row(seen.path)
            if not _is_news(row, seen):
                continue
            if not _is_current(site, row, seen):
                again.add(seen.path)
                continue
            value, size = observed_value(row.placed, seen, site.capabilities)
            held = None if row.placed is None else row.placed.id
            change = local_change(
                row.history, held, value, size, self._unseen.get(seen.path)
            )
            placed = (
                None
                if change.placed is None
                else Placed(change.placed, value, size, trusted_stat(seen))
            )
            if seen.hashed is not None and len(seen.hashed.blocks) > 1:
                lists.append(seen.hashed)
            draft.put(
                Row(
                    row.path, row.number, change.history, row.complete, placed, row.local,
                    row.shown,
                )
            )
            if change.history == row.history:
                continue
            unseen[seen.path] = change.unseen
            if change.placed is not None:
                draft.local[seen.path] = change.placed
                total += size + COST
        if any(seen.stat is None for seen in observations) and not site.in_place():
            raise Away("The folder is not there, or is another one.")
        if not draft:
            return [], again
        settle_paths(draft, unseen)
        changes = self._ledger.commit(draft, lambda: self.add_lists(lists))
        self.total = total
        self._remember(unseen)
        return changes, again

    def _add(self, site: Site, observations: Sequence[Observation]) -> list[Change]:
        """Take in what is L{all_new}."""
        if not observations:
            return []
        rows = rows_of(observations, site.capabilities, self._ledger.highest)
        lists = [seen.hashed for seen in observations if seen.hashed is not None]
        changes = self._ledger.add(rows, lambda: self.add_lists(lists))
        self.total += sum(row.weight for row in rows)
        self._remember({row.path: Unseen(NOTHING, None, row.history) for row in rows})
        return changes

    def _with_all_below(
        self, site: Site, observations: Collection[Observation]
    ) -> Iterator[Observation]:
        """
        With what was placed in directories that are gone after they were
        looked at: nothing is in them.
        """
        yield from observations
        names = site.capabilities.names
        gone = {seen.path for seen in observations if seen.stat is None}
        for path in sorted(gone):
            if not gone.isdisjoint(parents(path)):
                continue
            disk = self._ledger.index.disk(path)
            if disk is None or disk[0] != int(FileType.DIRECTORY):
                continue
            for row in list(self._ledger.index.below(path)):
                placed = row.placed
                if row.path in gone or placed is None or placed.disk is None:
                    continue
                # What is ignored, or cannot be held by its name, means nothing.
                if not site.ignored(row.path, placed.disk.type) and (
                    names.plain or not names.why_not(row.path)
                ):
                    yield Observation(row.path, None)

    def surprise(
        self, draft: Draft, path: Path, before: Placed | None, seen: Observation, site: Site
    ) -> tuple[Value, int]:
        """
        What came out of the folder when something was placed was not what the
        index knew (C{before}), but a change of the last instant.  It lies in
        the version store; here it becomes a version.  To be settled and
        committed by the caller, with L{add_lists}.

        @return: what it is, and its size.
        """
        row = draft.row(path)
        value, size = observed_value(before, seen, site.capabilities)
        held: VersionId | None = None if before is None else before.id
        change = local_change(row.history, held, value, size)
        if change.history != row.history:
            draft.put(replace(row, history=change.history))
            self.total += size + COST
        self._unseen.pop(path, None)
        return value, size

    def add_lists(self, found: Iterable[Hashed]) -> None:
        """Remember which blocks this content has; within a transaction."""
        self._ledger.index.contents.add_block_lists(
            (
                hashed.content,
                encode_list(hashed.block_size, hashed.size, hashed.blocks),
                BlockList(hashed.block_size, hashed.size, hashed.blocks),
            )
            for hashed in found
            if len(hashed.blocks) > 1
        )

    def _remember(self, changed: dict[Path, Unseen | None]) -> None:
        for path, unseen in changed.items():
            self._unseen.pop(path, None)
            if unseen is not None:
                self._unseen[path] = unseen
        while len(self._unseen) > REMEMBERED:
            self._unseen.popitem(last=False)


def _is_news(row: Row, seen: Observation) -> bool:
    """Can this observation say anything that the row does not?"""
    stat = seen.stat
    disk = None if row.placed is None else row.placed.disk
    if stat is None:
        return disk is not None
    if row.stays and disk is not None and stat.type is FileType.DIRECTORY:
        # It is deleted, and stays so; unless somebody made it anew, or changed it.
        return (stat.inode, stat.mode) != (disk.inode, disk.mode)
    return seen.hashed is not None or stat.type is FileType.DIRECTORY


def _is_current(site: Site, row: Row, seen: Observation) -> bool:
    """
    Is it still as it was seen?  Since then something may have been placed
    there, and that must not be taken for a change back to what was.
    """
    if row.placed is None and seen.stat is not None:
        # Never placed, so it was not us; who changes it again is heard of.
        return True
    try:
        there = site.view.lstat(seen.path)
    except OSError:
        return False
    if seen.stat is None:
        return there is None
    return seen.stat.matches(there)
