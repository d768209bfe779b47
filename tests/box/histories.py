# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Short ways to make histories, for tests.
"""

from __future__ import annotations

from flocknode.box.merge.history import NOTHING, Change, local_change
from flocknode.box.values import History, Value, VersionId


def file(number: int, mtime: int | None = None) -> Value:
    """A file with content of its own; greater numbers are newer."""
    return Value(
        mode=0o644,
        mtime_ns=number if mtime is None else mtime,
        content=number.to_bytes(32, "big"),
    )


ONE, TWO, THREE, FOUR = (file(number) for number in range(1, 5))


def first(value: Value) -> Change:
    """A path that was just created."""
    return local_change(NOTHING, None, value, 1)


def after(change: Change, value: Value) -> Change:
    """A path that was changed again, after others had heard of it."""
    return local_change(change.history, change.placed, value, 1)


def ids(history: History) -> set[VersionId]:
    """The ids of the heads."""
    return {head.id for head in history.heads}


def value_of(history: History) -> Value:
    """The value of the only head."""
    (head,) = history.heads
    return head.value
