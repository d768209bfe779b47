# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.turns}.
"""

from __future__ import annotations

import random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Path
from flocknode.forban.fetch.turns import (
    AGAIN,
    FILES,
    FIRST_WAIT,
    LAST_WAIT,
    LATEST,
    OURS,
    SOONEST,
    Failed,
    Outcome,
    Turns,
)

FINE = Outcome(fetched=3)
BAD = Outcome(error="It does not answer.")


class TurnsTests(SynchronousTestCase):
    """Whose turn it is."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock.seconds, random.Random(1))

    def test_whoever_has_something_new_is_drawn_once(self) -> None:
        for uuid in "abc":
            self.turns.add(uuid)
        drawn = {self.turns.draw(()) for _ in range(3)}
        self.assertEqual(drawn, {"a", "b", "c"})
        self.assertIsNone(self.turns.draw(()))
        self.assertIsNone(self.turns.next(()))

    def test_chance_says_who_comes_first(self) -> None:
        first = set()
        for _ in range(50):
            for uuid in "abc":
                self.turns.add(uuid)
            first.add(self.turns.draw(()))
        self.assertEqual(first, {"a", "b", "c"})

    def test_who_is_being_visited_is_not_drawn(self) -> None:
        self.turns.add("a")
        self.assertIsNone(self.turns.draw({"a"}))
        self.assertEqual(self.turns.waiting({"a"}), [])
        self.assertIsNone(self.turns.next({"a"}))
        self.assertEqual(self.turns.draw(()), "a")

    def test_who_gave_all_is_not_visited_again_until_something_is_new(self) -> None:
        self.turns.add("a")
        self.turns.draw(())
        self.turns.came_of("a", FINE)
        self.clock.advance(10**6)
        self.assertIsNone(self.turns.draw(()))
        self.turns.add("a")
        self.assertEqual(self.turns.draw(()), "a")

    def test_who_has_something_new_during_a_visit_is_visited_again(self) -> None:
        self.turns.add("a")
        self.turns.draw(())
        self.turns.add("a")
        self.turns.came_of("a", FINE)
        self.assertEqual(self.turns.draw(()), "a")

    def test_who_fails_is_left_alone_for_longer_each_time(self) -> None:
        self.turns.add("a")
        wait = SOONEST
        for _ in range(12):
            self.assertEqual(self.turns.draw(()), "a")
            self.turns.came_of("a", BAD)
            # Something new is no way around it.
            self.turns.add("a")
            self.assertEqual(self.turns.next(()), wait)
            (status,) = self.turns.status(())
            said = (status.state, status.wait, status.error)
            self.assertEqual(said, ("left alone", wait, BAD.error))
            self.assertIsNone(self.turns.draw(()))
            self.clock.advance(wait)
            wait = min(2 * wait, LATEST)
        self.assertEqual(wait, LATEST)
        self.turns.draw(())
        self.turns.came_of("a", FINE)
        self.assertEqual(self.turns.status(()), [])
        self.turns.add("a")
        self.turns.draw(())
        self.turns.came_of("a", BAD)
        self.assertEqual(self.turns.next(()), SOONEST)

    def test_who_has_something_left_is_visited_later(self) -> None:
        for outcome, wait in [
            (Outcome(more=True), AGAIN),
            (Outcome(more=True, cut=True), SOONEST),
            (Outcome(error="The disk is full.", is_ours=True, more=True), OURS),
        ]:
            self.turns.add("a")
            self.turns.draw(())
            self.turns.came_of("a", outcome)
            self.assertEqual(self.turns.next(()), wait)
            (status,) = self.turns.status(())
            self.assertEqual(status.error, "")

    def test_who_is_gone_is_forgotten(self) -> None:
        self.turns.add("a")
        self.turns.add("b")
        self.turns.keep(lambda uuid: uuid == "b")
        self.turns.came_of("a", FINE)
        self.assertEqual([status.uuid for status in self.turns.status({"b"})], ["b"])


class FailedTests(SynchronousTestCase):
    """Files that did not come."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.failed = Failed(self.clock.seconds)

    def test_a_file_waits_for_longer_each_time(self) -> None:
        path = Path(b"a")
        wait = FIRST_WAIT
        for _ in range(15):
            self.failed.add(path)
            self.clock.advance(wait - 1)
            self.assertTrue(self.failed.waits(path))
            self.clock.advance(1)
            self.assertFalse(self.failed.waits(path))
            wait = min(2 * wait, LAST_WAIT)
        self.failed.came(path)
        self.failed.came(path)
        self.failed.add(path)
        self.clock.advance(FIRST_WAIT)
        self.assertFalse(self.failed.waits(path))

    def test_only_so_many_are_remembered(self) -> None:
        for number in range(FILES + 5):
            self.failed.add(Path(b"%d" % number))
        self.assertEqual(len(self.failed), FILES)
        self.assertFalse(self.failed.waits(Path(b"0")))
        self.assertTrue(self.failed.waits(Path(b"%d" % (FILES + 4))))
