# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.bulk}.
"""

from __future__ import annotations

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.index.bulk import insert


class InsertTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.database.close)
        self.database.execute("CREATE TABLE thing (name PRIMARY KEY, size)")

    def there(self) -> list[tuple[int, int]]:
        return list(self.database.execute("SELECT name, size FROM thing ORDER BY rowid"))

    @given(st.integers(0, 1_100))
    @settings(max_examples=30, deadline=None)
    def test_however_many_there_are_each_is_written_once_in_its_order(self, count: int) -> None:
        self.database.execute("DELETE FROM thing")
        rows = [(count - number, number) for number in range(count)]
        insert(self.database, "INSERT INTO thing", 2, iter(rows))
        self.assertEqual(self.there(), rows)

    def test_what_is_to_be_ignored_is(self) -> None:
        rows = [(number % 500, number) for number in range(1_000)]
        insert(self.database, "INSERT OR IGNORE INTO thing (name, size)", 2, rows)
        self.assertEqual(self.there(), rows[:500])
