# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.peers}.
"""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import WireError
from flocknode.wire.messages import Start
from flocknode.wire.peers import peers_of, settings_of
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
                settings.uplink,
                settings.constant_cover,
                settings.cover_rate,
                settings.min_members,
            ),
            (1_000, True, 2_000, 3),
        )
