# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The records that two exchanges send each other, and how they look as bytes.

A link is a stream of records in each direction.  Each is::

    length   4   bytes that follow, big-endian, at most L{LONGEST}
    record       msgpack: an array of at most 15 elements, the first a tag

=====  =======  ==========================================================
 tag   record   fields after the tag
=====  =======  ==========================================================
  1    hello    version, [(box id, my index id, my highest number, your
                index id as I know it, your number I have stored durably)]
  2    index    box id, from, to, [entry]
  3    ack      box id, index id, number: stored durably up to here
  4    want     box id, [(block hash, size)], most urgent first; adds
  5    piece    block hash, offset, at most 32 KiB of the block
  6    have     box id, [block hash]: verified here, others may ask me
  7    gone     [block hash]: asked for, cannot serve it (any more)
  8    cancel   [block hash]: asked for, not wanted any more
=====  =======  ==========================================================

An I{entry} is an array: number, path, heads, superseded, block size, complete.
A head: id, depth, deleted, kind, mode, mtime in nanoseconds, content, size.
Superseded: [(id, depth)].  Both lists ascend by id.

A record with another tag is skipped, and so are elements after the known ones:
later versions may add both.  Everything else that is not as the table says is
a L{ProtocolError}.

The longest record that is built is about L{INDEX_SIZE}, unless a single entry
is longer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from flocknode.errors import ProtocolError

CONTROL: Final = 0
"""Priority of everything but pieces; see L{flocknode.flock.interfaces.Priority}."""

BULK: Final = 1
"""Priority of pieces."""

VERSION: Final = 1
"""What a hello shows.  Raised when a change is not compatible."""

LONGEST: Final = 1_048_576
"""Bytes of a record; what says it is longer is no stream of records."""

LENGTH: Final = struct.Struct(">I")
"""What stands in front of each record."""

PIECE_SIZE: Final = 32_768
"""Bytes of a block in one piece; the last of a block may be shorter."""

RUN: Final = 8
"""Pieces that are sent in one go."""

INDEX_SIZE: Final = 49_152
"""Bytes of entries in one index record, about: under 64 KiB, so that neither
side spends more than a few milliseconds on one."""

LARGEST_BLOCK: Final = 32 * 1_048_576 + 12
"""Bytes of a block that can be asked for: the block list of a 1 TiB file."""

HASHES: Final = 1_024
"""Hashes in one have, gone, cancel or want that is built; up to
C{MOST_HASHES} are understood."""

MOST_HASHES: Final = 16_384
MOST_BOXES: Final = 4_096
MOST_ENTRIES: Final = 16_384
MOST_HEADS: Final = 64
MOST_SUPERSEDED: Final = 4_096
"""Limits of what one record may list."""

_LARGEST: Final = 2**63 - 1

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""A box id or a version id."""

HashField = Annotated[bytes, Meta(min_length=32, max_length=32)]
Number = Annotated[int, Meta(ge=0, le=_LARGEST)]
"""A sequence number, a size or a depth; fits SQLite's integers."""

IndexId = Annotated[int, Meta(ge=0)]
"""Random; msgpack bounds it to 64 bits."""

Hashes = Annotated[tuple[HashField, ...], Meta(min_length=1, max_length=MOST_HASHES)]


class BoxNumbers(Struct, frozen=True, array_like=True):
    """
    One box in a hello.

    @ivar index_id: the sender's, and C{highest} its highest number under it.
    @ivar your_id: the receiver's index id as the sender knows it, 0 if it
        does not; C{stored}: how far the sender has stored it durably.
    """

    box: Id
    index_id: IndexId
    highest: Number
    your_id: IndexId
    stored: Number


class Hello(Struct, frozen=True, array_like=True, tag=1):
    """
    The boxes that the sender has.  First on every link of every epoch, and
    again whenever numbers may have to be compared.
    """

    version: Number
    boxes: Annotated[tuple[BoxNumbers, ...], Meta(max_length=MOST_BOXES)]


class HeadRecord(Struct, frozen=True, array_like=True):
    """See L{flocknode.box.values.Head} and L{flocknode.box.values.Value}."""

    id: Id
    depth: Number
    deleted: bool
    kind: Annotated[int, Meta(ge=0, le=2)]
    mode: Annotated[int, Meta(ge=0, le=0o777)]
    mtime_ns: Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)]
    content: Annotated[bytes, Meta(max_length=32)]
    size: Number


class EntryRecord(Struct, frozen=True, array_like=True):
    """See L{flocknode.box.values.Entry}."""

    number: Annotated[int, Meta(ge=1, le=_LARGEST)]
    path: Annotated[bytes, Meta(min_length=1, max_length=4_095)]
    heads: Annotated[tuple[HeadRecord, ...], Meta(min_length=1, max_length=MOST_HEADS)]
    superseded: Annotated[tuple[tuple[Id, Number], ...], Meta(max_length=MOST_SUPERSEDED)]
    block_size: Annotated[int, Meta(ge=0, le=1_048_576)]
    complete: bool


