# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
An index in pages, as it is announced.
"""

from __future__ import annotations

from flocknode.box.index.database import Index
from flocknode.box.index.rows import Row
from flocknode.box.merge.forward import brought_forward
from flocknode.box.values import Path

_ENTRY_SIZE = 32
_HEAD_SIZE = 96
_SUPERSEDED_SIZE = 24
# Bytes of a record, about: of an entry without its path, of a head, of the id
# of a superseded version.

_FORWARD = 4
# Of a page's bytes, so many times less may be brought forward into it.


def read_page(index: Index, number: int, limit: int) -> tuple[list[Row], int | None]:
    """
    What follows a number.

    @param limit: bytes, about, that the rows may take as a record; at least one
        is returned if there is any.
    @return: rows in the order of their numbers, and the number up to which
        this is all that there is (L{None}: it is all); what comes after that
        was brought forward, see L{flocknode.box.merge.forward}.
    """
    page: list[Row] = []
    left = limit
    for row in index.rows_after(number):
        left -= _size(row)
        if left < 0 and page:
            to = page[-1].number
            return page + _forward(index, page, to, limit // _FORWARD), to
        page.append(row)
    return page, None


def _forward(index: Index, page: list[Row], to: int, limit: int) -> list[Row]:
    """
    What belongs to a page, by its numbers.  If it is more than may be, the rest
    comes in its place: that may make a needless conflict, and loses nothing.
    """
    later: dict[Path, Row] = {}

    def is_later(path: Path) -> bool:
        row = index.row(path)
        if row is None or row.number <= to:
            return False
        later[path] = row
        return True

    def later_below(path: Path) -> list[Path]:
        rows = {row.path: row for row in index.below_after(path, to, limit // _ENTRY_SIZE)}
        later.update(rows)
        return list(rows)

    found = brought_forward(((row.path, row.history) for row in page), is_later, later_below)
    rows: list[Row] = []
    for row in sorted((later[path] for path in found), key=lambda row: row.number):
        limit -= _size(row)
        if limit < 0:
            break
        rows.append(row)
    return rows


def _size(row: Row) -> int:
    heads, superseded = row.history.heads, row.history.superseded
    return (
        len(row.path)
        + _ENTRY_SIZE
        + _HEAD_SIZE * len(heads)
        + _SUPERSEDED_SIZE * len(superseded)
    )
