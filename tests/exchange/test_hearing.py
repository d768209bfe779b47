# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.hearing}.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Entry, Holder
from flocknode.exchange.hearing import LIMIT, Hearer
from flocknode.testing.boxes import MemoryBox
from tests.exchange.support import MEMBER


class Hearing(SynchronousTestCase):
    """The index of a member, with three entries, is joined."""

    def setUp(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.slow = False
        self.box = MemoryBox(random=random.Random(1), later=self.do_later)
        theirs = MemoryBox(random=random.Random(2))
        for path in (b"a", b"b", b"c"):
            theirs.put(path, path)
        self.entries, _ = self.successResultOf(theirs.entries_after(0, 10_000))
        self.acks: list[tuple[int, int]] = []
        self.asked = 0
        self.hearer = self.another()
        self.hearer.hello(77)

    def another(self) -> Hearer:
        """For a new link."""
        return Hearer(
            self.box, Holder(MEMBER), lambda id, number: self.acks.append((id, number)), self.ask
        )

    def ask(self) -> None:
        """The member would be asked."""
        self.asked += 1

    def do_later(self, call: Callable[[], None]) -> None:
        """The box's thread."""
        if self.slow:
            self.later.append(call)
        else:
            call()

    def catch_up(self) -> None:
        """What the box was to do is done."""
        while self.later:
            self.later.pop(0)()

    def index(self, start: int, to: int, size: int = 100) -> None:
        """An index record."""
        self.hearer.index(start, to, self.entries[start:to], size)

    def paths(self) -> set[bytes]:
        """What the box knows of."""
        entries: list[Entry]
        entries, _ = self.successResultOf(self.box.entries_after(0, 10_000))
        return {entry.path for entry in entries}

    def test_it_is_joined_and_acknowledged(self) -> None:
        self.index(0, 2)
        self.index(2, 3)
        self.assertEqual(self.acks, [(77, 2), (77, 3)])
        self.assertEqual(self.box.stored(Holder(MEMBER)), (77, 3))
        self.assertEqual(self.paths(), {b"a", b"b", b"c"})
        self.assertEqual(self.hearer.known, (77, 3))

    def test_only_what_is_durable_is_acknowledged(self) -> None:
        self.slow = True
        self.index(0, 2)
        self.assertEqual(self.acks, [])
        self.catch_up()
        self.assertEqual(self.acks, [(77, 2)])

    def test_what_comes_meanwhile_is_joined_in_one_go(self) -> None:
        self.slow = True
        for number in range(3):
            self.index(number, number + 1)
        self.catch_up()
        self.assertEqual(self.acks, [(77, 1), (77, 3)])

    def test_a_gap_is_asked_for_and_not_joined(self) -> None:
        self.index(0, 1)
        self.index(2, 3)
        self.assertEqual((self.acks, self.asked), ([(77, 1)], 1))
        self.index(1, 3)
        self.assertEqual(self.acks, [(77, 1), (77, 3)])

    def test_what_comes_again_is_acknowledged_again(self) -> None:
        self.index(0, 3)
        self.index(0, 2)
        self.assertEqual(self.acks, [(77, 3), (77, 3)])
        self.assertEqual(self.box.stored(Holder(MEMBER)), (77, 3))

    def test_an_index_without_a_hello_says_nothing(self) -> None:
        self.hearer = self.another()
        self.index(0, 3)
        self.assertEqual((self.acks, self.asked), ([], 1))

    def test_another_index_id_begins_anew(self) -> None:
        self.index(0, 3)
        self.hearer.hello(78)
        self.assertEqual(self.hearer.known, (78, 0))
        self.index(0, 1)
        self.assertEqual(self.acks, [(77, 3), (78, 1)])

    def test_a_new_link_goes_on_where_the_box_is(self) -> None:
        self.slow = True
        self.index(0, 2)
        self.hearer.close()
        self.hearer = self.another()
        self.hearer.hello(77)
        self.catch_up()
        self.slow = False
        self.index(2, 3)
        self.assertEqual(self.acks, [(77, 3)])

    def test_what_the_box_refuses_is_asked_for_anew(self) -> None:
        self.slow = True
        self.index(0, 2)
        self.index(2, 3)
        self.box.broken = True
        self.catch_up()
        self.assertEqual(self.acks, [(77, 2)])
        self.assertEqual(self.asked, 1)
        self.box.broken = self.slow = False
        self.index(2, 3)
        self.assertEqual(self.acks, [(77, 2), (77, 3)])

    def test_no_more_is_held_than_a_good_member_sends(self) -> None:
        self.slow = True
        self.index(0, 1)
        self.index(1, 2, LIMIT)
        self.index(2, 3, 1)
        self.assertEqual(self.asked, 1)
        self.catch_up()
        self.assertEqual(self.acks[-1], (77, 2))

    def test_numbers_of_entries_need_not_be_next_to_each_other(self) -> None:
        sparse = [attrs.evolve(entry, number=10 * n) for n, entry in enumerate(self.entries, 1)]
        self.hearer.index(0, 25, sparse[:2], 100)
        self.hearer.index(25, 30, sparse[2:], 100)
        self.assertEqual(self.acks, [(77, 25), (77, 30)])
