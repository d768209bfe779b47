# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.together} and L{flocknode.forban.ahead}.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import BoxError
from flocknode.forban.ahead import Ahead
from flocknode.forban.fetch.together import Together
from tests.forban.strategies import unhurried


class Work:
    """Done when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.waiting: list[Deferred[Sequence[int | Exception]]] = []

    def __call__(self, things: list[int]) -> Deferred[Sequence[int | Exception]]:
        self.batches.append(things)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def done(self) -> None:
        """The oldest batch is done: each gives its double, and odd ones over 10 fail."""
        self.waiting.pop(0).callback(
            [
                BoxError(str(thing)) if thing > 10 and thing % 2 else thing * 2
                for thing in self.batches[-1]
            ]
        )


class TogetherTests(SynchronousTestCase):
    """Doing things together."""

    def setUp(self) -> None:
        self.work = Work()
        self.together: Together[int, int] = Together(self.work, most=3, most_bytes=100)

    def test_the_first_is_done_at_once_and_what_comes_meanwhile_together(self) -> None:
        first, *others = [self.together.do(number) for number in range(4)]
        self.assertEqual(self.work.batches, [[0]])
        self.work.done()
        self.assertEqual(self.successResultOf(first), 0)
        self.assertEqual(self.work.batches[1:], [[1, 2, 3]])
        self.work.done()
        self.assertEqual([self.successResultOf(each) for each in others], [2, 4, 6])
        last = self.together.do(5)
        self.work.done()
        self.assertEqual(self.successResultOf(last), 10)

    def test_each_fails_alone(self) -> None:
        found = [self.together.do(number) for number in (0, 11, 12)]
        self.work.done()
        self.work.done()
        self.failureResultOf(found[1], BoxError)
        self.assertEqual(self.successResultOf(found[2]), 24)

    def test_all_fail_if_it_cannot_be_done_and_the_next_are_tried(self) -> None:
        found = [self.together.do(number) for number in (0, 1, 2)]
        self.work.done()
        self.work.waiting.pop().errback(BoxError("away"))
        for each in found[1:]:
            self.failureResultOf(each, BoxError)
        again = self.together.do(3)
        self.work.done()
        self.assertEqual(self.successResultOf(again), 6)

    def test_bytes_bound_what_is_done_together_but_one_alone_may_have_more(self) -> None:
        for size in (1, 60, 40, 60, 500):
            self.together.do(size, size)
        while self.work.waiting:
            self.work.done()
        self.assertEqual(self.work.batches, [[1], [60, 40], [60], [500]])

    @unhurried
    @given(st.lists(st.integers(-5, 9), max_size=30))
    def test_everything_is_done_once_and_in_order(self, steps: list[int]) -> None:
        # What is below zero stands for the end of a batch.
        work = Work()
        together: Together[int, int] = Together(work, most=3)
        for step in steps:
            if step >= 0:
                together.do(step)
            elif work.waiting:
                work.done()
        while work.waiting:
            work.done()
        self.assertEqual(
            [thing for batch in work.batches for thing in batch],
            [step for step in steps if step >= 0],
        )
        self.assertLessEqual(max(map(len, work.batches), default=0), 3)


class AheadTests(SynchronousTestCase):
    """Going on."""

    def setUp(self) -> None:
        self.ahead = Ahead(most=3, most_bytes=100)
        self.finishing: list[Deferred[None]] = []

    def add(self, size: int = 1) -> Deferred[None]:
        self.finishing.append(Deferred())
        return Deferred.fromCoroutine(self.ahead.add(self.finishing[-1], size))

    def test_it_is_gone_on_with_until_too_much_is_being_finished(self) -> None:
        self.successResultOf(self.add())
        self.successResultOf(self.add())
        third = self.add()
        self.assertNoResult(third)
        self.finishing[1].callback(None)
        self.successResultOf(third)

    def test_bytes_count(self) -> None:
        large = self.add(100)
        self.assertNoResult(large)
        self.finishing[0].callback(None)
        self.successResultOf(large)

    def test_all_is_waited_for_also_what_fails(self) -> None:
        self.add()
        self.add()
        ended = Deferred.fromCoroutine(self.ahead.all())
        self.finishing[0].errback(BoxError("Nobody looked for it."))
        self.assertNoResult(ended)
        self.finishing[1].callback(None)
        self.successResultOf(ended)
        self.assertEqual(len(self.flushLoggedErrors(BoxError)), 1)
