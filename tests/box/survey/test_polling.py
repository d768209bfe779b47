# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.polling}, in virtual time.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.survey.polling import LATEST, SHARE, SOONEST, Poller


class PollerTests(SynchronousTestCase):
    """
    @ivar looks: when each look began.
    @ivar cost: seconds that each takes.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[float] = []
        self.cost = 0.0
        self.poller = Poller(self.clock, self._scan)

    def _scan(self) -> Deferred[None]:
        self.looks.append(self.clock.seconds())
        done: Deferred[None] = Deferred()
        self.clock.callLater(self.cost, done.callback, None)
        return done

    def run_for(self, seconds: float) -> None:
        """In small steps."""
        self.clock.pump([0.01] * round(seconds * 100))

    def test_a_cheap_folder_is_looked_at_every_two_seconds(self) -> None:
        self.poller.start()
        self.run_for(10.1)
        self.assertEqual(len(self.looks), 5)

    def test_looking_takes_no_more_than_its_share_of_the_time(self) -> None:
        self.cost = 0.1
        self.poller.start()
        self.run_for(200)
        before = len(self.looks)
        self.run_for(1000)
        self.assertLessEqual((len(self.looks) - before) * self.cost, 1000 / SHARE + self.cost)
        self.assertGreaterEqual(len(self.looks) - before, 40)

    def test_one_look_that_takes_long_only_doubles_the_interval(self) -> None:
        self.cost = 100.0
        self.poller.start()
        self.run_for(SOONEST + 1)
        self.cost = 0.0
        self.run_for(100)
        self.assertEqual((len(self.looks), self.poller.interval), (1, 2 * SOONEST))
        self.run_for(2 * SOONEST)
        self.assertEqual((len(self.looks), self.poller.interval), (2, SOONEST))

    def test_the_interval_has_an_end(self) -> None:
        self.cost = 1000.0
        self.poller.start()
        for _ in range(20):
            self.clock.advance(LATEST)
            self.clock.advance(1000.0)
        self.assertEqual(self.poller.interval, LATEST)

    def test_nothing_begins_before_the_last_look_is_over(self) -> None:
        self.cost = 60.0
        self.poller.start()
        self.run_for(50)
        self.assertEqual(len(self.looks), 1)

    def test_after_stopping_no_look_begins(self) -> None:
        self.poller.start()
        self.poller.stop()
        self.poller.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.cost = 1.0
        self.poller.start()
        self.run_for(2.5)
        self.poller.stop()
        self.run_for(100)
        self.assertEqual(len(self.looks), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_starting_twice_is_starting_once(self) -> None:
        self.poller.start()
        self.poller.start()
        self.run_for(2.1)
        self.assertEqual(len(self.looks), 1)

    def test_a_start_while_an_old_look_goes_on_does_not_double_the_looks(self) -> None:
        self.cost = 3.0
        self.poller.start()
        self.run_for(2.5)
        self.poller.stop()
        self.cost = 0.0
        self.poller.start()
        self.run_for(10)
        self.assertLessEqual(len(self.looks), 6)

    def test_a_look_that_fails_is_followed_by_others(self) -> None:
        def fails() -> Deferred[None]:
            self.looks.append(self.clock.seconds())
            done: Deferred[None] = Deferred()
            done.errback(ZeroDivisionError())
            return done

        poller = Poller(self.clock, fails)
        poller.start()
        self.run_for(4.1)
        poller.stop()
        self.assertEqual(len(self.looks), 2)
