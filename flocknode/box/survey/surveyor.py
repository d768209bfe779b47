# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What in the folder is to be looked at, and when: surveys run one after another
in their own thread, and hand what they find to the box's worker.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Collection
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.disk.site import Site
from flocknode.box.index.damage import is_damage
from flocknode.box.index.database import Index
from flocknode.box.index.rows import parents
from flocknode.box.lane import Lane, Stopped
from flocknode.box.survey.compare import SLICE, Survey
from flocknode.box.survey.observe import Sighting
from flocknode.box.values import Path
from flocknode.errors import BoxError

SOON = 0.5
"""Seconds until what changed while it was read is looked at again."""

LATER = 2.0
"""Seconds until what changed shortly before it was hashed is hashed again:
longer than any file system's time step."""

AFTER_FAULT = 5.0
"""Seconds until everything is looked at again after the disk or the index failed."""

_AHEAD = 2 * SLICE
"""Observations that a survey may be ahead of the worker: two full slices, or many
of larger files, so that hashing goes on while a commit waits for the disk."""

_ROOT = Path(b"")


class Surveyor:
    """
    Lives in the reactor.

    @param reactor: its clock, and its C{callFromThread}.
    @param lane: the thread that surveys.
    @param open_index: opens the box's index for reading, in that thread.
    @param deliver: takes a slice in; its result fires when that is done.
    @ivar entering: told of each directory before it is listed, see
        L{flocknode.box.survey.hashing.Scanner}.
    @ivar site: the folder, while it is there.
    @ivar rested: called when all that was to be looked at has been.
    @ivar failed: told when the index turns out to be damaged.
    @ivar scanned: paths compared by the scan of the whole folder so far.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        lane: Lane,
        open_index: Callable[[], Index],
        deliver: Callable[[Site, Sighting], Deferred[None]],
    ) -> None:
        self.entering: Callable[[Path, int], None] | None = None
        self.rested: Callable[[], None] | None = None
        self.failed: Callable[[Failure], None] | None = None
        self.scanned = 0
        self._reactor = reactor
        self._lane = lane
        self._open_index = open_index
        self._deliver = deliver
        self.site: Site | None = None
        self._busy: Deferred[None] | None = None
        self._ending = Event()
        self._look: set[Path] = set()
        self._afresh: set[Path] = set()
        self._below: set[Path] = set()
        self._scans: list[Deferred[None]] = []
        self._timers: set[IDelayedCall] = set()

    def begin(self, site: Site) -> Deferred[None]:
        """
        The folder is there: look at all of it.

        @return: fires after that.
        """
        self.site = site
        self._ending = Event()
        return self.scan()

    async def end(self) -> None:
        """The folder is not there: stop, and forget what was to be looked at."""
        self.site = None
        self._ending.set()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._look.clear()
        self._afresh.clear()
        self._below.clear()
        scans, self._scans = self._scans, []
        for scan in scans:
            scan.callback(None)
        if self._busy is not None:
            waiting: Deferred[None] = Deferred()
            self._busy.chainDeferred(waiting)
            await waiting

    @property
    def busy(self) -> bool:
        """Is anything being looked at?"""
        return self._busy is not None

    def scan(self) -> Deferred[None]:
        """
        Look at everything.

        @return: fires when that is done, or will not be.
        """
        done: Deferred[None] = Deferred()
        self._scans.append(done)
        self.rescan(_ROOT)
        return done

    def rescan(self, below: Path) -> None:
        """Look at everything in this directory."""
        self._below.add(below)
        self._next()

    def look(self, paths: Collection[Path], afresh: bool = False) -> None:
        """
        Look at these paths.

        @param afresh: hash them even if nothing seems to have changed.
        """
        (self._afresh if afresh else self._look).update(paths)
        self._next()

    def look_later(self, seconds: float, paths: Collection[Path]) -> None:
        """Hash these paths again after a while."""
        self._later(seconds, paths, True)

    def recheck(self, paths: Collection[Path]) -> None:
        """Hash these paths once more, when no file system's time step is left to hide in."""
        self._later(LATER, paths, True)

    def _next(self) -> None:
        site = self.site
        if site is None or self._busy is not None:
            return
        if not (self._below or self._look or self._afresh):
            return
        below, self._below = _outermost(self._below), set()
        look, self._look = self._look, set()
        afresh, self._afresh = self._afresh, set()
        scans: list[Deferred[None]] = []
        if _ROOT in below:
            scans, self._scans = self._scans, []
            self.scanned = 0
        self._busy = Deferred()
        done = self._lane.do(self._survey, site, self._ending, below, look, afresh)
        done.addErrback(self._failed, site)
        done.addCallback(self._finished, scans)

    def _failed(self, failure: Failure, site: Site) -> None:
        if failure.check(Stopped) is not None:
            return
        if is_damage(failure.value) and self.failed is not None:
            self.failed(failure)
            return
        if failure.check(OSError, sqlite3.Error, BoxError) is None:
            self._log.failure("A survey of the folder failed", failure)
        if site is self.site:
            self._log.debug("The folder cannot be looked at: {reason}", reason=failure.value)
            self._later(AFTER_FAULT, (), False, _ROOT)

    def _finished(self, _: None, scans: list[Deferred[None]]) -> None:
        busy, self._busy = self._busy, None
        if busy is not None:
            busy.callback(None)
        for scan in scans:
            scan.callback(None)
        self._next()
        if self._busy is None and self.rested is not None:
            self.rested()

    def _later(
        self,
        seconds: float,
        paths: Collection[Path],
        afresh: bool,
        below: Path | None = None,
    ) -> None:
        if (not paths and below is None) or self.site is None:
            return

        def do() -> None:
            self._timers.discard(timer)
            if below is not None:
                self.rescan(below)
            self.look(paths, afresh)

        timer: IDelayedCall = self._reactor.callLater(seconds, do)
        self._timers.add(timer)

    # In the thread

    def _survey(
        self,
        site: Site,
        ending: Event,
        below: Collection[Path],
        look: Collection[Path],
        afresh: Collection[Path],
    ) -> None:
        index = self._open_index()
        waiting: deque[tuple[Event, int]] = deque()
        ahead = 0

        def cancelled() -> bool:
            return ending.is_set() or self._lane.cancelled()

        survey = Survey(site, index, self.entering, cancelled)
        try:
            for slices in (
                *(survey.scan(path) for path in sorted(below)),
                survey.look(look),
                survey.look(afresh, True),
            ):
                for sighting in slices:
                    taken, count = Event(), len(sighting.observations)
                    waiting.append((taken, count))
                    ahead += count
                    self._reactor.callFromThread(self._hand_over, site, sighting, taken)
                    while ahead > _AHEAD:
                        taken, count = waiting.popleft()
                        ahead -= count
                        self._wait(taken)
            # What comes next must see what came of this.
            for taken, _ in waiting:
                self._wait(taken)
        finally:
            survey.close()
            index.close()

    def _wait(self, taken: Event) -> None:
        while not taken.wait(0.1):
            if self._lane.cancelled():
                return

    def _hand_over(self, site: Site, sighting: Sighting, taken: Event) -> None:
        self.scanned += sighting.looked
        self._later(SOON, sighting.again, False)
        self.recheck(sighting.doubtful)

        def done(_: object) -> None:
            taken.set()

        self._deliver(site, sighting).addBoth(done)


def _outermost(paths: set[Path]) -> set[Path]:
    """Without those that are below others."""
    if _ROOT in paths:
        return {_ROOT}
    return {path for path in paths if not any(above in paths for above in parents(path))}
