# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.timers}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.timers import Timers


class TimersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.called: list[tuple[str, float]] = []

    def later(self, delay: float, what: str, again: bool = False) -> None:
        self.timers.later("name", delay, self.call, what, again=again)

    def call(self, what: str) -> None:
        self.called.append((what, self.clock.seconds()))

    def test_of_one_name_the_earlier_stays(self) -> None:
        self.later(5, "first")
        self.later(7, "later")
        self.later(3, "earlier")
        self.clock.pump([1] * 10)
        self.assertEqual(self.called, [("earlier", 3)])

    def test_again_puts_it_off(self) -> None:
        self.later(5, "first")
        self.clock.advance(4)
        self.later(5, "second", again=True)
        self.clock.pump([1] * 10)
        self.assertEqual(self.called, [("second", 9)])

    def test_after_a_call_there_can_be_another(self) -> None:
        self.later(1, "first")
        self.clock.advance(1)
        self.later(1, "second")
        self.clock.advance(1)
        self.assertEqual(self.called, [("first", 1), ("second", 2)])

    def test_names_do_not_touch_each_other(self) -> None:
        self.later(2, "one")
        self.timers.later("other", 1, self.call, "two")
        self.clock.pump([1] * 3)
        self.assertEqual(self.called, [("two", 1), ("one", 2)])

    def test_nothing_is_called_after_the_stop(self) -> None:
        self.later(2, "before")
        self.timers.stop()
        self.later(2, "after")
        self.timers.stop()
        self.clock.pump([1] * 5)
        self.assertEqual((self.called, self.clock.getDelayedCalls()), ([], []))
