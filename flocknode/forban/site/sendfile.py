# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A file on its way to a plain TCP connection: C{sendfile}, in threads.

Meanwhile the transport's producer is not the HTTP channel but a L{Sendfile}: it
learns that the headers are out, and that the connection is lost.  It has a
descriptor of its own for the socket, so that no thread ever writes to one that
has been closed and opened again as something else.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IReactorFDSet, IWriteDescriptor
from twisted.internet.tcp import Connection
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from flocknode.box.listing import OpenFile
from flocknode.forban.site.connections import Request
from flocknode.forban.site.patience import Cut, Patience

TURN = 4 << 20
"""Bytes that one connection sends before others have their turn in a thread."""

LINGER_MS = 10
"""Milliseconds that a thread waits for a socket that is full.  Whoever takes all
at once is served without a way back through the reactor each time."""

LINGERING = 4
"""Times in one turn that it waits so."""


def is_plain(request: Request, reactor: Any) -> bool:
    """Can a thread send to the socket itself?"""
    transport = request.transport
    return (
        isinstance(transport, Connection)
        and not transport.TLS
        and IReactorFDSet.providedBy(reactor)
        and hasattr(os, "sendfile")
    )


@implementer(IPullProducer)
class Sendfile:
    """
    One file on its way to a socket.
    """

    def __init__(
        self,
        reactor: Any,
        threads: ThreadPool,
        request: Request,
        *,
        opened: OpenFile,
        begin: int,
        length: int,
        patience: float,
    ) -> None:
        """
        @param reactor: with L{IReactorFDSet}.
        @param threads: in which is sent.
        @param patience: seconds for which the connection may take nothing.
        """
        self._reactor = reactor
        self._threads = threads
        self._request = request
        self._transport = request.transport
        self._opened = opened
        self._offset = begin
        self._end = begin + length
        self._lost = False
        self._waiting: Deferred[None] | None = None
        self._patience = Patience(reactor, patience, self._transport)

    async def run(self) -> None:
        """
        Send the headers of the request and then the file.

        @raise Cut: it was not possible.
        """
        channel = self._request.channel
        transport = self._transport
        socket = os.dup(transport.fileno())
        try:
            transport.unregisterProducer()
            transport.registerProducer(self, False)
            # The transport asks for more when the headers are out.
            waiting = self._wait()
            self._request.write(b"")
            await waiting
            await self._send(socket)
        finally:
            self._patience.end()
            os.close(socket)
        transport.unregisterProducer()
        transport.registerProducer(channel, True)

    async def _send(self, socket: int) -> None:
        while self._offset < self._end:
            try:
                sent, is_full = await deferToThreadPool(
                    self._reactor,
                    self._threads,
                    _push,
                    self._opened,
                    socket,
                    self._offset,
                    self._end,
                )
            except Exception:
                self._transport.abortConnection()
                raise Cut from None
            self._offset += sent
            if self._lost:
                raise Cut
            if is_full:
                writable = _Writable(self._reactor, socket, self.resumeProducing)
                waiting = self._wait()
                self._reactor.addWriter(writable)
                try:
                    await waiting
                finally:
                    self._reactor.removeWriter(writable)

    def _wait(self) -> Deferred[None]:
        """Until L{resumeProducing} or L{stopProducing}."""
        if self._lost:
            raise Cut
        self._patience.begin()
        self._waiting = Deferred()
        return self._waiting

    def resumeProducing(self) -> None:
        """The transport is empty, or the socket takes more."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._patience.end()
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._lost = True
        self._patience.end()
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(Failure(Cut()))


def _push(opened: OpenFile, socket: int, offset: int, end: int) -> tuple[int, bool]:
    """
    In a thread: send for a L{TURN}, as long as the socket takes it.

    @return: the bytes sent, and whether the socket is full.
    @raise Cut: the file is shorter than it was.
    @raise OSError: from the socket or the disk.
    @raise BoxError: the folder went away.
    """
    sent = waited = 0
    end = min(end, offset + TURN)
    poll = select.poll()
    poll.register(socket, select.POLLOUT)
    while offset + sent < end:
        try:
            piece = opened.send(socket, offset + sent, end - offset - sent)
        except BlockingIOError:
            if waited == LINGERING or not poll.poll(LINGER_MS):
                return sent, True
            waited += 1
            continue
        if not piece:
            raise Cut
        sent += piece
    return sent, False


@implementer(IWriteDescriptor)
class _Writable:
    """Tells when a socket takes more."""

    def __init__(self, reactor: Any, descriptor: int, ready: Callable[[], object]) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._ready = ready

    def fileno(self) -> int:
        return self._descriptor

    def doWrite(self) -> None:
        self._reactor.removeWriter(self)
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        # The next piece fails, and says why.
        self._ready()

    def logPrefix(self) -> str:
        return type(self).__name__
