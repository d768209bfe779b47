# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Kept versions, for the user: which there are, and putting one back.

What comes out of the version store is always a copy; the version stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial

import attrs
from msgspec.structs import replace

from flocknode.box.disk.site import Site
from flocknode.box.index.contents import Contents, KeptRow
from flocknode.box.index.rows import joined
from flocknode.box.receive.putting import Putter, shown
from flocknode.box.values import Kind, Path, Value
from flocknode.errors import BoxError

SHORTEST_ID = 4
"""Digits of an id that are enough to name a version, if no other begins so."""


def id_of(row: KeptRow) -> str:
    """What names a kept version for people: 16 hexadecimal digits, by chance."""
    return row.name.rpartition(b"-")[2].decode("ascii")


def valid_at(rows: Sequence[KeptRow], time: float) -> KeptRow | None:
    """
    Which version was at a path at some time, as far as it is kept: the first
    that left it later, if it is not younger than that itself.

    @param rows: all that is kept of the path, newest first.
    @param time: seconds since the epoch.
    """
    later = [row for row in rows if row.kept > time]
    return later[-1] if later and later[-1].mtime_ns <= time * 1e9 else None


def named(rows: Sequence[KeptRow], id: str, path: Path) -> KeptRow:
    """
    The version with this id.

    @param id: its first digits.
    @raise BoxError: there is none, or more than one.
    """
    found = [row for row in rows if len(id) >= SHORTEST_ID and id_of(row).startswith(id)]
    if len(found) > 1:
        raise BoxError(f"Several kept versions have ids that begin with {id}: give more of it.")
    if not found:
        raise BoxError(
            f"No kept version of {shown(path) or 'the box'} has the id {id};"
            " 'flocknode versions' lists them."
        )
    return found[0]


@attrs.frozen
class Restored:
    """
    @ivar paths: what was put back, or is so already.
    @ivar problems: what could not be, and why (one sentence).
    """

    paths: tuple[Path, ...] = ()
    problems: tuple[tuple[Path, str], ...] = ()


class Restorer:
    """
    Works in the box's worker thread while the folder is there.
    """

    def __init__(self, contents: Contents, site: Site, putter: Putter) -> None:
        self._contents = contents
        self._site = site
        self._putter = putter

    def choose(self, path: Path, at: str | float) -> list[KeptRow]:
        """
        Which versions are meant.

        @param at: an id, or seconds since the epoch.
        @return: one of the path itself, or of each path below it.
        @raise BoxError: there is none.
        """
        rows = self._contents.kept_under(path)
        name = shown(path) or "the box"
        if not rows:
            raise BoxError(f"No earlier version of {name} is kept.")
        if isinstance(at, str):
            return [named(rows, at, path)]
        paths: dict[Path, list[KeptRow]] = {}
        for row in rows:
            paths.setdefault(row.path, []).append(row)
        found = {each: valid_at(paths[each], at) for each in paths}
        whole = found.get(path)
        chosen = [row for row in found.values() if row is not None]
        if whole is not None:
            return [whole]
        if not chosen and rows[0].kept <= at:
            raise BoxError(f"What {name} held at that time has not been replaced since.")
        if not chosen:
            raise BoxError(
                f"No version of {name} from that time is kept; 'flocknode versions' lists"
                " what is."
            )
        return sorted(chosen, key=lambda row: row.path)

    def restore(self, path: Path, at: str | float, to: Path | None) -> Iterator[Restored | None]:
        """
        Put back what L{choose} chooses, a piece of the work at a time; the
        last that comes is not L{None}.

        @param to: where, instead of C{path} (with an id: instead of where that
            version was); nothing may be there.
        @raise BoxError: nothing could be put back, and why.
        """
        chosen = self.choose(path, at)
        if to is not None and self._putter.is_there(to):
            raise BoxError(f"There is something at {shown(to)}: choose another name.")
        paths: list[Path] = []
        problems: list[tuple[Path, str]] = []
        for row in chosen:
            target = row.path
            if to is not None:
                below = b"" if isinstance(at, str) else row.path[len(path) :].lstrip(b"/")
                target = joined(to, below) if below else to
            try:
                for _ in self._restore(row, target):
                    yield None
                paths.append(target)
            except BoxError as error:
                problems.append((target, str(error)))
        if not paths:
            raise BoxError(problems[0][1])
        yield Restored(tuple(paths), tuple(problems))

    def _restore(self, row: KeptRow, target: Path) -> Iterator[None]:
        value = Value(kind=row.kind, mode=row.mode, mtime_ns=row.mtime_ns, content=row.content)
        if row.kind is Kind.SYMLINK:
            value = replace(value, mode=0)
        there = self._putter.row(target)
        if there is not None and there.placed is not None and there.placed.value == value:
            return
        versions, unchanged = self._site.versions, partial(self._check, row)
        unchanged()
        try:
            if row.kind is Kind.SYMLINK:
                link = versions.readlink(row.name)
                yield from self._putter.put(target, value, 0, link, unchanged)
                return
            source = versions.open(row.name)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise BoxError(
                f"That version of {shown(row.path)} cannot be read: {reason}."
            ) from error
        try:
            yield from self._putter.put(target, value, row.size, source, unchanged)
        finally:
            os.close(source)

    def _check(self, row: KeptRow) -> None:
        """Is it as it was kept, still?"""
        stat = self._site.versions.stat(row.name)
        if stat is None or (stat.size, stat.mtime_ns) != (row.size, row.mtime_ns):
            raise BoxError(f"That version of {shown(row.path)} is not kept unchanged any more.")
