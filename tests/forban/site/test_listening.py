# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.site.listening}, on loopback.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocknode.forban.site.listening import AGAIN, Listening, urls
from tests.certificates import write_certificate
from tests.forban.fetch.peers import until

reactor: Any = _reactor


class Greeter(Protocol):
    """Says something, and ends."""

    def connectionMade(self) -> None:
        """Do so."""
        transport: Any = self.transport
        transport.write(b"hello")
        transport.loseConnection()


class Heard(Protocol):
    """
    Hears.

    @ivar all: called with what came, at the end.
    """

    def __init__(self) -> None:
        self.all: Deferred[bytes] = Deferred()
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        """Some of it."""
        self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        self.all.callback(self._data)


class StillTimers:
    """The reactor, whose timers are moved by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater = self.clock.callLater
        self.seconds = self.clock.seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class ListeningTests(TestCase):
    """Of it."""

    def setUp(self) -> None:
        self.reactor = StillTimers()

    def listening(self, *endpoints: str, hosts: tuple[str, ...] = ("127.0.0.1",)) -> Listening:
        """One that has begun."""
        factory = Factory.forProtocol(Greeter)
        factory.noisy = False
        listening = Listening(self.reactor, factory, 0, endpoints, hosts)
        listening.startService()
        self.addCleanup(self.stop, listening)
        return listening

    async def stop(self, listening: Listening) -> None:
        """End it, if it has not ended."""
        if listening.running:
            await listening.stopService()

    def taken(self) -> tuple[socket.socket, int]:
        """A port of loopback that somebody listens on."""
        other = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(other.close)
        port: int = other.getsockname()[1]
        return other, port

    async def said(self, url: str) -> bytes:
        """What is said there."""
        host, _, port = url.rstrip("/").partition("://")[2].rpartition(":")
        factory = Factory.forProtocol(Heard)
        factory.noisy = False
        host = host.strip("[]").replace(":", "\\:")
        heard: Any = await clientFromString(reactor, f"tcp:{host}:{port}").connect(factory)
        return bytes(await heard.all)

    async def test_each_host_has_its_site(self) -> None:
        listening = self.listening(hosts=("127.0.0.1", "::1"))
        first, second = listening.sites()
        self.assertTrue(first.startswith("http://127.0.0.1:"))
        self.assertTrue(second.startswith("http://[::1]:"))
        for site in listening.sites():
            self.assertEqual(await self.said(site), b"hello")
        self.assertEqual(listening.problems, {})

    async def test_endpoints_have_theirs(self) -> None:
        pem = self.mktemp()
        write_certificate(pem)
        way = self.mktemp()
        listening = self.listening(
            "tcp:0:interface=127.0.0.1",
            f"ssl:0:interface=127.0.0.1:privateKey={pem}",
            f"unix:{way}",
        )
        schemes = [site.partition(":")[0] for site in listening.sites()]
        self.assertEqual(schemes, ["http", "http", "https"])

    async def test_after_the_end_nobody_is_let_in(self) -> None:
        listening = self.listening("tcp:0:interface=127.0.0.1")
        sites = listening.sites()
        await listening.stopService()
        for site in sites:
            await self.assertFailure(
                Deferred.fromCoroutine(self.said(site)), ConnectionRefusedError
            )
        self.assertEqual(self.reactor.clock.getDelayedCalls(), [])

    async def test_what_is_taken_is_said_and_tried_again(self) -> None:
        other, port = self.taken()
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        listening = self.listening(endpoint)
        self.assertEqual(listening.problems, {endpoint: "Address already in use"})
        self.assertEqual(len(listening.sites()), 1)
        other.close()
        self.reactor.clock.advance(AGAIN)
        await until(lambda: len(listening.sites()) == 2)
        self.assertEqual(listening.problems, {})

    async def test_the_same_endpoint_twice_is_listened_on_once(self) -> None:
        endpoint = "tcp:0:interface=127.0.0.1"
        listening = self.listening(endpoint, endpoint)
        self.assertEqual(len(listening.sites()), 2)
        self.assertEqual(
            listening.problems, {endpoint: "it is named twice, and listened on once"}
        )

    async def test_two_endpoints_of_one_port_are_said(self) -> None:
        other, port = self.taken()
        other.close()
        first = f"tcp:{port}:interface=127.0.0.1"
        second = f"{first}:backlog=9"
        listening = self.listening(first, second)
        self.assertEqual(listening.problems, {second: "Address already in use"})

    async def test_an_endpoint_of_a_kind_that_nobody_knows_is_said(self) -> None:
        listening = self.listening("carrier-pigeon:coop=1")
        self.assertIn("carrier-pigeon", listening.problems["carrier-pigeon:coop=1"])
        self.assertEqual(len(listening.sites()), 1)

    async def test_a_certificate_is_read_once(self) -> None:
        pem = self.mktemp()
        write_certificate(pem)
        other, port = self.taken()
        endpoint = f"ssl:{port}:interface=127.0.0.1:privateKey={pem}"
        listening = self.listening(endpoint)
        self.assertIn(endpoint, listening.problems)
        with open(pem, "w"):
            pass
        other.close()
        self.reactor.clock.advance(AGAIN)
        await until(lambda: len(listening.sites()) == 2)


class Urls(SynchronousTestCase):
    """Where a site is."""

    def test_what_listens_on_all_addresses_is_at_each_of_its_family(self) -> None:
        reached = ("192.0.2.7", "2001:db8::7")
        self.assertEqual(urls("http", "0.0.0.0", 1, reached), ["http://192.0.2.7:1/"])
        self.assertEqual(urls("http", "::", 1, reached), ["http://[2001:db8::7]:1/"])
        self.assertEqual(urls("http", "127.0.0.1", 1, reached), ["http://127.0.0.1:1/"])
        self.assertEqual(urls("http", "0.0.0.0", 1, ()), ["http://0.0.0.0:1/"])
