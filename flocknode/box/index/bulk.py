# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Many rows in few statements.

Python gives up the interpreter's lock for each statement, and has to get it
back.  Beside threads that hash, a statement for each row waits for them once a
row, which takes longer than the row does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

_VALUES = 700
# In one statement.  SQLite takes 999 everywhere; more rows are not any faster.


def insert(
    database: sqlite3.Connection, into: str, width: int, rows: Iterable[Sequence[Any]]
) -> None:
    """
    Write rows, in their order.

    @param into: C{INSERT INTO} and the like, without the values.
    @param width: the values of a row.
    """
    one = f"({', '.join('?' * width)})"
    at_once = _VALUES // width
    several = f"{into} VALUES {', '.join([one] * at_once)}"
    left = iter(rows)
    while some := list(islice(left, at_once)):
        if len(some) == at_once:
            database.execute(several, list(chain.from_iterable(some)))
        else:
            # Else there were a statement to prepare for each number of rows.
            database.executemany(f"{into} VALUES {one}", some)
