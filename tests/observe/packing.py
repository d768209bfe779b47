# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Captures and segments made up for tests.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence

from flocknode.observe.packets import Endpoint, Segment

HEARTBEAT = 298
FRAME = 4200


def tcp(segment: Segment) -> bytes:
    """Ethernet, IP, TCP and a payload, of which nothing is captured."""
    source = ipaddress.ip_address(segment.source.address)
    target = ipaddress.ip_address(segment.target.address)
    ports = segment.source.port, segment.target.port
    header = struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, 16, segment.window, 0, 0)
    length = len(header) + segment.size
    if source.version == 4:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 6, 0)
        return bytes(12) + b"\x08\x00" + ip + source.packed + target.packed + header
    ip = struct.pack("!IHBB", 6 << 28, length, 6, 64)
    return bytes(12) + b"\x86\xdd" + ip + source.packed + target.packed + header


def pcap(packets: Iterable[tuple[float, bytes]], order: str = "<", nano: bool = True) -> bytes:
    """A capture of Ethernet."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)]
    for time, data in packets:
        fraction = round((time % 1) * (1e9 if nano else 1e6))
        parts.append(struct.pack(order + "IIII", int(time), fraction, len(data), len(data)) + data)
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def pcapng(packets: Iterable[tuple[float, bytes]], order: str = "<", power: int = 9) -> bytes:
    """One section with one interface of Ethernet; times in 10^-power seconds."""
    section = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = struct.pack(order + "HHB3xHH", 9, 1, power, 0, 0)
    parts = [
        block(0x0A0D0D0A, section, order),
        block(1, struct.pack(order + "HHI", 1, 0, 0) + options, order),
    ]
    for time, data in packets:
        ticks = round(time * 10**power)
        head = struct.pack(
            order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)
        )
        parts.append(block(6, head + data, order))
    return b"".join(parts)


def node(place: int) -> Endpoint:
    """Of a flock on a network."""
    return Endpoint(f"10.0.0.{place + 1}", 5671)


def flock(
    count: int, starts: Sequence[Sequence[float]], length: float = 1.0, end: float = 10.0
) -> list[Segment]:
    """
    Heartbeats all the time, and rounds.

    @param starts: for each round, when each node starts.
    """
    found = []

    def to_all(time: float, place: int, size: int) -> None:
        for other in range(count):
            if other != place:
                found.append(Segment(time, node(place), node(other), size))

    for place in range(count):
        for beat in range(int(end / 0.25)):
            to_all(0.25 * beat + 0.05 * place, place, HEARTBEAT)
        for start in starts:
            for tick in range(int(length / 0.02)):
                to_all(start[place] + 0.02 * tick, place, FRAME)
    return sorted(found)
