# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.near.announcing}.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocknode.forban.near.announcing import INTERVAL, SOONEST, Announcing
from flocknode.forban.near.datagrams import IN_A_TURN, Heard
from flocknode.forban.near.destinations import parse
from flocknode.forban.near.interfaces import Interface
from flocknode.forban.near.neighbours import FROM_ONE_HOST, Address, Neighbours
from flocknode.forban.protocol.announcement import Announcement, encode
from flocknode.forban.settings import PORT
from tests.forban.strategies import unhurried

OWN, ALICE, BOB = (str(UUID(int=number, version=4)) for number in range(3))
ETH0 = Interface("eth0", 2, ("192.0.2.255",), True)
WLAN0 = Interface("wlan0", 3, ("198.51.100.255",), True)

Sent = tuple[str, int, int]


@attrs.define
class Network:
    """
    What the service has to do with, all in memory.

    @ivar sent: (host, port, scope) of all datagrams since they were looked at.
    @ivar deaf: IP addresses that cannot be listened on, and why.
    @ivar mute: hosts that nothing can be sent to, and why.
    """

    sent: list[Sent] = attrs.field(factory=list)
    datagrams: set[bytes] = attrs.field(factory=set)
    joined: list[tuple[str, int]] = attrs.field(factory=list)
    deaf: dict[str, int] = attrs.field(factory=dict)
    mute: dict[str, int] = attrs.field(factory=dict)
    open: dict[str, Heard] = attrs.field(factory=dict)

    def listen(self, reactor: object, host: str, port: int, heard: Heard) -> Plug:
        if host in self.deaf:
            raise OSError(self.deaf[host], os.strerror(self.deaf[host]))
        self.open[host] = heard
        return Plug(self, host)

    def taken(self) -> list[Sent]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


@attrs.frozen
class Plug:
    """A L{flocknode.forban.near.datagrams.Port}."""

    network: Network = attrs.field(eq=False)
    address: str

    def send(self, datagram: bytes, host: str, port: int, scope: int) -> None:
        if (":" in host) != (":" in self.address):
            raise AssertionError(f"{host} by {self.address}")
        if host in self.network.mute:
            raise OSError(self.network.mute[host], os.strerror(self.network.mute[host]))
        self.network.datagrams.add(datagram)
        self.network.sent.append((host, port, scope))

    def join(self, scope: int) -> None:
        self.network.joined.append((self.address, scope))
        raise OSError(errno.EADDRINUSE, "it is a member already")

    def close(self) -> None:
        self.network.open.pop(self.address, None)


class AnnouncingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.network = Network()
        self.said = Announcement(OWN, "kit", "a" * 40)
        self.there: tuple[Interface, ...] = (ETH0,)
        self.blind = 0
        self.neighbours = Neighbours(OWN, self.clock.seconds)

    def look(self) -> tuple[Interface, ...]:
        if self.blind:
            raise OSError(self.blind, os.strerror(self.blind))
        return self.there

    def start(
        self,
        destinations: Iterable[str] = (),
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]] = maybeDeferred,
    ) -> Announcing:
        service = Announcing(
            self.clock,
            lambda: self.said,
            self.neighbours,
            destinations=map(parse, destinations),
            look=self.look,
            listen=self.network.listen,
            in_thread=in_thread,
            resolve=lambda name: succeed(["203.0.113.5"]),
            name_of=self.name_of,
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def name_of(self, index: int) -> str:
        if index != 9:
            raise OSError(errno.ENXIO, "No such device or address")
        return "usb0"

    def addresses(self) -> list[Address]:
        return [neighbour.address for neighbour in self.neighbours.all()]


class Announces(AnnouncingCase):
    def test_everybody_on_each_interface_is_told_at_once_and_every_ten_seconds(self) -> None:
        self.there = (ETH0, WLAN0)
        self.start()
        everybody = [
            ("192.0.2.255", PORT, 0),
            ("198.51.100.255", PORT, 0),
            ("ff02::1", PORT, 2),
            ("ff02::1", PORT, 3),
        ]
        self.assertEqual(self.network.taken(), everybody)
        for _ in range(3):
            self.clock.advance(INTERVAL - 0.1)
            self.assertEqual(self.network.taken(), [])
            self.clock.advance(0.1)
            self.assertEqual(self.network.taken(), everybody)
        self.assertEqual(self.network.datagrams, {encode(self.said)})

    def test_destinations_are_told_as_well(self) -> None:
        self.start(["192.0.2.9:80", "kit", "fe80::7%eth0", "192.0.2.255"])
        self.assertEqual(
            sorted(self.network.taken()),
            sorted(
                [
                    ("192.0.2.255", PORT, 0),
                    ("ff02::1", PORT, 2),
                    ("192.0.2.9", 80, 0),
                    ("203.0.113.5", PORT, 0),
                    ("fe80::7", PORT, 2),
                ]
            ),
        )

    def test_interfaces_come_and_go(self) -> None:
        self.start()
        self.network.taken()
        self.there = ()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.network.taken(), [("255.255.255.255", PORT, 0)])
        self.there = (attrs.evolve(ETH0, index=7),)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.network.taken(), [("192.0.2.255", PORT, 0), ("ff02::1", PORT, 7)])

    def test_all_nodes_are_joined_once_on_each_interface_and_again_when_it_returns(self) -> None:
        self.start()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.network.joined, [("::", 2)])
        self.there = ()
        self.clock.advance(INTERVAL)
        self.there = (ETH0, WLAN0)
        self.clock.advance(INTERVAL)
        self.assertEqual(sorted(self.network.joined), [("::", 2), ("::", 2), ("::", 3)])

    def test_who_starts_again_joins_again(self) -> None:
        service = self.start()
        service.stopService()
        service.startService()
        self.assertEqual(self.network.joined, [("::", 2)] * 2)

    def test_what_it_says_may_change_at_any_time(self) -> None:
        self.start()
        self.said = Announcement(OWN, "other", "b" * 40)
        self.network.datagrams.clear()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.network.datagrams, {encode(self.said)})

    def test_a_look_that_takes_long_keeps_nothing_back_but_the_first(self) -> None:
        looks: list[Deferred[Any]] = []

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            looks.append(Deferred())
            return looks[-1]

        service = self.start(in_thread=in_thread)
        self.assertEqual(self.network.taken(), [])
        looks[0].callback((ETH0,))
        self.assertEqual(len(self.network.taken()), 2)
        self.clock.advance(INTERVAL)
        self.clock.advance(INTERVAL)
        self.assertEqual((len(looks), len(self.network.taken())), (2, 2))
        service.stopService()
        looks[1].callback(())
        self.assertEqual(self.network.taken(), [])


class Changes(AnnouncingCase):
    def set(self, service: Announcing, hmac: str) -> int:
        """Another index.  @return: how many were told at once."""
        self.said = attrs.evolve(self.said, hmac=hmac * 40)
        service.changed()
        self.clock.advance(0)
        return len(self.network.taken())

    def test_another_index_is_told_at_once_but_once_a_second_only(self) -> None:
        service = self.start()
        self.network.taken()
        self.assertEqual(self.set(service, "b"), 0)
        self.clock.advance(SOONEST)
        self.assertEqual(len(self.network.taken()), 2)
        self.clock.advance(SOONEST)
        self.assertEqual(self.set(service, "c"), 2)
        for hmac in "defghi":
            self.assertEqual(self.set(service, hmac), 0)
        self.network.datagrams.clear()
        self.clock.advance(SOONEST)
        self.assertEqual(len(self.network.taken()), 2)
        self.assertEqual(self.network.datagrams, {encode(self.said)})

    def test_the_same_index_is_no_news(self) -> None:
        service = self.start()
        self.clock.advance(SOONEST)
        self.network.taken()
        self.assertEqual(self.set(service, "a"), 0)
        self.clock.advance(SOONEST)
        self.assertEqual(self.network.taken(), [])

    def test_the_ten_seconds_go_on_beside_it(self) -> None:
        service = self.start()
        self.clock.advance(INTERVAL - 0.5)
        self.network.taken()
        self.assertEqual(self.set(service, "b"), 2)
        self.clock.advance(0.5)
        self.assertEqual(len(self.network.taken()), 2)

    def test_before_the_start_and_after_the_stop_nobody_is_told(self) -> None:
        service = self.start()
        self.network.taken()
        self.said = attrs.evolve(self.said, hmac="b" * 40)
        service.changed()
        service.stopService()
        service.changed()
        self.clock.advance(INTERVAL)
        self.assertEqual((self.network.taken(), self.network.open), ([], {}))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        service.startService()
        self.assertEqual(len(self.network.taken()), 2)


