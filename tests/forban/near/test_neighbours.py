# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.near.neighbours}.
"""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.near.neighbours import (
    ADDRESSES,
    FRESH,
    FROM_ONE_HOST,
    GONE,
    NEIGHBOURS,
    Address,
    Neighbour,
    Neighbours,
)
from flocknode.forban.protocol.announcement import Announcement
from tests.forban.strategies import unhurried

OWN, ALICE, BOB = (str(UUID(int=number, version=4)) for number in range(3))
HERE = Address("192.0.2.1", 12555)
THERE = Address("192.0.2.2", 12555)
LOCAL = Address("fe80::1%eth0", 12555)


class TableCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Neighbour] = []
        self.table = Neighbours(OWN, self.clock.seconds)
        self.table.tell(self.told.append)

    def heard(self, uuid: str, address: Address = HERE, name: str = "", hmac: str = "") -> None:
        self.table.heard(Announcement(uuid, name, hmac), address)

    def uuids(self) -> list[str]:
        return [neighbour.uuid for neighbour in self.table.all()]

    def addresses(self, uuid: str) -> list[Address]:
        found = self.table.get(uuid)
        assert found is not None
        return [address for address, _ in found.addresses]


class Presence(TableCase):
    def test_who_announces_is_there_and_who_was_heard_last_comes_first(self) -> None:
        self.heard(ALICE, name="alice", hmac="a" * 40)
        self.clock.advance(1)
        self.heard(BOB, THERE)
        self.assertEqual(self.uuids(), [BOB, ALICE])
        alice = self.table.get(ALICE)
        assert alice is not None
        self.assertEqual(
            (alice.name, alice.hmac, alice.address, alice.first, alice.last),
            ("alice", "a" * 40, HERE, 0.0, 0.0),
        )
        self.heard(ALICE)
        self.assertEqual(self.uuids(), [ALICE, BOB])

    def test_own_announcements_come_back_and_are_nobodys(self) -> None:
        self.heard(OWN)
        self.assertEqual((self.uuids(), self.told, self.table.get(OWN)), ([], [], None))

    def test_who_is_silent_for_five_minutes_is_gone_and_comes_back_as_new(self) -> None:
        self.heard(ALICE)
        self.clock.advance(GONE)
        self.assertEqual(self.uuids(), [ALICE])
        self.clock.advance(0.1)
        self.assertIsNone(self.table.get(ALICE))
        self.assertEqual(self.uuids(), [])
        self.heard(ALICE)
        self.assertEqual(len(self.told), 2)
        self.assertEqual(self.told[1].first, self.clock.seconds())

    def test_who_comes_back_before_anybody_looked_is_new_as_well(self) -> None:
        self.heard(ALICE)
        self.clock.advance(GONE + 1)
        self.heard(ALICE, THERE)
        self.assertEqual(self.addresses(ALICE), [THERE])

    def test_hearing_nothing_from_where_it_is_keeps_nobody_there(self) -> None:
        self.heard(ALICE)
        self.clock.advance(FRESH - 10)
        self.heard(BOB, THERE)
        self.clock.advance(5)
        self.heard(ALICE, THERE)
        self.clock.advance(GONE - FRESH + 5.5)
        self.assertIsNone(self.table.get(ALICE))
        self.assertEqual(self.uuids(), [BOB])

    def test_only_news_is_told(self) -> None:
        self.heard(ALICE)
        self.heard(ALICE)
        self.heard(ALICE, name="alice")
        self.heard(ALICE, name="alice", hmac="b" * 40)
        self.heard(ALICE, name="alice", hmac="b" * 40)
        self.assertEqual(
            [(each.name, each.hmac) for each in self.told],
            [("", ""), ("alice", ""), ("alice", "b" * 40)],
        )


class Addresses(TableCase):
    def test_an_address_is_written_as_in_a_url(self) -> None:
        self.assertEqual(str(HERE), "192.0.2.1:12555")
        self.assertEqual(str(LOCAL), "[fe80::1%eth0]:12555")

    def test_a_uuid_announced_from_elsewhere_takes_nothing_over(self) -> None:
        self.heard(ALICE, name="alice", hmac="a" * 40)
        for _ in range(100):
            self.clock.advance(10)
            self.heard(ALICE, THERE, "mallory", "f" * 40)
            self.heard(ALICE, HERE, "alice", "a" * 40)
            self.heard(ALICE, THERE, "mallory", "f" * 40)
        found = self.table.get(ALICE)
        assert found is not None
        self.assertEqual((found.name, found.hmac, found.address), ("alice", "a" * 40, HERE))
        self.assertEqual(len(self.told), 1)
        self.assertEqual(self.addresses(ALICE), [HERE, THERE])

    def test_whose_address_is_not_fresh_any_more_is_where_it_is_heard_next(self) -> None:
        self.heard(ALICE)
        self.clock.advance(FRESH)
        self.heard(ALICE, THERE)
        self.assertEqual(self.addresses(ALICE), [HERE, THERE])
        self.clock.advance(0.1)
        self.heard(ALICE, THERE, "moved")
        self.assertEqual(self.addresses(ALICE), [THERE, HERE])
        self.assertEqual([each.name for each in self.told], ["", "moved"])

    def test_made_up_addresses_do_not_drive_out_those_in_use(self) -> None:
        self.heard(ALICE)
        self.heard(ALICE, LOCAL)
        for number in range(100):
            self.heard(ALICE, Address(f"198.51.100.{number}", 12555))
        found = self.addresses(ALICE)
        self.assertEqual((found[:2], len(found)), ([HERE, LOCAL], ADDRESSES))

    def test_made_up_addresses_go_when_they_are_not_heard_again(self) -> None:
        self.heard(ALICE)
        for number in range(ADDRESSES):
            self.heard(ALICE, Address(f"198.51.100.{number}", 12555))
        for _ in range(4):
            self.clock.advance(10)
            self.heard(ALICE)
        self.heard(ALICE, LOCAL)
        self.assertEqual(self.addresses(ALICE), [HERE, LOCAL])


class Floods(TableCase):
    def test_a_hundred_thousand_uuids_leave_the_table_as_large_as_it_may_be(self) -> None:
        for number in range(100_000):
            host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            self.heard(str(UUID(int=number + 10)), Address(host, 12555))
        self.assertEqual(len(self.table.all()), NEIGHBOURS)
        self.assertEqual(self.uuids()[0], str(UUID(int=100_009)))
        self.assertLessEqual(len(self.table._hosts), NEIGHBOURS)

    def test_uuids_made_up_at_one_address_drive_out_only_each_other(self) -> None:
        self.heard(ALICE)
        for number in range(100_000):
            self.heard(str(UUID(int=number + 10)), THERE)
        self.assertEqual(len(self.uuids()), FROM_ONE_HOST + 1)
        self.assertEqual(self.uuids()[-1], ALICE)

    @unhurried
    @given(
        st.lists(
            st.tuples(st.integers(0, 12), st.integers(0, 5), st.sampled_from([0.0, 1, 36, 301]))
        )
    )
    def test_whatever_is_heard_the_table_agrees_with_itself(
        self, steps: list[tuple[int, int, float]]
    ) -> None:
        clock = Clock()
        table = Neighbours(OWN, clock.seconds)
        for who, where, wait in steps:
            clock.advance(wait)
            table.heard(
                Announcement(str(UUID(int=who, version=4))), Address(f"192.0.2.{where}", 1)
            )
        there = table.all()
        last = [neighbour.last for neighbour in there]
        self.assertEqual(last, sorted(last, reverse=True))
        for neighbour in there:
            self.assertEqual(table.get(neighbour.uuid), neighbour)
            hosts = [each.address.host for each in there]
            self.assertLessEqual(hosts.count(neighbour.address.host), FROM_ONE_HOST)
            self.assertLessEqual(len(neighbour.addresses), ADDRESSES)
            self.assertEqual(len(dict(neighbour.addresses)), len(neighbour.addresses))
        self.assertEqual(
            sorted(uuid for held in table._hosts.values() for uuid in held),
            sorted(neighbour.uuid for neighbour in there),
        )
