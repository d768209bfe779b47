# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.upkeep}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.core import Core
from flocknode.box.timers import Timers
from flocknode.box.upkeep import BETWEEN, FIRST, FORGETTING, Upkeep


class FakeCore:
    """
    @ivar slices: in how many slices everything is forgotten.
    """

    slices = 3

    def __init__(self) -> None:
        self.forgot = 0

    def forget(self) -> bool:
        self.forgot += 1
        return self.forgot % self.slices != 0


class UpkeepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.core = FakeCore()
        self.failures: list[Failure] = []
        self.works = True
        timers = Timers(self.clock)
        self.addCleanup(timers.stop)
        Upkeep(timers, cast(Core, self.core), self.ask, self.failures.append).start()

    def ask(self, work: Callable[[], Any]) -> Deferred[Any]:
        return succeed(work()) if self.works else fail(OSError())

    def test_once_a_day_all_slices_are_forgotten_with_pauses(self) -> None:
        self.clock.advance(FIRST)
        self.assertEqual(self.core.forgot, 1)
        self.clock.pump([BETWEEN] * 10)
        self.assertEqual(self.core.forgot, 3)
        self.clock.advance(FORGETTING)
        self.clock.pump([BETWEEN] * 10)
        self.assertEqual(self.core.forgot, 6)

    def test_what_fails_is_tried_again(self) -> None:
        self.works = False
        self.clock.advance(FIRST)
        self.assertEqual(len(self.failures), 1)
        self.works = True
        self.clock.advance(FORGETTING)
        self.assertEqual(self.core.forgot, 1)
