# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How long the queues of a publishing socket are, in messages: libzmq's high-water
mark, and how it may fall without a queue standing still for ever.

The reading end of a queue reports what it has read whenever the count of all
that it ever read is a multiple of (mark + 1) // 2; the writing end thinks of
everything since the last report as still being there.  If the mark falls from
300 to 40, and 100 messages have been read since, the writing end has a full
queue, the reading end an empty one, and nothing ever moves again.  So marks are
powers of two: where a larger one has a report, all smaller ones have it, too.
They fall by half, each time only after every queue has had as many messages as
it may hold; and are raised for a moment by doubling.  Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

LEAST: Final = 8
"""Frames."""


class Mark:
    """
    The mark of all queues of one socket.

    @ivar value: now, messages.
    """

    def __init__(self, links: Iterable[Hashable]) -> None:
        """@param links: the queues, whether or not anybody is connected."""
        self.value = LEAST
        self._wanted = LEAST
        self._offered = dict.fromkeys(links, 0)

    def want(self, frames: int) -> None:
        """
        So many should fit, or a little fewer: between half of them and all,
        but L{LEAST}.
        """
        self._wanted = max(LEAST, 1 << max(0, frames.bit_length() - 1))

    def step(self) -> int:
        """The value to set now, on the way to what is wanted."""
        if self._wanted > self.value:
            self.value = self._wanted
            self._count_anew()
        elif self._wanted < self.value and min(self._offered.values(), default=0) >= self.value:
            self.value //= 2
            self._count_anew()
        return self.value

    def raised(self) -> int:
        """The value to set while something must fit into queues that are full."""
        self._count_anew()
        return 2 * self.value

    def offered(self, link: Hashable, taken: bool) -> None:
        """
        A message was offered to a queue.  One that refused it is full: there is
        enough in it to be read up to the next report.
        """
        if link in self._offered:
            self._offered[link] = self._offered[link] + 1 if taken else self.value

    def _count_anew(self) -> None:
        self._offered = dict.fromkeys(self._offered, 0)
