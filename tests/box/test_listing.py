# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.listing}.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.listing import ListedFile, OpenFile
from flocknode.box.values import Path
from flocknode.errors import BoxError

WHEN = 1_600_000_000_000_000_000


class OpenFiles(SynchronousTestCase):
    """They are read as they were listed."""

    def setUp(self) -> None:
        self.where = self.mktemp()
        with open(self.where, "wb") as file:
            file.write(b"as it was")
        os.utime(self.where, ns=(WHEN, WHEN))
        descriptor = os.open(self.where, os.O_RDONLY)
        self.opened = OpenFile(ListedFile(Path(b"a"), 9, WHEN, bytes(32)), descriptor)
        self.addCleanup(self.opened.close)
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.theirs.setblocking(False)

    def ways(self) -> list[Callable[[], object]]:
        """All ways to read it."""
        return [
            lambda: self.opened.read(3, 2),
            lambda: self.opened.send(self.ours.fileno(), 3, 2),
        ]

    def test_any_part_can_be_read_and_sent(self) -> None:
        self.assertEqual(self.opened.read(3, 2), b"it")
        self.assertEqual(self.opened.send(self.ours.fileno(), 3, 2), 2)
        self.assertEqual(self.theirs.recv(9), b"it")

    def test_what_is_written_into_it_is_not_read(self) -> None:
        with open(self.where, "r+b") as file:
            file.write(b"is secret")
        for way in self.ways():
            self.assertRaises(BoxError, way)
        self.assertRaises(BlockingIOError, self.theirs.recv, 9)

    def test_nor_if_it_became_longer_or_shorter_at_the_same_time(self) -> None:
        for size in (8, 10):
            os.truncate(self.where, size)
            os.utime(self.where, ns=(WHEN, WHEN))
            for way in self.ways():
                self.assertRaises(BoxError, way)

    def test_another_file_in_its_place_changes_nothing(self) -> None:
        other = self.mktemp()
        with open(other, "wb") as file:
            file.write(b"something else")
        os.replace(other, self.where)
        self.assertEqual(self.opened.read(0, 99), b"as it was")

    def test_after_its_end_it_is_not_read(self) -> None:
        self.opened.close()
        self.opened.close()
        for way in self.ways():
            self.assertRaises(BoxError, way)
