# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Calls that are due later, at most one of each name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timers:
    """
    @param clock: what time it is, and who calls.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[str, IDelayedCall] = {}
        self._stopped = False

    def later(
        self, name: str, delay: float, call: Callable[..., Any], *more: Any, again: bool = False
    ) -> None:
        """
        Call something after so many seconds.  If one of this name is waiting,
        the earlier of the two stays; C{again}: the last.
        """
        if self._stopped:
            return
        waiting = self._waiting.get(name)
        if waiting is not None:
            if not again and waiting.getTime() <= self._clock.seconds() + delay:
                return
            waiting.cancel()

        def run() -> None:
            del self._waiting[name]
            call(*more)

        self._waiting[name] = self._clock.callLater(delay, run)

    def stop(self) -> None:
        """Nothing is called any more.  Idempotent."""
        self._stopped = True
        for call in self._waiting.values():
            call.cancel()
        self._waiting.clear()
