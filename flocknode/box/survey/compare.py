# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Comparing a folder with its index: what is different is hashed and reported in
slices.  Runs in a thread of its own and decides nothing: whoever takes a
slice in makes sure that it still holds.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec

from flocknode.box.content import LARGEST_CONTENT
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.site import Site
from flocknode.box.index.columns import Disk, disk_tuple
from flocknode.box.index.database import Index
from flocknode.box.index.moments import Moments
from flocknode.box.index.rows import joined, parents
from flocknode.box.patterns import FILE_NAME
from flocknode.box.survey.hashers import Begun, Hashers
from flocknode.box.survey.hashing import Hashed, Scanner
from flocknode.box.survey.observe import Observation, Sighting
from flocknode.box.survey.shown import ANOTHER, Shown
from flocknode.box.values import Path

SLICE = 2048
"""Observations in a slice, at most: each commit writes nearly the same pages."""

SLICE_BYTES = 64 * 1024 * 1024
"""Bytes hashed for a slice, about, so that it is not held back for long."""

STALE = 3_600 * 10**9
"""Nanoseconds after which no file system's time step, and no check that is
late, can be why content is another one and all times are the same."""

ROTTEN = (
    "Its content is not what it was, although nothing has written to it: the disk or"
    " the memory has changed it.  It is not passed on; restore it, or use check --repair."
)
"""Why such a file is left out."""

LOOKED = 20_000
"""Paths compared for a slice at most: how often progress is told."""

_SKEW = 2_000_000_000
"""Nanoseconds that a file server's clock may be ahead."""

_DIRECTORY = int(FileType.DIRECTORY)
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


class _Found(msgspec.Struct, frozen=True, gc=False):
    """A path to be observed; C{known} is what the index says of it."""

    path: Path
    stat: Stat
    known: Disk | None


class _Slice(msgspec.Struct, gc=False):
    """
    What was found together, and is being hashed; C{begun}: since when
    (nanoseconds since the epoch).
    """

    found: list[_Found | Observation]
    begun: int
    hashing: Begun
    problems: list[tuple[Path, str]]
    looked: int


