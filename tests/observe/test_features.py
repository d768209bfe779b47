# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.observe.features}.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe.packets import Segment
from flocknode.observe.report import look
from tests.observe.packing import FRAME, flock, node

TICK = 0.01
LATE = 1e-4


class AtFirst(SynchronousTestCase):
    """How late the first ticks of a round are, less those soon after."""

    def found(self, late: Sequence[float]) -> list[float]:
        """@param late: of the ticks of node 0; the other is punctual."""
        segments = flock(2, [], end=8.0)
        for number, each in enumerate(late):
            at = 3.0 + TICK * number
            segments.append(Segment(at + each, node(0), node(1), FRAME))
            segments.append(Segment(at, node(1), node(0), FRAME))
        seen = look(sorted(segments))
        (only,) = seen.rounds
        return [row["lateness at first, less later"] for row in seen.features(only)]

    def test_whoever_is_late_at_first_is_found_and_whoever_is_later(self) -> None:
        first = [LATE] * 12 + [0.0] * 120
        then = [0.0] * 12 + [LATE] * 120
        for late, expected in ((first, LATE), (then, -LATE), ([LATE] * 132, 0.0)):
            own, other = self.found(late)
            self.assertLess(abs(own - expected), LATE / 100)
            self.assertLess(abs(other), LATE / 100)

    def test_a_round_that_is_over_at_once_says_nothing(self) -> None:
        self.assertEqual(self.found([LATE] * 8), [0.0, 0.0])
