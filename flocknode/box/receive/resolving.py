# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Conflicts, for the user: which there are, and ending one.  Whatever is chosen,
nothing is lost: what goes, goes to the version store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import attrs

from flocknode.box.disk.site import Site
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import joined
from flocknode.box.merge.conflict import numbered_name, original, was_cut
from flocknode.box.paths import split
from flocknode.box.receive.putting import Putter, shown
from flocknode.box.values import Kind, Path, Value
from flocknode.errors import BoxError

KEEP = ("mine", "other", "both")
"""What can be kept: what has the plain name, the sibling, or each."""

MOST_NUMBERS = 10_000
"""Plain names that are tried for a sibling."""


@attrs.frozen
class Conflict:
    """
    @ivar path: of the sibling.
    @ivar of: the path that it was made for.
    @ivar there: whether anything is there.
    @ivar value: the sibling's; C{size} of its content.
    """

    path: Path
    of: Path
    there: bool
    value: Value
    size: int


@attrs.frozen
class Resolved:
    """
    What was done.

    @ivar removed: siblings that are in the version store now.
    @ivar replaced: the path that a sibling has taken the place of.
    @ivar renamed: (sibling, its plain name).
    """

    removed: tuple[Path, ...] = ()
    replaced: Path | None = None
    renamed: tuple[tuple[Path, Path], ...] = ()


class Resolver:
    """
    Works in the box's worker thread while the folder is there.
    """

    def __init__(self, ledger: Ledger, site: Site, putter: Putter) -> None:
        self._ledger = ledger
        self._site = site
        self._putter = putter

    def find(self) -> list[Conflict]:
        """All that the folder holds, by the path that they belong to."""
        found = []
        for path in self._ledger.totals.conflicts:
            of, row = self._belongs_to(path), self._ledger.index.row(path)
            if of is None or row is None or row.placed is None:
                continue
            placed = row.placed
            there = self._ledger.index.disk(of) is not None
            found.append(Conflict(path, of, there, placed.value, placed.size))
        return sorted(found, key=lambda each: (each.of, each.path))

    def resolve(self, keep: str, path: Path) -> Iterator[Resolved | None]:
        """
        End a conflict, a piece of the work at a time; the last that comes is
        not L{None}.

        @param keep: one of L{KEEP}.
        @param path: of a sibling; or of what they belong to, for all of them.
        @raise BoxError: there is no such conflict, or it cannot be ended so.
        """
        if keep not in KEEP:
            raise BoxError(f"There is nothing like that to keep: {', '.join(KEEP[:-1])} or both.")
        meant = [each for each in self.find() if path in (each.path, each.of)]
        if not meant:
            raise BoxError(
                f"{shown(path)} has no conflict; 'flocknode conflicts' lists those there are."
            )
        if keep == "mine":
            yield self._keep_mine(meant)
        elif keep == "both":
            yield self._keep_both(meant)
        elif len(meant) > 1:
            raise BoxError(
                f"{shown(path)} is in {len(meant)} conflicts: name the one to keep, as"
                f" {shown(meant[0].path)}."
            )
        else:
            yield from self._keep_other(meant[0])

    def _keep_mine(self, meant: list[Conflict]) -> Resolved:
        if not meant[0].there:
            raise BoxError(f"{shown(meant[0].of)} is not there: keep other, or both.")
        for each in meant:
            self._putter.remove(each.path)
        return Resolved(removed=tuple(each.path for each in meant))

    def _keep_both(self, meant: list[Conflict]) -> Resolved:
        renamed = []
        for each in meant:
            to = self._free_name(each.of)
            self._putter.rename(each.path, to)
            renamed.append((each.path, to))
        return Resolved(renamed=tuple(renamed))

    def _keep_other(self, one: Conflict) -> Iterator[Resolved | None]:
        row = self._putter.row(one.path)
        if row is None or row.placed is None:
            raise BoxError(f"{shown(one.path)} is not there any more.")
        value, size, folder = row.placed.value, row.placed.size, self._site.folder
        try:
            link = value.kind is Kind.SYMLINK
            source = folder.readlink(one.path) if link else folder.open(one.path)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise BoxError(f"{shown(one.path)} cannot be read: {reason}.") from error
        try:
            unchanged = partial(self._putter.row, one.path)
            for _ in self._putter.put(one.of, value, size, source, unchanged):
                yield None
        finally:
            if isinstance(source, int):
                os.close(source)
        self._putter.remove(one.path)
        yield Resolved(removed=(one.path,), replaced=one.of)

    def _belongs_to(self, path: Path) -> Path | None:
        folder, name = split(path)
        plain = original(name)
        if plain is None:
            return None
        of = joined(folder, plain)
        if self._ledger.index.disk(of) is None:
            whole = sorted(
                other for other in self._ledger.index.disks(folder) if was_cut(name, other)
            )
            if whole:
                return joined(folder, whole[0])
        return of

    def _free_name(self, of: Path) -> Path:
        folder, name = split(of)
        for number in range(2, MOST_NUMBERS):
            path = joined(folder, numbered_name(name, number))
            row = self._ledger.index.row(path)
            known = row is not None and row.head is not None and not row.head.value.deleted
            if not known and not self._putter.is_there(path):
                return path
        raise BoxError(f"There are too many names like {shown(of)}: rename it by hand.")
