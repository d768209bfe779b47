# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the flock is told of the boxes, and which changes a round has counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

_PAUSE: Final = 0.1
"""Seconds between two offers that differ only in how much is left to do."""

_HOLD: Final = 0.5
"""Seconds for which changes wait for more that is being looked at: a folder with many
files is one round's news then, and not that of two.  Nobody waits longer for a file that
is written to all the time."""

_REMEMBERED: Final = 4_096
"""Offers that a round may still refer to; with more, the oldest are merged
into the next (their changes are counted with it)."""


@attrs.frozen
class Offer:
    """
    @ivar new_total: bytes of local changes since the process started.
    @ivar backlog: the most bytes that any one alive member lacks of what is
        here.
    @ivar remaining: bytes that are missing here.
    @ivar digest: 16 bytes of the state of all boxes.
    """

    new_total: int
    backlog: int
    remaining: int
    digest: bytes


class Offers:
    """
    Passes offers on, not more often than they matter, and remembers of which
    boxes' changes each C{new_total} is the sum.
    """

    def __init__(
        self, offer: Callable[[int, int, int, bytes], None], now: Callable[[], float]
    ) -> None:
        self._offer = offer
        self._now = now
        self._told: Offer | None = None
        self._told_at = 0.0
        self._due: Offer | None = None
        self._held_since: float | None = None
        self._sums: deque[tuple[int, dict[bytes, int]]] = deque()
        self._removed = 0

    def removed(self, total: int) -> None:
        """A box with this C{new_total} is gone; the sum must not fall."""
        self._removed += total

    def update(
        self,
        totals: dict[bytes, int],
        backlog: int,
        remaining: int,
        digest: bytes,
        *,
        more: bool = False,
    ) -> None:
        """
        This is how it is now.

        @param totals: C{new_total} by box id.
        @param more: there may be more changes in a moment; call it again then.
        """
        offer = Offer(self._removed + sum(totals.values()), backlog, remaining, digest)
        self._due = None
        told = self._told
        if more and told is not None and offer.new_total > told.new_total and self._holds():
            # The digest would say that there is news.
            offer = attrs.evolve(offer, new_total=told.new_total, digest=told.digest)
        else:
            self._held_since = None
        if offer == told:
            return
        if (
            told is None
            or (offer.new_total, offer.digest) != (told.new_total, told.digest)
            or bool(offer.backlog) != bool(told.backlog)
            or bool(offer.remaining) != bool(told.remaining)
            or self._now() - self._told_at >= _PAUSE
        ):
            self._tell(offer, totals)
        else:
            self._due = offer

    def tick(self) -> None:
        """To be called several times a second: tell what was held back."""
        if self._due is not None and self._now() - self._told_at >= _PAUSE:
            self._tell(self._due, None)

    def counted(self, total: int) -> dict[bytes, int]:
        """
        Changes up to the offer with this C{new_total} are part of a round.

        @return: what that is for each box, by id; empty if there is nothing
            that was not counted before.
        """
        found: dict[bytes, int] = {}
        while self._sums and self._sums[0][0] <= total:
            found = self._sums.popleft()[1]
        return found

    def _holds(self) -> bool:
        """Whether new changes are to wait any longer."""
        if self._held_since is None:
            self._held_since = self._now()
        return self._now() - self._held_since < _HOLD

    def _tell(self, offer: Offer, totals: dict[bytes, int] | None) -> None:
        if totals is not None and (self._told is None or offer.new_total != self._told.new_total):
            self._sums.append((offer.new_total, totals))
            if len(self._sums) > _REMEMBERED:
                self._sums.popleft()
        self._told = offer
        self._told_at = self._now()
        self._due = None
        self._offer(offer.new_total, offer.backlog, offer.remaining, offer.digest)
