# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.leading}."""

from __future__ import annotations

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.heartbeat import Trailer
from flocknode.flock.intake import ENOUGH
from flocknode.flock.interfaces import MemberId
from flocknode.flock.leading import Leading
from flocknode.flock.link import Outgoing
from flocknode.flock.members import Member
from flocknode.flock.rate import (
    BURST_EVERY,
    MARGIN,
    UNMEASURED,
    Steps,
    frame_size,
    frames_per_slot,
)
from tests.flock.support import IDS

ME, ANNA, BERT = IDS[:3]
BURST = 10 * BURST_EVERY
START = BURST - 6
TRAILER = Trailer(0, 0, 0, bytes(16), 0, 0, 40, 0, 80, 0, 0, 0, 0)


@attrs.frozen
class Running:
    """A round that is on."""

    id: int = START
    start_slot: int = START
    octave: int = 0
    stop_slot: int | None = None
    members: tuple[MemberId, ...] = (ANNA, BERT)


class LeadingTests(SynchronousTestCase):
    """What is reported, and what is made of reports."""

    def setUp(self) -> None:
        self.members = {m: Member(m, Outgoing(m, 1)) for m in (ANNA, BERT)}
        self.steps = Steps(80)
        self.leading = Leading(ME, self.members, self.steps)

    def send(self, member: MemberId, slot: int, frames: int, seconds: float) -> None:
        """So many frames come in a slot, the first half within so many seconds."""
        half = frames_per_slot(40) // 2
        for number in range(frames):
            share = number / (half - 1) if number < half else 2.0
            self.members[member].frame(slot, 0.01 + seconds * share, frame_size(40))

    def before(self, slot: int) -> None:
        """The last slots brought all that was due."""
        self.steps.decide(START, 40)
        for member in (ANNA, BERT):
            for earlier in range(slot - ENOUGH, slot):
                self.send(member, earlier, frames_per_slot(40), 0.2)

    def test_what_all_links_delivered_is_reported(self) -> None:
        self.before(BURST + 3)
        due = frames_per_slot(40)
        self.send(ANNA, BURST + 3, due, 0.2)
        self.send(BERT, BURST + 3, due // 2 + 1, 0.2)
        self.assertEqual(self.leading.delivered(BURST + 3, Running()), 24)
        self.assertEqual(self.leading.delivered(BURST + 2, Running()), 40)

    def test_frames_that_come_a_slot_late_are_not_missing(self) -> None:
        self.before(BURST + 3)
        for member in (ANNA, BERT):
            for number in range(frames_per_slot(40)):
                self.members[member].frame(BURST + 3, 0.51 + 0.01 * number, frame_size(40))
            self.members[member].frame(BURST + 4, 0.49, frame_size(40))
        self.assertEqual(self.leading.delivered(BURST + 4, Running()), 40)
        for member in (ANNA, BERT):
            self.members[member].frame(BURST + 5, 0.49, frame_size(40))
        self.assertLess(self.leading.delivered(BURST + 5, Running()), 20)

    def test_and_of_a_burst_what_they_could_have(self) -> None:
        self.before(BURST)
        due = frames_per_slot(40)
        self.send(ANNA, BURST, due, 0.1)
        self.send(BERT, BURST, due, 0.16)
        self.assertEqual(self.leading.delivered(BURST, Running()), 48 - MARGIN)

    def test_before_a_round_there_is_nothing_to_report(self) -> None:
        self.assertEqual(self.leading.delivered(START - 1, Running()), UNMEASURED)
        self.assertEqual(self.leading.delivered(START, None), UNMEASURED)

    def decided(self, anna: int, bert: int, slot: int = BURST) -> int:
        """@return: the step, if they report these, and this node has seen room."""
        self.before(BURST)
        for member, delivered in ((ANNA, anna), (BERT, bert)):
            self.send(member, BURST, frames_per_slot(40), 0.1)
            self.members[member].trailer = msgspec.structs.replace(
                TRAILER, slot=slot + 1, delivered=delivered
            )
        self.leading.boundary(BURST + 2, (ME, ANNA, BERT), Running())
        return self.steps.at(BURST + 4)

    def test_the_step_rises_to_the_least_that_anybody_could_have_carried(self) -> None:
        self.assertEqual(self.decided(56, 50), 50)

    def test_but_not_if_somebody_does_not_say(self) -> None:
        self.assertEqual(self.decided(56, UNMEASURED), 40)

    def test_nor_by_what_they_said_of_another_slot(self) -> None:
        self.assertEqual(self.decided(56, 56, BURST - 1), 40)

    def test_whose_uplink_is_the_limit_if_any_is(self) -> None:
        for anna, bert, least in ((80, 90, ME), (60, 50, BERT), (90, 70, BERT), (90, 90, ME)):
            for member, uplink in ((ANNA, anna), (BERT, bert)):
                self.members[member].trailer = msgspec.structs.replace(TRAILER, uplink=uplink)
            for alive in ((ANNA, BERT, ME), (ME, ANNA, BERT)):
                self.leading.boundary(BURST, alive, None)
                self.assertEqual(self.leading.narrowest(BURST), least)
        self.steps.decide(BURST + 9, 40)
        self.assertIsNone(self.leading.narrowest(BURST + 9))
