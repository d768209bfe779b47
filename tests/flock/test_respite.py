# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.respite}.
"""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.respite import TOGETHER, Respite


class RespiteTests(SynchronousTestCase):
    """L{Respite}."""

    def test_it_is_on_for_so_long(self) -> None:
        respite = Respite(0.25)
        self.assertFalse(respite.is_on(1.0))
        respite.begin(1.0)
        self.assertEqual([respite.is_on(at) for at in (1.0, 1.2, 1.25)], [True, True, False])

    def test_what_waits_is_done_with_building_if_that_is_soon(self) -> None:
        respite = Respite(0.25)
        respite.begin(1.0)
        soon = 1.25 + TOGETHER / 2
        ends = [respite.ends(building) for building in (1.1, soon, 9.0, math.inf)]
        self.assertEqual(ends, [1.25, soon, 1.25 + TOGETHER, 1.25 + TOGETHER])
