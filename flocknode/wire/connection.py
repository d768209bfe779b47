# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
txZMQ's connection, made fit for a process in which a timer must not wait:
whoever floods a socket gets one bounded turn of each reactor iteration.
"""

from __future__ import annotations

from typing import Any, Final

import zmq
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqFactory

TURN_MESSAGES: Final = 64
"""Messages in a turn.  Until empty, as txZMQ does it, starves timers (7.5 s in
a flood of 300 000 messages); with 64 the longest gap is 0.06 s."""

TURN_BYTES: Final = 262_144
"""The same for large messages: about 0.3 ms."""


class Context(ZmqFactory):  # type: ignore[misc]
    """
    The ZeroMQ context of the process.
    """

    # Names resolve in the I/O thread of the socket that connects; that one
    # must not be the thread that the heartbeats leave by.
    ioThreads = 2
    lingerPeriod = 0

    def __init__(self, reactor: IReactorTime) -> None:
        """
        @param reactor: also an C{IReactorFDSet}.
        """
        self.reactor = reactor
        super().__init__()

    def close(self) -> None:
        """
        Close all sockets at once.  The context itself is left to the end of the
        process: libzmq's termination was seen to wait for ever.
        """
        for connection in self.connections.copy():
            connection.shutdown()


class FairConnection(ZmqConnection):  # type: ignore[misc]
    """
    Reads in bounded turns.
    """

    _log = Logger()
    factory: Context | None
    socket: Any
    read_scheduled: Any
    highWaterMark = 1000

    def doRead(self) -> None:
        """One turn; the next one follows in the next reactor iteration."""
        if self.read_scheduled is not None and self.read_scheduled.active():
            self.read_scheduled.cancel()
        self.read_scheduled = None
        size = 0
        for _ in range(TURN_MESSAGES):
            if self.factory is None:
                return
            try:
                parts = self._receive()
            except zmq.Again:
                return
            try:
                self.views_received(parts)
            except Exception:
                self._log.failure("a message could not be taken")
            size += len(parts[0])
            if size >= TURN_BYTES:
                break
        self._next_turn()

    def views_received(self, message: list[memoryview]) -> None:
        """
        A message came.  For whoever need not copy all of it; views that are kept
        keep what libzmq has for the whole part.
        """
        self.messageReceived([bytes(part) for part in message])

    def _receive(self) -> list[memoryview]:
        socket = self.socket
        frame = socket.recv(zmq.NOBLOCK, copy=False)
        parts = [frame.buffer]
        while frame.more:
            frame = socket.recv(zmq.NOBLOCK, copy=False)
            parts.append(frame.buffer)
        return parts

    def send(self, message: bytes | list[bytes]) -> None:
        """
        @raise zmq.Again: the queue is full.
        """
        parts = [message] if isinstance(message, bytes) else message
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK)
        finally:
            # Sending may consume the wake-up for a message that came in.
            self._next_turn()

    def _next_turn(self) -> None:
        if self.factory is not None and self.read_scheduled is None:
            self.read_scheduled = self.factory.reactor.callLater(0, self.doRead)
