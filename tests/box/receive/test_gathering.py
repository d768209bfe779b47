# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.gathering}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.receive.gathering import Gathering
from flocknode.box.settings import BoxSettings

SETTINGS = BoxSettings(batch=10, gather=3.0)


def part(**values: object) -> Any:
    """What looks like a part of the planner as far as is asked here."""
    return SimpleNamespace(**values)


class GatheringTests(SynchronousTestCase):
    """A few things together, but nothing for long."""

    def setUp(self) -> None:
        self.tasks = part(ready=0, only_last=False)
        self.wants = part(needs={"a block": 1})
        self.seeker = part(seeking=False, unsaved=0)
        self.deletions = part(due=lambda now: now)
        self.gathering = Gathering(
            self.tasks, self.wants, self.seeker, self.deletions, SETTINGS
        )

    def test_nothing_is_never_due(self) -> None:
        self.assertIsNone(self.gathering.place_at(1.0))
        self.assertIsNone(self.gathering.save_at(1.0))

    def test_a_file_waits_for_others_that_are_on_their_way(self) -> None:
        self.tasks.ready = 1
        self.assertEqual(self.gathering.place_at(1.0), 4.0)
        self.tasks.ready = 2
        self.assertEqual(self.gathering.place_at(2.0), 4.0)

    def test_a_full_batch_does_not_wait(self) -> None:
        self.tasks.ready = 10
        self.assertEqual(self.gathering.place_at(1.0), 1.0)

    def test_the_last_file_does_not_wait(self) -> None:
        self.tasks.ready = 1
        self.wants.needs = {}
        self.assertEqual(self.gathering.place_at(1.0), 1.0)

    def test_what_could_not_be_placed_is_not_tried_again_at_once(self) -> None:
        self.tasks.ready = 10
        self.gathering.place_at(1.0)
        self.gathering.placing()
        self.gathering.placed(False)
        self.assertEqual(self.gathering.place_at(2.0), 5.0)
        self.gathering.placed(True)
        self.assertEqual(self.gathering.place_at(2.5), 2.5)

    def test_what_comes_after_a_batch_waits_anew(self) -> None:
        self.tasks.ready = 1
        self.gathering.place_at(1.0)
        self.gathering.placing()
        self.gathering.placed(True)
        self.assertEqual(self.gathering.place_at(3.5), 6.5)

    def test_deletions_alone_wait_for_their_wave(self) -> None:
        self.tasks.ready, self.tasks.only_last = 10, True
        self.deletions.due = lambda now: 7.0
        self.assertEqual(self.gathering.place_at(1.0), 7.0)

    def test_block_lists_are_written_down_together(self) -> None:
        self.seeker.unsaved = 1
        self.assertEqual(self.gathering.save_at(1.0), 4.0)
        self.assertEqual(self.gathering.save_at(2.0), 4.0)
        self.seeker.unsaved = 0
        self.gathering.save_at(3.0)
        self.seeker.unsaved = 1
        self.assertEqual(self.gathering.save_at(3.5), 6.5)
