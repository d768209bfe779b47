# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.moments}.
"""

from __future__ import annotations

from flocknode.box.index.database import Index
from flocknode.box.index.moments import READS, Moments
from tests.box.index.test_database import IndexCase
from tests.box.rows import holding


class MomentsTests(IndexCase):
    """One reads while another writes."""

    def setUp(self) -> None:
        super().setUp()
        self.reading = Index(self.path, reading=True)
        self.addCleanup(self.reading.close)
        self.moments = Moments(self.reading)
        self.addCleanup(self.moments.end)

    def test_reads_in_a_row_are_of_one_moment(self) -> None:
        self.assertEqual(self.moments.read().disks(b""), {})
        self.save(holding(b"a", b"x"))
        self.assertEqual(self.moments.read().disks(b""), {})

    def test_what_is_read_after_the_end_is_of_now(self) -> None:
        self.moments.read().disks(b"")
        self.save(holding(b"a", b"x"))
        self.moments.end()
        self.moments.end()
        self.assertEqual(set(self.reading.disks(b"")), {b"a"})
        self.assertEqual(set(self.moments.read().disks(b"")), {b"a"})

    def test_a_moment_does_not_last(self) -> None:
        self.moments.read().disks(b"")
        self.save(holding(b"a", b"x"))
        for _ in range(READS):
            found = self.moments.read().disks(b"")
        self.assertEqual(set(found), {b"a"})

    def test_whoever_has_ended_does_not_hold_up_the_log(self) -> None:
        self.moments.read().disks(b"")
        self.moments.end()
        self.assertFalse(self.reading._db.in_transaction)
