# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.rounds} and L{flocknode.flock.ceremony}."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock import padme
from flocknode.flock.ceremony import CALM, Agenda, Snapshot, complete, outstanding
from flocknode.flock.heartbeat import Heartbeat, Trailer
from flocknode.flock.interfaces import MemberId
from flocknode.flock.link import Outgoing
from flocknode.flock.members import Member, Set, Shown
from flocknode.flock.rate import Steps, slot_payload
from flocknode.flock.rounds import EXTRA_SLOTS, ONCE_MORE, SHORT, Round, link_payload
from flocknode.flock.status import Status
from tests.flock.support import IDS

A, B, C = IDS[:3]
KIB = 1024


def a_round(payload: int = 200 * KIB, sigma: int = 300 * KIB) -> Round:
    """Called by the boundary 100, so it starts in slot 102."""
    return Round(
        id=100,
        start_slot=102,
        start_at=51.0,
        offset=0.0,
        stop_offset=0.0,
        leading=True,
        members={B, C},
        counted=0,
        leader_heard=50.0,
        sigma=sigma,
        payload=payload,
    )


class BrokenTests(SynchronousTestCase):
    """Who leaves a round without a word."""

    @given(
        st.sets(st.sampled_from((B, C))),
        st.lists(st.tuples(st.sampled_from((B, C)), st.sampled_from("hhhhhhfg")), min_size=30),
    )
    def test_to_look_at_suspects_is_to_look_at_all(
        self, there: set[MemberId], course: list[tuple[MemberId, str]]
    ) -> None:
        members = {peer: Member(peer, Outgoing(peer, 1)) for peer in (B, C)}
        for peer in there:
            members[peer].alive = True
        current = a_round()
        current.started = True
        for slot, (peer, what) in enumerate(course, 102):
            member = members[peer]
            if what == "h":
                shown = Trailer(0, slot, 0, bytes(16), current.id, 0, 0, 0, 0, 0, 0, 0, 0)
                heartbeat = Heartbeat(Status.RECEIVING_ALPHA, 0, 1, (), shown)
                member.alive = True
                member.hear(heartbeat, shown, 0.0)
                current.hear(member, heartbeat, shown, 0.0)
            elif what == "f":
                member.frame(slot, 0.0, 4117)
            else:
                member.gone()
                current.suspects.add(member.id)
            if slot % 3 == 0:
                missed = any(current.is_lost(member) for member in members.values())
                self.assertEqual(current.is_broken(members, 0.0), missed)


