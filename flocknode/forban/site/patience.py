# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The end of patience with a connection that takes nothing.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Cut(Exception):
    """A body was not sent to its end, and the connection is lost or cut."""


class Patience:
    """Cuts a connection that takes nothing, while it is waited for."""

    def __init__(self, reactor: IReactorTime, seconds: float, transport: Any) -> None:
        """
        @param seconds: for which nothing may be taken.
        """
        self._reactor = reactor
        self._seconds = seconds
        self._transport = transport
        self._call: IDelayedCall | None = None
        self._queued = 0

    def begin(self) -> None:
        """Wait from now on."""
        self.end()
        self._queued = _queued(self._transport)
        self._call = self._reactor.callLater(self._seconds, self._over)

    def end(self) -> None:
        """Something was taken, or nothing is waited for any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _over(self) -> None:
        self._call = None
        # The kernel only tells of room when much of its buffer is free: whoever
        # reads slowly may have taken something all the same.
        if _queued(self._transport) < self._queued:
            self.begin()
        else:
            self._transport.abortConnection()


def _queued(transport: Any) -> int:
    """Bytes that the kernel holds for the other side, as far as it tells."""
    try:
        answer = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, bytes(4))
    except (AttributeError, OSError):
        return 0
    return int(struct.unpack("i", answer)[0])
