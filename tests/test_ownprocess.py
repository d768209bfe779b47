# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.ownprocess}.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from types import SimpleNamespace

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

    def test_free_memory_is_kept_where_glibc_is_the_one_to_keep_it(self) -> None:
        told: list[tuple[int, int]] = []
        library = SimpleNamespace(mallopt=lambda *option: told.append(option))
        self.patch(ctypes, "CDLL", lambda _name: library)
        self.patch(sys, "platform", "linux")
        ownprocess.keep_memory()
        # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
        self.assertEqual(told, [(-1, ownprocess.KEPT), (-3, ownprocess.APART)])
        for other in (SimpleNamespace(), None):
            if other is None:
                self.patch(sys, "platform", "darwin")
            self.patch(ctypes, "CDLL", lambda _name, other=other: other)
            ownprocess.keep_memory()
        self.assertEqual(len(told), 2)

    def test_threads_take_turns_more_often(self) -> None:
        ownprocess.prepare()
        self.assertAlmostEqual(sys.getswitchinterval(), ownprocess.SWITCH)
