# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Going on while what was begun is being finished, but not too far.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

MOST = 128
"""Things that are being finished."""

MOST_BYTES = 64 << 20
"""Bytes of them."""


class Ahead:
    """
    Lives in the reactor.
    """

    _log = Logger()

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._count = 0
        self._size = 0
        self._waiting: deque[Deferred[None]] = deque()

    async def add(self, finishing: Deferred[None], size: int) -> None:
        """
        Wait until it can be gone on with.

        @param finishing: whose errors are its own affair: they are logged.
        @param size: bytes that it counts for.
        """
        self._count += 1
        self._size += size

        def failed(failure: Failure) -> None:
            self._log.failure("What was begun was not finished", failure)

        def finished(_result: None) -> None:
            self._count -= 1
            self._size -= size
            self._go_on()

        finishing.addErrback(failed).addCallback(finished)
        while self._count >= self._most or self._size >= self._most_bytes:
            await self._one()

    async def all(self) -> None:
        """Wait until nothing is being finished."""
        while self._count:
            await self._one()

    def _one(self) -> Deferred[None]:
        """Called when one more is finished."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            each.callback(None)
