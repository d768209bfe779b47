# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.survey.settler}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.survey.settler import AFTER_CLOSE, LONGEST, QUIET, Settler
from flocknode.box.values import Path

A, B = Path(b"a"), Path(b"b")
MOMENT = 1e-6


class SettlerTests(SynchronousTestCase):
    """When files have come to rest."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.batches: list[tuple[float, frozenset[Path]]] = []
        self.settler = Settler(
            self.clock, lambda paths: self.batches.append((self.clock.seconds(), paths))
        )

    def assertSettlesAfter(self, seconds: float, *paths: Path) -> None:
        """These, then, and not earlier."""
        self.clock.advance(seconds - MOMENT)
        self.assertEqual(self.batches, [])
        self.clock.advance(2 * MOMENT)
        self.assertEqual([paths for _, paths in self.batches], [frozenset(paths)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aClosedFileSettlesSoon(self) -> None:
        self.settler.event(A)
        self.settler.event(A, closed=True)
        self.assertTrue(self.settler.waiting)
        self.assertSettlesAfter(AFTER_CLOSE, A)
        self.assertFalse(self.settler.waiting)

    def test_anythingElseSettlesAfterQuiet(self) -> None:
        self.settler.event(A)
        self.assertSettlesAfter(QUIET, A)

    def test_everyEventBeginsTheQuietAnew(self) -> None:
        for _ in range(5):
            self.settler.event(A)
            self.clock.advance(QUIET * 0.9)
        self.settler.event(A)
        self.assertSettlesAfter(QUIET, A)

    def test_anEventAfterTheCloseWaitsForQuietAgain(self) -> None:
        self.settler.event(A, closed=True)
        self.settler.event(A)
        self.assertSettlesAfter(QUIET, A)

    def test_aFileThatNeverRestsIsLookedAtAllTheSameAndAgain(self) -> None:
        for _ in range(110):
            self.settler.event(A)
            self.clock.advance(0.1)
        times = [time for time, _ in self.batches]
        self.assertEqual(len(times), 2)
        self.assertLess(abs(times[0] - LONGEST), 0.11)
        self.assertLess(abs(times[1] - 2 * LONGEST), 0.22)

    def test_whatSettlesTogetherIsOneBatch(self) -> None:
        self.settler.event(A)
        self.settler.event(B)
        self.assertSettlesAfter(QUIET, A, B)

    def test_oneThatSettlesDoesNotTakeTheOthersWithIt(self) -> None:
        self.settler.event(A)
        self.settler.event(B, closed=True)
        self.clock.advance(AFTER_CLOSE)
        self.assertEqual(self.batches, [(AFTER_CLOSE, frozenset((B,)))])
        self.clock.advance(QUIET - AFTER_CLOSE)
        self.assertEqual(self.batches[1:], [(QUIET, frozenset((A,)))])

    def test_whatSettledMayChangeAgainRightThen(self) -> None:
        seen = []

        def again(paths: frozenset[Path]) -> None:
            seen.append(paths)
            if len(seen) < 3:
                settler.event(A, closed=True)

        settler = Settler(self.clock, again)
        settler.event(A, closed=True)
        self.clock.pump([AFTER_CLOSE] * 5)
        self.assertEqual(seen, [frozenset((A,))] * 3)

    def test_afterStoppingNothingSettles(self) -> None:
        self.settler.event(A)
        self.settler.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10)
        self.assertEqual(self.batches, [])
        self.settler.event(B)
        self.assertSettlesAfter(QUIET, B)

    @given(
        st.lists(
            st.tuples(st.sampled_from([A, B]), st.booleans(), st.sampled_from([0.01, 0.1, 0.5])),
            max_size=60,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_everyEventIsFollowedByABatchInTime(
        self, events: list[tuple[Path, bool, float]]
    ) -> None:
        clock = Clock()
        open_since: dict[Path, float] = {}
        last: dict[Path, tuple[float, bool]] = {}

        def settled(paths: frozenset[Path]) -> None:
            for path in paths:
                now, (event, closed) = clock.seconds(), last[path]
                first = open_since.pop(path)
                quiet = AFTER_CLOSE if closed else QUIET
                due = min(event + quiet, first + LONGEST)
                self.assertAlmostEqual(now, due, places=6)

        settler = Settler(clock, settled)
        for path, closed, pause in events:
            open_since.setdefault(path, clock.seconds())
            last[path] = (clock.seconds(), closed)
            settler.event(path, closed)
            until = clock.seconds() + pause
            while (calls := clock.getDelayedCalls()) and calls[0].getTime() <= until:
                clock.advance(max(0.0, calls[0].getTime() - clock.seconds()))
            clock.advance(max(0.0, until - clock.seconds()))
        while calls := clock.getDelayedCalls():
            clock.advance(max(0.0, calls[0].getTime() - clock.seconds()))
        self.assertEqual(open_since, {})
