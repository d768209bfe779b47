# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.records}.
"""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.exchange.records import (
    LARGEST_BLOCK,
    LENGTH,
    LONGEST,
    MOST_HASHES,
    PIECE_SIZE,
    RUN,
    Ack,
    BoxNumbers,
    Cancel,
    EncodedIndex,
    EntryRecord,
    Gone,
    Have,
    HeadRecord,
    Hello,
    Index,
    Piece,
    Record,
    Want,
    decode,
    encode,
    encode_entry,
    encode_pieces,
)
from tests.exchange.strategies import entry_records, hash_fields, ids, records

BOX = bytes(range(16))
HASH = bytes(range(32))
BOX_BYTES = "c410" + BOX.hex()
HASH_BYTES = "c420" + HASH.hex()

GOLDEN: list[tuple[Record, str]] = [
    (
        Hello(1, (BoxNumbers(BOX, 2**63, 300, 5, 7),)),
        "930101" + "91" + "95" + BOX_BYTES + "cf8000000000000000" + "cd012c" + "05" + "07",
    ),
    (
        Index(
            BOX,
            3,
            4,
            (
                EntryRecord(
                    4,
                    b"a/b",
                    (HeadRecord(BOX, 1, False, 0, 0o644, -1, HASH, 9),),
                    ((BOX, 0),),
                    131_072,
                    True,
                ),
            ),
        ),
        "9502" + BOX_BYTES + "0304" + "91"
        "9604" + "c403612f62" + "9198" + BOX_BYTES + "01c200cd01a4ff" + HASH_BYTES + "09"
        "9192" + BOX_BYTES + "00" + "ce00020000" + "c3",
    ),
    (Ack(BOX, 1, 2), "9403" + BOX_BYTES + "0102"),
    (Want(BOX, ((HASH, 131_072),)), "9304" + BOX_BYTES + "9192" + HASH_BYTES + "ce00020000"),
    (Piece(HASH, 32_768, b"\x01\x02"), "9405" + HASH_BYTES + "cd8000" + "c4020102"),
    (Have(BOX, (HASH,)), "9306" + BOX_BYTES + "91" + HASH_BYTES),
    (Gone((HASH,)), "9207" + "91" + HASH_BYTES),
    (Cancel((HASH, HASH)), "9208" + "92" + HASH_BYTES + HASH_BYTES),
]


def body(record: Record) -> bytes:
    """A record without its length."""
    return encode(record)[LENGTH.size :]


class OnTheLink(SynchronousTestCase):
    """The bytes of records."""

    def test_they_are_what_the_table_says(self) -> None:
        for record, expected in GOLDEN:
            self.assertEqual(body(record).hex(), expected)
            self.assertEqual(decode(bytes.fromhex(expected)), record)

    def test_the_length_stands_in_front(self) -> None:
        encoded = encode(Ack(BOX, 1, 2))
        self.assertEqual(encoded[:4].hex(), f"{len(encoded) - 4:08x}")

    @settings(max_examples=150)
    @given(records())
    def test_what_is_encoded_comes_out_again(self, record: Record) -> None:
        self.assertEqual(decode(body(record)), record)
        self.assertEqual(decode(memoryview(body(record))), record)

    @settings(max_examples=30)
    @given(ids, st.lists(entry_records, max_size=3))
    def test_an_index_of_encoded_entries_is_an_index(
        self, box: bytes, entries: list[EntryRecord]
    ) -> None:
        encoded = EncodedIndex(box, 1, 9, [encode_entry(entry) for entry in entries])
        self.assertEqual(encode(encoded), encode(Index(box, 1, 9, tuple(entries))))

    def test_a_block_is_cut_into_pieces_in_runs(self) -> None:
        block = bytes(range(256)) * 1_056  # eight pieces and a quarter of one
        runs = list(encode_pieces(HASH, block))
        self.assertEqual(len(runs), 2)
        self.assertLess(len(runs[0]), RUN * (PIECE_SIZE + 64))
        expected = [
            encode(Piece(HASH, offset, block[offset : offset + PIECE_SIZE]))
            for offset in range(0, len(block), PIECE_SIZE)
        ]
        self.assertEqual(b"".join(runs), b"".join(expected))

    @given(st.sampled_from((1, 31, 255, 256, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 255)))
    def test_pieces_of_every_size_are_encoded_as_any_record_is(self, size: int) -> None:
        block = bytes(range(251)) * (size // 251 + 1)
        expected = [
            encode(Piece(HASH, offset, block[offset : min(offset + PIECE_SIZE, size)]))
            for offset in range(0, size, PIECE_SIZE)
        ]
        self.assertEqual(list(encode_pieces(HASH, block[:size])), [b"".join(expected)])


class FromOutside(SynchronousTestCase):
    """Bytes that nobody of ours has sent."""

    @settings(max_examples=300)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_record_or_an_error(self, data: bytes) -> None:
        try:
            record = decode(data)
        except ProtocolError:
            return
        self.assertTrue(record is None or decode(body(record)) == record)

    @settings(max_examples=300)
    @given(records(), st.data())
    def test_damaged_records_are_records_or_errors(
        self, record: Record, data: st.DataObject
    ) -> None:
        damaged = bytearray(body(record))
        for _ in range(data.draw(st.integers(1, 3))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(damaged)))
        for version in (damaged, damaged[:cut]):
            with contextlib.suppress(ProtocolError):
                decode(bytes(version))

    def test_what_is_not_in_the_table_is_an_error(self) -> None:
        for wrong in [
            b"",
            b"\x91",
            b"\x90\x01",
            b"\xdc\x00\x02\x07\x90",
            b"\x92\xff\x90",
            b"\x92\x07\x90",
            body(Ack(BOX, 1, 2)) + b"\x00",
            body(Ack(BOX, 1, 2))[:-1],
            b"\x95\x02" + bytes.fromhex(BOX_BYTES) + b"\0\0\xdd\xff\xff\xff\xff",
            b"\x93\x01\x01" + b"\x91" * 100_000,
            # an element after the known ones that no parser would get out of
            b"\x94\x01\x01\x90" + b"\x91" * 100_000,
        ]:
            self.assertRaises(ProtocolError, decode, wrong)

    def test_fields_out_of_their_limits_are_errors(self) -> None:
        head = HeadRecord(BOX, 1, False, 0, 0o644, 1, HASH, 9)
        entry = EntryRecord(4, b"a", (head,), (), 131_072, True)
        wrong: list[Record] = [
            Ack(BOX[:-1], 1, 2),
            Ack(BOX, -1, 2),
            Ack(BOX, 1, 2**63),
            Hello(1, (BoxNumbers(BOX + b"x", 1, 2, 3, 4),)),
            Want(BOX, ()),
            Want(BOX, ((HASH, 0),)),
            Want(BOX, ((HASH, 2**26),)),
            Want(BOX, ((HASH[1:], 5),)),
            Piece(HASH, -1, b"x"),
            Piece(HASH, 0, b""),
            Piece(HASH, 0, bytes(PIECE_SIZE + 1)),
            Have(BOX, ()),
            Have(BOX, (HASH,) * (MOST_HASHES + 1)),
            Gone((HASH + b"x",)),
            Index(BOX, -1, 4, ()),
            *[
                Index(BOX, 0, 4, (changed,))
                for changed in [
                    msgspec.structs.replace(entry, number=0),
                    msgspec.structs.replace(entry, path=b""),
                    msgspec.structs.replace(entry, path=bytes(4_096)),
                    msgspec.structs.replace(entry, heads=()),
                    msgspec.structs.replace(entry, heads=(head,) * 65),
                    msgspec.structs.replace(entry, superseded=((BOX, 1),) * 4_097),
                    msgspec.structs.replace(entry, superseded=((BOX, -1),)),
                    msgspec.structs.replace(entry, block_size=1_048_577),
                    *[
                        msgspec.structs.replace(entry, heads=(bad,))
                        for bad in [
                            msgspec.structs.replace(head, id=BOX[1:]),
                            msgspec.structs.replace(head, depth=-1),
                            msgspec.structs.replace(head, kind=3),
                            msgspec.structs.replace(head, mode=0o1000),
                            msgspec.structs.replace(head, mtime_ns=2**63),
                            msgspec.structs.replace(head, content=bytes(33)),
                            msgspec.structs.replace(head, size=-1),
                        ]
                    ],
                ]
            ],
        ]
        self.assertEqual(decode(body(Index(BOX, 0, 4, (entry,)))), Index(BOX, 0, 4, (entry,)))
        for record in wrong:
            self.assertRaises(ProtocolError, decode, body(record))

    @settings(max_examples=30)
    @given(hash_fields, st.integers(9, 127))
    def test_records_of_another_kind_are_skipped(self, data: bytes, tag: int) -> None:
        self.assertIsNone(decode(msgspec.msgpack.encode([tag, data])))

    def test_more_elements_than_known_are_skipped(self) -> None:
        self.assertEqual(
            decode(msgspec.msgpack.encode([3, BOX, 1, 2, {"new": [1, 2]}])), Ack(BOX, 1, 2)
        )

    def test_the_longest_lists_fit_into_a_record(self) -> None:
        longest: list[Record] = [
            Have(BOX, (HASH,) * MOST_HASHES),
            Want(BOX, ((HASH, LARGEST_BLOCK),) * MOST_HASHES),
        ]
        for record in longest:
            self.assertLessEqual(len(body(record)), LONGEST)