class LengthTests(SynchronousTestCase):
    """How long a round is."""

    def test_a_link_carries_its_share_and_some_more(self) -> None:
        padded = padme.pad(10_000_000)
        self.assertEqual(link_payload(10_000_000, 3), -(-126 * padded // 200))

    def test_a_round_for_nothing_has_the_least_length(self) -> None:
        self.assertEqual(link_payload(0, 3), link_payload(65_536, 3))

    @given(st.integers(1, 1 << 40), st.integers(2, 20))
    def test_it_depends_on_the_padded_total_only(self, sigma: int, members: int) -> None:
        self.assertEqual(link_payload(sigma, members), link_payload(padme.pad(sigma), members))

    @given(st.integers(1, 30), st.integers(0, 80))
    def test_the_stop_is_two_slots_after_the_payload_is_complete_if_that_is_short_three(
        self, slots: int, step: int
    ) -> None:
        steps = Steps(step)
        current = a_round(payload=slots * slot_payload(step))
        slot = 100
        while current.stop_slot is None:
            current.count_down(slot, steps)
            shown = slot
            slot += 1
            current.enter(slot, steps)
        self.assertEqual(current.stop_slot, 102 + slots + EXTRA_SLOTS + (slots < SHORT))
        self.assertGreaterEqual(current.stop_slot - shown, 3)

    def test_the_steps_in_force_are_counted(self) -> None:
        steps = Steps(40)
        current = a_round(payload=2 * slot_payload(40))
        steps.decide(103, 0)
        for slot in range(100, 140):
            current.enter(slot, steps)
            current.count_down(slot, steps)
        missing = slot_payload(40)
        slots = 1 + -(-missing // slot_payload(0))
        self.assertEqual(current.stop_slot, 102 + slots + EXTRA_SLOTS + (slots < SHORT))

    def test_the_lowest_stop_slot_counts(self) -> None:
        current = a_round()
        for stop in (110, 107, 112):
            current.stop_by(stop, 105)
        self.assertEqual(current.stop_slot, 107)

    def test_a_stop_in_the_past_or_far_ahead_is_not_believed(self) -> None:
        current = a_round()
        for stop in (0, 104, 105, 105_000):
            current.stop_by(stop, 105)
        self.assertIsNone(current.stop_slot)

    def test_who_is_in_doubt_goes_on_for_some_slots_more(self) -> None:
        for more in (0, ONCE_MORE):
            current = a_round(payload=slot_payload(40))
            current.extra += more
            current.count_down(100, Steps(40))
            self.assertEqual(current.stop_slot, 102 + 1 + EXTRA_SLOTS + 1 + more)

    def test_who_gives_up_leaves_two_whole_slots_to_hear_of_it(self) -> None:
        current = a_round()
        current.give_up(105)
        self.assertEqual((current.stop_slot, current.lost), (108, True))

    def test_giving_up_before_the_start_counts_from_the_start(self) -> None:
        current = a_round()
        current.give_up(100)
        self.assertEqual(current.stop_slot, 105)

    def test_what_had_its_time_long_before_a_loss_is_not_in_doubt(self) -> None:
        current = a_round(payload=40 * slot_payload(40), sigma=1000)
        entered = 101
        for slot, sure in ((117, 0), (118, 0), (119, 25), (130, 300)):
            for each in range(entered + 1, slot + 1):
                current.enter(each, Steps(40))
            entered = slot
            self.assertEqual(current.doubtful(slot), 1000 - sure)

    def test_a_loss_in_the_first_seconds_leaves_all_in_doubt(self) -> None:
        current = a_round(payload=4 * slot_payload(40), sigma=1000)
        for slot in range(101, 107):
            current.enter(slot, Steps(40))
        current.give_up(106)
        self.assertEqual((current.lost, current.owed), (True, 1000))

    def test_who_does_not_know_what_was_planned_does_not_know_what_is_in_doubt(self) -> None:
        current = a_round(payload=0, sigma=0)
        current.give_up(106)
        self.assertEqual(current.owed, 0)

    def test_without_a_sign_of_a_leader_nobody_waits_for_ever(self) -> None:
        current = a_round()
        current.leading = False
        self.assertFalse(current.leaderless(51.9))
        self.assertTrue(current.leaderless(52.1))
        current.stop_slot = 110
        self.assertFalse(current.leaderless(60.0))


def snapshot(new: int = 0, backlog: int = 0) -> Snapshot:
    """A's, at the boundary 100."""
    members = Set.of((A, B, C), (A, B, C))
    return Snapshot(100, members, 0, padme.encode(new), padme.encode(backlog), 0, bytes(16))


def trailer(new: int = 0, backlog: int = 0) -> Trailer:
    """Another's of the same set."""
    own = snapshot(new, backlog)
    return Trailer(0, 100, 0, bytes(16), 0, 0, 0, 0, 0, own.new, own.backlog, 0, own.set.hash)


class CallTests(SynchronousTestCase):
    """Whether a round may be called."""

    def test_all_snapshots_in_time_allow_it(self) -> None:
        shown = [Shown(trailer(), 50.2), Shown(trailer(), 50.6)]
        self.assertTrue(complete(snapshot(), shown, 50.6))

    def test_a_late_one_does_not(self) -> None:
        shown = [Shown(trailer(), 50.2), Shown(trailer(), 50.61)]
        self.assertFalse(complete(snapshot(), shown, 50.6))

    def test_a_missing_one_does_not(self) -> None:
        self.assertFalse(complete(snapshot(), [Shown(trailer(), 50.2), None], 50.6))

    def test_one_of_another_set_does_not(self) -> None:
        shown = [Shown(msgspec.structs.replace(trailer(), members=1), 50.2)]
        self.assertFalse(complete(snapshot(), shown, 50.6))

    def test_what_is_new_adds_up_and_of_backlogs_the_greatest_counts(self) -> None:
        total = outstanding(snapshot(65_536, 131_072), [trailer(65_536, 65_536), trailer(0, 0)])
        self.assertEqual(total, (131_072, 131_072))


class AgendaTests(SynchronousTestCase):
    """What is due besides what members show."""

    def setUp(self) -> None:
        self.agenda = Agenda(random.Random(1))

    def test_without_anything_outstanding_nothing_is_due(self) -> None:
        self.assertEqual(self.agenda.due(0, 0, 100.0), 0)
        self.assertFalse(self.agenda.waiting)

    def test_a_round_is_for_what_is_new_and_what_is_lacking(self) -> None:
        self.assertEqual(self.agenda.due(7, 5, 100.0), 12)

    def test_a_round_of_return_has_the_least_length_whatever_is_outstanding(self) -> None:
        self.agenda.returned = 90
        self.assertEqual(self.agenda.due(0, 0, 100.0), padme.FLOOR)
        self.assertEqual(self.agenda.due(1 << 30, 0, 100.0), padme.FLOOR)

    def test_a_return_is_followed_by_one_round(self) -> None:
        self.agenda.returned = 90
        self.agenda.started(90)
        self.assertFalse(self.agenda.waiting)

    def test_for_a_minute_there_are_newcomers(self) -> None:
        self.assertFalse(self.agenda.newcomers(90))
        self.agenda.disturbed(90)
        self.assertTrue(self.agenda.newcomers(90))
        self.assertTrue(self.agenda.newcomers(90 + CALM - 1))
        self.assertFalse(self.agenda.newcomers(90 + CALM))

    def test_but_not_for_years_in_another_flock_time(self) -> None:
        self.agenda.disturbed(1_000_000)
        self.assertFalse(self.agenda.newcomers(90))

    def test_a_boundary_before_a_return_or_before_the_last_stop_calls_no_round(self) -> None:
        self.agenda.returned, self.agenda.earliest = 90, 80
        self.assertEqual([self.agenda.allows(slot) for slot in (85, 90)], [False, True])
        self.agenda.returned, self.agenda.earliest = 70, 80
        self.assertEqual([self.agenda.allows(slot) for slot in (79, 80)], [False, True])

    def test_a_round_that_began_before_a_return_is_not_it(self) -> None:
        self.agenda.returned = 90
        self.agenda.started(89)
        self.assertTrue(self.agenda.waiting)

    def test_after_a_loss_nothing_happens_for_a_second_at_least(self) -> None:
        self.agenda.lost(1 << 20, 100.0)
        self.assertEqual(self.agenda.due(5000, 5000, 101.0), 0)

    def test_then_the_planned_remainder_is_due_needed_or_not(self) -> None:
        self.agenda.lost(1 << 20, 100.0)
        self.assertEqual(self.agenda.due(0, 0, 105.0), 1 << 20)
        self.assertEqual(self.agenda.due(0, 1 << 19, 105.0), 1 << 20)
        self.assertEqual(self.agenda.due(5000, 0, 105.0), 5000 + (1 << 20))

    def test_one_round_follows(self) -> None:
        self.agenda.lost(1 << 20, 100.0)
        self.agenda.started(300)
        self.assertEqual(self.agenda.due(0, 0, 105.0), 0)

    def test_a_round_of_return_does_not_replace_it(self) -> None:
        self.agenda.lost(1 << 20, 100.0)
        self.agenda.returned = 290
        self.agenda.started(300)
        self.assertEqual(self.agenda.due(0, 0, 105.0), 1 << 20)

    def test_delays_differ(self) -> None:
        due = []
        for _ in range(20):
            self.agenda.lost(0, 0.0)
            due.append(next(t for t in range(60) if self.agenda.due(0, 0, t / 10)))
        self.assertGreaterEqual(min(due), 10)
        self.assertLessEqual(max(due), 50)
        self.assertGreater(len(set(due)), 10)

    def test_one_who_does_not_lead_forgets_after_ten_seconds(self) -> None:
        self.agenda.lost(0, 100.0)
        self.agenda.returned = 90
        self.agenda.expire(100, 105.0)
        self.assertTrue(self.agenda.waiting)
        self.agenda.expire(111, 116.0)
        self.assertFalse(self.agenda.waiting)
