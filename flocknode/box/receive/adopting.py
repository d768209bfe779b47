# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Taking files into the folder that come from elsewhere, not from another box: as
if the user had put them there, and never in the place of anything.

Many are placed in one go, and what comes of it is what would come of one after
the other.  So a round takes them from the front, up to the first that depends on
what becomes of another one of the round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.placement import Placed, Placement
from flocknode.box.disk.site import Site
from flocknode.box.index.database import Index
from flocknode.box.index.rows import parents
from flocknode.box.listing import Deleted
from flocknode.box.merge.conflict import conflict_path
from flocknode.box.merge.history import DIRECTORY
from flocknode.box.receive.namesakes import Namesakes, is_there
from flocknode.box.receive.putting import Putter, refused, shown
from flocknode.box.receive.taking import Taken
from flocknode.box.values import Kind, Path, Value
from flocknode.errors import BoxError

MODE = 0o644
"""Permissions of an adopted file: anybody may read it, it is public."""

ROUND = 256
"""Files that are placed in one go, at most."""

_CONFLICTS = 100
# Names that are tried; each further one would be of the same content.

_Key: TypeAlias = tuple[object, ...]
# Equal for paths that the disk cannot tell apart.


class _Later(Exception):
    """It depends on what becomes of another one of the round."""


class _Round:
    """
    What is about to be placed.

    @ivar files: number in the batch to placement; C{directories} that are made
        for them.
    @ivar taken: keys of both.
    """

    def __init__(self) -> None:
        self.files: dict[int, Placement] = {}
        self.directories: dict[_Key, Placement] = {}
        self.taken: set[_Key] = set()
        # Directories that are there.
        self.there: set[Path] = set()


