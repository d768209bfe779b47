# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.ownprocess}.
"""

from __future__ import annotations

import resource
import sys

from twisted.trial.unittest import SynchronousTestCase

from flocknode import ownprocess


class Preparing(SynchronousTestCase):
    """What is set."""

    def setUp(self) -> None:
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        self.limits = (1024, 4096)
        self.patch(resource, "getrlimit", lambda _which: self.limits)
        self.patch(resource, "setrlimit", self.set)

    def set(self, which: int, limits: tuple[int, int]) -> None:
        self.limits = limits

    def test_as_many_files_as_are_of_use_and_permitted(self) -> None:
        for soft, hard, wanted in (
            (1024, 4096, 4096),
            (1024, resource.RLIM_INFINITY, ownprocess.FILES),
            (1 << 20, 1 << 20, 1 << 20),
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        ):
            self.limits = soft, hard
            ownprocess.prepare()
            self.assertEqual(self.limits, (wanted, hard))

    def test_threads_take_turns_more_often(self) -> None:
        ownprocess.prepare()
        self.assertAlmostEqual(sys.getswitchinterval(), ownprocess.SWITCH)
