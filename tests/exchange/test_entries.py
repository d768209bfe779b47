# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.entries}.
"""

from __future__ import annotations

import attrs
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import block_hash
from flocknode.box.merge.history import version_id
from flocknode.box.values import TOMBSTONE, Entry, Head, History, Kind, Path, Value, VersionId
from flocknode.errors import ProtocolError
from flocknode.exchange.entries import entries_of, record_of
from flocknode.exchange.records import EntryRecord, Index
from tests.exchange.strategies import entries, entry_records

BOX = bytes(16)
FILE = Value(mode=0o644, mtime_ns=5, content=bytes(32))


def entry_with(value: Value, size: int = 0, path: bytes = b"a") -> Entry:
    """An entry of one version."""
    head = Head(version_id((), value), 0, value, size)
    return Entry(Path(path), 1, History((head,)), 131_072, True)


def read(*records: EntryRecord, start: int = 0, to: int = 9) -> list[Entry]:
    """What an index with these entries says."""
    return entries_of(Index(BOX, start, to, records))


class Travelling(SynchronousTestCase):
    """Entries of a box, there and back."""

    @settings(max_examples=80)
    @given(st.lists(entries(), max_size=4))
    def test_an_entry_arrives_as_it_left(self, sent: list[Entry]) -> None:
        sent = [attrs.evolve(entry, number=number) for number, entry in enumerate(sent, 3)]
        records = [record_of(entry) for entry in sent]
        self.assertEqual(read(*records, start=2, to=99), sent)


class FromOutside(SynchronousTestCase):
    """Entries that no box can have announced."""

    def rejected(self, *records: EntryRecord, start: int = 0, to: int = 9) -> None:
        """It is not believed."""
        with self.assertRaises(ProtocolError):
            read(*records, start=start, to=to)

    @settings(max_examples=100)
    @given(entry_records)
    def test_any_record_is_an_entry_or_an_error(self, record: EntryRecord) -> None:
        try:
            (entry,) = read(record, to=2**63 - 1)
        except ProtocolError:
            return
        self.assertEqual(record_of(entry), record)

    def test_paths_that_leave_the_box_are_errors(self) -> None:
        for path in [b"..", b"a/../b", b"/a", b"a//b", b"a/", b"./a", b"a\0", b"x" * 256]:
            self.rejected(record_of(entry_with(FILE, 9, path)))
        for path in [b".flocknode", b".FlockNode/box", ".ﬂocknode".encode()]:
            self.rejected(record_of(entry_with(FILE, 9, path)))

    def test_values_that_no_path_can_have_are_errors(self) -> None:
        for value, size in [
            (msgspec.structs.replace(TOMBSTONE, mtime_ns=1), 0),
            (TOMBSTONE, 1),
            (Value(kind=Kind.DIRECTORY, mtime_ns=1), 0),
            (Value(kind=Kind.DIRECTORY), 7),
            (Value(kind=Kind.DIRECTORY, content=bytes(32)), 0),
            (Value(kind=Kind.SYMLINK, mode=1, content=bytes(32)), 3),
            (Value(kind=Kind.SYMLINK), 0),
            (msgspec.structs.replace(FILE, content=bytes(31)), 9),
            (FILE, 0),
            (msgspec.structs.replace(FILE, content=block_hash(b"")), 9),
        ]:
            self.rejected(record_of(entry_with(value, size)))
        self.assertEqual(len(read(record_of(entry_with(FILE, 9)))), 1)

    def test_a_version_with_another_value_than_its_id_is_an_error(self) -> None:
        entry = entry_with(FILE, 9)
        (head,) = entry.history.heads
        lie = msgspec.structs.replace(head, value=msgspec.structs.replace(FILE, mode=0o600))
        self.rejected(record_of(attrs.evolve(entry, history=History((lie,)))))

    def test_versions_that_do_not_ascend_are_errors(self) -> None:
        record = record_of(entry_with(FILE, 9))
        low, high = (VersionId(bytes([digit]) * 16) for digit in (1, 2))
        good = msgspec.structs.replace(record, superseded=((low, 0), (high, 0)))
        self.assertEqual(len(read(good)), 1)
        for ids in [((high, 0), (low, 0)), ((low, 0), (low, 1))]:
            self.rejected(msgspec.structs.replace(record, superseded=ids))
        self.rejected(msgspec.structs.replace(record, heads=record.heads * 2))

    def test_a_head_that_is_superseded_is_an_error(self) -> None:
        record = record_of(entry_with(FILE, 9))
        self.rejected(msgspec.structs.replace(record, superseded=((record.heads[0].id, 0),)))

    def test_blocks_of_another_size_are_errors(self) -> None:
        record = record_of(entry_with(FILE, 9))
        for size in (0, 131_071, 262_144):
            self.rejected(msgspec.structs.replace(record, block_size=size))

    def test_numbers_that_do_not_ascend_within_the_index_are_errors(self) -> None:
        record = record_of(entry_with(FILE, 9))
        second = msgspec.structs.replace(record, number=2)
        self.assertEqual(len(read(record, second, to=2)), 2)
        # What belongs to others may come before its turn.
        self.assertEqual(len(read(record, second, to=1)), 2)
        self.rejected(second, record)
        self.rejected(record, record)
        self.rejected(record, start=1)
        self.rejected(start=2, to=1)
