# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.members}."""

from __future__ import annotations

import os
from collections.abc import Collection

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.flocktime import EPOCH_2020_MS, FlockTime
from flocknode.flock.heartbeat import Flags, Heartbeat, Trailer, members_hash
from flocknode.flock.interfaces import MemberId
from flocknode.flock.link import Outgoing
from flocknode.flock.members import (
    APART,
    CONTRARY,
    LEFT_OUT,
    REMEMBERED,
    TURN,
    Member,
    Membership,
)
from tests.flock.support import IDS

A, B, C, D = IDS[:4]


def trailer(slot: int = 10, members: Collection[MemberId] = (), flags: int = 0) -> Trailer:
    """One that says little."""
    nothing = (0,) * 8
    return Trailer(flags, slot, EPOCH_2020_MS, bytes(16), *nothing, members_hash(members))


class Circle:
    """One member's view of others: A's of B, C and D."""

    def __init__(self, me: MemberId = A, others: tuple[MemberId, ...] = (B, C, D)) -> None:
        self.time = FlockTime(0.0, EPOCH_2020_MS)
        self.members = {m: Member(m, Outgoing(m, 1)) for m in others}
        self.membership = Membership(me, tuple(self.members.values()))
        self.slot = 10

    def hear(
        self,
        member: MemberId,
        hears: tuple[MemberId, ...],
        takes_part: tuple[MemberId, ...] | None = None,
        flags: int = 0,
        ahead: float = 0.0,
    ) -> None:
        """A heartbeat of a member that hears those and takes part with these."""
        part = hears if takes_part is None else takes_part
        shown = trailer(self.slot, part, flags)
        heard = self.members[member]
        heard.alive = True
        heard.hear(Heartbeat(100, 0, len(hears), hears[:12], shown), shown, 0.0)
        heard.estimate.add(ahead, 0.0)

    def update(self) -> tuple[MemberId, ...]:
        """The next boundary."""
        self.slot += 1
        return self.membership.update(self.time, self.slot).members


class MemberTests(SynchronousTestCase):
    """What is known of one peer."""

    def setUp(self) -> None:
        self.circle = Circle()
        self.member = self.circle.members[B]

    def test_the_first_heartbeat_of_a_slot_is_its_snapshot(self) -> None:
        self.circle.hear(B, (B,))
        self.circle.hear(B, (A, B))
        self.assertEqual(self.member.shown[10].trailer.members, members_hash((B,)))

    def test_only_the_latest_snapshots_are_kept(self) -> None:
        for slot in range(20):
            self.circle.slot = slot
            self.circle.hear(B, (B,))
        self.assertEqual(list(self.member.shown), list(range(20 - REMEMBERED, 20)))

    def test_snapshots_of_another_flock_time_are_forgotten(self) -> None:
        self.circle.slot = 5000
        self.circle.hear(B, (B,))
        self.circle.slot = 7
        self.circle.hear(B, (B,))
        self.assertEqual(list(self.member.shown), [7])

    def test_it_hears_whom_it_showed_last(self) -> None:
        self.circle.hear(B, (A, B, C))
        self.circle.hear(B, (A, B))
        self.assertEqual(self.member.hears(), {A, B})

    def test_it_hears_all_whom_it_showed_in_turns(self) -> None:
        everyone = IDS[:20]
        for first in (0, 12, 4):
            shown = (everyone + everyone)[first : first + 12]
            ids = tuple(shown)
            self.member.hear(Heartbeat(100, 0, 20, ids, trailer()), trailer(), 0.0)
        self.assertEqual(self.member.hears(), set(everyone))

    def test_nothing_is_left_of_one_that_is_gone(self) -> None:
        self.circle.hear(B, (A, B))
        self.member.frame(10, 0.01, 4117)
        self.member.gone()
        self.assertFalse(self.member.alive or self.member.shown or self.member.intake.count(10))
        self.assertFalse(self.member.estimate.known)
        self.assertEqual(self.member.hears(), {B})


class HostileTests(SynchronousTestCase):
    """One that shows ids of nobody."""

    def test_they_do_not_pile_up(self) -> None:
        member = Member(IDS[0], Outgoing(IDS[0], 1))
        for slot in range(1000):
            trailer = Trailer(0, slot, 0, bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, 0)
            ids = tuple(MemberId(os.urandom(16)) for _ in range(12))
            member.hear(Heartbeat(100, 0, 12, ids, trailer), trailer, slot / 4)
        self.assertLess(len(member._listed), 600)


