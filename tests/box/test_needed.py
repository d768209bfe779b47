# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.needed} and L{flocknode.box.events}.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.events import Events
from flocknode.box.needed import Needed
from flocknode.box.values import Hash, Holder, Need

ONE, TWO, CONTENT = Hash(b"1" * 32), Hash(b"2" * 32), Hash(b"c" * 32)
HOLDERS = frozenset([Holder(b"h" * 16)])


def need(hash: Hash) -> Need:
    return Need(hash, 5, CONTENT, 10)


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def advanced(self, box: object) -> None:
        raise AssertionError("nothing of this is told by what is tested here")

    measured = advanced

    def wanted(self, box: object, needs: Sequence[Need]) -> None:
        self.told.append(("wanted", *(need.hash for need in needs)))

    def unwanted(self, box: object, hashes: Sequence[Hash]) -> None:
        self.told.append(("unwanted", *hashes))

    def sources(self, box: object, content: Hash, holders: frozenset[Holder]) -> None:
        self.told.append(("sources", content, holders))


class SharedBlocks(SynchronousTestCase):
    """One block of two contents."""

    def test_the_sources_of_the_other_content_stay_known(self) -> None:
        needed = Needed()
        shared, more = Hash(b"h" * 32), Hash(b"k" * 32)
        one, other = Hash(b"x" * 32), Hash(b"y" * 32)
        holders = frozenset([Holder(b"2")])
        events = Events()
        events.want([Need(shared, 1, one, 9)])
        needed.apply(events, None, None)
        events = Events()
        events.unwant([shared])
        events.want([Need(shared, 1, other, 9), Need(more, 1, other, 9)])
        events.sources[other] = holders
        needed.apply(events, None, None)
        events = Events()
        events.unwant([more])
        needed.apply(events, None, None)
        self.assertEqual(needed.sources(other), holders)


class NeededTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.needed = Needed()
        self.events = Events()
        self.listener = Listener()

    def apply(self) -> list[tuple[object, ...]]:
        self.listener.told = []
        self.needed.apply(self.events, None, self.listener)
        self.events = Events()
        return self.listener.told

    def test_sources_are_told_before_what_is_wanted(self) -> None:
        self.events.want([need(ONE), need(TWO)])
        self.events.sources[CONTENT] = HOLDERS
        self.assertEqual(
            self.apply(), [("sources", CONTENT, HOLDERS), ("wanted", ONE, TWO)]
        )
        self.assertEqual(self.needed.needs(), [need(ONE), need(TWO)])

    def test_sources_are_known_while_something_of_the_content_is_needed(self) -> None:
        self.events.want([need(ONE), need(TWO)])
        self.events.sources[CONTENT] = HOLDERS
        self.apply()
        self.events.unwant([ONE])
        self.assertEqual(self.apply(), [("unwanted", ONE)])
        self.assertEqual(self.needed.sources(CONTENT), HOLDERS)
        self.events.unwant([TWO])
        self.apply()
        self.assertEqual(self.needed.sources(CONTENT), frozenset())
        self.assertEqual(self.needed.needs(), [])

    def test_what_was_never_told_as_wanted_is_not_told_as_unwanted(self) -> None:
        self.events.want([need(ONE)])
        self.events.unwant([ONE])
        self.assertEqual(self.apply(), [])

    def test_what_is_given_up_and_wanted_again_is_told_once(self) -> None:
        self.events.want([need(ONE)])
        self.apply()
        self.events.unwant([ONE])
        self.events.want([need(ONE)])
        self.assertEqual(self.apply(), [("wanted", ONE)])
        self.events.unwant([ONE])
        self.apply()
        self.assertEqual(self.needed.needs(), [])
