# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.media.mounts}.
"""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.media.mounts import SETTLE, Mounts
from tests.media import private


class Reactor(Clock):
    """Knows who waits for something to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()

    def addReader(self, reader: object) -> None:
        """It waits."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        """It does not wait any more."""
        self.readers.discard(reader)


class MountsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.told: list[float] = []

    def mounts(self, table: str = "/nowhere") -> Mounts:
        mounts = Mounts(self.reactor, table)
        mounts.tell(lambda: self.told.append(self.reactor.seconds()))
        self.addCleanup(mounts.stopService)
        return mounts

    def test_many_changes_at_once_are_told_once(self) -> None:
        mounts = self.mounts()
        mounts.startService()
        for _ in range(3):
            mounts.changed()
        self.reactor.advance(SETTLE)
        mounts.changed()
        self.reactor.advance(SETTLE)
        self.assertEqual(self.told, [SETTLE, 2 * SETTLE])

    def test_after_stopping_nothing_is_told_and_nothing_is_left(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        mounts = self.mounts("/proc/self/mountinfo")
        mounts.startService()
        mounts.changed()
        mounts.stopService()
        mounts.stopService()
        mounts.changed()
        self.reactor.advance(1)
        self.assertEqual((self.told, self.reactor.readers), ([], set()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_a_table_that_cannot_be_waited_for_is_no_error(self) -> None:
        path = self.mktemp()
        with open(path, "wb"):
            pass
        before = len(os.listdir("/proc/self/fd"))
        for table in (path, "/nowhere"):
            self.mounts(table).startService()
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_real_mounts_are_heard_of_and_waiting_for_them_costs_nothing(self) -> None:
        point = os.path.abspath(self.mktemp())
        os.makedirs(point)
        self.assertEqual(private.run("tests.media.hearing", point), "[True, False] True\n")
