# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When has a file that is being written come to rest?  Pure: time comes from the
clock it is given.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flocknode.box.values import Path

AFTER_CLOSE = 0.02
"""Seconds after a writer closed the file, or it was renamed to its name."""

QUIET = 0.15
"""Seconds without an event otherwise."""

LONGEST = 5.0
"""Seconds after which a file that never rests is looked at all the same."""


class Settler:
    """
    Turns raw events into batches of settled paths.

    Each path has the time at which it will have settled, unless something
    more happens.  A heap says when to look at which path, one timer waits for
    the earliest; a path that is not due when it is looked at is put back.

    @param settled: told the paths that have come to rest.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settled: Callable[[frozenset[Path]], None],
    ) -> None:
        self._clock = clock
        self._settled = settled
        self._first: dict[Path, float] = {}
        self._due: dict[Path, float] = {}
        self._look: dict[Path, float] = {}
        self._heap: list[tuple[float, Path]] = []
        self._timer: IDelayedCall | None = None

    @property
    def waiting(self) -> bool:
        """Has something happened that has not settled yet?"""
        return bool(self._due)

    def event(self, path: Path, closed: bool = False) -> None:
        """
        Something happened at C{path}.

        @param closed: it was closed after writing, or renamed to this name.
        """
        now = self._clock.seconds()
        first = self._first.setdefault(path, now)
        due = min(now + (AFTER_CLOSE if closed else QUIET), first + LONGEST)
        self._due[path] = due
        # If it is later than before, it is found out when it is looked at.
        if path not in self._look or due < self._look[path]:
            self._look_at(path, due)
        self._wait()

    def stop(self) -> None:
        """Forget everything that has not settled."""
        self._first.clear()
        self._due.clear()
        self._look.clear()
        self._heap.clear()
        self._wait()

    def _look_at(self, path: Path, time: float) -> None:
        self._look[path] = time
        heapq.heappush(self._heap, (time, path))

    def _wait(self) -> None:
        """Have the timer wait for the earliest time of the heap."""
        timer = self._timer
        while self._heap and self._look.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap:
            if timer is not None:
                timer.cancel()
                self._timer = None
            return
        earliest = self._heap[0][0]
        if timer is not None:
            if timer.getTime() <= earliest:
                return
            timer.cancel()
        delay = max(0.0, earliest - self._clock.seconds())
        self._timer = self._clock.callLater(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        batch = []
        while self._heap and self._heap[0][0] <= now:
            time, path = heapq.heappop(self._heap)
            if self._look.get(path) != time:
                continue
            if self._due[path] > now:
                self._look_at(path, self._due[path])
                continue
            del self._due[path], self._first[path], self._look[path]
            batch.append(path)
        self._wait()
        if batch:
            self._settled(frozenset(batch))
