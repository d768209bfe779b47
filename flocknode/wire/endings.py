# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When the queues of a publishing socket may be resized.

libzmq up to 4.3.5 tells both ends of every queue of a new high-water mark, also
the end that an I/O thread has freed already because its connection ended:
setting C{SNDHWM} in that moment ends the process (fixed in libzmq's pull request
4647).  The I/O thread reports the end of a connection before it begins to free
anything, so that a mark that is set only while no report is here, and none was
for a while, is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import zmq

FREED_AFTER: Final = 1.0
"""Seconds after its report until an ended connection is surely freed: the I/O
thread and the socket have to answer each other once, and L{Endings.calm} is
asked several times a second."""


class Endings:
    """
    Hears of the ends of one socket's connections.
    """

    def __init__(self, context: zmq.Context[Any], socket: Any, now: Callable[[], float]) -> None:
        """
        @param socket: before it is bound.
        @param now: monotonic seconds.
        """
        self._socket = socket
        self._now = now
        self._last = now() - FREED_AFTER
        name = f"inproc://endings-{id(self)}"
        # Reports say of no connection which it was: strangers' count, too.
        socket.monitor(name, zmq.EVENT_DISCONNECTED)
        self._reports: Any = context.socket(zmq.PAIR)
        # An I/O thread that reports must never wait.
        self._reports.rcvhwm = 0
        self._reports.linger = 0
        self._reports.connect(name)

    def close(self) -> None:
        """Hear no more; the socket may be closed before or after."""
        self._reports.close()

    def calm(self) -> bool:
        """May high-water marks be set now?  To be asked several times a second."""
        # The socket's part in freeing happens when it looks at its commands.
        self._socket.getsockopt(zmq.EVENTS)
        while self._reports.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            self._reports.recv_multipart(zmq.NOBLOCK)
            self._last = self._now()
        return self._now() - self._last >= FREED_AFTER
