# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.near.interfaces}.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from ifaddr import IP, Adapter
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.near.interfaces import EVERYBODY, Interface, Target, interfaces, targets

Ip = tuple[str, int] | tuple[str, int, int]


def adapter(name: str, index: int | None, *ips: Ip) -> Adapter:
    """Of (IPv4 address, prefix) and (IPv6 address, prefix, scope)."""
    return Adapter(
        name,
        name,
        [
            IP(each[0] if len(each) == 2 else (each[0], 0, each[2]), each[1], name)
            for each in ips
        ],
        index,
    )


class Looks(SynchronousTestCase):
    def found(self, *there: Adapter) -> list[Interface]:
        return list(interfaces(lambda: there))

    def test_networks_have_broadcast_addresses(self) -> None:
        eth0 = adapter("eth0", 2, ("192.0.2.7", 24), ("198.51.100.9", 29), ("192.0.2.8", 24))
        self.assertEqual(
            self.found(eth0), [Interface("eth0", 2, ("192.0.2.255", "198.51.100.15"))]
        )

    def test_who_has_an_address_of_the_link_can_be_reached_there(self) -> None:
        self.assertEqual(
            self.found(adapter("eth0", 2, ("2001:db8::1", 64, 0), ("fe80::1", 64, 2))),
            [Interface("eth0", 2, (), True)],
        )

    def test_the_scope_of_the_address_does_for_an_index(self) -> None:
        self.assertEqual(
            self.found(adapter("eth0", None, ("fe80::1", 64, 7))), [Interface("eth0", 7, (), True)]
        )

    def test_where_nobody_else_hears_is_left_out(self) -> None:
        self.assertEqual(
            self.found(
                adapter("lo", 1, ("127.0.0.1", 8), ("::1", 128, 0)),
                adapter("down", 3),
                adapter("ppp0", 4, ("192.0.2.1", 32)),
                adapter("tun0", 5, ("192.0.2.1", 31), ("2001:db8::1", 64, 0)),
            ),
            [],
        )

    def test_a_name_that_is_none_is_an_error_like_the_systems(self) -> None:
        def adapters() -> Iterable[Adapter]:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

        self.assertRaises(OSError, interfaces, adapters)

    def test_the_interfaces_of_this_machine_are_those_that_the_system_lists(self) -> None:
        listed = {(name, index) for index, name in socket.if_nameindex()}
        for each in interfaces():
            self.assertIn((each.name.partition(":")[0], each.index), listed | {(each.name, 0)})


class Targets(SynchronousTestCase):
    def test_each_network_and_each_scope_is_one(self) -> None:
        there = [
            Interface("eth0", 2, ("192.0.2.255",), True),
            Interface("wlan0", 3, ("192.0.2.255", "198.51.100.15"), True),
            Interface("eth0:1", 0, ("203.0.113.255",)),
            Interface("ppp0", 4, ("203.0.113.255",)),
            Interface("gone", 0, (), True),
        ]
        self.assertEqual(
            targets(there),
            [
                Target("192.0.2.255"),
                Target("198.51.100.15"),
                Target("203.0.113.255"),
                Target("ff02::1", 2),
                Target("ff02::1", 3),
            ],
        )

    def test_where_no_broadcast_is_known_the_system_chooses(self) -> None:
        self.assertEqual(targets([]), [Target(EVERYBODY)])
        self.assertEqual(
            targets([Interface("eth0", 2, (), True)]), [Target(EVERYBODY), Target("ff02::1", 2)]
        )

    def test_families_are_told_apart(self) -> None:
        self.assertEqual([Target("::1").is_ipv6, Target("192.0.2.1").is_ipv6], [True, False])
