# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.missing}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Hash, Need
from flocknode.exchange.missing import Block, Content, Queues

A, B = 1, 2
BLOCK = 131_072


def block(
    number: int, have: int, size: int = BLOCK, listing: bool = False, order: int = 0
) -> Block:
    """One of a file of so many bytes."""
    name = Hash(number.to_bytes(32, "big"))
    return Block(Need(name, min(size, BLOCK), name, size, listing), Content(0), have, order)


class UrgencyTests(SynchronousTestCase):
    """Which of two blocks goes first."""

    def test_a_list_goes_before_all_blocks(self) -> None:
        self.assertLess(block(1, A | B, listing=True).urgency(), block(2, A, size=1).urgency())

    def test_a_small_file_goes_before_a_large_one(self) -> None:
        self.assertLess(block(1, A | B, size=BLOCK).urgency(), block(2, A, 10 * BLOCK).urgency())

    def test_files_of_one_block_are_all_equally_small(self) -> None:
        self.assertEqual(block(1, A, size=1).urgency(), block(2, A, BLOCK).urgency())

    def test_what_fewer_have_goes_first(self) -> None:
        self.assertLess(block(1, A).urgency(), block(2, A | B).urgency())

    def test_chance_decides_among_equals(self) -> None:
        self.assertLess(block(1, A, order=1).key(), block(2, A, order=2).key())


class QueuesTests(SynchronousTestCase):
    """What each member is asked for first."""

    def setUp(self) -> None:
        self.queues = Queues()
        for member in (A, B):
            self.queues.enter(member)

    def put(self, *blocks: Block) -> None:
        """For all that have them."""
        for each in blocks:
            self.queues.put(each, each.holders())

    def test_only_who_has_a_block_is_asked_for_it(self) -> None:
        self.put(one := block(1, A))
        self.assertIs(self.queues.first(A), one)
        self.assertIsNone(self.queues.first(B))

    def test_what_is_taken_is_there_no_more(self) -> None:
        self.put(one := block(1, A))
        self.assertIs(self.queues.take(A), one)
        self.assertIsNone(self.queues.take(A))

    def test_what_is_asked_of_another_or_has_come_is_passed_over(self) -> None:
        one, two, three = block(1, A | B), block(2, A), block(3, A, 10 * BLOCK)
        self.put(one, two, three)
        one.asked, two.held = B, True
        self.assertIs(self.queues.first(A), three)

    def test_what_has_spread_since_goes_later(self) -> None:
        one, two = block(1, A, order=1), block(2, A, order=2)
        self.put(one, two)
        one.have |= B
        self.assertIs(self.queues.take(A), two)
        self.assertIs(self.queues.take(A), one)

    def test_there_is_something_as_long_as_anybody_can_be_asked(self) -> None:
        self.assertFalse(self.queues.any())
        self.put(one := block(1, B))
        self.assertTrue(self.queues.any())
        one.refused = B
        self.assertFalse(self.queues.any())

    def test_beginning_anew_forgets_what_was_there(self) -> None:
        self.put(block(1, A))
        self.queues.fill([two := block(2, A | B), block(3, 0)])
        for member in (A, B):
            self.assertIs(self.queues.take(member), two)
            self.assertIsNone(self.queues.take(member))

    def test_a_member_leaves_once(self) -> None:
        self.assertTrue(self.queues.leave(A))
        self.assertFalse(self.queues.leave(A))
