# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.lateness}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.lateness import Lateness


class LatenessTests(SynchronousTestCase):
    def test_without_a_tick_all_is_zero(self) -> None:
        lateness = Lateness()
        self.assertEqual((lateness.mean, lateness.quantile(0.5), lateness.worst), (0.0, 0.0, 0.0))

    @given(st.lists(st.floats(0, 30), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
    def test_quantiles_are_never_too_small_and_at_most_a_fifth_too_large(
        self, values: list[float], share: float
    ) -> None:
        lateness = Lateness()
        for value in values:
            lateness.add(value)
        exact = next(v for n, v in enumerate(sorted(values), 1) if n >= share * len(values))
        found = lateness.quantile(share)
        if exact <= 20:
            self.assertGreaterEqual(found, min(exact, max(values)) * 0.999999)
            self.assertLessEqual(found, max(1e-5, exact * 1.2))
        self.assertEqual(lateness.worst, max(values))
