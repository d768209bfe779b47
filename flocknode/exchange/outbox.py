# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What waits to leave on one link.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from flocknode.exchange.interfaces import Links
from flocknode.exchange.records import BULK, CONTROL

LIMITS: Final = {CONTROL: 8 * 1_048_576, BULK: 4 * 1_048_576}
"""Bytes that may wait.  Who sends in bulk looks at L{Outbox.waiting} first;
what goes beyond the limit all the same is dropped, and healed like any loss."""


class Outbox:
    """
    Counts the bytes of both priorities that were sent and have not left.
    """

    _log = Logger()

    def __init__(self, links: Links, member: bytes) -> None:
        self._links = links
        self._member = member
        self._sent = [0, 0]
        self._left = [0, 0]

    def sent(self, priority: int) -> int:
        """Bytes sent in all: the position of the end of the queue."""
        return self._sent[priority]

    def left(self, priority: int) -> int:
        """Bytes that left in all: the position of the head of the queue."""
        return self._left[priority]

    def waiting(self, priority: int) -> int:
        """Bytes between the two."""
        return self._sent[priority] - self._left[priority]

    def send(self, priority: int, data: bytes) -> None:
        """Queue whole records."""
        if self.waiting(priority) + len(data) > LIMITS[priority]:
            self._log.debug("a link is full: {size} bytes dropped", size=len(data))
            return
        self._sent[priority] += len(data)
        self._links.send(self._member, priority, data)

    def consumed(self, priority: int, size: int) -> None:
        """
        So many bytes have left.  It may be told of bytes of an earlier epoch:
        never more have left than were sent.
        """
        left, sent = self._left[priority] + size, self._sent[priority]
        self._left[priority] = left if left < sent else sent
