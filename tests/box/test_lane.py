# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.lane}: with the real reactor and a real thread.
"""

from __future__ import annotations

from threading import Event

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocknode.box.lane import Lane, Stopped


class LaneTests(TestCase):
    """Of it."""

    def setUp(self) -> None:
        self.lane = Lane(reactor, "test")
        self.lane.start()
        self.done: list[int] = []

    async def stop(self) -> None:
        """End it, and note that."""
        await self.lane.stop(lambda: self.done.append(0))

    async def test_one_after_the_other_is_done(self) -> None:
        asked = [self.lane.do(self.done.append, number) for number in (1, 2, 3)]
        for each in asked:
            await each
        await self.stop()
        self.assertEqual(self.done, [1, 2, 3, 0])

    async def test_what_was_not_begun_before_the_stop_is_not_done(self) -> None:
        begun, go_on = Event(), Event()

        def wait() -> bool:
            begun.set()
            go_on.wait()
            return self.lane.cancelled()

        first, second = self.lane.do(wait), self.lane.do(self.done.append, 2)
        begun.wait()
        stopping = Deferred.fromCoroutine(self.stop())
        go_on.set()
        self.assertTrue(await first)
        await self.assertFailure(second, Stopped)
        await stopping
        self.assertEqual(self.done, [0])

    async def test_whoever_asks_after_the_end_is_told_so(self) -> None:
        await self.stop()
        await self.assertFailure(self.lane.do(self.done.append, 1), Stopped)
        self.assertEqual(self.done, [0])