class SetTests(SynchronousTestCase):
    """With whom A takes part."""

    def setUp(self) -> None:
        self.circle = Circle()

    def test_at_first_with_nobody(self) -> None:
        self.assertEqual(self.circle.membership.current.members, (A,))

    def test_with_all_that_are_alive_and_share_its_time(self) -> None:
        self.circle.hear(C, (C,))
        self.circle.hear(B, (B,))
        self.circle.hear(D, (D,), ahead=5.0)
        self.assertEqual(self.circle.update(), (A, B, C))

    def test_not_with_one_that_fell_silent(self) -> None:
        self.circle.hear(B, (A, B))
        self.circle.update()
        self.circle.members[B].gone()
        self.assertEqual(self.circle.update(), (A,))

    def disagree(self) -> None:
        """C and D do not hear each other."""
        self.circle.hear(B, (A, B, C, D))
        self.circle.hear(C, (A, B, C))
        self.circle.hear(D, (A, B, D))

    def test_a_short_disagreement_changes_nothing(self) -> None:
        for _ in range(APART):
            self.disagree()
            self.assertEqual(self.circle.update(), (A, B, C, D))

    def test_after_four_slots_the_highest_that_is_not_mutually_heard_is_dropped(self) -> None:
        for _ in range(APART):
            self.disagree()
            self.circle.update()
        self.assertEqual(self.circle.update(), (A, B, C))
        self.assertEqual(self.circle.membership.current.heard, (A, B, C, D))

    def test_ten_minutes_later_it_is_the_other_ones_turn(self) -> None:
        """And so round; A and B, whom all hear, are in it always."""
        dropped = []
        for turn in range(4):
            self.circle.slot = TURN * (turn + 4)
            for _ in range(APART + 1):
                self.disagree()
                members = self.circle.update()
            dropped.append({A, B, C, D}.difference(members))
        self.assertEqual(dropped, [{D}, {C}, {D}, {C}])

    def test_it_is_back_as_soon_as_all_hear_each_other(self) -> None:
        for _ in range(APART + 1):
            self.disagree()
            self.circle.update()
        for member in (B, C, D):
            self.circle.hear(member, (A, B, C, D), (A, B, C))
        self.assertEqual(self.circle.update(), (A, B, C, D))

    def test_one_that_nobody_hears_costs_the_others_nothing(self) -> None:
        """The lowest id, seen by the next: it shows that it hears all, but none shows it."""
        circle = Circle(B, (A, C, D))
        for _ in range(APART + 1):
            circle.hear(A, (A, B, C, D))
            circle.hear(C, (B, C, D))
            circle.hear(D, (B, C, D))
            circle.update()
        self.assertEqual(circle.membership.current.members, (B, C, D))

    def test_one_that_is_dropped_itself_is_alone(self) -> None:
        """B does not hear C, nor C B; seen by A as the highest id: by D."""
        circle = Circle(D, (A, B))
        for _ in range(APART + 1):
            circle.hear(A, (A, B, D))
            circle.hear(B, (A, B))
            circle.update()
        self.assertEqual(circle.membership.current.members, (D,))


