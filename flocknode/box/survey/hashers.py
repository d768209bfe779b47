# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who hashes what of a slice: the thread that surveys, other threads, or processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from flocknode.box.content import SMALLEST_BLOCK, block_size_for
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.site import Site
from flocknode.box.survey.hashing import Changed, Hashed, Scanner, hashed_as
from flocknode.box.survey.hashprocess import HashProcesses
from flocknode.box.survey.hashprogram import Asked
from flocknode.box.survey.spread import Spread, spare_threads
from flocknode.box.values import Path

BUNCH = 2 * 1024 * 1024
"""Bytes of files that one thread hashes in one go: enough to be worth it."""

ALONE = 64 * 1024 * 1024
"""Bytes of a file that several threads hash."""

ENOUGH = 32 * 1024 * 1024
"""Bytes for which processes are started: that takes as long as hashing so many."""

MOST = 4
"""Processes, at most: one thread cannot find files for more."""

Wanted = tuple[Path, Stat]
Results = dict[Path, "Hashed | Exception"]
"""L{Changed} or L{OSError} of what could not be hashed."""


@attrs.define
class Begun:
    """
    What is to be hashed.

    @ivar small: files of at most one block, and links.
    @ivar bunches: larger ones.
    @ivar alone: the largest.
    @ivar asked: what processes were asked for: numbers of the bunches.
    """

    small: list[Wanted] = attrs.field(factory=list)
    bunches: list[list[Wanted]] = attrs.field(factory=list)
    alone: list[Wanted] = attrs.field(factory=list)
    asked: range | None = None


class Hashers:
    """
    Belongs to the thread that surveys.

    @param threads: that hash beside it; by default as many as there are cores
        to spare, and processes where there is much to do.
    """

    def __init__(
        self,
        site: Site,
        scanner: Scanner,
        cancelled: Callable[[], bool],
        threads: int | None = None,
    ) -> None:
        self._scanner = scanner
        self._cancelled = cancelled
        self._spread = Spread(spare_threads() if threads is None else threads)
        self._processes: HashProcesses | None = None
        # They follow no links, and only know one way to open a file.
        if threads is None and site.view is site.folder and site.folder.beneath:
            count = min(MOST, spare_threads() + 1)
            self._processes = HashProcesses(site.folder.root_fd, count, cancelled)

    def close(self) -> None:
        """End threads and processes.  Idempotent."""
        self._spread.close()
        if self._processes is not None:
            self._processes.close()

    def begin(self, wanted: Iterable[Wanted]) -> Begun:
        """
        Begin with these files and links, as far as others than this thread do
        it.

        @return: for L{end}.
        """
        begun = Begun()
        total = size = 0
        for path, stat in wanted:
            if stat.type is FileType.DIRECTORY:
                continue
            if stat.size <= SMALLEST_BLOCK or stat.type is not FileType.FILE:
                begun.small.append((path, stat))
            elif stat.size >= ALONE:
                begun.alone.append((path, stat))
            else:
                if size + stat.size > BUNCH or not begun.bunches:
                    begun.bunches.append([])
                    size = 0
                begun.bunches[-1].append((path, stat))
                size += stat.size
                total += stat.size
        processes = self._processes
        if processes is not None and begun.bunches and (processes.running or total >= ENOUGH):
            begun.asked = processes.ask([list(map(_asked, bunch)) for bunch in begun.bunches])
        return begun

    def end(self, begun: Begun) -> Results:
        """
        Do the rest: small files here, larger ones in bunches in several
        threads, if no process did, very large ones one after the other, each
        in several threads.
        """
        done: Results = {each[0]: self._hash(each) for each in begun.small}
        bunches = begun.bunches
        if begun.asked is not None:
            bunches = self._take(begun.asked, bunches, done)
        for bunch, results in zip(
            bunches, self._spread.map(self._hash_bunch, bunches), strict=True
        ):
            done.update((each[0], hashed) for each, hashed in zip(bunch, results, strict=True))
        for each in begun.alone:
            done[each[0]] = self._hash(each, self._spread)
        return done

    def _take(
        self, asked: range, bunches: Sequence[list[Wanted]], done: Results
    ) -> list[list[Wanted]]:
        """
        Take what processes have hashed.

        @return: what they have not.
        """
        assert self._processes is not None
        left: list[list[Wanted]] = []
        for bunch, reply in zip(bunches, self._processes.replies(asked), strict=True):
            if reply is None:
                left.append(bunch)
                continue
            for (path, stat), blocks in zip(bunch, reply, strict=True):
                if blocks is None:
                    left.append([(path, stat)])
                else:
                    done[path] = hashed_as(stat, block_size_for(stat.size), blocks)
        return left

    def _hash_bunch(self, bunch: Sequence[Wanted]) -> list[Hashed | Exception]:
        return [self._hash(each) for each in bunch]

    def _hash(self, wanted: Wanted, spread: Spread | None = None) -> Hashed | Exception:
        """In any thread."""
        if self._cancelled():
            return Changed("Looking was cancelled.")
        path, stat = wanted
        try:
            if stat.type is not FileType.FILE:
                return self._scanner.hash_link(path)
            return self._scanner.hash_file(path, stat, cancelled=self._cancelled, spread=spread)
        except (Changed, OSError) as error:
            return error


def _asked(wanted: Wanted) -> Asked:
    path, stat = wanted
    return (
        path,
        stat.size,
        stat.mtime_ns,
        stat.ctime_ns,
        stat.mode,
        stat.inode,
        block_size_for(stat.size),
    )
