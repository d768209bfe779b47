# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The exchange's sense of time: seconds in which records flow.
"""

from __future__ import annotations

from collections.abc import Callable


class RoundClock:
    """
    Counts seconds while a round is on and stands still in between: an answer
    is late only if it could have come.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        @param now: monotonic seconds.
        """
        self._now = now
        self._counted = 0.0
        self._since: float | None = None

    @property
    def running(self) -> bool:
        """Whether a round is on."""
        return self._since is not None

    def start(self) -> None:
        """A round began."""
        self.stop()
        self._since = self._now()

    def stop(self) -> None:
        """The round is over."""
        self._counted = self()
        self._since = None

    def __call__(self) -> float:
        """Seconds in rounds so far."""
        if self._since is None:
            return self._counted
        return self._counted + self._now() - self._since
