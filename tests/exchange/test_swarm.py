# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.swarm}.
"""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Hash, Need
from flocknode.exchange.swarm import EARLY, PROBES, Swarm

A, B, C = 1, 2, 4
BLOCK = 131_072


def name(number: int) -> Hash:
    """A hash."""
    return Hash(number.to_bytes(32, "big"))


FILE = name(10**9)


def block(number: int, content: Hash = FILE, file_size: int = 10 * BLOCK) -> Need:
    """A block of a file of several."""
    return Need(name(number), BLOCK, content, file_size)


def small(number: int) -> Need:
    """A file of one block."""
    return Need(name(number), 100, name(number), 100)


class SwarmCase(SynchronousTestCase):
    """A swarm of three members, the first of which has the file."""

    def setUp(self) -> None:
        self.holders: dict[Hash, int] = {FILE: A}
        self.swarm = Swarm(random.Random(1), lambda content: self.holders.get(content, 0))
        for member in (A, B, C):
            self.swarm.enter(member)

    def asked(self, member: int) -> list[int]:
        """All that this member is asked for, in order."""
        asked = []
        while (need := self.swarm.next(member)) is not None:
            asked.append(int.from_bytes(need.hash, "big"))
        return asked


class Deciding(SwarmCase):
    """Which block a member is asked for."""

    def test_a_member_is_asked_for_what_it_has(self) -> None:
        self.swarm.add([block(1), block(2)])
        self.assertEqual(self.asked(B), [])
        self.assertEqual(sorted(self.asked(A)), [1, 2])

    def test_it_says_who_has_something_to_be_asked_for(self) -> None:
        self.swarm.add([block(1)])
        self.assertEqual([self.swarm.offers(member) for member in (A, B)], [True, False])
        self.asked(A)
        self.assertFalse(self.swarm.offers(A))

    def test_a_block_is_asked_of_one_member_at_a_time(self) -> None:
        self.holders[FILE] = A | B
        self.swarm.add([block(number) for number in range(10)])
        first = self.swarm.next(A)
        assert first is not None
        self.assertNotIn(int.from_bytes(first.hash, "big"), self.asked(B))
        self.assertEqual(self.asked(A), [])

    def test_those_that_fewest_have_go_first(self) -> None:
        self.swarm.add([block(number) for number in range(30)])
        for number in range(30):
            if number % 3:
                self.swarm.has(B, name(number))
            if number % 3 == 2:
                self.swarm.has(C, name(number))
        self.assertEqual([number % 3 for number in self.asked(A)], [0] * 10 + [1] * 10 + [2] * 10)

    def test_equals_come_in_another_order_on_every_node(self) -> None:
        orders = set()
        for seed in range(5):
            swarm = Swarm(random.Random(seed), lambda content: A)
            swarm.enter(A)
            swarm.add([block(number) for number in range(20)])
            orders.add(tuple(need.hash for _ in range(20) if (need := swarm.next(A))))
        self.assertEqual(len(orders), 5)

    def test_small_files_go_before_large_ones_and_block_lists_before_all(self) -> None:
        self.holders.update({name(7): A, name(8): A, name(9): A})
        self.swarm.add([block(1), block(2), block(8, name(8), 2 * BLOCK), small(7)])
        self.swarm.add([Need(name(9), 1_000, name(9), 100 * BLOCK, True)])
        asked = self.asked(A)
        self.assertEqual(asked[:3], [9, 7, 8])
        self.assertEqual(sorted(asked[3:]), [1, 2])

    def test_who_has_what_is_remembered_before_it_is_missing(self) -> None:
        self.swarm.has(B, name(1))
        self.swarm.add([block(1)])
        self.assertEqual(self.asked(B), [1])

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(EARLY + 1):
            self.swarm.has(B, name(number))
        self.swarm.add([block(0), block(1)])
        self.assertEqual(self.asked(B), [1])

    def test_sources_that_change_are_followed(self) -> None:
        self.swarm.add([block(1), block(2)])
        self.swarm.sources(FILE, B)
        self.assertEqual(self.asked(A), [])
        self.assertEqual(sorted(self.asked(B)), [1, 2])

    def test_one_that_became_rarer_goes_first_again(self) -> None:
        self.swarm.add([block(number) for number in range(10)])
        for number in range(10):
            self.swarm.has(B, name(number))
            self.swarm.has(C, name(number))
        self.swarm.refuse(B, name(4))
        self.assertEqual(self.asked(A)[0], 4)

    def test_what_was_not_given_is_asked_of_another(self) -> None:
        self.holders[FILE] = A | B
        self.swarm.add([block(1)])
        self.swarm.next(A)
        self.swarm.release(A, name(1))
        self.assertEqual(self.asked(B), [1])

    def test_who_refused_is_not_asked_again_until_forgiven(self) -> None:
        self.swarm.add([block(1)])
        self.swarm.next(A)
        self.swarm.refuse(A, name(1))
        self.assertEqual(self.asked(A), [])
        self.swarm.forgive()
        self.assertEqual(self.asked(A), [1])

    def test_what_has_arrived_is_not_asked_for(self) -> None:
        self.holders[FILE] = A | B
        self.swarm.add([block(1)])
        self.swarm.next(A)
        self.assertEqual(self.swarm.arrived(name(1)), A)
        self.assertEqual(self.asked(B), [])
        self.swarm.fail(name(1))
        self.assertEqual(self.asked(B), [1])

    def test_what_is_not_missing_any_more_is_not_asked_for(self) -> None:
        self.swarm.add([block(1), block(2)])
        self.swarm.next(A)
        self.assertEqual(self.swarm.remove(name(1)) | self.swarm.remove(name(2)), A)
        self.assertEqual((len(self.swarm), self.swarm.missing), (0, 0))
        self.assertEqual(self.asked(A), [])

    def test_what_a_member_that_left_was_to_give_is_asked_of_another(self) -> None:
        self.holders[FILE] = A | B
        self.swarm.add([block(1), block(2)])
        self.assertEqual(len(self.asked(A)), 2)
        self.swarm.leave(A)
        self.assertEqual(len(self.asked(B)), 2)

    def test_a_member_that_enters_is_asked_for_what_it_had_shown(self) -> None:
        self.swarm.leave(A)
        self.swarm.add([block(1)])
        self.swarm.enter(A)
        self.assertEqual(self.asked(A), [1])

    def test_a_bit_that_is_used_again_does_not_inherit(self) -> None:
        self.swarm.add([block(1)])
        self.swarm.has(B, name(1))
        self.swarm.has(B, name(2))
        self.swarm.leave(B)
        self.swarm.enter(B)
        self.swarm.add([block(2)])
        self.assertEqual(self.asked(B), [])


class Ending(SwarmCase):
    """When only outstanding blocks are left, and when nobody has them."""

    def test_outstanding_blocks_are_asked_of_a_second_member_and_no_third(self) -> None:
        self.holders[FILE] = A | B | C
        self.swarm.add([block(1), block(2)])
        self.assertEqual(len(self.asked(A)), 2)
        self.assertEqual(len(list(self.swarm.spares(B))), 2)
        self.assertEqual(list(self.swarm.spares(C)), [])
        self.assertEqual(self.swarm.arrived(name(1)), A | B)

    def test_not_while_anything_else_can_be_asked_for(self) -> None:
        self.holders[FILE] = A | B
        self.swarm.add([block(1), small(5)])
        self.swarm.next(A)
        self.swarm.has(C, name(5))
        self.assertEqual(list(self.swarm.spares(B)), [])
        self.swarm.next(C)
        self.assertEqual(len(list(self.swarm.spares(B))), 1)

    def test_a_block_that_has_spread_makes_way_for_a_rarer_one(self) -> None:
        self.swarm.add([block(number) for number in range(3)])
        first = self.swarm.next(A)
        assert first is not None
        self.assertFalse(self.swarm.swap(A, first.hash))
        self.assertEqual(self.swarm.has(B, first.hash), A)
        self.assertTrue(self.swarm.swap(A, first.hash))
        self.assertEqual(self.asked(B), [int.from_bytes(first.hash, "big")])
        second = self.swarm.next(A)
        assert second is not None
        self.swarm.has(B, second.hash)
        self.asked(A)
        self.assertFalse(self.swarm.swap(A, second.hash))

    def test_members_are_asked_for_what_nobody_is_known_to_have(self) -> None:
        self.swarm.add([small(5)])
        self.assertEqual(list(self.swarm.orphans(B)), [small(5)])
        self.assertEqual(list(self.swarm.orphans(C)), [])
        self.swarm.refuse(B, name(5))
        self.assertEqual(list(self.swarm.orphans(B)), [])
        self.assertEqual(list(self.swarm.orphans(C)), [small(5)])

    def test_but_only_for_so_many_until_they_are_forgiven(self) -> None:
        self.swarm.add([small(number) for number in range(PROBES + 5)])
        asked = [need.hash for need in self.swarm.orphans(B)]
        self.assertEqual(len(asked), PROBES)
        for hash in asked:
            self.swarm.refuse(B, hash)
        self.assertEqual(list(self.swarm.orphans(B)), [])
        self.swarm.forgive()
        self.assertEqual(len(list(self.swarm.orphans(B))), PROBES)


class Orphans(SwarmCase):
    """Blocks that nobody is known to have."""

    def test_in_the_end_every_one_is_asked_for(self) -> None:
        self.holders.clear()
        self.swarm.add([block(number) for number in range(PROBES + 10)])
        asked = set()
        for _round in range(3):
            self.swarm.forgive()
            for need in list(self.swarm.orphans(B)):
                asked.add(need.hash)
                self.swarm.refuse(B, need.hash)
        self.assertEqual(len(asked), PROBES + 10)

    def test_they_cannot_be_obtained(self) -> None:
        self.holders.clear()
        self.swarm.add([block(1)])
        self.assertFalse(self.swarm.obtainable())
        self.swarm.has(B, block(1).hash)
        self.assertTrue(self.swarm.obtainable())
        self.swarm.refuse(B, block(1).hash)
        self.assertFalse(self.swarm.obtainable())


class _Machine(RuleBasedStateMachine):
    """A swarm next to a list of what is true."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[Hash, int] = {}
        self.swarm = Swarm(random.Random(2), lambda content: self.sources.get(content, 0))
        self.alive: set[int] = set()
        self.missing: dict[Hash, Need] = {}
        self.have: dict[Hash, set[int]] = {}
        self.refused: dict[Hash, set[int]] = {}
        self.asked: dict[Hash, set[int]] = {}
        self.held: set[Hash] = set()

    blocks = st.integers(0, 7).map(lambda number: block(number, name(100 + number % 3)))
    members = st.sampled_from([A, B, C])

    def holders(self, need: Need) -> set[int]:
        """Who may be asked for it."""
        known = {member for member in self.alive if self.sources.get(need.content, 0) & member}
        known |= self.have.get(need.hash, set())
        return (known & self.alive) - self.refused.get(need.hash, set())

    @rule(member=members)
    def come_or_go(self, member: int) -> None:
        if member in self.alive:
            self.alive.discard(member)
            self.sources = {name: mask & ~member for name, mask in self.sources.items()}
            self.swarm.leave(member)
            for about in (self.have, self.refused, self.asked):
                for members in about.values():
                    members.discard(member)
        else:
            self.alive.add(member)
            self.swarm.enter(member)

    @rule(need=blocks)
    def add(self, need: Need) -> None:
        if need.hash not in self.missing:
            self.refused.pop(need.hash, None)
        self.missing[need.hash] = need
        self.swarm.add([need])

    @rule(need=blocks, member=members)
    def has(self, need: Need, member: int) -> None:
        if member in self.alive:
            self.swarm.has(member, need.hash)
            self.have.setdefault(need.hash, set()).add(member)

    @rule(number=st.integers(0, 2), bits=st.integers(0, 7))
    def show(self, number: int, bits: int) -> None:
        bits &= sum(self.alive)
        self.sources[name(100 + number)] = bits
        self.swarm.sources(name(100 + number), bits)

    @rule(member=members)
    def ask(self, member: int) -> None:
        if member not in self.alive:
            return
        possible = {
            hash: len(self.holders(need))
            for hash, need in self.missing.items()
            if not self.asked.get(hash) and hash not in self.held
            if member in self.holders(need)
        }
        need = self.swarm.next(member)
        if need is None:
            assert not possible
        else:
            assert possible[need.hash] == min(possible.values())
            self.asked.setdefault(need.hash, set()).add(member)

    @rule(need=blocks, member=members, how=st.sampled_from(["release", "refuse"]))
    def give_up(self, need: Need, member: int, how: str) -> None:
        if member in self.asked.get(need.hash, set()):
            self.asked[need.hash].discard(member)
            if how == "refuse":
                self.refused.setdefault(need.hash, set()).add(member)
                self.have.get(need.hash, set()).discard(member)
                self.swarm.refuse(member, need.hash)
            else:
                self.swarm.release(member, need.hash)

    @rule(need=blocks)
    def arrive(self, need: Need) -> None:
        if self.asked.get(need.hash):
            assert self.swarm.arrived(need.hash) == sum(self.asked.pop(need.hash))
            self.held.add(need.hash)

    @rule(need=blocks, good=st.booleans())
    def write(self, need: Need, good: bool) -> None:
        if need.hash in self.held:
            self.held.discard(need.hash)
            if good:
                self.remove(need)
            else:
                self.swarm.fail(need.hash)

    @rule(need=blocks)
    def remove(self, need: Need) -> None:
        if need.hash in self.missing:
            assert self.swarm.remove(need.hash) == sum(self.asked.pop(need.hash, set()))
            self.held.discard(need.hash)
            del self.missing[need.hash]
            self.have.pop(need.hash, None)

    @invariant()
    def what_is_missing_is_known(self) -> None:
        assert len(self.swarm) == len(self.missing)
        assert self.swarm.missing == sum(need.size for need in self.missing.values())
        asked = {hash: sum(members) for hash, members in self.asked.items() if members}
        assert dict(self.swarm.outstanding()) == asked
        assert self.swarm.waiting == len(self.missing) - len(asked) - len(self.held)


class InAnyOrder(SynchronousTestCase):
    """Any program of calls."""

    def test_the_rarest_block_that_can_be_asked_for_is_asked_for(self) -> None:
        run_state_machine_as_test(
            _Machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
        )
