# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Asks neighbours by HTTP, trusting nothing that comes: no redirect is followed,
no cookie kept, no proxy of the environment used, nothing decompressed; heads
are bounded, and bodies go to a L{Sink} in a thread.

This is twisted.web's C{Agent} itself: C{treq} always asks for gzip and keeps
cookies, and what it adds beyond that is not needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from flocknode.errors import NeighbourError
from flocknode.forban.fetch.body import Body, InThread, Sink
from flocknode.forban.fetch.heads import Head, head_of
from flocknode.forban.fetch.pacing import Bucket
from flocknode.forban.fetch.pinning import Pinned
from flocknode.forban.near.neighbours import Address

CONNECTING = 10.0
"""Seconds for a connection."""

ANSWERING = 20.0
"""Seconds for the head of an answer."""

CONNECTIONS = 4
"""To one address at a time."""

KEPT = 15.0
"""Seconds that a connection is kept for the next question."""

LONGEST_HEAD = 64 * 1024
"""Bytes of the head of an answer."""

DRAINED = 16 * 1024
"""Bytes of a body nobody wants that are read for the sake of the connection."""

T = TypeVar("T")


class Unreachable(NeighbourError):
    """There is no connection to that address, or it is somebody else."""


class Asker:
    """
    Asks.  Lives in the reactor.

    @param reactor: that connects; C{clock}: of the times; the same if not given.
    @param in_thread: where bodies are taken.
    @param bucket: what all bodies together may take.

    A sink takes one body, and is told apart from others by its identity.
    """

    def __init__(
        self,
        reactor: Any,
        in_thread: InThread,
        bucket: Bucket | None = None,
        clock: IReactorTime | None = None,
    ) -> None:
        self._reactor = reactor
        self._clock: IReactorTime = reactor if clock is None else clock
        self._in_thread = in_thread
        self._bucket = bucket or Bucket(0, self._clock.seconds)
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = CONNECTIONS
        self._pool.cachedConnectionTimeout = KEPT  # type: ignore[assignment]
        self._gates: dict[Address, DeferredSemaphore] = {}
        self._asked: set[Deferred[Any]] = set()
        self._bodies: dict[Sink[Any], Body[Any]] = {}
        self._stopped = False

    async def ask(
        self,
        address: Address,
        query: str,
        choose: Callable[[Head], Sink[T] | None],
        most: int,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Head, T | None]:
        """
        C{GET /s/?…}, by TLS if the address has a certificate pinned.

        @param query: what is behind the question mark, as it stands in a URL.
        @param choose: by the head, what takes the body; L{None}: nothing does.
        @param most: bytes of the body; with more the question fails.
        @return: the head, and what the sink's C{finish} gave.
        @raise Unreachable: no connection, or another certificate.
        @raise NeighbourError: no answer, or none that can be used.
        """
        gate = self._gates.setdefault(address, DeferredSemaphore(CONNECTIONS))
        await gate.acquire()
        try:
            if self._stopped:
                raise NeighbourError("It was stopped.")
            response = await self._request(address, query, headers or {})
            head = head_of(response)
            sink = choose(head)
            if sink is None:
                await self._drop(response, head)
                return head, None
            return head, await self._body(response, sink, most)
        finally:
            gate.release()
            if gate.tokens == CONNECTIONS and self._gates.get(address) is gate:
                del self._gates[address]

    async def _request(self, address: Address, query: str, more: Mapping[str, str]) -> Any:
        # A scope is of this machine alone.
        host = Address(address.host.partition("%")[0], address.port)
        headers = Headers(
            {"Host": [str(host)], "Accept-Encoding": ["identity"], "User-Agent": ["flocknode"]}
        )
        for name, value in more.items():
            headers.setRawHeaders(name, [value])
        pinned = Pinned(address.pinned) if address.pinned else None
        agent = Agent.usingEndpointFactory(
            self._reactor, _Endpoints(self._reactor, address, pinned), self._pool
        )
        # The name only tells connections apart: the endpoint knows where to.
        name = address.host.encode().hex() + address.pinned.hex()
        scheme = "http" if pinned is None else "https"
        url = f"{scheme}://{name}:{address.port}/s/?{query}".encode("ascii")
        asked: Deferred[Any] = agent.request(b"GET", url, headers)
        asked.addTimeout(CONNECTING + ANSWERING, self._clock)
        self._asked.add(asked)
        try:
            return await asked
        except _NoConnection as error:
            raise Unreachable(f"No connection to {address}.") from error
        except Exception as error:
            # Whatever Twisted finds wrong with an answer: errors of its own, and
            # those of Python where it parses.
            if pinned is not None and pinned.refused:
                raise Unreachable(
                    f"{address} shows another certificate than its index says."
                ) from error
            by = "" if pinned is None else " by TLS"
            raise NeighbourError(f"No answer from {address}{by}.") from error
        finally:
            self._asked.discard(asked)

    async def _body(self, response: Any, sink: Sink[T], most: int) -> T:
        body = Body(sink, self._in_thread, self._clock, most, self._bucket)
        self._bodies[sink] = body
        try:
            response.deliverBody(body)
            return await body.done
        finally:
            del self._bodies[sink]

    async def _drop(self, response: Any, head: Head) -> None:
        """End a body that nobody wants; what is short and no file is read for that."""
        nothing = _Nothing()
        dropped = Deferred.fromCoroutine(self._body(response, nothing, DRAINED))
        if head.code in (200, 206) or head.length is None or head.length > DRAINED:
            self.give_up(nothing)
        # It may be dropped in the middle.
        with contextlib.suppress(NeighbourError):
            await dropped

    def give_up(self, sink: Sink[Any]) -> None:
        """End a body in its middle: its question fails.  Nothing, if it is over."""
        if sink in self._bodies:
            self._bodies[sink].stop()

    def stop(self) -> Deferred[None]:
        """
        Give up everything, and close what is kept.  Whoever waits for an answer
        hears of it first.
        """
        self._stopped = True
        for asked in list(self._asked):
            asked.cancel()
        for body in list(self._bodies.values()):
            body.stop()
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed


