# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.schema}: index files of earlier versions, as
they were written then, are brought up to date.
"""

from __future__ import annotations

import os
import sqlite3
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.index.columns import to_columns
from flocknode.box.index.database import Index
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.schema import VERSION
from flocknode.box.index.totals import Totals
from flocknode.box.values import Holder
from tests.box.rows import deleted, directory, holding, wanting

# Never to be changed: this is what files in the field look like.
VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE entry (
    parent BLOB NOT NULL,
    name BLOB NOT NULL,
    number INTEGER NOT NULL,
    history BLOB NOT NULL,
    alive INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    placed_id BLOB,
    placed_kind INTEGER,
    placed_mode INTEGER,
    placed_mtime INTEGER,
    content BLOB,
    placed_size INTEGER,
    disk_type INTEGER,
    disk_size INTEGER,
    disk_mtime INTEGER,
    disk_ctime INTEGER,
    disk_mode INTEGER,
    disk_inode INTEGER,
    local INTEGER NOT NULL,
    shown BLOB NOT NULL
);
CREATE UNIQUE INDEX entry_path ON entry (parent, name);
CREATE INDEX entry_number ON entry (number);
CREATE INDEX entry_alive ON entry (parent, name) WHERE alive;
CREATE INDEX entry_content ON entry (content) WHERE content IS NOT NULL;
CREATE INDEX entry_pending ON entry (pending) WHERE pending;

CREATE TABLE blocklist (
    id INTEGER PRIMARY KEY,
    content BLOB NOT NULL UNIQUE,
    data BLOB NOT NULL
);
CREATE TABLE block (
    prefix INTEGER NOT NULL,
    list INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (prefix, list, position)
) WITHOUT ROWID;

CREATE TABLE placing (
    path BLOB PRIMARY KEY,
    details BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE version (
    name BLOB PRIMARY KEY,
    path BLOB NOT NULL,
    content BLOB NOT NULL,
    size INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    kept INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX version_content ON version (content);
CREATE INDEX version_kept ON version (kept);

CREATE TABLE holder (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    holder BLOB NOT NULL UNIQUE,
    index_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    level INTEGER NOT NULL
);
PRAGMA user_version = 1;
"""

ROWS = (
    holding(b"a", b"content", 1),
    wanting(b"b", b"more", 2),
    deleted(b"c", 3),
    directory(b"d", 4),
)


def tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """What a file is like, white space aside."""
    found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL")
    return sorted((name, " ".join(sql.split())) for name, sql in found)


class UpgradeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.join(self.mktemp(), "index.sqlite")
        os.makedirs(os.path.dirname(self.path))

    def old(self) -> None:
        """A file of version 1 with something in it."""
        with sqlite3.connect(self.path) as connection:
            connection.executescript(VERSION_1)
            row = f"INSERT INTO entry VALUES ({', '.join('?' * 21)})"
            connection.executemany(row, map(to_columns, ROWS))
            old = Totals()
            old.digest = 4711
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("sums", old.pack()), ("highest", 4), ("index", 99), ("folder", b"f" * 16)],
            )
            connection.execute(
                "INSERT INTO holder (holder, index_id, number, acknowledged, level)"
                " VALUES (?, 5, 6, 3, 17)",
                (b"h" * 16,),
            )
        connection.close()

    def test_an_index_of_version_1_is_as_one_that_is_made_now(self) -> None:
        self.old()
        Index(self.path).close()
        Index(self.path + ".new").close()
        found = []
        for path in self.path, self.path + ".new":
            connection = sqlite3.connect(path)
            found.append((tables(connection), connection.execute("PRAGMA user_version").fetchone()))
            connection.close()
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0][1], (VERSION,))

    def test_what_an_index_of_version_1_knows_is_kept(self) -> None:
        self.old()
        index = Index(self.path)
        self.addCleanup(index.close)
        self.assertEqual(list(index.rows_after(0)), list(ROWS))
        ledger = Ledger(index, Random(1))
        self.assertEqual((ledger.highest, ledger.index_id, ledger.folder_id), (4, 99, b"f" * 16))
        holder = ledger.holder(Holder(b"h" * 16))
        assert holder is not None
        self.assertEqual((holder.index_id, holder.number, holder.acknowledged), (5, 6, 3))

    def test_its_sums_are_summed_up_anew(self) -> None:
        """Tombstones were part of the digest once."""
        self.old()
        index = Index(self.path)
        self.addCleanup(index.close)
        fresh = Totals()
        for row in ROWS:
            fresh.apply(None, row)
        self.assertEqual(Ledger(index, Random(1)).totals.pack(), fresh.pack())
