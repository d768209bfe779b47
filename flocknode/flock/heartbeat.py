# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Heartbeats: 256 bytes, about four a second, in every state the same shape.

Big-endian.  In Flock 2 every heartbeat, whatever its code, has this layout::

    code        3   ASCII digits, see L{flocknode.flock.status}
    space       1   0x20
    timestamp   8   ms since 1970
    count       1   members that the sender hears and shares its time with
    ids       192   up to 12 of their ids, 16 bytes each; more: in turns
    trailer    51   L{TRAILER}; 1.0.0 takes it for padding

A heartbeat without trailer is one of Flock 1.0.0: of it only the code and the
timestamp are read here, since the rest depends on the code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from flocknode.errors import ProtocolError
from flocknode.flock.interfaces import MemberId
from flocknode.flock.status import HEARTBEAT_CODES

HEARTBEAT_SIZE: Final = 256
ID_SIZE: Final = 16
IDS_SHOWN: Final = 12

HEAD: Final = struct.Struct(">3scQB")
IDS: Final = struct.Struct(f">{IDS_SHOWN * ID_SIZE}s")
_IDS_APART: Final = struct.Struct(f"{ID_SIZE}s" * IDS_SHOWN)
TRAILER: Final = struct.Struct(
    ">2s"  # magic
    "B"  # version
    "B"  # flags
    "I"  # slot
    "HI"  # flock time, ms since 1970: 48 bits
    "16s"  # state digest
    "I"  # round id (0: none)
    "I"  # stop slot (0: open)
    "B"  # rate step in force in slot + 2
    "B"  # delivered step
    "B"  # the most on a link, as a step
    "H"  # new, Padmé code
    "H"  # backlog, Padmé code
    "H"  # remaining, Padmé code
    "I"  # hash of the member set
)
TRAILER_OFFSET: Final = HEAD.size + IDS.size
MAGIC: Final = b"F2"
VERSION: Final = 2
ENDLESS: Final = 0xFFFFFFFF
"""The round id of constant cover, a round that nobody calls and that never stops."""


class Flags:
    """
    Bits; plain numbers, since every heartbeat is asked for them.

    @cvar CONSTANT: asks for constant cover; not shown by who only follows.
    @cvar LEAVING: is about to go.
    @cvar PAUSED: takes no part in rounds for now.
    @cvar FORMING: this flock has only just come together out of single nodes,
        so that nobody in it is one who returns.
    @cvar OCTAVE_SHIFT: so many bits on, four bits say the octave that the round keeps
        to, see L{flocknode.flock.rate.octave_step}.
    """

    CONSTANT: Final = 1
    LEAVING: Final = 2
    PAUSED: Final = 4
    FORMING: Final = 8
    OCTAVE_SHIFT: Final = 4


class Trailer(msgspec.Struct, frozen=True, gc=False):
    """
    What Flock 2 adds.  All but C{time_ms}, C{round_id} and C{stop_slot} are as
    of the boundary at which C{slot} began.

    @ivar flags: see L{Flags}.
    @ivar slot: slots of 500 ms of flock time since 2020.
    @ivar time_ms: flock time of sending, ms since 1970, 48 bits.
    @ivar digest: 16 bytes; equal digests mean equal boxes.
    @ivar round_id: the boundary whose snapshots started the round; 0: none;
        L{ENDLESS}.
    @ivar stop_slot: the first slot without frames; 0: not known yet.
    @ivar step: rate step in force in C{slot + 2}.
    @ivar delivered: the step that all incoming links delivered in the newest
        slot whose frames had time to arrive, and of a slot that begins with a
        burst, what they would have carried, up to an octave more than the step in
        force; or L{flocknode.flock.rate.UNMEASURED}.
    @ivar uplink: the most that the sender may send on a link, as a step: its
        uplink; under constant cover its cover rate, if that is less.
    @ivar new: and C{backlog}, C{remaining}: Padmé codes.
    @ivar members: L{members_hash} of the set the sender takes part with.
    """

    flags: int
    slot: int
    time_ms: int
    digest: bytes
    round_id: int
    stop_slot: int
    step: int
    delivered: int
    uplink: int
    new: int
    backlog: int
    remaining: int
    members: int

    @property
    def octave(self) -> int:
        """That the sender's round keeps to; 0: none."""
        return self.flags >> Flags.OCTAVE_SHIFT


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """
    @ivar status: one of L{HEARTBEAT_CODES}.
    @ivar timestamp_ms: ms since 1970 by the sender's reckoning.
    @ivar count: members that the sender hears, itself included.
    @ivar ids: C{min(count, 12)} of them.
    @ivar trailer: None in Flock 1.0.0, and then no ids either.
    """

    status: int
    timestamp_ms: int
    count: int = 0
    ids: tuple[MemberId, ...] = ()
    trailer: Trailer | None = None


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """256 bytes."""
    head = HEAD.pack(
        b"%03d" % heartbeat.status, b" ", heartbeat.timestamp_ms, heartbeat.count
    ) + b"".join(heartbeat.ids)
    trailer = heartbeat.trailer
    if trailer is None:
        return head.ljust(HEARTBEAT_SIZE, b"\0")
    return head.ljust(TRAILER_OFFSET, b"\0") + TRAILER.pack(
        MAGIC,
        VERSION,
        trailer.flags,
        trailer.slot,
        trailer.time_ms >> 32,
        trailer.time_ms & 0xFFFFFFFF,
        trailer.digest,
        trailer.round_id,
        trailer.stop_slot,
        trailer.step,
        trailer.delivered,
        trailer.uplink,
        trailer.new,
        trailer.backlog,
        trailer.remaining,
        trailer.members,
    )


def parse_heartbeat(message: bytes) -> Heartbeat:
    """@raise ProtocolError: these bytes are no heartbeat."""
    if len(message) != HEARTBEAT_SIZE:
        raise ProtocolError(f"a heartbeat has 256 bytes, not {len(message)}")
    code, space, timestamp, count = HEAD.unpack_from(message)
    if space != b" " or not code.isdigit() or int(code) not in HEARTBEAT_CODES:
        raise ProtocolError("a heartbeat starts with a status code and a space")
    magic, version, flags, slot, high, low, *rest = TRAILER.unpack_from(message, TRAILER_OFFSET)
    if magic != MAGIC or version != VERSION:
        return Heartbeat(int(code), timestamp)
    ids = _IDS_APART.unpack_from(message, HEAD.size)[:count]
    trailer = Trailer(flags, slot, high << 32 | low, *rest)
    return Heartbeat(int(code), timestamp, count, ids, trailer)


def members_hash(members: Iterable[MemberId]) -> int:
    """Four bytes that stand for a set of members."""
    digest = blake2b(b"".join(sorted(members)), digest_size=4, person=b"flock 2 members").digest()
    return int.from_bytes(digest, "big")


def shown_ids(members: tuple[MemberId, ...], turn: int) -> tuple[MemberId, ...]:
    """
    The ids that the heartbeat number C{turn} shows: all, or if they are too
    many, the next twelve, going round.

    @param members: sorted.
    """
    if len(members) <= IDS_SHOWN:
        return members
    first = turn * IDS_SHOWN % len(members)
    return (members[first:] + members[:first])[:IDS_SHOWN]
