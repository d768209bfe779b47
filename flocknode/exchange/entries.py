# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Entries as the box knows them to entries as they travel, and back.  What comes
from outside is believed only after L{entries_of}.
"""

from __future__ import annotations

from typing import Final

from flocknode.box.merge.incoming import check_entry
from flocknode.box.values import Entry, Head, History, Kind, Path, Value, VersionId
from flocknode.errors import ProtocolError
from flocknode.exchange.records import EntryRecord, HeadRecord, Index

_KINDS: Final = tuple(Kind)


def record_of(entry: Entry) -> EntryRecord:
    """An entry of a box as it travels."""
    return EntryRecord(
        entry.number,
        entry.path,
        tuple([_head_record(head) for head in entry.history.heads]),
        entry.history.superseded,
        entry.block_size,
        entry.complete,
    )


def _head_record(head: Head) -> HeadRecord:
    value = head.value
    return HeadRecord(
        head.id,
        head.depth,
        value.deleted,
        int(value.kind),
        value.mode,
        value.mtime_ns,
        value.content,
        head.size,
    )


def entries_of(index: Index) -> list[Entry]:
    """
    The entries of a record from outside.

    @raise ProtocolError: numbers, a path, a value or a history is not what it
        may be.
    """
    if index.to < index.start:
        raise ProtocolError("An index record ends before it starts.")
    entries = []
    number = index.start
    for record in index.entries:
        if record.number <= number:
            raise ProtocolError("The numbers of an index record do not ascend.")
        number = record.number
        entries.append(_entry(record))
    return entries


def _entry(record: EntryRecord) -> Entry:
    ids = [id for id, _depth in record.superseded]
    heads = [head.id for head in record.heads]
    if heads != sorted(set(heads)) or ids != sorted(set(ids)):
        raise ProtocolError("The versions of an entry do not ascend.")
    if not set(heads).isdisjoint(ids):
        raise ProtocolError("A head of an entry is superseded.")
    entry = Entry(
        Path(record.path),
        record.number,
        History(
            tuple([_head(head) for head in record.heads]),
            tuple([(VersionId(id), depth) for id, depth in record.superseded]),
        ),
        record.block_size,
        record.complete,
    )
    check_entry(entry)
    return entry


def _head(record: HeadRecord) -> Head:
    value = Value(
        record.deleted, _KINDS[record.kind], record.mode, record.mtime_ns, record.content
    )
    return Head(VersionId(record.id), record.depth, value, record.size)
