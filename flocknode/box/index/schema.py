# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The tables of a box's index, and how an older file of it is brought up to date.

 - C{entry}: one row a path, see L{flocknode.box.index.rows.Row}.  C{parent} and
   C{name} are the path; C{alive}: its head is not deleted; C{placed_kind} is
   -1 for a tombstone; C{content} is what the folder holds, and finds local
   copies.
 - C{blocklist}: block lists of contents of several blocks, in their encoding.
 - C{block}: the first eight bytes of a block's hash -> list and position.
   Only a hint where to look: what is found is hashed before it is used.
 - C{placing}: what is being put in place at this moment; outlives a crash.
 - C{version}: kept content in the version store.
 - C{holder}: others who hold the box.  C{index_id} and C{number}: what of
   theirs is stored here; C{acknowledged}: what of ours they have stored;
   C{level}: bytes of what is complete here that they show complete too.
 - C{aging}, C{forgotten}: see L{flocknode.box.index.memory}.  C{since} and
   C{seen} are in seconds since the epoch; C{ids} one after another.
 - C{meta}: the schema's version, ids, and the running totals (which are summed
   up anew if they are missing).

Numbers beyond 63 bits (ids, inodes) are stored as SQLite's signed integers.
"""

from __future__ import annotations

import sqlite3

from flocknode.box.index.damage import Damaged
from flocknode.errors import BoxError

VERSION = 2

_MOST = 10_000
# Greater versions will never be: that is no version.

_MEMORY = """
CREATE TABLE aging (
    path BLOB PRIMARY KEY,
    number INTEGER NOT NULL,
    since INTEGER NOT NULL,
    ids BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE forgotten (
    path BLOB PRIMARY KEY,
    seen INTEGER NOT NULL,
    ids BLOB NOT NULL
) WITHOUT ROWID;
"""

CREATE = _MEMORY + """
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
CREATE INDEX version_path ON version (path);

CREATE TABLE holder (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    holder BLOB NOT NULL UNIQUE,
    index_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    level INTEGER NOT NULL
);
"""
"""All tables of the present version."""

_UPGRADES: dict[int, str] = {
    # Tombstones are not in the digest any more: it is summed up anew.
    1: _MEMORY
    + "CREATE INDEX version_path ON version (path);"
    + "DELETE FROM meta WHERE key = 'sums';",
}
"""By the version it starts from: statements that lead to the next one."""


def prepare(connection: sqlite3.Connection) -> None:
    """
    Create the tables, or bring those of an older flocknode up to date.

    @raise BoxError: the file was written by a newer flocknode.
    @raise Damaged: it is not what any flocknode has written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not 0 <= version < _MOST or (version == 0) != (tables == 0):
        raise Damaged("The index is damaged: its version and its tables do not agree.")
    if version > VERSION:
        raise BoxError(
            f"The index was written by a newer flocknode (schema {version}, this one"
            f" knows {VERSION}); use that version, or move the index file away."
        )
    if version == VERSION:
        return
    if version == 0:
        steps, version = [CREATE], VERSION
    else:
        steps = [_UPGRADES[step] for step in range(version, VERSION)]
    script = "".join(steps)
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {VERSION};\nCOMMIT;"
    )
