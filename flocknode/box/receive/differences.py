# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a change of a row means for what is to be done in the folder.
"""

from __future__ import annotations

from flocknode.box.disk.folder import FileType
from flocknode.box.index.draft import Change
from flocknode.box.index.rows import Row


def same_task(old: Row, new: Row) -> bool:
    """Does what is to be done stay the same, whoever shows what, whatever was read back?"""
    return old.head == new.head and _held(old) == _held(new)


def _held(row: Row) -> object:
    placed = row.placed
    return placed and (placed.id, placed.value, placed.disk and placed.disk.type)


def keep_link(keep: set[bytes], change: Change) -> None:
    """A link that came from others stays one; one made here may be followed."""
    row = change.new
    placed = None if row is None else row.placed
    disk = None if placed is None else placed.disk
    if row is not None and disk is not None and disk.type is FileType.SYMLINK and not row.local:
        keep.add(change.path)
    else:
        keep.discard(change.path)


def is_rewritten(change: Change) -> bool:
    """Does the folder hold other content there than before?"""
    old = None if change.old is None else change.old.placed
    new = None if change.new is None else change.new.placed
    before = None if old is None else (old.value.kind, old.value.content)
    return before != (None if new is None else (new.value.kind, new.value.content))
