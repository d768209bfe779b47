# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.simulation.invariants}.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.heartbeat import Trailer
from flocknode.flock.interfaces import FlockState
from flocknode.simulation.invariants import AGREE, FRAMES, STOPS, TIMELY, Patrol, check_traffic
from flocknode.simulation.witness import RoundSeen, Witness


def trailer(members: int) -> Trailer:
    """Of who takes part with those that this stands for."""
    return Trailer(0, 1, 0, bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, members)


class Traffic(SynchronousTestCase):
    """What left is looked at in the end."""

    def setUp(self) -> None:
        self.witness = Witness()

    def found(self, calm: bool = True) -> list[str]:
        """The names of invariants that do not hold."""
        return [breach.invariant for breach in check_traffic(self.witness, 2, calm)]

    def test_rounds_that_stop_at_different_slots_are_found(self) -> None:
        self.witness.rounds[7] = RoundSeen(stops={1: 20, 2: 20})
        self.witness.rounds[9] = RoundSeen(stops={1: 30, 2: 31})
        self.assertEqual(self.found(), [STOPS])

    def test_a_link_that_carried_less_is_found(self) -> None:
        self.witness.counts = {(7, 20, 1): Counter({29: 1, 28: 1})}
        self.assertIn(FRAMES, self.found())

    def test_a_link_that_carried_nothing_is_found(self) -> None:
        self.witness.counts = {(7, 20, 1): Counter({29: 1})}
        self.assertEqual(self.found(), [FRAMES])

    def test_a_node_that_sends_less_than_others_is_found_if_nothing_explains_it(self) -> None:
        self.witness.counts = {(7, 20, 1): Counter({29: 2}), (7, 20, 2): Counter({27: 2})}
        self.assertEqual(self.found(), [FRAMES])
        self.assertEqual(self.found(calm=False), [])

    def test_what_a_full_queue_or_a_crash_explains_is_no_breach(self) -> None:
        self.witness.counts = {(7, 20, 1): Counter({29: 1, 28: 1}), (7, 20, 2): Counter({29: 2})}
        self.witness.hindered.add((20, 1))
        self.assertEqual(self.found(), [])


class States(SynchronousTestCase):
    """Members are looked at all the time."""

    def setUp(self) -> None:
        self.witness = Witness()
        self.patrol = Patrol(self.witness)

    def watch(self, seconds: float, **states: FlockState) -> list[str]:
        """The names of invariants that do not hold after so long."""
        by_number = {int(name[1:]): state for name, state in states.items()}
        for quarter in range(int(4 * seconds) + 1):
            self.patrol.look(quarter / 4, by_number)
        return [breach.invariant for breach in self.patrol.breaches]

    def test_members_that_disagree_for_longer_than_two_seconds_are_found(self) -> None:
        self.witness.shown = {1: trailer(5), 2: trailer(5)}
        states = {"n1": FlockState(114, round_id=7), "n2": FlockState()}
        self.assertEqual(self.watch(2.0, **states), [])
        self.assertEqual(self.watch(2.5, **states), [AGREE])

    def test_members_that_do_not_take_part_with_each_other_may_disagree(self) -> None:
        self.witness.shown = {1: trailer(5), 2: trailer(6)}
        states = {"n1": FlockState(114, round_id=7), "n2": FlockState()}
        self.assertEqual(self.watch(5.0, **states), [])

    def test_an_announcement_that_is_never_taken_back_is_found(self) -> None:
        self.assertEqual(self.watch(11.0, n1=FlockState(124)), [])
        self.assertEqual(self.watch(11.5, n1=FlockState(124)), [TIMELY])

    def test_a_round_that_lasts_much_longer_than_planned_is_found(self) -> None:
        self.witness.rounds[7] = RoundSeen(budget=100_000)
        state = FlockState(114, round_id=7, step=0)
        self.assertEqual(self.watch(10.0, n1=state), [])
        self.assertEqual(self.watch(30.0, n1=state), [TIMELY])

    def test_idleness_may_last(self) -> None:
        self.assertEqual(self.watch(100.0, n1=FlockState()), [])
