# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Capture files: pcap (micro- or nanoseconds, either byte order) and pcapng, after
draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from flocknode.observe.packets import ObserveError

_PCAP: Final = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
"""Magic to (byte order, unit of the fraction of a second)."""

_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_INTERFACE: Final = 1
_SIMPLE: Final = 3
_ENHANCED: Final = 6
_RESOLUTION: Final = 9
"""Option of an interface: the unit of its times."""

MOST: Final = 262_144
"""Bytes of one packet, as libpcap has it."""
MOST_BLOCK: Final = 16_777_216
"""Bytes of one block of pcapng."""


class Captured(NamedTuple):
    """
    One packet.

    @ivar link: link-layer type, see U{https://www.tcpdump.org/linktypes.html}.
    @ivar data: its first bytes; perhaps not all of it.
    """

    time: float
    link: int
    data: bytes


def read(file: BinaryIO) -> Iterator[Captured]:
    """
    All packets of a capture.  A last packet that is cut off is left out: the
    capture may be going on.

    @raise ObserveError: it is no capture, or is broken.
    """
    magic = file.read(4)
    if magic in _PCAP:
        return _read_pcap(file, *_PCAP[magic])
    if magic == _SECTION:
        return _read_pcapng(file)
    raise ObserveError("This is neither a capture (pcap or pcapng) nor a trace.")


def _read_pcap(file: BinaryIO, order: str, unit: float) -> Iterator[Captured]:
    header = file.read(20)
    if len(header) < 20:
        raise ObserveError("The capture ends within its header.")
    link = struct.unpack(order + "I", header[16:])[0] & 0xFFFF
    record = struct.Struct(order + "IIII")
    while len(head := file.read(16)) == 16:
        seconds, fraction, length, _ = record.unpack(head)
        if length > MOST:
            raise ObserveError(f"The capture is broken: a packet of {length} bytes.")
        data = file.read(length)
        if len(data) < length:
            return
        yield Captured(seconds + fraction * unit, link, data)


def _read_pcapng(file: BinaryIO) -> Iterator[Captured]:
    order = ">"
    interfaces: list[tuple[int, float]] = []
    kind_bytes = _SECTION
    while len(kind_bytes) == 4:
        raw_length = file.read(4)
        start = b""
        if kind_bytes == _SECTION:
            start = file.read(4)
            if start not in _BYTE_ORDER:
                raise ObserveError("The capture is broken: a section without byte order.")
            order = _BYTE_ORDER[start]
            interfaces = []
        if len(raw_length) < 4:
            return
        (length,) = struct.unpack(order + "I", raw_length)
        if not 12 + len(start) <= length <= MOST_BLOCK:
            raise ObserveError(f"The capture is broken: a block of {length} bytes.")
        body = file.read(length - 12 - len(start))
        if len(body) + len(file.read(4)) < length - 8 - len(start):
            return
        kind = 0 if kind_bytes == _SECTION else struct.unpack(order + "I", kind_bytes)[0]
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        elif kind == _ENHANCED:
            yield _enhanced(body, order, interfaces)
        elif kind == _SIMPLE:
            raise ObserveError("The capture has packets without times.")
        kind_bytes = file.read(4)


def _interface(body: bytes, order: str) -> tuple[int, float]:
    """Its link type and the unit of its times, seconds."""
    if len(body) < 8:
        raise ObserveError("The capture is broken: an interface without type.")
    (link,) = struct.unpack_from(order + "H", body)
    unit = 1e-6
    at = 8
    while at + 4 <= len(body):
        option, length = struct.unpack_from(order + "HH", body, at)
        if option == 0:
            break
        if option == _RESOLUTION and length == 1 and at + 4 < len(body):
            power = body[at + 4]
            unit = 2.0 ** -(power & 0x7F) if power & 0x80 else 10.0**-power
        at += 4 + (length + 3) // 4 * 4
    return link, unit


def _enhanced(body: bytes, order: str, interfaces: list[tuple[int, float]]) -> Captured:
    if len(body) < 20:
        raise ObserveError("The capture is broken: a packet without header.")
    number, high, low, length = struct.unpack_from(order + "IIII", body)
    if number >= len(interfaces) or length > min(MOST, len(body) - 20):
        raise ObserveError("The capture is broken: a packet of no interface, or too long.")
    link, unit = interfaces[number]
    return Captured(((high << 32) + low) * unit, link, body[20 : 20 + length])
