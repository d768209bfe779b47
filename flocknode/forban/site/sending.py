# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Bodies on their way: sent piece by piece, no faster than they are taken.

Large files go to plain TCP connections by L{flocknode.forban.site.sendfile}.
Everything else (TLS, and bodies in memory) is read, in threads if there is a
disk, and written as the transport asks for more.

Who takes nothing for a while is cut off.  So is whoever waits for more than
there is: better no end than a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from flocknode.box.listing import OpenFile
from flocknode.forban.site.connections import IDLE, Request
from flocknode.forban.site.patience import Cut, Patience
from flocknode.forban.site.sendfile import Sendfile, is_plain

PIECE = 64 * 1024
"""Bytes that are read and written at a time: what Twisted's buffer takes before
it says that it is full."""


class Sending:
    """What is needed for it."""

    def __init__(
        self,
        reactor: Any,
        threads: ThreadPool,
        patience: float = IDLE,
        now: Callable[[], float] = time,
    ) -> None:
        """
        @param threads: in which files are read.
        @param patience: seconds for which a connection may take nothing.
        @param now: the time that HTTP tells, seconds since the epoch.
        """
        self.now = now
        self.reactor = reactor
        self.threads = threads
        self.patience = patience
        self._files = 0
        self._none_left: Deferred[None] | None = None

    async def data(self, request: Request, data: bytes) -> None:
        """
        Send bytes, and finish the request.

        @raise Cut: it was not possible.
        """
        _check(request)
        if len(data) <= PIECE:
            request.write(data)
        else:
            view = memoryview(data)
            pushed = _Pushed(self, request)
            await pushed.run(
                lambda offset, size: succeed(bytes(view[offset : offset + size])), 0, len(data)
            )
        _finish(request)

    async def file(
        self, request: Request, opened: OpenFile, begin: int, length: int
    ) -> None:
        """
        Send so much of a file, and finish the request.

        @raise Cut: it was not possible.
        """
        self._files += 1
        try:
            await self._file(request, opened, begin, length)
        finally:
            self._files -= 1
            if not self._files and self._none_left is not None:
                waiting, self._none_left = self._none_left, None
                waiting.callback(None)

    async def wait(self) -> None:
        """Until no file is on its way, when all connections have been cut."""
        if self._files:
            self._none_left = Deferred()
            await self._none_left

    async def _file(
        self, request: Request, opened: OpenFile, begin: int, length: int
    ) -> None:
        _check(request)
        if length:
            if length > PIECE and is_plain(request, self.reactor):
                sendfile = Sendfile(
                    self.reactor,
                    self.threads,
                    request,
                    opened=opened,
                    begin=begin,
                    length=length,
                    patience=self.patience,
                )
                await sendfile.run()
            else:
                await _Pushed(self, request).run(
                    lambda offset, size: self.in_thread(opened.read, offset, size), begin, length
                )
        _finish(request)

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call that in a thread."""
        return deferToThreadPool(self.reactor, self.threads, function, *arguments)


def _check(request: Request) -> None:
    """Is anybody still there?"""
    if request.channel is None:
        raise Cut


def _finish(request: Request) -> None:
    _check(request)
    request.finish()


@implementer(IPushProducer)
class _Pushed:
    """
    One body on its way through the transport's buffer.
    """

    def __init__(self, sending: Sending, request: Request) -> None:
        self._sending = sending
        self._request = request
        self._paused = False
        self._lost = False
        self._waiting: Deferred[None] | None = None
        self._patience = Patience(sending.reactor, sending.patience, request.transport)

    async def run(
        self, read: Callable[[int, int], Deferred[bytes]], begin: int, length: int
    ) -> None:
        end = begin + length
        request = self._request
        request.notifyFinish().addErrback(lambda _: self.stopProducing())
        request.registerProducer(self, True)
        try:
            while begin < end:
                data = await self._read(read, begin, min(PIECE, end - begin))
                begin += len(data)
                request.write(data)
                if self._paused:
                    self._waiting = Deferred()
                    await self._waiting
        finally:
            self._patience.end()
            if not self._lost:
                request.unregisterProducer()

    async def _read(
        self, read: Callable[[int, int], Deferred[bytes]], offset: int, size: int
    ) -> bytes:
        try:
            data = await read(offset, size)
        except Exception:
            data = b""
        if self._lost:
            raise Cut
        if not data:
            self._request.transport.abortConnection()
            raise Cut
        return data

    def pauseProducing(self) -> None:
        self._paused = True
        self._patience.begin()

    def resumeProducing(self) -> None:
        self._paused = False
        self._patience.end()
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def stopProducing(self) -> None:
        self._lost = True
        self._patience.end()
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(Failure(Cut()))