class Troubles(AnnouncingCase):
    def test_one_family_does_without_the_other_which_is_tried_again(self) -> None:
        for deaf, heard in (("::", "0.0.0.0"), ("0.0.0.0", "::")):
            self.network.deaf = {deaf: errno.EADDRINUSE}
            service = self.start()
            self.assertEqual(service.status.listening, (heard,))
            self.assertEqual(len(self.network.taken()), 1)
            self.assertEqual(
                service.status.problems,
                (f"{deaf} cannot be listened on: Address already in use (port {PORT}).",),
            )
            self.network.deaf = {}
            self.clock.advance(INTERVAL)
            self.assertEqual(len(self.network.taken()), 2)
            self.assertEqual(set(service.status.listening), {"::", "0.0.0.0"})
            self.assertEqual(service.status.problems, ())
            service.stopService()

    def test_without_either_it_waits(self) -> None:
        self.network.deaf = {"::": errno.EAFNOSUPPORT, "0.0.0.0": errno.EACCES}
        service = self.start()
        self.assertEqual(len(service.status.problems), 2)
        self.network.deaf = {}
        self.clock.advance(INTERVAL)
        self.assertEqual(len(self.network.taken()), 2)

    def test_what_cannot_be_sent_somewhere_is_said_and_stops_nothing(self) -> None:
        self.there = (ETH0, WLAN0)
        self.network.mute = {"192.0.2.255": errno.ENETUNREACH, "ff02::1": errno.EPERM}
        service = self.start()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.network.taken(), [("198.51.100.255", PORT, 0)] * 2)
        status = service.status
        self.assertEqual((status.sent, status.unsent), (2, 6))
        self.assertEqual(
            status.problems,
            (
                f"Nothing can be sent to 192.0.2.255:{PORT}: Network is unreachable.",
                f"Nothing can be sent to [ff02::1%eth0]:{PORT}: Operation not permitted.",
                f"Nothing can be sent to [ff02::1%wlan0]:{PORT}: Operation not permitted.",
            ),
        )
        self.network.mute = {}
        self.clock.advance(INTERVAL)
        self.assertEqual((len(self.network.taken()), service.status.problems), (4, ()))

    def test_each_trouble_is_logged_once(self) -> None:
        self.network.deaf = {"::": errno.EADDRINUSE}
        self.network.mute = {"192.0.2.255": errno.ENETUNREACH}
        with capturedLogs() as logged:
            self.start()
            self.clock.pump([INTERVAL] * 3)
        self.assertEqual(len(logged), 2, logged)

    def test_interfaces_that_cannot_be_looked_at_are_as_they_were(self) -> None:
        self.blind = errno.ENOBUFS
        service = self.start()
        self.assertEqual(self.network.taken(), [("255.255.255.255", PORT, 0)])
        self.assertEqual(
            service.status.problems,
            ("The network interfaces are not known: No buffer space available.",),
        )
        for self.blind in (0, errno.ENOBUFS):
            self.clock.advance(INTERVAL)
            self.assertEqual(len(self.network.taken()), 2)


