# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.owing}.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.ceremony import CALM, FOLLOW_UP, Agenda
from flocknode.flock.interfaces import MemberId
from flocknode.flock.link import Outgoing
from flocknode.flock.members import Member
from flocknode.flock.owing import Owing
from flocknode.flock.rate import Steps, slot_payload
from flocknode.flock.rounds import EXTRA_SLOTS, Round, link_payload
from tests.flock.support import IDS

A, B, C = IDS[:3]
SIGMA = 1 << 20
STOP = 55.0
"""Seconds at which the round stops."""
LONG = FOLLOW_UP[1] + 1.0


def a_round(slots: int = 4, members: Collection[MemberId] = (B, C)) -> Round:
    """With these; it has sent for so many slots."""
    current = Round(
        id=100,
        start_slot=102,
        start_at=51.0,
        offset=0.0,
        stop_offset=0.0,
        leading=True,
        members=set(members),
        counted=0,
        leader_heard=50.0,
        sigma=SIGMA,
        payload=8 * slot_payload(40),
        started=True,
    )
    for slot in range(102, 102 + slots):
        current.enter(slot, Steps(40))
    return current


def member(heard: float) -> Member:
    """B, last heard then."""
    return Member(B, Outgoing(B, 1), heard=heard)


class OwingTests(SynchronousTestCase):
    """As A sees it."""

    def setUp(self) -> None:
        self.agenda = Agenda(random.Random(1))
        self.owing = Owing(self.agenda)

    def due(self, now: float) -> int:
        """For how many bytes a round is due, if nobody shows anything."""
        return self.agenda.due(0, 0, now)

    def test_who_was_lost_in_a_round_is_owed_all_of_it_once_he_is_back(self) -> None:
        self.owing.lost(member(52.0), a_round(), 106, 53.0)
        self.assertGreaterEqual(self.owing.most((A, B, C)), SIGMA)
        self.assertEqual(self.owing.most((A, C)), 0)

    def test_a_round_that_was_given_up_is_followed_by_another(self) -> None:
        current = a_round()
        current.give_up(106)
        self.owing.stopped(current, STOP, STOP)
        self.assertEqual(self.due(STOP), 0)
        self.assertGreaterEqual(self.due(STOP + LONG), SIGMA)

    def test_silent_before_the_stop_is_lost_in_that_round(self) -> None:
        self.owing.stopped(a_round(), STOP, STOP)
        self.assertEqual(self.due(STOP + LONG), 0)
        self.owing.lost(member(STOP - 0.1), None, 111, STOP + 1.9)
        self.assertGreaterEqual(self.owing.most((A, B)), SIGMA)
        self.assertGreaterEqual(self.due(STOP + LONG + 2), SIGMA)

    def test_silent_after_the_stop_is_owed_nothing(self) -> None:
        self.owing.stopped(a_round(), STOP, STOP)
        self.owing.lost(member(STOP + 0.1), None, 111, STOP + 2.1)
        self.assertEqual(self.owing.most((A, B)), 0)
        self.assertEqual(self.due(STOP + LONG + 2), 0)

    def test_a_round_with_him_that_is_long_enough_settles_it(self) -> None:
        self.owing.lost(member(52.0), a_round(), 106, 53.0)
        owed = self.owing.most((B,))
        slots = math.ceil(link_payload(owed, 3) / slot_payload(40))
        self.owing.passed(a_round(slots + EXTRA_SLOTS - 1))
        self.assertEqual(self.owing.most((B,)), owed)
        joined = a_round(slots + EXTRA_SLOTS, {C})
        joined.members.add(B)
        self.owing.passed(joined)
        self.assertEqual(self.owing.most((B,)), owed)
        self.owing.passed(a_round(slots + EXTRA_SLOTS))
        self.assertEqual(self.owing.most((B,)), 0)

    def test_who_was_away_himself_forgets_but_knows_that_there_may_be_doubts(self) -> None:
        self.owing.lost(member(52.0), a_round(), 106, 53.0)
        self.owing.returned(200)
        self.assertEqual(self.owing.most((A, B, C)), 0)
        self.assertTrue(self.owing.doubts((B, C), 200 + CALM - 1))
        self.assertFalse(self.owing.doubts((B, C), 200 + CALM))

    def test_at_first_there_is_no_doubt(self) -> None:
        self.assertFalse(self.owing.doubts((B, C), 1))

    def test_after_a_loss_there_is_for_a_minute(self) -> None:
        self.owing.lost(member(52.0), a_round(), 106, 53.0)
        self.assertTrue(self.owing.doubts((C,), 106 + CALM - 1))
        self.assertFalse(self.owing.doubts((C,), 106 + CALM))

    def test_and_with_him_as_long_as_he_is_owed_something(self) -> None:
        self.owing.lost(member(52.0), a_round(), 106, 53.0)
        self.assertTrue(self.owing.doubts((B, C), 10_000))
