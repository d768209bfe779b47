# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How the resources of the site answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from flocknode.forban.site.connections import Request
from flocknode.forban.site.patience import Cut
from flocknode.forban.site.ranges import Held, Part, format_date, wanted
from flocknode.forban.site.sending import Sending


class Leaf(Resource, ABC):
    """
    A resource that takes its time to answer.  Nothing can be changed: it is
    asked by GET and HEAD only.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, sending: Sending) -> None:
        super().__init__()
        self.sending = sending

    @abstractmethod
    async def answer(self, request: Request) -> None:
        """Answer it, and finish it."""

    def render(self, request: Request) -> int:
        """Begin to answer."""
        Deferred.fromCoroutine(self._answer(request)).addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        if request.method in (b"GET", b"HEAD"):
            await self.answer(request)
        else:
            request.setHeader(b"Allow", b"GET, HEAD")
            await self.say(request, 405, "Only GET and HEAD are understood.")

    def _failed(self, failure: Failure, request: Request) -> None:
        if failure.check(Cut):
            return
        self._log.failure("A request could not be answered", failure=failure)
        if request.channel is None:
            return
        if request.startedWriting:
            request.transport.abortConnection()
        else:
            request.setResponseCode(500)
            request.setHeader(b"Content-Length", b"0")
            request.finish()

    async def say(self, request: Request, code: int, sentence: str) -> None:
        """Answer with one sentence of plain text."""
        data = sentence.encode() + b"\n"
        request.setResponseCode(code)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"Content-Length", b"%d" % len(data))
        request.setHeader(b"Cache-Control", b"no-store")
        await self.sending.data(request, data)

    async def give(self, request: Request, data: bytes, etag: bytes, kind: bytes) -> None:
        """
        Answer with bytes, as far as they are not known there.

        @param etag: strong, in its quotes.
        @param kind: their Content-Type.
        """
        request.setHeader(b"Content-Type", kind)
        part = begin(request, Held(len(data), etag))
        if part.length:
            await self.sending.data(request, data[part.begin : part.begin + part.length])
        else:
            await self.sending.data(request, b"")


def begin(request: Request, held: Held) -> Part:
    """
    Set code and headers of an answer from something that does not change.

    @return: what is to be sent behind them; to a HEAD nothing.
    """
    is_get = request.method == b"GET"
    part = wanted(held, request.getHeader, partly=is_get)
    request.setResponseCode(part.code)
    request.setHeader(b"ETag", held.etag)
    request.setHeader(b"Accept-Ranges", b"bytes")
    if held.modified is not None:
        request.setHeader(b"Last-Modified", format_date(held.modified))
    if part.code == 206:
        last = part.begin + part.length - 1
        request.setHeader(b"Content-Range", b"bytes %d-%d/%d" % (part.begin, last, held.size))
    elif part.code == 416:
        request.setHeader(b"Content-Range", b"bytes */%d" % held.size)
    if part.code != 304:
        request.setHeader(b"Content-Length", b"%d" % part.length)
    return part if is_get else Part(part.code)