class Survey:
    """
    One look at a folder, or at some paths of it.

    @param index: opened for reading, in the thread that runs the survey.
    @param entering: see L{Scanner}.
    @param cancelled: asked often; when true, nothing more is reported.
    @param now: nanoseconds since the epoch.
    @param threads: see L{Hashers}.
    """

    def __init__(
        self,
        site: Site,
        index: Index,
        entering: Callable[[Path, int], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        *,
        now: Callable[[], int] = time.time_ns,
        threads: int | None = None,
    ) -> None:
        self._site = site
        self._index = index
        self._moments = Moments(index)
        self._cancelled = cancelled
        self._now = now
        self._ignored = site.ignored
        self._entering = entering
        self._names = site.capabilities.names
        self._shown = Shown(site.view, index, self._names)
        self._scanner = Scanner(
            site.view, self._ignored, self._enter, self._shown.known_as, self._listed
        )
        self._hashers = Hashers(site, self._scanner, cancelled, threads)
        self._step = site.capabilities.clock_step_ns
        self._gone: list[Path] = []
        self._afresh = False
        self._waiting: _Slice | None = None
        self._clear()

    def close(self) -> None:
        """End what hashes for it, and what it reads.  Idempotent."""
        self._moments.end()
        self._hashers.close()

    def _listed(self, path: Path, descriptor: int, names: Collection[bytes]) -> None:
        # Mostly there is no file of patterns, and to look for it costs more than to see that.
        has_patterns = FILE_NAME in names or not self._names.exact
        self._ignored.listed(path, descriptor if has_patterns else None)

    def _enter(self, path: Path, descriptor: int) -> None:
        following = self._site.following
        # What is behind a link is watched where it really is.
        is_link = following is not None and following.is_followed(path)
        if self._entering is not None and not is_link:
            self._entering(path, descriptor)

    def scan(self, below: Path = Path(b"")) -> Iterator[Sighting]:  # noqa: B008
        """
        Look at everything in a directory (and at itself, if it is not the
        box's root).  What is gone comes last.
        """
        for path in (below, *sorted(self._ways(below))):
            if path and self._ignored(path, FileType.DIRECTORY):
                continue
            if path:
                yield from self._look_at_all(path)
            if not path or self._index.disk(path) is not None:
                yield from self._walk(path)
        yield from self._finish()

    def _ways(self, path: Path) -> set[Path]:
        """Other paths by which the same is known, through links."""
        following = self._site.following
        return set() if following is None else set(map(Path, following.others(path)))

    def look(self, paths: Iterable[Path], afresh: bool = False) -> Iterator[Sighting]:
        """
        Look at some paths, and in new directories among them.

        @param afresh: hash them even if nothing seems to have changed.
        """
        self._afresh = afresh
        yield from self._look_at_all(*paths)
        yield from self._finish()

    def _look_at_all(self, *paths: Path) -> Iterator[Sighting]:
        """Look at these, and at directories above that are not known yet."""
        wanted = self._shown.paths(paths)
        for path in tuple(wanted):
            wanted |= self._ways(path)
        for path in tuple(wanted):
            wanted.update(above for above in parents(path) if self._index.disk(above) is None)
        for path in sorted(wanted):
            if self._cancelled():
                return
            yield from self._look_at(path)
            if self._is_full():
                yield from self._take()

    def _look_at(self, path: Path) -> Iterator[Sighting]:
        try:
            stat = self._site.view.lstat(path)
        except OSError as error:
            self._problems.append((path, _unreadable(error)))
            return
        known = self._index.disk(path)
        if stat is None:
            if known is not None:
                if self._can_go(path, known):
                    self._gone.append(path)
            else:
                self._found.append(Observation(path, None))
        elif self._ignored(path, stat.type):
            return
        elif self._afresh or known is None or not _same(stat, known):
            self._find(path, stat, known)
            if stat.type is FileType.DIRECTORY and known is None:
                yield from self._walk(path)
        else:
            # Nothing new, but somebody asked: what waits for it can go on.
            self._found.append(Observation(path, stat))

    def _walk(self, below: Path) -> Iterator[Sighting]:
        known: dict[bytes, Disk] = {}

        def disks(path: Path) -> dict[bytes, Disk]:
            nonlocal known
            known = self._moments.read().disks(path)
            return known

        for listing in self._scanner.walk(below, disks):
            if self._cancelled():
                return
            if listing.problem is not None:
                self._problems.append((listing.path, listing.problem))
                continue
            self._looked += listing.looked
            for name, stat in listing.entries:
                self._find(joined(listing.path, name), stat, known.pop(name, None))
                if self._is_full():
                    if self._cancelled():
                        return
                    yield from self._take()
            if listing.path and not listing.names:
                yield from self._look_if_it_stayed(listing.path)
            shown = self._shown.same(known, listing.names)
            for name, disk in known.items():
                path = joined(listing.path, name)
                if name in shown:
                    self._problems.append((path, ANOTHER))
                elif self._can_go(path, disk):
                    self._gone.append(path)
            if self._is_full():
                yield from self._take()
        self._moments.end()

    def _look_if_it_stayed(self, path: Path) -> Iterator[Sighting]:
        """Nothing is left of what a deleted directory may have stayed for."""
        row = self._index.row(path)
        if row is not None and row.stays:
            yield from self._look_at(path)

    def _find(self, path: Path, stat: Stat, known: Disk | None) -> None:
        if stat.type is FileType.OTHER:
            self._problems.append(
                (path, "It is neither a file, a directory nor a symbolic link: left out.")
            )
            return
        if stat.type is FileType.FILE and stat.size > LARGEST_CONTENT:
            self._problems.append((path, "It is larger than 1 TiB: left out."))
            return
        self._found.append(_Found(path, stat, known))
        if stat.type is FileType.FILE:
            self._bytes += stat.size

    # What was found is hashed before it is told

    def _slice(self) -> _Slice:
        """What was found so far: it begins to be hashed."""
        # The time before it is read: what was read first may change while the rest is.
        begun = self._now()
        found = self._found
        hashing = self._hashers.begin(
            (each.path, each.stat) for each in found if isinstance(each, _Found)
        )
        taken = _Slice(found, begun, hashing, self._problems, self._looked)
        self._clear()
        return taken

    def _observe(self, slice: _Slice) -> Sighting:
        begun, step, problems = slice.begun, self._step, slice.problems
        observations: list[Observation] = []
        again: set[Path] = set()
        all_doubtful: set[Path] = set()
        hashed = self._hashers.end(slice.hashing)
        for each in slice.found:
            if isinstance(each, Observation):
                observations.append(each)
                continue
            path, stat, known, doubtful = each.path, each.stat, each.known, False
            result = hashed.get(path)
            if isinstance(result, Exception):
                if isinstance(result, OSError) and result.errno not in _GONE:
                    problems.append((path, _unreadable(result)))
                else:
                    again.add(path)
                continue
            if result is not None:
                stat = result.stat
                if self._is_rotten(path, result, known):
                    problems.append((path, ROTTEN))
                    continue
                # Times of the future were set by hand, or by a clock that was wrong.
                doubtful = (
                    -step < stat.mtime_ns - begun < _SKEW or -step < stat.ctime_ns - begun < _SKEW
                )
                if doubtful:
                    all_doubtful.add(path)
            observations.append(Observation(path, stat, result, doubtful))
            if known is not None and known[0] == _DIRECTORY and result is not None:
                # Together, or what seems alive below would bring it back.
                observations += self._gone_below(path)
        return Sighting(
            tuple(observations),
            frozenset(again),
            frozenset(all_doubtful),
            tuple(problems),
            slice.looked,
        )

    def _can_go(self, path: Path, known: Disk) -> bool:
        """
        Does it mean something that this is not there?  Not of what is
        ignored, nor of what the disk cannot hold by that name.
        """
        if self._ignored(path, FileType(known[0])):
            return False
        return self._names.plain or not self._names.why_not(path)

    def _is_rotten(self, path: Path, hashed: Hashed, known: Disk | None) -> bool:
        """Is it another content without any trace of a change?"""
        stat = hashed.stat
        if known is None or not _same(stat, known):
            return False
        if max(stat.mtime_ns, stat.ctime_ns) > self._now() - STALE:
            return False
        row = self._index.row(path)
        if row is None or row.placed is None or row.placed.disk is None:
            return False
        return _same(stat, disk_tuple(row.placed.disk)) and (
            row.placed.value.content != hashed.content
        )

    def _gone_below(self, path: Path) -> Iterator[Observation]:
        return (
            Observation(row.path, None)
            for row in self._index.below(path)
            if row.placed is not None
            and row.placed.disk is not None
            and self._can_go(row.path, disk_tuple(row.placed.disk))
        )

    def _finish(self) -> Iterator[Sighting]:
        """What was there before, then what is not any more."""
        for path in self._gone:
            self._found.append(Observation(path, None))
            self._found += self._gone_below(path)
        self._gone.clear()
        if not self._cancelled():
            yield from self._take()
            yield from self._rest()

    def _is_full(self) -> bool:
        return (
            len(self._found) >= SLICE
            or self._bytes >= SLICE_BYTES
            or self._looked >= LOOKED
        )

    def _take(self) -> Iterator[Sighting]:
        """
        Tell what was found.  What others than this thread hash is told when
        the next is found, or at the end.
        """
        # While others wait for it, nothing of the index is held.
        self._moments.end()
        before, self._waiting = self._waiting, self._slice()
        if before is not None:
            yield self._observe(before)
        if self._waiting.hashing.asked is None:
            yield from self._rest()

    def _rest(self) -> Iterator[Sighting]:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            yield self._observe(waiting)

    def _clear(self) -> None:
        self._found: list[_Found | Observation] = []
        self._problems: list[tuple[Path, str]] = []
        self._looked = self._bytes = 0


def _unreadable(error: OSError) -> str:
    return f"It cannot be read: {os.strerror(error.errno or 0)}."


def _same(stat: Stat, disk: Disk) -> bool:
    """Is that what the index says is on disk?  Directories change with their content."""
    if stat.type is FileType.DIRECTORY:
        return disk[0] == _DIRECTORY and disk[4] == stat.mode
    return disk_tuple(stat) == disk
