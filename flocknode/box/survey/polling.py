# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Finding changes by looking at everything again and again, as often as is cheap.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flocknode.box.values import Path

SOONEST = 2.0
"""Seconds between the end of a look and the next, at least."""

LATEST = 600.0
"""Seconds, at most; reached by folders of several hundred thousand entries."""

SHARE = 200.0
"""A look may take one part in so many of the time: 0.5 % of a core, half of
what an idle node may need.  A look at 3 000 files was measured at 30 ms, so
they are looked at every 6 s."""

GROWTH = 2.0
"""The interval grows by this factor at most from one look to the next: one
that found much to hash says little of how long the others take."""


class Poller:
    """
    Looks, waits in proportion to how long that took, looks again.

    @param scan: looks at everything; its result fires after that.
    @param reason: why nothing better watches.
    @param before: called before each look.
    @param after: called after each look.
    @ivar interval: seconds from the end of a look to the next.
    """

    name = "polling"

    def __init__(
        self,
        clock: IReactorTime,
        scan: Callable[[], Deferred[None]],
        reason: str = "",
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self.reason = reason
        self.interval = SOONEST
        self._clock = clock
        self._scan = scan
        self._before = before
        self._after = after
        self._timer: IDelayedCall | None = None
        self._turn = 0
        self._on = False

    def start(self) -> None:
        """The first look is after L{interval}.  No-op while it is on."""
        if not self._on:
            self._on = True
            self._wait()

    def add(self, path: Path, descriptor: int) -> None:
        """Nothing is watched."""

    def stop(self) -> None:
        """No look begins any more.  Idempotent."""
        self._on = False
        self._turn += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._clock.callLater(self.interval, self._look)

    def _look(self) -> None:
        self._timer = None
        turn = self._turn
        began = self._clock.seconds()
        self._before()
        self._scan().addBoth(self._looked, began, turn)

    def _looked(self, _: object, began: float, turn: int) -> None:
        if turn != self._turn:
            # It was stopped while it looked, and perhaps started again.
            return
        cost = SHARE * (self._clock.seconds() - began)
        self.interval = min(max(cost, SOONEST), GROWTH * self.interval, LATEST)
        self._after()
        if turn == self._turn:
            self._wait()