class _Nothing:
    """A L{Sink} that forgets."""

    def write(self, data: bytes) -> bool:
        """There is more than was said."""
        return False

    def finish(self, data: bytes, whole: bool) -> None:
        """That was all."""

    def abandon(self) -> None:
        """That was all."""


class _NoConnection(Exception):
    """It failed before there was a connection."""


@implementer(IAgentEndpointFactory)
@attrs.frozen
class _Endpoints:
    """Knows one address, whatever is in a URL: names are never looked up."""

    reactor: Any
    address: Address
    pinned: Pinned | None

    def endpointForURI(self, _uri: object) -> IStreamClientEndpoint:
        """Of this address, which may have a scope."""
        is_v6 = ":" in self.address.host
        endpoint: Any = (TCP6ClientEndpoint if is_v6 else TCP4ClientEndpoint)(
            self.reactor, self.address.host, self.address.port, timeout=CONNECTING
        )
        if self.pinned is None:
            return _Endpoint(endpoint, _Bounded)
        return _Endpoint(wrapClientTLS(self.pinned, endpoint), _BoundedTLS)


@implementer(IStreamClientEndpoint)
@attrs.frozen
class _Endpoint:
    """Puts a limit for heads below the protocol that parses them."""

    endpoint: Any
    protocol: type[_Bounded]

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See L{IStreamClientEndpoint.connect}."""
        # Else it writes two lines for each connection.
        protocolFactory.noisy = False
        factory = WrappingFactory(protocolFactory)
        factory.protocol = self.protocol
        # It keeps every protocol in a dictionary and logs; neither is wanted.
        factory.noisy = False
        connecting: Deferred[Any] = self.endpoint.connect(factory)

        def connected(wrapper: Any) -> Any:
            return wrapper.wrappedProtocol

        def failed(failure: Failure) -> Any:
            raise _NoConnection from failure.value

        return connecting.addCallbacks(connected, failed)


class _Bounded(ProtocolWrapper):
    """
    Ends a connection whose answer has a head without an end: Twisted keeps
    headers, and skips answers that are only on their way, as long as they come.
    """

    _head: int | None = 0

    def write(self, data: bytes) -> None:
        """A new question: count again."""
        self._head = 0
        super().write(data)

    def writeSequence(self, data: Any) -> None:
        """As L{write}."""
        self._head = 0
        super().writeSequence(data)

    def pauseProducing(self) -> None:
        """The head is complete: so says the parser, before the body."""
        self._head = None
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Count, until there is a body."""
        if self._head is not None:
            if self._head > LONGEST_HEAD:
                self.transport.abortConnection()  # type: ignore[union-attr]
                return
            self._head += len(data)
        super().dataReceived(data)


class _BoundedTLS(_Bounded):
    """Does not wait for the other side to say that it ends, too: it may never."""

    def loseConnection(self) -> None:
        """At once: nothing that is still to be written matters."""
        self.disconnecting = 1
        self.transport.abortConnection()  # type: ignore[union-attr]
