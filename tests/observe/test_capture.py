# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Capture files, whole and broken.
"""

from __future__ import annotations

import io
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe.capture import MOST_BLOCK, Captured, read
from flocknode.observe.packets import ObserveError
from tests.observe.packing import block, pcap, pcapng

PACKETS = [(1.25, b"one"), (2.5, b""), (1795327101.000001, b"three")]


def found(data: bytes) -> list[Captured]:
    return list(read(io.BytesIO(data)))


class Captures(SynchronousTestCase):
    """What is read."""

    def assert_packets(self, data: bytes) -> None:
        packets = found(data)
        self.assertEqual([(p.link, p.data) for p in packets], [(1, data) for _, data in PACKETS])
        for packet, (time, _) in zip(packets, PACKETS, strict=True):
            self.assertAlmostEqual(packet.time, time, 6)

    def test_a_pcap_of_either_byte_order_and_unit_is_read(self) -> None:
        for order in "<>":
            for nano in (True, False):
                self.assert_packets(pcap(PACKETS, order, nano))

    def test_a_pcapng_of_either_byte_order_and_several_units_is_read(self) -> None:
        for order in "<>":
            for power in (6, 9):
                self.assert_packets(pcapng(PACKETS, order, power))

    def test_a_second_section_has_interfaces_of_its_own(self) -> None:
        self.assertEqual(len(found(pcapng(PACKETS, "<") + pcapng(PACKETS, ">"))), 6)

    def test_blocks_of_other_kinds_are_passed_over(self) -> None:
        self.assert_packets(pcapng(PACKETS) + block(5, b"statistics"))

    def test_a_last_packet_that_is_cut_off_is_left_out(self) -> None:
        self.assertEqual(len(found(pcap(PACKETS)[:-1])), 2)
        self.assertEqual(len(found(pcapng(PACKETS)[:-1])), 2)

    def test_what_is_no_capture_is_refused(self) -> None:
        for data in (b"", b"GIF89a", pcap([])[:10]):
            self.assertRaises(ObserveError, found, data)

    def test_absurd_lengths_are_refused(self) -> None:
        self.assertRaises(ObserveError, found, pcap([]) + struct.pack("<IIII", 1, 1, 1 << 30, 1))
        long = struct.pack("<II", 6, MOST_BLOCK + 4)
        self.assertRaises(ObserveError, found, pcapng([]) + long)
        self.assertRaises(ObserveError, found, pcapng([]) + struct.pack("<II", 6, 8))

    def test_a_packet_of_an_unknown_interface_is_refused(self) -> None:
        packet = block(6, struct.pack("<IIIII", 7, 0, 0, 0, 0))
        self.assertRaises(ObserveError, found, pcapng([]) + packet)

    @settings(deadline=None, database=None)
    @given(st.sampled_from((pcap(PACKETS), pcapng(PACKETS))), st.data())
    def test_broken_captures_are_read_or_refused(self, whole: bytes, data: st.DataObject) -> None:
        broken = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            broken[data.draw(st.integers(4, len(broken) - 1))] = data.draw(st.integers(0, 255))
        del broken[data.draw(st.integers(4, len(broken))) :]
        try:
            packets = found(bytes(broken))
        except ObserveError:
            return
        self.assertLessEqual(sum(len(packet.data) for packet in packets), len(broken))