class ContraryTests(SynchronousTestCase):
    """C shows a set that nobody else computes, though all hear each other."""

    def setUp(self) -> None:
        self.circle = Circle()

    def slots(
        self,
        number: int,
        shown: tuple[MemberId, ...],
        hears: tuple[MemberId, ...] = (A, B, C),
    ) -> None:
        """So many, in which C shows that set."""
        for _ in range(number):
            self.circle.hear(B, (A, B, C), self.circle.membership.current.members)
            self.circle.hear(C, hears, shown)
            self.circle.update()

    def test_ten_seconds_of_it_are_borne(self) -> None:
        self.slots(CONTRARY, (B, C))
        self.assertEqual(self.circle.membership.current.members, (A, B, C))

    def test_then_it_is_left_out_and_not_counted_as_heard(self) -> None:
        self.slots(CONTRARY + 1, (C, D))
        self.assertEqual(self.circle.membership.current.members, (A, B))
        self.assertEqual(self.circle.membership.current.heard, (A, B))

    def test_after_two_minutes_it_is_tried_again(self) -> None:
        self.slots(CONTRARY + 1, (C, D))
        self.slots(LEFT_OUT - 1, (C, D))
        self.assertEqual(self.circle.membership.current.members, (A, B))
        self.slots(1, (C, D))
        self.assertEqual(self.circle.membership.current.members, (A, B, C))

    def test_in_another_flock_time_it_is_not_left_out_for_years(self) -> None:
        self.circle.slot = 1_000_000
        self.slots(CONTRARY + 1, (C, D))
        self.circle.slot = 10
        self.slots(1, (A, B, C))
        self.assertEqual(self.circle.membership.current.members, (A, B, C))

    def test_one_slot_of_agreement_is_enough(self) -> None:
        self.slots(CONTRARY - 1, (C, D))
        self.slots(1, (A, B, C))
        self.slots(CONTRARY - 1, (C, D))
        self.assertEqual(self.circle.membership.current.members, (A, B, C))

    def test_one_that_hears_somebody_else_may_be_right(self) -> None:
        self.slots(CONTRARY * 2, (C, D), (A, B, C, D))
        self.assertEqual(self.circle.membership.current.members, (A, B, C))

    def test_but_not_one_that_hears_nobody_knows_whom(self) -> None:
        self.slots(CONTRARY + 1, (C, D), (A, B, C, MemberId(b"a stranger's id!")))
        self.assertEqual(self.circle.membership.current.members, (A, B))

    def test_who_leaves_this_node_out_is_not_left_out_by_it(self) -> None:
        """They would take turns with that for ever."""
        self.slots(CONTRARY * 2, (B, C))
        self.assertEqual(self.circle.membership.current.members, (A, B, C))


class AppearanceTests(SynchronousTestCase):
    """Who is new, or back."""

    def setUp(self) -> None:
        self.circle = Circle()
        self.membership = self.circle.membership

    def test_who_hears_this_node_and_is_heard_has_appeared(self) -> None:
        self.circle.hear(B, (A, B))
        self.circle.update()
        self.assertEqual(self.membership.appeared, 11)
        self.circle.update()
        self.assertIsNone(self.membership.appeared)

    def test_who_does_not_hear_this_node_yet_has_not(self) -> None:
        self.circle.hear(B, (B,))
        self.circle.update()
        self.assertIsNone(self.membership.appeared)

    def test_that_it_hears_was_shown_in_the_slot_before(self) -> None:
        self.circle.hear(B, (B,))
        self.circle.update()
        self.circle.hear(B, (A, B))
        self.circle.update()
        self.assertEqual(self.membership.appeared, 11)

    def test_who_was_silent_between_two_boundaries_has_appeared_again(self) -> None:
        self.circle.hear(B, (A, B))
        self.circle.update()
        self.circle.members[B].gone()
        self.membership.lost(B)
        self.circle.hear(B, (A, B))
        self.circle.update()
        self.assertEqual(self.membership.appeared, 12)

    def test_one_who_was_away_without_noticing_learns_it(self) -> None:
        for hears in ((A, B), (B,), (A, B)):
            self.membership.appeared = None
            self.circle.hear(B, hears)
            self.circle.update()
        self.assertIsNotNone(self.membership.appeared)


class ReturnTests(SynchronousTestCase):
    """Whether it is this node that returns."""

    def returned(self, *heartbeats: tuple[MemberId, tuple[MemberId, ...]], flags: int = 0) -> bool:
        circle = Circle()
        before = circle.membership.current
        for member, hears in heartbeats:
            circle.hear(member, hears, flags=flags)
        circle.update()
        return circle.membership.returned(before, circle.membership.current)

    def test_a_single_node_that_meets_a_flock_returns(self) -> None:
        self.assertTrue(self.returned((B, (A, B, C)), (C, (A, B, C))))

    def test_two_single_nodes_that_meet_do_not(self) -> None:
        self.assertFalse(self.returned((B, (A, B))))

    def test_nor_does_one_that_meets_a_flock_that_is_just_forming(self) -> None:
        self.assertFalse(self.returned((B, (A, B, C)), (C, (A, B, C)), flags=Flags.FORMING))
