# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.near.destinations}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocknode.forban.near.destinations import (
    AT_MOST,
    FOR,
    Destination,
    Destinations,
    parse,
    resolver,
)
from flocknode.forban.near.interfaces import Target
from tests.forban.strategies import unhurried


class Texts(SynchronousTestCase):
    def test_hosts_and_addresses_with_and_without_ports(self) -> None:
        for text, expected in {
            "Kit.example.org": Destination("kit.example.org"),
            "kit": Destination("kit"),
            "kit.:12555": Destination("kit.", 12555),
            "192.0.2.7": Destination("192.0.2.7"),
            "192.0.2.7:80": Destination("192.0.2.7", 80),
            "2001:DB8:0::7": Destination("2001:db8::7"),
            "[2001:db8::7]": Destination("2001:db8::7"),
            "[2001:db8::7]:80": Destination("2001:db8::7", 80),
            "fe80::7%eth0": Destination("fe80::7", None, "eth0"),
            "[fe80::7%3]:80": Destination("fe80::7", 80, "3"),
        }.items():
            self.assertEqual(parse(text), expected, text)

    def test_what_is_none_is_refused_in_one_clause(self) -> None:
        for text in (
            "",
            ":80",
            "kit:",
            "kit:0",
            "kit:65536",
            "kit:http",
            "a b",
            "-kit",
            "kit..org",
            "http://kit",
            "192.0.2",
            "192.0.2.256",
            "1",
            "[kit]:80",
            "[192.0.2.7]",
            "[2001:db8::7",
            "2001:db8::7]",
            "[]:80",
            "::g",
            "fe80::7",
            "fe80::7%",
            "2001:db8::7%eth0",
            "kit%eth0",
            "a" * 254,
        ):
            error = self.assertRaises(ValueError, parse, text)
            self.assertTrue(str(error).startswith("expected "), text)

    @unhurried
    @given(st.text(st.sampled_from("a1.:[]%-f e80")) | st.text())
    def test_any_text_is_one_that_reads_the_same_when_it_is_written_or_refused(
        self, text: str
    ) -> None:
        try:
            found = parse(text)
        except ValueError:
            return
        self.assertEqual(parse(str(found)), found)


class Resolved(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, Deferred[list[str]]]] = []
        self.known = 0

    def resolve(self, name: str) -> Deferred[list[str]]:
        answer: Deferred[list[str]] = Deferred()
        self.asked.append((name, answer))
        return answer

    def answer(self, *hosts: str) -> None:
        """To the question that was asked last."""
        self.asked[-1][1].callback(list(hosts))

    def became_known(self) -> None:
        self.known += 1

    def make(self, *texts: str) -> Destinations:
        made = Destinations(self.clock, self.resolve, map(parse, texts), self.became_known)
        made.ask()
        return made

    def test_addresses_are_there_at_once_and_never_asked_for(self) -> None:
        made = self.make("192.0.2.7", "[2001:db8::7]:80")
        self.assertEqual(
            made.targets({}), [Target("192.0.2.7"), Target("2001:db8::7", 0, 80)]
        )
        self.assertEqual(self.asked, [])

    def test_an_address_of_a_link_is_there_when_its_interface_is(self) -> None:
        made = self.make("fe80::7%eth0", "fe80::8%3")
        self.assertEqual(made.targets({}), [Target("fe80::8", 3)])
        self.assertEqual(made.targets({"eth0": 9}), [Target("fe80::7", 9), Target("fe80::8", 3)])

    def test_a_name_is_what_it_stands_for_once_that_is_known(self) -> None:
        made = self.make("kit", "kit:80")
        self.assertEqual((made.targets({}), len(self.asked)), ([], 1))
        self.answer("192.0.2.7", "2001:db8::7", "fe80::7")
        self.assertEqual(self.known, 1)
        self.assertEqual(
            made.targets({}),
            [
                Target("192.0.2.7"),
                Target("2001:db8::7"),
                Target("192.0.2.7", 0, 80),
                Target("2001:db8::7", 0, 80),
            ],
        )

    def test_names_are_asked_for_again_now_and_then_and_never_twice_at_once(self) -> None:
        made = self.make("kit")
        self.clock.advance(FOR)
        made.ask()
        self.assertEqual(len(self.asked), 1)
        self.answer("192.0.2.7")
        made.ask()
        self.assertEqual(len(self.asked), 2)
        self.answer("192.0.2.8")
        made.ask()
        self.clock.advance(FOR - 1)
        made.ask()
        self.assertEqual(len(self.asked), 2)
        self.assertEqual((made.targets({}), self.known), ([Target("192.0.2.8")], 2))
        self.clock.advance(1)
        made.ask()
        self.assertEqual([name for name, _ in self.asked], ["kit"] * 3)

    def test_a_name_that_fails_keeps_what_it_stood_for_and_is_said(self) -> None:
        made = self.make("kit")
        self.answer("192.0.2.7")
        self.clock.advance(FOR)
        made.ask()
        self.answer()
        self.assertEqual(made.targets({}), [Target("192.0.2.7")])
        self.assertEqual(list(made.problems), ["kit"])
        self.clock.advance(FOR)
        made.ask()
        self.answer("192.0.2.7")
        self.assertEqual((made.problems, self.known), ({}, 1))

    def test_a_resolver_that_raises_stops_nothing(self) -> None:
        made = self.make("kit")
        self.asked[-1][1].errback(DNSLookupError())
        self.assertEqual(len(self.flushLoggedErrors(DNSLookupError)), 1)
        self.assertEqual(list(made.problems), ["kit"])
        self.clock.advance(FOR)
        made.ask()
        self.assertEqual(len(self.asked), 2)

    def test_a_name_with_many_addresses_is_no_reason_to_send_to_all(self) -> None:
        made = self.make("kit")
        self.answer(*(f"192.0.2.{number}" for number in range(100)))
        self.assertEqual(len(made.targets({})), AT_MOST)


class TheReactor(TestCase):
    async def test_its_resolver_is_asked(self) -> None:
        self.assertEqual(await resolver(reactor)("127.0.0.1"), ["127.0.0.1"])
