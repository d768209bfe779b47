# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.asker}, with servers on loopback; what takes long
takes virtual time.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocknode.errors import NeighbourError
from flocknode.forban.fetch.asker import ANSWERING, CONNECTING, CONNECTIONS, Asker, Unreachable
from flocknode.forban.fetch.body import Sink
from flocknode.forban.fetch.heads import Head
from flocknode.forban.near.neighbours import Address
from tests.forban.fetch.peers import (
    Hostile,
    Original,
    Peer,
    Script,
    Talk,
    in_thread,
    reactor,
    until,
)


class All:
    """A L{Sink} that gives all it got."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> bool:
        """See L{Sink.write}."""
        self.data += data
        return True

    def finish(self, data: bytes, whole: bool) -> bytes:
        """See L{Sink.finish}."""
        return self.data + data

    def abandon(self) -> None:
        """See L{Sink.abandon}."""


def take(head: Head) -> Sink[bytes] | None:
    """What is there."""
    return All() if head.code in (200, 206) else None


def saying(
    length: int | None, code: bytes = b"200 OK", more: bytes = b"", flood: bool = False
) -> Script:
    """A script that says this head, and perhaps an endless body."""

    def script(talk: Talk, _request: bytes) -> None:
        talk.head(length, code, more)
        if flood:
            talk.flood(b"x" * 60_000)

    return script


def raw(answer: bytes) -> Script:
    """A script that says just this."""

    def script(talk: Talk, _request: bytes) -> None:
        talk.say(answer)
        talk.close()

    return script


class AskerCase(TestCase):
    """
    @ivar clock: of the times, which is not the reactor's.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.asker = Asker(reactor, in_thread, clock=self.clock)
        self.addCleanup(self.asker.stop)

    def listen(self, peer: Peer) -> None:
        """Let it, until the end."""
        peer.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(peer.stop()))

    def hostile(self, script: Script) -> Hostile:
        """One that listens."""
        peer = Hostile(script)
        self.listen(peer)
        return peer

    def ask(self, peer: Peer, most: int = 1 << 30, query: str = "g=x") -> Deferred[Any]:
        """A question; gives (head, body)."""
        return Deferred.fromCoroutine(self.asker.ask(peer.address, query, take, most))

    async def fails(self, asked: Deferred[Any], error: type[Exception] = NeighbourError) -> str:
        """@return: the sentence."""
        try:
            await asked
        except error as found:
            return str(found)
        raise self.failureException("It was answered.")


class Answers(AskerCase):
    """Of those who mean well."""

    async def test_a_body_comes_with_its_head(self) -> None:
        peer = Original({b"a": b"content"})
        self.listen(peer)
        head, body = await self.ask(peer, query="g=YQ!!&f=b64e")
        self.assertEqual(body, b"content")
        self.assertEqual((head.code, head.length, head.named), (200, 7, True))

    async def test_a_head_nobody_wants_the_body_of_comes_alone(self) -> None:
        peer = Original()
        self.listen(peer)
        head, body = await self.ask(peer)
        self.assertEqual((head.code, head.type, body), (404, "text/html", None))

    async def test_nothing_is_logged_of_it(self) -> None:
        peer = Original({b"a": b"one"})
        self.listen(peer)
        with capturedLogs() as events:
            await self.ask(peer, query="g=YQ!!&f=b64e")
            await self.asker.stop()
        self.assertEqual(events, [])

    async def test_connections_are_kept(self) -> None:
        seen: list[Talk] = []

        def script(talk: Talk, _request: bytes) -> None:
            seen.append(talk)
            # Also over a body that nobody wants.
            talk.head(2, b"404 Not Found" if len(seen) == 2 else b"200 OK")
            talk.say(b"ok")

        peer = self.hostile(script)
        for _ in range(4):
            await self.ask(peer)
        self.assertEqual(len(set(seen)), 1)

    async def test_one_address_has_at_most_so_many_connections(self) -> None:
        talks: list[Talk] = []
        peer = self.hostile(lambda talk, _request: talks.append(talk))
        asked = [self.ask(peer) for _ in range(CONNECTIONS + 3)]
        await until(lambda: len(talks) == CONNECTIONS)
        for _ in asked:
            await until(lambda: talks)
            self.assertLessEqual(peer.connections, CONNECTIONS)
            talks.pop().head(0)
        for each in asked:
            await each
        self.assertEqual(self.asker._gates, {})

    async def test_nothing_but_the_question_is_told(self) -> None:
        lines: list[bytes] = []
        peer = self.hostile(lambda talk, _request: talk.head(0))
        old = Talk.lineReceived

        def listen(talk: Talk, line: bytes) -> None:
            lines.append(line)
            old(talk, line)

        self.patch(Talk, "lineReceived", listen)
        await self.ask(peer)
        names = {line.split(b":")[0].lower() for line in lines[1:] if line}
        self.assertEqual(lines[0], b"GET /s/?g=x HTTP/1.1")
        self.assertEqual(names, {b"host", b"accept-encoding", b"user-agent"})
        self.assertIn(b"Host: " + str(peer.address).encode(), lines)

    async def test_after_the_stop_nobody_is_asked(self) -> None:
        peer = self.hostile(lambda talk, _request: talk.head(0))
        await self.asker.stop()
        await self.fails(self.ask(peer))
        self.assertEqual(peer.asked, [])


