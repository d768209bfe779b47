# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
TCP segments out of packets.
"""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe.capture import Captured
from flocknode.observe.decode import COOKED, COOKED_2, ETHERNET, LOOP, NULL, RAW, decode
from flocknode.observe.packets import Endpoint, Segment
from tests.observe.packing import tcp

V4 = Segment(1.5, Endpoint("10.0.0.1", 5671), Endpoint("10.0.0.2", 40000), 298, 501)
V6 = Segment(1.5, Endpoint("fe80::1", 5671), Endpoint("fe80::2", 40000), 4200, 502)


@attrs.frozen
class Layer:
    """A link-layer type and what it has in front, by the last two bytes of Ethernet."""

    link: int
    before: bytes
    after: bytes = b""
    kind: bool = True


LAYERS = (
    Layer(ETHERNET, bytes(12)),
    Layer(ETHERNET, bytes(12) + b"\x81\x00\x00\x07"),
    Layer(COOKED, bytes(14)),
    Layer(COOKED_2, b"", bytes(18)),
    Layer(NULL, bytes(4), kind=False),
    Layer(LOOP, bytes(4), kind=False),
    Layer(RAW[0], b"", kind=False),
)


def packed(segment: Segment, layer: Layer) -> Captured:
    data = tcp(segment)
    kind = data[12:14] if layer.kind else b""
    return Captured(segment.time, layer.link, layer.before + kind + layer.after + data[14:])


class Decoding(SynchronousTestCase):
    """What comes out."""

    def test_each_link_layer_and_both_versions_of_ip_are_decoded(self) -> None:
        for layer in LAYERS:
            for segment in (V4, V6):
                self.assertEqual(decode(packed(segment, layer)), segment)

    def test_extension_headers_are_passed_over(self) -> None:
        data = bytearray(tcp(V6))
        data[14 + 6] = 0
        data[14 + 4 : 14 + 6] = (20 + V6.size + 8).to_bytes(2, "big")
        data[54:54] = bytes((6, 0)) + bytes(6)
        self.assertEqual(decode(Captured(1.5, ETHERNET, bytes(data))), V6)

    def test_what_is_not_tcp_is_nobodys(self) -> None:
        datagram = bytearray(tcp(V4))
        datagram[14 + 9] = 17
        fragment = bytearray(tcp(V4))
        fragment[14 + 7] = 1
        for data in (bytes(datagram), bytes(fragment), bytes(60), b""):
            self.assertIsNone(decode(Captured(0.0, ETHERNET, data)))
        self.assertIsNone(decode(Captured(0.0, 9999, tcp(V4))))

    @settings(deadline=None, database=None)
    @given(st.sampled_from(LAYERS), st.sampled_from((V4, V6)), st.data())
    def test_broken_packets_are_decoded_or_nobodys(
        self, layer: Layer, segment: Segment, data: st.DataObject
    ) -> None:
        packet = packed(segment, layer)
        broken = bytearray(packet.data)
        for _ in range(data.draw(st.integers(0, 4))):
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
        del broken[data.draw(st.integers(0, len(broken))) :]
        decoded = decode(packet._replace(data=bytes(broken)))
        self.assertTrue(decoded is None or 0 <= decoded.size < 1 << 16)
