# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.peers}.
"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import WireError
from flocknode.flock.rate import frame_size, frames_per_slot, uplink_step
from flocknode.wire.messages import Start
from flocknode.wire.peers import for_frames, peers_of, settings_of
from tests.wire.support import Pair

ME, ANNA, BERT = Pair.new(), Pair.new(), Pair.new()
START = Start(
    listen=("tcp://*:5671",),
    public=ME.public,
    secret=ME.secret,
    peers=(("tcp://anna:1", ANNA.public), ("tcp://bert:1", BERT.public)),
    uplink=1_000,
    constant_cover=True,
    cover_rate=2_000,
    min_members=3,
)


class PeersTests(SynchronousTestCase):
    """L{peers_of} and L{settings_of}."""

    def test_peers_come_in_the_order_of_their_ids(self) -> None:
        peers = peers_of(START)
        self.assertEqual([peer.id for peer in peers], sorted([ANNA.id, BERT.id]))

    def test_a_key_with_several_endpoints_is_one_peer(self) -> None:
        rows = (("tcp://a:1", ANNA.public), ("tcp://a:2", ANNA.public), ("tcp://a:1", ANNA.public))
        (peer,) = peers_of(replace(START, peers=rows))
        self.assertEqual(peer.endpoints, ("tcp://a:1", "tcp://a:2"))

    def test_this_nodes_own_key_is_no_peers_key(self) -> None:
        with self.assertRaises(WireError):
            peers_of(replace(START, peers=(("tcp://me:1", ME.public),)))

    def test_the_engine_is_told_what_the_node_said(self) -> None:
        settings = settings_of(START, peers_of(START))
        self.assertEqual(settings.me, ME.id)
        self.assertEqual(set(settings.peers), {ANNA.id, BERT.id})
        self.assertEqual(
            (
                settings.constant_cover,
                settings.cover_rate,
                settings.min_members,
            ),
            (True, 2_000, 3),
        )

    def test_the_engine_is_told_what_the_uplink_carries_of_frames(self) -> None:
        settings = settings_of(replace(START, uplink=1_000_000), peers_of(START))
        self.assertEqual(settings.uplink, for_frames(1_000_000, 2))
        # Of 4456 bytes 42 are of ZeroMQ, 3 times 66 headers of packets, and 1.5 times
        # 66 acknowledge what comes in.
        self.assertTrue(0.915 < settings.uplink / 1_000_000 < 0.924)


class UplinkTests(SynchronousTestCase):
    """L{for_frames}."""

    @given(st.integers(0, 10**10), st.integers(0, 255))
    def test_frames_and_all_that_comes_with_them_fit_into_the_uplink(
        self, uplink: int, peers: int
    ) -> None:
        left = for_frames(uplink, peers)
        self.assertGreaterEqual(left, 1)
        if left > 1:
            step = uplink_step(left, peers)
            frames = 2 * frames_per_slot(step)
            message = frame_size(step) + 42
            # Its packets' headers, and those of a packet for each two that come in.
            frame = message + 1.5 * 66 * math.ceil(message / 1448)
            packets = (frames * frame + 4 * (256 + 42 + 66 + 66)) * max(1, peers)
            # The lowest step is never undercut.
            if step:
                self.assertLessEqual(packets, uplink)

    def test_most_of_an_uplink_is_for_frames(self) -> None:
        for peers in (2, 7):
            left = for_frames(6_250_000, peers)
            self.assertGreater(left, 0.92 * 6_250_000)
            step = uplink_step(left, peers)
            used = 2 * peers * frames_per_slot(step) * frame_size(step)
            self.assertGreater(used, 0.9 * 6_250_000)
