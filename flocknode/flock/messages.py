# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Frames: the messages that carry content, or nothing.

One message part, big-endian::

    topic      17   b"\\0" + the receiver's id
    code        4   b"200 "
    epoch       4   random at the sender's process start
    sequence    8   counts the frames of this link and epoch
    slot        4   the slot whose frames this is one of
    used        4   bytes of payload that are not padding
    start       4   offset of the first record start in them; 0xFFFFFFFF: none
    payload         used bytes
    zeros           up to the frame size of the rate step in force
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from flocknode.errors import ProtocolError
from flocknode.flock.interfaces import MemberId

FRAME_HEADER: Final = struct.Struct(">17s4sIQIII")
FRAME_CODE: Final = b"200 "
FRAME_SIZES: Final = (4117, 16405, 65557)
"""What a frame may measure in all; 4117 is Flock 1.0.0's file message."""
NO_RECORD_START: Final = 0xFFFFFFFF
_HEADER_SIZE: Final = FRAME_HEADER.size
_unpack: Final = struct.Struct(">B16s4sIQIII").unpack_from
"""L{FRAME_HEADER}, with the topic's two parts apart."""

FRAME_SUBSCRIPTION: Final = b"\0"
HEARTBEAT_SUBSCRIPTIONS: Final = (b"1", b"4")
"""What every node subscribes to, besides its own frame topic (and C{b"2"},
the file messages of 1.0.0)."""


def frame_topic(receiver: MemberId) -> bytes:
    """What a frame for C{receiver} starts with: what the receiver subscribes to."""
    return FRAME_SUBSCRIPTION + receiver


class Frame(msgspec.Struct, frozen=True, gc=False):
    """
    A frame as it came in.

    @ivar payload: the used bytes only; of a view, a view.
    @ivar start: index of the first record start in C{payload}, None if none.
    """

    receiver: MemberId
    epoch: int
    sequence: int
    slot: int
    start: int | None
    payload: bytes | memoryview


def parse_frame(message: bytes | memoryview) -> Frame:
    """@raise ProtocolError: these bytes are no frame."""
    size = len(message)
    if size not in FRAME_SIZES:
        raise ProtocolError(f"a frame does not measure {size} bytes")
    zero, receiver, code, epoch, sequence, slot, used, start = _unpack(message)
    if zero or code != FRAME_CODE:
        raise ProtocolError("a frame does not start like this")
    if used > size - _HEADER_SIZE:
        raise ProtocolError("a frame cannot use more than it has")
    if start == NO_RECORD_START:
        start = None
    elif start >= used:
        raise ProtocolError("a record cannot start behind the payload")
    payload = message[_HEADER_SIZE : _HEADER_SIZE + used]
    return Frame(receiver, epoch, sequence, slot, start, payload)