class Strangers(AskerCase):
    """Of those who do not."""

    async def test_nobody_there_is_said_so(self) -> None:
        peer = Original()
        peer.listen()
        asked = self.asker.ask(peer.address, "g=x", take, 10)
        await peer.stop()
        await self.fails(Deferred.fromCoroutine(asked), Unreachable)

    async def test_a_redirect_is_not_followed(self) -> None:
        other = self.hostile(lambda talk, _request: talk.head(0))
        place = b"Location: http://%s/s/?g=x\r\n" % str(other.address).encode()
        for code in (b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"):
            peer = self.hostile(saying(0, code, place))
            head, body = await self.ask(peer)
            self.assertEqual((head.code, body), (int(code[:3]), None))
        self.assertEqual(other.asked, [])

    async def test_a_cookie_is_not_kept(self) -> None:
        lines: list[bytes] = []
        old = Talk.lineReceived

        def listen(talk: Talk, line: bytes) -> None:
            lines.append(line)
            old(talk, line)

        self.patch(Talk, "lineReceived", listen)
        peer = self.hostile(lambda talk, _: talk.head(0, more=b"Set-Cookie: a=b; Path=/\r\n"))
        await self.ask(peer)
        await self.ask(peer)
        self.assertEqual([line for line in lines if b"cookie" in line.lower()], [])

    async def test_what_is_compressed_is_said_to_be(self) -> None:
        peer = self.hostile(lambda talk, _: talk.head(0, more=b"Content-Encoding: gzip\r\n"))
        head, _ = await self.ask(peer)
        self.assertTrue(head.coded)

    async def test_who_does_not_answer_is_given_up(self) -> None:
        peer = self.hostile(lambda _talk, _request: None)
        asked = self.ask(peer)
        await until(lambda: peer.asked)
        self.clock.advance(CONNECTING + ANSWERING)
        await self.fails(asked)
        await peer.when_alone()

    async def test_a_stalled_body_is_given_up(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(1000)
            talk.say(b"some")

        peer = self.hostile(script)
        asked = self.ask(peer)
        await until(lambda: self.asker._bodies)
        self.clock.pump([5.0] * 8)
        await self.fails(asked)
        await peer.when_alone()

    async def test_a_head_without_an_end_is_given_up(self) -> None:
        def lines(talk: Talk, _request: bytes) -> None:
            talk.say(b"HTTP/1.1 200 OK\r\n")
            talk.flood(b"X-More: %s\r\n" % (b"x" * 1000) * 60)

        def one_line(talk: Talk, _request: bytes) -> None:
            talk.say(b"HTTP/1.1 200 OK\r\nX-More: ")
            talk.flood(b"x" * 60_000)

        def on_their_way(talk: Talk, _request: bytes) -> None:
            talk.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

        for script in (lines, one_line, on_their_way):
            peer = self.hostile(script)
            await self.fails(self.ask(peer))
            await peer.when_alone()

    async def test_more_than_was_asked_for_is_given_up(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(1 << 40)
            talk.flood(b"x" * 60_000)

        peer = self.hostile(script)
        await self.fails(self.ask(peer, most=1 << 20))
        await peer.when_alone()

    async def test_an_endless_body_nobody_wants_is_not_read(self) -> None:
        for length in (None, 1 << 40, 10_000):
            peer = self.hostile(saying(length, b"404 Not Found", flood=True))
            head, body = await self.ask(peer)
            self.assertEqual((head.code, body), (404, None))
            await self.asker._pool.closeCachedConnections()
            await peer.when_alone()

    async def test_nobody_waits_for_a_body_nobody_wants(self) -> None:
        peer = self.hostile(saying(1000))
        asking = self.asker.ask(peer.address, "g=x", lambda _head: None, 1000)
        head, body = await asking
        self.assertEqual((head.code, body), (200, None))
        await peer.when_alone()

    async def test_a_body_that_breaks_off_fails(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(1000)
            talk.say(b"some")
            talk.close()

        await self.fails(self.ask(self.hostile(script)))

    async def test_what_is_no_answer_is_one_error(self) -> None:
        for answer in (
            b"\r\n\r\n",
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 many OK\r\n\r\n",
            b"HTTP/x 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n continued\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"\x00\xff" * 100 + b"\r\n\r\n",
        ):
            peer = self.hostile(raw(answer))
            await self.fails(self.ask(peer))

    async def test_what_is_asked_when_it_stops_ends(self) -> None:
        silent = self.hostile(lambda _talk, _request: None)
        stalled = self.hostile(lambda talk, _request: talk.head(1000))
        asked = [self.ask(silent), self.ask(stalled)]
        await until(lambda: silent.asked and self.asker._bodies)
        await self.asker.stop()
        for each in asked:
            await self.fails(each)


class Addresses(SynchronousTestCase):
    """Where a connection is made to."""

    def test_a_link_local_address_keeps_its_scope_and_does_not_tell_it(self) -> None:
        memory = MemoryReactorClock()
        asker = Asker(memory, in_thread)
        address = Address("fe80::1%eth0", 12555)
        asked = Deferred.fromCoroutine(asker.ask(address, "g=x", take, 10))
        ((host, port, factory, timeout, _),) = memory.tcpClients
        self.assertEqual((host, port, timeout), ("fe80::1%eth0", 12555, CONNECTING))
        protocol: Any = factory.buildProtocol(IPv6Address("TCP", "fe80::1", 12555))
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.assertIn(b"\r\nHost: [fe80::1]:12555\r\n", transport.value())
        self.assertNotIn(b"eth0", transport.value())
        asker.stop()
        self.failureResultOf(asked, NeighbourError)
