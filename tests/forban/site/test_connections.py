# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Connections are bounded in number, size and time.
"""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocknode.forban.protocol import names
from flocknode.forban.site import connections
from flocknode.forban.site.patience import Patience
from tests.certificates import write_certificate
from tests.forban.fetch.peers import until
from tests.forban.site.sites import Answer, AtOnce, Connection, StillReactor, TestSite

reactor: Any = _reactor

LARGE = b"GET /s/?g=%s&f=b64e HTTP/1.1\r\n\r\n" % names.encode(b"large").encode()


class WithASite(SynchronousTestCase):
    """A site that takes few connections."""

    def setUp(self) -> None:
        self.reactor = StillReactor()
        self.site = TestSite(
            self.reactor, self.mktemp(), AtOnce(), connections=4, per_host=2, idle=60
        )
        self.site.put(b"large", bytes(1_000_000))

    def connect(self, host: str = "192.168.1.9") -> Connection:
        """One more connection."""
        return Connection(self.site.site, host)


class Encrypted(TestCase):
    """By TLS, on loopback."""

    async def test_a_connection_too_many_is_closed(self) -> None:
        site = TestSite(reactor, self.mktemp(), AtOnce(), connections=1, per_host=1, idle=60)
        pem = self.mktemp()
        write_certificate(pem)
        endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}")
        port: Any = await endpoint.listen(site.site)
        self.addCleanup(port.stopListening)
        self.addCleanup(site.site.drop)
        first, second = (socket.socket() for _ in range(2))
        for each in (first, second):
            self.addCleanup(each.close)
            each.connect(("127.0.0.1", port.getHost().port))
        second.settimeout(30)
        await until(lambda: site.site.channels)
        with contextlib.suppress(ConnectionError):
            self.assertEqual(await deferToThread(second.recv, 1), b"")


class Numbers(WithASite):
    """There are only so many."""

    def test_one_host_has_only_so_many(self) -> None:
        first = self.connect()
        self.connect()
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.connect("192.168.1.10")
        first.lose()
        self.connect()

    def test_all_hosts_together_have_only_so_many(self) -> None:
        first, *_ = [self.connect(f"192.168.1.{number}") for number in range(4)]
        with self.assertRaises(ConnectionRefusedError):
            self.connect("192.168.1.99")
        first.lose()
        self.connect("192.168.1.99")
        self.assertEqual(len(self.site.site.channels), 4)

    def test_nothing_is_remembered_of_hosts_that_left(self) -> None:
        for number in range(100):
            self.connect(f"10.0.0.{number}").lose()
        self.assertEqual((self.site.site.channels, dict(self.site.site._hosts)), (set(), {}))


    def test_strangers_leave_half_of_the_descriptors(self) -> None:
        for soft, affordable in ((1024, 170), (6, 1), (1 << 20, 512), (-1, 512)):
            self.patch(resource, "getrlimit", lambda _, soft=soft: (soft, -1))
            self.assertEqual(connections.affordable(), affordable)

    def test_all_are_cut_when_it_closes(self) -> None:
        several = [self.connect(f"192.168.1.{number}") for number in range(4)]
        several[0].send(LARGE)
        self.site.site.drop()
        self.assertTrue(all(one.transport.aborting for one in several))


class Sizes(WithASite):
    """Requests are short."""

    def test_a_long_url_is_refused(self) -> None:
        connection = self.connect()
        for _ in range(8):
            connection.send(b"G" * 8192)
        answer, rest = Answer.parse(connection.take())
        self.assertEqual((answer.code, rest), (414, b""))
        self.assertTrue(connection.transport.disconnecting)

    def test_a_long_header_is_refused(self) -> None:
        connection = self.connect()
        connection.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 65_536)
        answer, rest = Answer.parse(connection.take())
        self.assertEqual((answer.code, rest), (431, b""))

    def test_many_headers_are_refused(self) -> None:
        connection = self.connect()
        for _ in range(2000):
            connection.send(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
        self.assertTrue(connection.transport.disconnecting)


class Times(WithASite):
    """Nobody holds a connection for nothing."""

    def test_who_asks_for_nothing_is_disconnected(self) -> None:
        connection = self.connect()
        self.reactor.advance(59)
        self.assertFalse(connection.transport.disconnecting)
        self.reactor.advance(1)
        self.assertTrue(connection.transport.disconnecting)

    def test_a_byte_now_and_then_is_nothing(self) -> None:
        connection = self.connect()
        for byte in b"GET / HTTP":
            connection.send(bytes([byte]))
            self.reactor.advance(6)
        self.assertTrue(connection.transport.disconnecting)

    def test_each_answer_gives_time_for_the_next_request(self) -> None:
        connection = self.connect()
        for _ in range(5):
            self.reactor.advance(50)
            connection.send(b"GET /css/site.css HTTP/1.1\r\n\r\n")
            self.assertEqual(Answer.parse(connection.take())[0].code, 200)
        self.assertFalse(connection.transport.disconnecting)

    def test_who_takes_nothing_is_cut_off(self) -> None:
        connection = self.connect()
        connection.send(LARGE)
        self.reactor.advance(59)
        self.assertFalse(connection.transport.aborting)
        self.reactor.advance(1)
        self.assertTrue(connection.transport.aborting)

    def test_who_takes_something_is_not(self) -> None:
        connection = self.connect()
        connection.send(LARGE)
        for _ in range(5):
            self.reactor.advance(50)
            connection.transport.clear()
            connection.transport.producer.resumeProducing()
        self.assertFalse(connection.transport.aborting)

    def test_no_more_is_read_than_is_taken(self) -> None:
        connection = self.connect()
        connection.send(LARGE * 3)
        self.assertLess(len(connection.transport.value()), 200_000)

    def test_a_file_that_ends_too_early_is_cut_off(self) -> None:
        connection = self.connect()
        connection.send(LARGE)
        with open(self.site.shelf.where(b"large"), "r+b") as file:
            file.truncate(300_000)
        data = connection.take()
        with self.assertRaises(ValueError):
            Answer.parse(data)
        self.assertTrue(connection.transport.aborting)

    def test_a_folder_that_goes_away_cuts_it_off(self) -> None:
        connection = self.connect()
        connection.send(LARGE)
        self.site.shelf.opened[-1].close()
        data = connection.take()
        with self.assertRaises(ValueError):
            Answer.parse(data)
        self.assertTrue(connection.transport.aborting)


class Slowness(SynchronousTestCase):
    """The kernel knows whether somebody takes something."""

    def test_a_reader_that_takes_little_is_waited_for(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.setblocking(False)
        while True:
            try:
                ours.send(bytes(1000))
            except BlockingIOError:
                break
        cut: list[int] = []

        class Kept:
            """A transport."""

            fileno = ours.fileno

            def abortConnection(self) -> None:
                cut.append(1)

        clock: Any = Clock()
        patience = Patience(clock, 60, Kept())
        patience.begin()
        for _ in range(5):
            theirs.recv(3000)
            clock.advance(60)
            self.assertEqual(cut, [])
        clock.advance(60)
        self.assertEqual(cut, [1])
