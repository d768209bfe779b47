# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
TCP segments out of packets: Ethernet (with VLAN tags), Linux's cooked captures,
loopback and bare IP; IPv4 and IPv6 with TCP in it.  Anything else is nobody's.
"""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import Final

from flocknode.observe.capture import Captured
from flocknode.observe.packets import Endpoint, Segment

NULL: Final = 0
ETHERNET: Final = 1
RAW: Final = (12, 14, 101)
LOOP: Final = 108
COOKED: Final = 113
IPV4: Final = 228
IPV6: Final = 229
COOKED_2: Final = 276

_TCP: Final = 6
_SKIPPED: Final = (0, 43, 60)
"""IPv6: hop-by-hop options, routing, destination options."""

_v4 = struct.Struct("!BBHHHBBH4s4s")
_v6 = struct.Struct("!IHBB16s16s")
_tcp = struct.Struct("!HHIIBBH")


def decode(packet: Captured) -> Segment | None:
    """
    The TCP segment in a packet.

    @return: None if there is none, or too little of it was captured.
    """
    data = packet.data
    at = _network(packet.link, data)
    if at is None or at >= len(data):
        return None
    version = data[at] >> 4
    if version == 4:
        return _decode_v4(packet.time, data, at)
    return _decode_v6(packet.time, data, at) if version == 6 else None


def _network(link: int, data: bytes) -> int | None:
    """Where the IP header begins."""
    if link == ETHERNET:
        at = 12
        while data[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        return at + 2 if data[at : at + 2] in (b"\x08\x00", b"\x86\xdd") else None
    if link == COOKED:
        return 16 if data[14:16] in (b"\x08\x00", b"\x86\xdd") else None
    if link == COOKED_2:
        return 20 if data[0:2] in (b"\x08\x00", b"\x86\xdd") else None
    if link in (NULL, LOOP):
        return 4
    return 0 if link in (*RAW, IPV4, IPV6) else None


def _decode_v4(time: float, data: bytes, at: int) -> Segment | None:
    if len(data) < at + 20:
        return None
    first, _, total, _, fragment, _, protocol, _, source, target = _v4.unpack_from(data, at)
    length = (first & 15) * 4
    if protocol != _TCP or fragment & 0x1FFF or length < 20:
        return None
    return _decode_tcp(time, data, at + length, total - length, (source, target))


def _decode_v6(time: float, data: bytes, at: int) -> Segment | None:
    if len(data) < at + 40:
        return None
    _, payload, following, _, source, target = _v6.unpack_from(data, at)
    at += 40
    while following in _SKIPPED and at + 2 <= len(data):
        length = (data[at + 1] + 1) * 8
        following = data[at]
        at += length
        payload -= length
    if following != _TCP:
        return None
    return _decode_tcp(time, data, at, payload, (source, target))


def _decode_tcp(
    time: float, data: bytes, at: int, length: int, ends: tuple[bytes, bytes]
) -> Segment | None:
    """
    @param length: of header and payload, as IP says.
    @param ends: addresses of source and target.
    """
    if len(data) < at + 16:
        return None
    from_port, to_port, _, _, offset, _, window = _tcp.unpack_from(data, at)
    size = length - (offset >> 4) * 4
    if size < 0:
        return None
    source, target = _endpoint(ends[0], from_port), _endpoint(ends[1], to_port)
    return Segment(time, source, target, size, window)


@lru_cache(maxsize=4096)
def _endpoint(address: bytes, port: int) -> Endpoint:
    return Endpoint(str(ipaddress.ip_address(address)), port)
