# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.near.datagrams}: real sockets on loopback, turns and time
of the test's own.
"""

from __future__ import annotations

import errno
import socket

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from flocknode.forban.near.datagrams import (
    FROM_ONE_HOST,
    IN_A_SECOND,
    IN_A_TURN,
    TOLD_IN_A_SECOND,
    Datagrams,
    Heard,
    listen,
)
from flocknode.forban.protocol.announcement import LONGEST_HEARD
from tests.forban.reactors import Turns


class Endless:
    """
    A socket in which there is always something.

    @ivar read: how often it was.
    """

    family = socket.AF_INET

    def __init__(
        self, datagram: bytes = b"x", error: OSError | None = None, hosts: int = 1
    ) -> None:
        self.read = 0
        self._datagram = datagram
        self._error = error
        self._hosts = hosts
        self._open = True

    def fileno(self) -> int:
        return 77 if self._open else -1

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        self.read += 1
        if self._error is not None:
            raise self._error
        return self._datagram[:size], (f"10.0.0.{self.read % self._hosts}", 1)

    def close(self) -> None:
        self._open = False


class DatagramsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Turns()
        self.heard: list[tuple[bytes, str, int]] = []

    def hear(self, datagram: bytes, host: str, scope: int) -> None:
        self.heard.append((datagram, host, scope))

    def listen(self, host: str, port: int = 0, heard: Heard | None = None) -> Datagrams:
        try:
            opened = listen(self.reactor, host, port, heard or self.hear)
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise SkipTest(f"there is no {host} here") from None
            raise
        self.addCleanup(opened.close)
        return opened

    def port(self, opened: Datagrams) -> int:
        number: int = opened._socket.getsockname()[1]
        return number

    def over(self, endless: Endless) -> Datagrams:
        opened = Datagrams(self.reactor, endless, self.hear)  # type: ignore[arg-type]
        self.addCleanup(opened.close)
        return opened


class Sockets(DatagramsCase):
    def exchange(self, host: str) -> None:
        """Two sockets on this address hear each other."""
        one, other = self.listen(host), self.listen(host)
        one.send(b"hello", host, self.port(other), 0)
        one.send(b"", host, self.port(other), 0)
        self.reactor.turn()
        self.assertEqual(self.heard, [(b"hello", host, 0), (b"", host, 0)])

    def test_what_is_sent_is_heard_with_its_sender(self) -> None:
        self.exchange("127.0.0.1")

    def test_ipv6_as_well(self) -> None:
        self.exchange("::1")

    def test_a_datagram_that_is_too_long_is_seen_to_be(self) -> None:
        opened = self.listen("127.0.0.1")
        opened.send(bytes(60_000), "127.0.0.1", self.port(opened), 0)
        self.reactor.turn()
        self.assertEqual([len(each) for each, _, _ in self.heard], [LONGEST_HEARD + 1])

    def test_another_program_may_listen_beside_it(self) -> None:
        first = self.listen("127.0.0.1")
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", self.port(first)))

    def test_a_port_that_somebody_has_alone_is_an_error_and_leaves_nothing_open(self) -> None:
        alone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(alone.close)
        alone.bind(("127.0.0.1", 0))
        self.assertRaises(
            OSError, listen, self.reactor, "127.0.0.1", alone.getsockname()[1], self.hear
        )
        self.assertEqual(self.reactor.readers, {})

    def test_both_families_have_the_same_port(self) -> None:
        sixth = self.listen("::")
        try:
            fourth = self.listen("0.0.0.0", self.port(sixth))
        except OSError as error:
            # Somebody else on this machine may have that one.
            self.assertEqual(error.errno, errno.EADDRINUSE)
        else:
            fourth.send(b"to IPv4", "127.0.0.1", self.port(sixth), 0)
            self.reactor.turn()
            self.assertEqual(self.heard, [(b"to IPv4", "127.0.0.1", 0)])

    def test_an_interface_that_is_not_there_is_an_error_of_sending_and_of_joining(self) -> None:
        opened = self.listen("::1")
        self.assertRaises(OSError, opened.send, b"x", "ff02::1", 12555, 1 << 30)
        self.assertRaises(OSError, opened.join, 1 << 30)

    def test_all_nodes_can_be_joined_where_there_is_ipv6(self) -> None:
        opened = self.listen("::")
        opened.join(socket.if_nametoindex("lo"))

    def test_after_closing_nothing_is_heard_and_nothing_waits(self) -> None:
        opened = self.listen("127.0.0.1")
        opened.close()
        opened.close()
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ({}, []))
        self.assertEqual(opened.fileno(), -1)

    def test_when_the_reactor_stops_it_is_closed(self) -> None:
        opened = self.listen("127.0.0.1")
        opened.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((opened.fileno(), self.reactor.readers), (-1, {}))

    def test_what_is_for_ipv6_does_not_hear_ipv4(self) -> None:
        sixth = self.listen("::")
        fourth = self.listen("127.0.0.1")
        fourth.send(b"x", "127.0.0.1", self.port(sixth), 0)
        self.reactor.turn()
        self.assertEqual(self.heard, [])

    def test_it_may_be_closed_by_whoever_is_told(self) -> None:
        opened = self.listen("127.0.0.1", heard=lambda *_: opened.close())
        for _ in range(2):
            opened.send(b"x", "127.0.0.1", self.port(opened), 0)
        self.reactor.turn()
        self.assertEqual(self.reactor.readers, {})

    def test_whoever_fails_at_what_is_heard_is_told_of_the_next_all_the_same(self) -> None:
        def fail(datagram: bytes, host: str, scope: int) -> None:
            self.hear(datagram, host, scope)
            raise ZeroDivisionError

        opened = self.listen("127.0.0.1", heard=fail)
        for _ in range(2):
            opened.send(b"x", "127.0.0.1", self.port(opened), 0)
        self.reactor.turn()
        self.assertEqual((len(self.heard), len(self.reactor.readers)), (2, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class Floods(DatagramsCase):
    def test_a_turn_ends_whatever_comes(self) -> None:
        for datagram in (b"", b"x", bytes(LONGEST_HEARD)):
            endless = Endless(datagram)
            self.over(endless).doRead()
            self.assertEqual(endless.read, IN_A_TURN)

    def test_so_many_are_read_in_a_second_and_no_more(self) -> None:
        endless = Endless()
        self.over(endless)
        for _ in range(3):
            before = endless.read
            while self.reactor.readers:
                self.reactor.turn()
            self.assertEqual(endless.read - before, IN_A_SECOND)
            self.reactor.advance(0.99)
            self.assertEqual(self.reactor.readers, {})
            self.reactor.advance(0.02)
        self.assertEqual(len(self.reactor.readers), 1)

    def test_of_what_one_host_sends_little_is_told_so_that_others_are_heard(self) -> None:
        self.over(Endless())
        self.over(Endless(hosts=256))
        for _ in range(2):
            self.heard.clear()
            while self.reactor.readers:
                self.reactor.turn()
            hosts = [host for _, host, _ in self.heard]
            self.assertEqual(len(hosts), FROM_ONE_HOST + TOLD_IN_A_SECOND)
            self.assertLessEqual(hosts.count("10.0.0.7"), FROM_ONE_HOST)
            self.assertEqual(len(set(hosts)), 256)
            self.reactor.advance(1)

    def test_who_sends_little_is_always_read(self) -> None:
        endless = Endless()
        self.over(endless)
        for _ in range(10 * IN_A_SECOND // IN_A_TURN):
            self.reactor.turn()
            self.reactor.advance(0.5)
        self.assertEqual(endless.read, 10 * IN_A_SECOND // IN_A_TURN * IN_A_TURN)

    def test_a_socket_that_only_fails_does_not_keep_anybody_busy(self) -> None:
        endless = Endless(error=OSError(errno.ENETDOWN, "Network is down"))
        self.over(endless)
        while self.reactor.readers:
            self.reactor.turn()
        self.assertEqual((endless.read, self.heard), (IN_A_SECOND, []))

    def test_a_clock_that_goes_back_stops_nothing(self) -> None:
        endless = Endless()
        self.over(endless)
        self.reactor.advance(100)
        self.reactor.turn()
        self.reactor.rightNow = 5.0
        self.reactor.turn()
        self.assertEqual(endless.read, 2 * IN_A_TURN)

    def test_closing_while_it_rests_leaves_nothing_behind(self) -> None:
        opened = self.over(Endless())
        while self.reactor.readers:
            self.reactor.turn()
        opened.close()
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ({}, []))
