# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.fsm} and L{flocknode.flock.transitions}."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.flock.fsm import MULTIWAY, TRANSITIONS, Machine
from flocknode.flock.status import HEARTBEAT_CODES, Input, Status
from flocknode.flock.transitions import SOLO

SPECIFIED = Path(__file__).resolve().parents[2].parent / "shared/flock/transitions-1.0.0.csv"

ANNOUNCING = (120, 124, 160, 164)
CORRECTED = {
    # Both codes of "timing elapsed".
    (134, 136): (114, 114),
    # What is gone to is also emitted.
    (125, 134): (135, 135),
    (171, 175): (175, 175),
    # 145 after 114, 147 after 116; 117 is done by both.
    (114, 145): (114, 114),
    (116, 117): (116, 116),
    (116, 147): (116, 116),
    (117, 147): (117, 117),
    # Two announce at once: heard from a lower id.
    **{
        (state, heard): (heard + 1, heard + 1)
        for state, heard in itertools.product(ANNOUNCING, ANNOUNCING)
    },
}
DROPPED = {(114, 140), (116, 140)}
"""Waited for in the specification where 145 and 147 are meant."""


def specified() -> dict[tuple[int, int], tuple[int, int]]:
    """The specification's table."""
    if not SPECIFIED.exists():
        raise SkipTest(f"{SPECIFIED} is not here")
    with SPECIFIED.open(newline="") as rows:
        return {
            (int(row["state"]), int(row["input"])): (
                int(row["next_state"]),
                int(row["heartbeat_or_frame"]),
            )
            for row in csv.DictReader(rows)
        }


class SpecificationTests(SynchronousTestCase):
    """The table of 1.0.0 is that of its specification."""

    def test_it_is_the_specification_with_exactly_the_documented_corrections(self) -> None:
        expected = {row: to for row, to in specified().items() if row not in DROPPED}
        self.assertEqual(SOLO, {**expected, **CORRECTED})

    def test_every_correction_corrects_something(self) -> None:
        table = specified()
        for row, to in CORRECTED.items():
            self.assertNotEqual(table.get(row), to)
        self.assertTrue(table.keys() >= DROPPED)

    def test_all_29_states_are_there(self) -> None:
        self.assertEqual({state for state, _ in specified()}, {state for state, _ in SOLO})
        self.assertEqual(len({state for state, _ in SOLO}), 29)


class TableTests(SynchronousTestCase):
    """The whole table is sound."""

    def test_flock_2_adds_rows_and_changes_none(self) -> None:
        self.assertFalse(SOLO.keys() & MULTIWAY.keys())
        self.assertEqual(len(TRANSITIONS), len(SOLO) + len(MULTIWAY))

    def test_flock_2_has_inputs_of_its_own(self) -> None:
        self.assertTrue(all(happened >= Input.LEAD for _, happened in MULTIWAY))
        self.assertTrue(all(happened < Input.LEAD for _, happened in SOLO))

    def test_every_state_that_can_be_reached_has_a_name_and_a_way_on(self) -> None:
        states = {state for state, _ in TRANSITIONS}
        for following, emitted in TRANSITIONS.values():
            self.assertIn(following, states)
            self.assertIn(Status(emitted), Status)

    def test_flock_2_shows_its_state(self) -> None:
        for following, emitted in MULTIWAY.values():
            self.assertEqual(following, emitted)
            self.assertIn(emitted, HEARTBEAT_CODES)

    def test_from_every_state_of_flock_2_there_is_a_way_back_to_idle(self) -> None:
        ways: dict[int, set[int]] = {}
        for (state, _), (following, _) in MULTIWAY.items():
            ways.setdefault(state, set()).add(following)
        for state in ways:
            seen, left = {state}, [state]
            while left:
                for following in ways[left.pop()] - seen:
                    seen.add(following)
                    left.append(following)
            self.assertIn(Status.READY, seen)


class MachineTests(SynchronousTestCase):
    """Walking the table."""

    def test_a_round_of_a_leader(self) -> None:
        machine = Machine()
        inputs = (Input.LEAD, Input.CALL, Input.START, Input.LAST, Input.STOP, Input.QUIET)
        shown = [machine.feed(happened) for happened in inputs]
        self.assertEqual(shown, [124, 134, 114, 155, 150, 100])

    def test_a_round_of_another(self) -> None:
        machine = Machine()
        inputs = (Input.FOLLOW, Input.CALLED, Input.START, Input.LEVEL, Input.MORE)
        shown = [machine.feed(happened) for happened in inputs]
        self.assertEqual(shown, [125, 135, 115, 145, 115])

    def test_who_is_done_with_a_round_takes_part_in_an_older_one_that_goes_on(self) -> None:
        machine = Machine(state=Status.RECEIVING_ALPHA)
        inputs = (Input.LAST, Input.YIELD, Input.LAST, Input.STOP)
        self.assertEqual([machine.feed(happened) for happened in inputs], [155, 115, 155, 150])

    def test_a_round_in_which_somebody_is_lost(self) -> None:
        machine = Machine(state=Status.RECEIVING_ALPHA)
        shown = [machine.feed(happened) for happened in (Input.LOSS, Input.STOP, Input.QUIET)]
        self.assertEqual(shown, [410, 150, 100])

    def test_a_round_of_1_0_0_with_one_file(self) -> None:
        machine = Machine()
        inputs = (300, 122, 132, 112, 142, 156)
        shown = [machine.feed(happened) for happened in inputs]
        self.assertEqual(shown, [120, 130, 110, 200, 155, 100])

    def test_what_is_not_listed_is_a_protocol_error_and_changes_nothing(self) -> None:
        machine = Machine()
        self.assertFalse(machine.accepts(Input.STOP))
        with self.assertRaises(ProtocolError):
            machine.feed(Input.STOP)
        self.assertEqual(machine.state, Status.READY)

    def test_each_transition_is_traced(self) -> None:
        traced: list[tuple[int, int, int]] = []
        machine = Machine(lambda *transition: traced.append(transition))
        machine.feed(Input.LEAD)
        machine.feed(Input.QUIET)
        self.assertEqual(traced, [(100, Input.LEAD, 124), (124, Input.QUIET, 100)])
