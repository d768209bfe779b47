# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.timer}.
"""

from __future__ import annotations

import os
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.wire.timer import EARLY, MODEST, WATCHING, Alarm, PunctualReactor, go_first


class AlarmTests(SynchronousTestCase):
    """L{Alarm}."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[float] = []
        self.pace = 0.25
        self.alarm = Alarm(self.clock, self._due)

    def _due(self, now: float) -> float:
        self.calls.append(now)
        return now + self.pace

    def _wakes(self) -> list[float]:
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def test_it_calls_at_once_and_then_when_it_was_told(self) -> None:
        self.alarm.start()
        self.assertEqual(self.calls, [0.0])
        self.clock.advance(0.2499)
        self.assertEqual(self.calls, [0.0])
        self.clock.advance(0.0001)
        self.assertEqual(len(self.calls), 2)

    def test_it_wakes_early_and_then_for_the_rest(self) -> None:
        self.alarm.start()
        self.assertEqual(self._wakes(), [0.25 - EARLY])
        self.clock.advance(0.25 - EARLY)
        self.assertEqual(self.calls, [0.0])
        (wake,) = self._wakes()
        self.assertAlmostEqual(wake, 0.25)

    def test_a_short_pause_has_one_wake_up(self) -> None:
        self.pace = 2 * EARLY
        self.alarm.start()
        self.assertEqual(self._wakes(), [2 * EARLY])

    def test_it_wakes_before_the_time_and_watches_the_clock(self) -> None:
        self.alarm = Alarm(self.clock, self._due, lambda: WATCHING)
        self.pace = 2 * EARLY
        self.alarm.start()
        self.assertEqual(self._wakes(), [2 * EARLY - WATCHING])
        looks: list[float] = []

        def seconds() -> float:
            looks.append(self.clock.rightNow)
            self.clock.rightNow += WATCHING / 10
            return looks[-1]

        self.patch(self.clock, "seconds", seconds)
        self.clock.rightNow = 2 * EARLY - WATCHING
        self.alarm._wake()
        self.assertGreater(len(looks), 8)
        self.assertAlmostEqual(self.calls[-1], 2 * EARLY, delta=WATCHING / 10)

    def test_for_what_nobody_sees_it_sleeps_to_the_end(self) -> None:
        watching = [WATCHING, 0.0]
        self.alarm = Alarm(self.clock, self._due, watching.pop)
        self.pace = EARLY
        self.alarm.start()
        self.assertEqual(self._wakes(), [EARLY])
        self.clock.advance(EARLY)
        self.assertEqual(self._wakes(), [2 * EARLY - WATCHING])

    def test_what_is_overdue_is_called_as_soon_as_possible(self) -> None:
        self.pace = -1.0
        self.alarm.start()
        self.assertEqual(self._wakes(), [0.0])

    def test_checking_before_the_time_changes_nothing(self) -> None:
        self.alarm.start()
        self.alarm.check(0.2)
        self.assertEqual(self.calls, [0.0])
        self.assertEqual(self._wakes(), [0.25 - EARLY])

    def test_checking_at_the_time_calls_now_and_not_again(self) -> None:
        self.alarm.start()
        self.clock.advance(0.249)
        self.alarm.check(0.25)
        self.assertEqual(self.calls, [0.0, 0.25])
        self.clock.advance(0.002)
        self.assertEqual(self.calls, [0.0, 0.25])

    def test_hurrying_calls_now_and_counts_from_there(self) -> None:
        self.alarm.start()
        self.clock.advance(0.1)
        self.alarm.hurry(0.1)
        self.assertEqual(self.calls, [0.0, 0.1])
        self.assertEqual(self._wakes(), [0.1 + 0.25 - EARLY])

    def test_hurrying_before_the_start_does_nothing(self) -> None:
        self.alarm.hurry(0.1)
        self.assertEqual(self.calls, [])

    def test_checking_from_within_the_call_does_not_call_again(self) -> None:
        def due(now: float) -> float:
            self.calls.append(now)
            self.alarm.check(now + 10.0)
            self.alarm.hurry(now)
            return now + 1.0

        self.alarm = Alarm(self.clock, due)
        self.alarm.start()
        self.assertEqual(self.calls, [0.0])

    def test_stopping_ends_it(self) -> None:
        self.alarm.start()
        self.alarm.stop()
        self.clock.advance(10)
        self.assertEqual(self.calls, [0.0])
        self.assertEqual(self._wakes(), [])

    def test_stopping_from_within_the_call_ends_it(self) -> None:
        def due(now: float) -> float:
            self.alarm.stop()
            return now + 1.0

        self.alarm = Alarm(self.clock, due)
        self.alarm.start()
        self.assertEqual(self._wakes(), [])


class GoFirstTests(SynchronousTestCase):
    """L{go_first}."""

    def setUp(self) -> None:
        self.asked: list[object] = []
        self.patch(os, "sched_setscheduler", lambda *asked: self.asked.append(asked[:2]))

    def test_a_modest_process_goes_first(self) -> None:
        go_first(MODEST)
        self.assertEqual(self.asked, [(0, os.SCHED_RR)])

    def test_one_that_may_need_whole_cores_does_not(self) -> None:
        go_first(MODEST + 1)
        self.assertEqual(self.asked, [])

    def test_one_that_may_not_goes_on_as_it_is(self) -> None:
        def refuse(*asked: object) -> None:
            raise PermissionError

        self.patch(os, "sched_setscheduler", refuse)
        go_first(1)


class PunctualReactorTests(SynchronousTestCase):
    """L{PunctualReactor}."""

    def test_its_clock_is_the_monotonic_one(self) -> None:
        reactor = PunctualReactor()
        self.addCleanup(reactor.removeAll)
        before = time.monotonic()
        now = reactor.seconds()
        self.assertLessEqual(before, now)
        self.assertLessEqual(now, time.monotonic())
        call = reactor.callLater(5, lambda: None)
        self.assertTrue(now + 5 <= call.getTime() <= time.monotonic() + 5)