class Adopter:
    """
    One batch.  Works in the box's worker thread while the folder is there.
    """

    def __init__(self, index: Index, site: Site, putter: Putter) -> None:
        self._index = index
        self._site = site
        self._putter = putter
        self._names = site.capabilities.names
        self._namesakes = Namesakes(index, self._names)
        self._round = _Round()
        # What this batch has made, of which the index knows nothing yet; of a
        # file with its content.
        self._made: dict[_Key, tuple[Stat, bytes]] = {}
        # How this batch spells the names in it.
        self._spelled: dict[_Key, Path] = {}

    def adopt(
        self, batch: Sequence[Taken | BoxError]
    ) -> Iterator[list[Path | BoxError] | None]:
        """
        A round at a time; the last that comes says for each where it lies, or
        why it does not.  What is no file yet stays what it is.
        """
        results: dict[int, Path | BoxError] = {}
        at = 0
        while at < len(batch):
            if at:
                yield None
            self._round = _Round()
            at = self._plan(batch, at, results)
            self._place(batch, results)
        yield [results[number] for number in range(len(batch))]

    def _plan(
        self, batch: Sequence[Taken | BoxError], at: int, results: dict[int, Path | BoxError]
    ) -> int:
        """@return: the first that is not of this round."""
        for number in range(at, len(batch)):
            each = batch[number]
            if len(self._round.files) >= ROUND:
                return number
            if isinstance(each, BoxError):
                results[number] = each
                continue
            try:
                target, is_held = self._find(each)
                if is_held:
                    results[number] = target
                else:
                    self._add(number, target, each)
            except _Later:
                return number
            except BoxError as error:
                results[number] = error
        return len(batch)

    # Where it goes

    def _find(self, taken: Taken) -> tuple[Path, bool]:
        """@return: where it goes, and whether the same lies there already."""
        value = _value(taken)
        target = self._beside_links(self._as_held(taken.path), value)
        for _ in range(_CONFLICTS):
            content = self._content_at(target)
            if content is None:
                if not taken.asked and self._putter.is_deleted(target):
                    raise Deleted(f"{shown(target)} was deleted here.")
                return target, False
            if content == taken.content:
                return target, True
            target = self._as_held(conflict_path(target, value))
        raise BoxError(f"There are too many conflicts with {shown(taken.path)}.")

    def _content_at(self, path: Path) -> bytes | None:
        """
        The content of the file that is there; empty: of something else; L{None}:
        nothing is there.
        """
        key = self._key(path)
        if key in self._round.taken:
            raise _Later
        if key in self._made:
            stat, content = self._made[key]
            if not stat.matches(self._putter.lstat(path)):
                raise BoxError(f"{shown(path)} has just been changed; try again in a moment.")
            return content
        row = self._putter.row(path)
        if row is None or row.placed is None:
            return None
        return row.placed.value.content if row.placed.value.kind is Kind.FILE else b""

    def _beside_links(self, path: Path, value: Value) -> Path:
        """
        The path; or, where something that is no directory lies above it, that
        with the name of a conflict.
        """
        for above in reversed(parents(path)):
            key = self._key(above)
            if above in self._round.there or key in self._round.directories:
                continue
            if key in self._round.taken:
                raise _Later
            there = self._putter.lstat(above)
            if there is None:
                break
            if there.type is not FileType.DIRECTORY:
                return self._as_held(conflict_path(Path(above), value))
            self._round.there.add(Path(above))
        return path

    def _add(self, number: int, target: Path, taken: Taken) -> None:
        for above in map(Path, reversed(parents(target))):
            key = self._key(above)
            if above in self._round.there or key in self._round.directories:
                continue
            if self._putter.lstat(above) is None:
                self._round.directories[key] = Placement(above, DIRECTORY)
                self._round.taken.add(key)
                self._spelled[key] = above
        key = self._key(target)
        self._round.files[number] = Placement(target, _value(taken), taken.size, taken.staged)
        self._round.taken.add(key)
        self._spelled[key] = target

    # Where the disk does not tell names apart

    def _key(self, path: bytes) -> _Key:
        if self._names.exact:
            return (path,)
        return tuple(map(self._names.key, path.split(b"/")))

    def _as_held(self, path: Path) -> Path:
        """The path, spelled as what is there."""
        if self._names.exact:
            return path
        held = b""
        for name in path.split(b"/"):
            held = self._spelling(Path(held + b"/" + name if held else name))
        return Path(held)

    def _spelling(self, path: Path) -> Path:
        spelled = self._spelled.get(self._key(path))
        if spelled is not None:
            return spelled
        if self._index.disk(path) is not None:
            return path
        others = filter(is_there, self._namesakes.others(path))
        return next((row.path for row in others), path)

    # There it goes

    def _place(
        self, batch: Sequence[Taken | BoxError], results: dict[int, Path | BoxError]
    ) -> None:
        files, directories = self._round.files, self._round.directories.values()
        if not files:
            return
        try:
            outcomes = self._putter.place([*directories, *files.values()])
        except BoxError as error:
            results.update(dict.fromkeys(files, error))
            return
        problems: dict[Path, BoxError] = {}
        for placement, outcome in zip(directories, outcomes, strict=False):
            problem = refused(outcome)
            if problem is not None:
                problems[placement.path] = problem
            elif isinstance(outcome, Placed) and outcome.stat is not None:
                self._made[self._key(placement.path)] = outcome.stat, b""
        for number, outcome in zip(files, outcomes[len(directories) :], strict=True):
            taken, path = batch[number], files[number].path
            problem = refused(outcome)
            if problem is not None:
                above = (problems[each] for each in map(Path, parents(path)) if each in problems)
                results[number] = next(above, problem)
                continue
            results[number] = path
            if isinstance(outcome, Placed) and outcome.stat is not None:
                assert isinstance(taken, Taken)
                self._made[self._key(path)] = outcome.stat, taken.content


def _value(taken: Taken) -> Value:
    return Value(
        kind=Kind.FILE, mode=MODE, mtime_ns=taken.mtime_ns, content=taken.content
    )