class Heards(AnnouncingCase):
    def hear(self, datagram: bytes, host: str, scope: int = 0) -> None:
        self.network.open["::" if ":" in host else "0.0.0.0"](datagram, host, scope)

    def test_whoever_is_heard_is_asked_at_the_port_that_was_announced_to(self) -> None:
        self.start()
        self.hear(encode(Announcement(ALICE)), "192.0.2.1")
        self.hear(encode(Announcement(BOB)), "2001:db8::1")
        self.assertEqual(
            self.addresses(), [Address("2001:db8::1", PORT), Address("192.0.2.1", PORT)]
        )

    def test_an_address_of_a_link_has_its_interface(self) -> None:
        service = self.start()
        for scope, host in ((2, "fe80::1%eth0"), (9, "fe80::1%usb0"), (8, "fe80::1%8")):
            self.hear(encode(Announcement(str(UUID(int=scope)))), "fe80::1", scope)
            self.assertEqual(self.addresses()[0], Address(host, PORT))
        self.assertEqual(service.status.heard, 3)

    def test_own_announcements_and_what_is_none_make_no_neighbour(self) -> None:
        service = self.start()
        self.hear(encode(self.said), "192.0.2.3")
        self.hear(b"hello", "192.0.2.3")
        self.assertEqual(self.neighbours.all(), [])
        self.assertEqual((service.status.heard, service.status.refused), (1, 1))

    @unhurried
    @given(st.lists(st.binary()))
    def test_no_datagram_stops_it(self, datagrams: list[bytes]) -> None:
        service = self.start()
        for datagram in datagrams:
            self.hear(datagram, "192.0.2.3")
        self.assertEqual(service.status.refused, len(datagrams))
        self.clock.advance(INTERVAL)
        service.stopService()


def free_port() -> int:
    """One of UDP that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


class OnLoopback(TestCase):
    """Real sockets: Alice at 127.0.0.1, Bob at 127.0.0.2."""

    def setUp(self) -> None:
        self.port = free_port()
        self.tables: dict[str, Neighbours] = {}
        self.services: dict[str, Announcing] = {}
        self.hmacs = {ALICE: "a" * 40, BOB: "b" * 40}
        alice = self.make(ALICE, "127.0.0.1", "127.0.0.2")
        self.make(BOB, "127.0.0.2", "127.0.0.1")
        # Her first announcement came too early for him.
        self.hmacs[ALICE] = "d" * 40
        alice.changed()

    def make(self, uuid: str, host: str, other: str) -> Announcing:
        table = self.tables[uuid] = Neighbours(uuid, reactor.seconds)
        service = self.services[uuid] = Announcing(
            reactor,
            lambda: Announcement(uuid, "", self.hmacs[uuid]),
            table,
            self.port,
            # the own one comes back as well
            [parse(host)],
            binds=[host],
            look=lambda: (Interface("lo", 1, (other,)),),
            in_thread=maybeDeferred,
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await deferLater(reactor, 0.01)

    def seen(self, by: str, uuid: str) -> str:
        found = self.tables[by].get(uuid)
        return "" if found is None else found.hmac

    async def test_two_nodes_find_each_other_and_hear_of_changes(self) -> None:
        await self.until(lambda: self.seen(ALICE, BOB) and self.seen(BOB, ALICE))
        self.assertEqual(
            [each.address for each in self.tables[ALICE].all()], [Address("127.0.0.2", self.port)]
        )
        self.hmacs[BOB] = "c" * 40
        self.services[BOB].changed()
        await self.until(lambda: self.seen(ALICE, BOB) == "c" * 40)
        self.assertEqual(len(self.tables[BOB].all()), 1)
        self.assertEqual(self.services[ALICE].status.problems, ())
        await self.until(lambda: self.services[ALICE].status.heard >= 3)

    async def test_a_flood_neither_fills_the_table_nor_stops_the_others(self) -> None:
        await self.until(lambda: self.seen(ALICE, BOB))
        before = self.services[ALICE].status.heard
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            flood.bind(("127.0.0.3", 0))

            def send() -> None:
                for number in range(100_000):
                    said = encode(Announcement(str(UUID(int=number + 10))))
                    flood.sendto(said, ("127.0.0.1", self.port))

            turns = 0
            flooding = deferToThread(send)
            while not flooding.called:
                turns += 1
                await deferLater(reactor, 0)
            await flooding
        heard = self.services[ALICE].status.heard - before
        self.assertGreater(heard, 0)
        # Others had their turns.
        self.assertGreater(turns, heard // IN_A_TURN)
        self.assertLessEqual(len(self.tables[ALICE].all()), FROM_ONE_HOST + 1)
        await self.until(self.news_of_bob)

    def news_of_bob(self) -> bool:
        """
        Has Alice heard that his index is another?  Until then he says so again
        and again: what comes while there is no room for it is lost.
        """
        bob = self.services[BOB]
        self.hmacs[BOB] = f"{bob.status.sent:040x}"
        bob.changed()
        return self.seen(ALICE, BOB) not in ("b" * 40, "")