class Index(Struct, frozen=True, array_like=True, tag=2):
    """
    The sender's entries with numbers in C{(start, to]}, ascending; then some
    past C{to} that belong to them: directories above what is alive, and what
    was deleted below what is no directory any more.  Those come again in their
    place, and whoever joins a record joins all of it at once.  Entries that
    the receiver has shown itself may be left out.
    """

    box: Id
    start: Number
    to: Number
    entries: Annotated[tuple[EntryRecord, ...], Meta(max_length=MOST_ENTRIES)]


class EncodedIndex(Struct, frozen=True, array_like=True, tag=2):
    """An L{Index} of entries that L{encode_entry} made; only for sending."""

    box: bytes
    start: int
    to: int
    entries: list[msgspec.Raw]


class Ack(Struct, frozen=True, array_like=True, tag=3):
    """The receiver's index is stored durably up to C{number}."""

    box: Id
    index_id: IndexId
    number: Number


WantedBlock: TypeAlias = tuple[
    HashField, Annotated[int, Meta(ge=1, le=LARGEST_BLOCK)]
]


class Want(Struct, frozen=True, array_like=True, tag=4):
    """Send me these blocks, (hash, bytes), the first first."""

    box: Id
    blocks: Annotated[tuple[WantedBlock, ...], Meta(min_length=1, max_length=MOST_HASHES)]


class Piece(Struct, frozen=True, array_like=True, tag=5):
    """
    A part of a block that was asked for.

    @ivar offset: a multiple of L{PIECE_SIZE}.
    """

    hash: HashField
    offset: Annotated[int, Meta(ge=0, lt=LARGEST_BLOCK)]
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE_SIZE)]


class Have(Struct, frozen=True, array_like=True, tag=6):
    """These blocks were verified here: the receiver may ask for them."""

    box: Id
    hashes: Hashes


class Gone(Struct, frozen=True, array_like=True, tag=7):
    """These were asked for and cannot be served."""

    hashes: Hashes


class Cancel(Struct, frozen=True, array_like=True, tag=8):
    """These were asked for and are not wanted any more."""

    hashes: Hashes


Record: TypeAlias = Hello | Index | Ack | Want | Piece | Have | Gone | Cancel

_DECODERS: Final[dict[int, msgspec.msgpack.Decoder[Record]]] = {
    tag: msgspec.msgpack.Decoder(kind)
    for tag, kind in enumerate((Hello, Index, Ack, Want, Piece, Have, Gone, Cancel), 1)
}
_encoder: Final = msgspec.msgpack.Encoder()
_NO_BYTES: Final = _encoder.encode(b"")


def encode(record: Record | EncodedIndex) -> bytes:
    """A record as it goes on a link, with its length in front."""
    body = _encoder.encode(record)
    return LENGTH.pack(len(body)) + body


def encode_pieces(hash: bytes, data: bytes) -> Iterator[bytes]:
    """A whole block as L{Piece} records, in runs of at most L{RUN}."""
    view = memoryview(data)
    for start in range(0, len(data), RUN * PIECE_SIZE):
        run: list[bytes | memoryview] = []
        for offset in range(start, min(start + RUN * PIECE_SIZE, len(data)), PIECE_SIZE):
            part = view[offset : offset + PIECE_SIZE]
            # All of the record but its last field, which is copied once, below.
            head = _encoder.encode(Piece(hash, offset, b""))[: -len(_NO_BYTES)] + _bin(len(part))
            run += (LENGTH.pack(len(head) + len(part)), head, part)
        yield b"".join(run)


def _bin(size: int) -> bytes:
    """How msgpack begins so many bytes."""
    return struct.pack(">BB", 0xC4, size) if size < 256 else struct.pack(">BH", 0xC5, size)


def encode_entry(entry: EntryRecord) -> msgspec.Raw:
    """An entry for an L{EncodedIndex}."""
    return msgspec.Raw(_encoder.encode(entry))


def decode(body: bytes | memoryview) -> Record | None:
    """
    @param body: a record without its length.
    @return: L{None} if it is of a kind that is not known here.
    @raise ProtocolError: it is not what the table says.
    """
    if len(body) < 2 or not 0x91 <= body[0] <= 0x9F or body[1] > 0x7F:
        raise ProtocolError("A record does not begin with an array and a tag.")
    decoder = _DECODERS.get(body[1])
    if decoder is None:
        return None
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise ProtocolError(f"A record with tag {body[1]} does not parse: {error}") from None
