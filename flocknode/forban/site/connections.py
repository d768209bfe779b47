# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Connections to the site: bounded in number and time, and nothing is taken from
them but requests without a body.
"""

from __future__ import annotations

import resource
from collections import Counter
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource

CONNECTIONS = 512
"""At a time; more are closed at once.  Fewer, if the process may open few files
(L{affordable})."""

CONNECTIONS_PER_HOST = 64
"""At a time, from one address."""

IDLE = 60.0
"""Seconds from one answer to the next whole request, and without any progress
within an answer, after which a connection is closed."""

POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load and do (CSP): no script at all, nothing from elsewhere."""


DESCRIPTORS = 3
"""That a connection has open while it sends a file."""


def affordable() -> int:
    """
    How many connections there may be, so that strangers leave half of the
    descriptors that this process may have to the rest of it.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(1, min(CONNECTIONS, soft // 2 // DESCRIPTORS))


class Channel(HTTPChannel):
    """
    A connection.

    @ivar host: address of the other side.
    """

    transport: Any
    host = ""

    def dataReceived(self, data: bytes) -> None:
        """As it is, but that a byte now and then does not keep it open."""
        LineReceiver.dataReceived(self, data)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A URL or a header is too long."""
        if self.requests:
            self._refuse(b"431 Request Header Fields Too Large")
        else:
            self._refuse(b"414 URI Too Long")

    def allHeadersReceived(self) -> None:
        """A body would follow only if somebody wants to change something."""
        if self.length == 0:
            super().allHeadersReceived()
        else:
            self._refuse(b"413 Content Too Large")

    def _refuse(self, status: bytes) -> None:
        self.dataReceived = self._ignore  # type: ignore[method-assign]
        self.lineReceived = self._ignore  # type: ignore[method-assign]
        self.rawDataReceived = self._ignore  # type: ignore[method-assign]
        self.transport.write(
            b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
        )
        self.loseConnection()

    def _ignore(self, data: bytes) -> None:
        pass

    def writeHeaders(
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        """Nobody needs to know what serves this, nor which version of it."""
        headers.removeHeader(b"server")
        super().writeHeaders(version, code, reason, headers)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """One less."""
        super().connectionLost(reason)
        self.factory.lost(self)


class Request(server.Request):
    """A request."""

    transport: Any

    defaultContentType = b"text/plain; charset=utf-8"

    def render(self, resrc: IResource) -> None:
        """Every answer says what may be done with it."""
        for name, value in (
            (b"Content-Security-Policy", POLICY),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Referrer-Policy", b"no-referrer"),
            (b"Cross-Origin-Resource-Policy", b"same-origin"),
        ):
            self.responseHeaders.setRawHeaders(name, [value])
        super().render(resrc)


class Refused(Protocol):
    """
    A connection too many.  Without a protocol Twisted would close it as well,
    but keep it for ever if it is by TLS.
    """

    def connectionMade(self) -> None:
        """Close it."""
        self.transport.abortConnection()  # type: ignore[union-attr]


class BoundedSite(server.Site):
    """
    The factory of connections.

    @ivar channels: all that there are.
    """

    noisy = False
    protocol = Channel  # type: ignore[assignment]
    requestFactory = Request

    def __init__(
        self,
        root: IResource,
        reactor: Any,
        connections: int | None = None,
        per_host: int = CONNECTIONS_PER_HOST,
        idle: float = IDLE,
    ) -> None:
        """
        @param reactor: for the time.
        @param connections: at a time; L{None}: what is L{affordable}.
        @param per_host: of these, from one address.
        @param idle: seconds, see L{IDLE}.
        """
        super().__init__(root, timeout=idle, reactor=reactor, parsePOSTFormSubmission=False)
        self.channels: set[Channel] = set()
        self._connections = affordable() if connections is None else connections
        self._per_host = per_host
        self._hosts: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress) -> Any:  # type: ignore[override]
        """One more, if it may be."""
        host = getattr(addr, "host", "")
        if len(self.channels) >= self._connections or self._hosts[host] >= self._per_host:
            return Refused()
        channel: Any = super().buildProtocol(addr)
        channel.host = host
        self.channels.add(channel)
        self._hosts[host] += 1
        return channel

    def lost(self, channel: Channel) -> None:
        """That one is over."""
        self.channels.discard(channel)
        self._hosts[channel.host] -= 1
        self._hosts += Counter()  # those without any go

    def drop(self) -> None:
        """Cut all connections: the site closes."""
        for channel in list(self.channels):
            channel.transport.abortConnection()

    def acceptableProtocols(self) -> list[bytes]:
        """What L{Channel} speaks."""
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """What was asked for is nobody's business."""
