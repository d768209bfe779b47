# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.decoys}.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.decoys import LEAST, MOST, Decoys
from flocknode.testing.network import VirtualNetwork
from tests.flock.support import World


class DecoysTests(SynchronousTestCase):
    def test_with_none_an_hour_nothing_is_ever_pretended(self) -> None:
        decoys = Decoys(0, Random(1), 0.0)
        self.assertEqual({decoys.look(slot, 2, 0, slot / 2) for slot in range(100_000)}, {0})

    def test_each_is_shown_until_a_round_was_called_with_it(self) -> None:
        decoys = Decoys(60, Random(1), 0.0)
        slot = next(slot for slot in range(10_000) if decoys.look(slot, 2, 0, slot / 2))
        size = decoys.size
        self.assertEqual(decoys.look(slot + 1, 2, slot - 1, slot / 2), size)
        self.assertEqual(decoys.look(slot + 2, 2, slot, slot / 2), 0)

    def test_members_share_them(self) -> None:
        counts = []
        for alive in (2, 8):
            decoys, started, shown = Decoys(60, Random(1), 0.0), 0, set()
            for slot in range(24 * 7200):
                if decoys.look(slot, alive, started, slot / 2):
                    shown.add(slot)
                    started = slot
            counts.append(len(shown))
        self.assertLess(abs(counts[0] - 24 * 30), 24 * 6)
        self.assertLess(abs(counts[1] - 24 * 7.5), 24 * 3)

    def test_sizes_are_in_their_bounds(self) -> None:
        decoys = Decoys(720, Random(1), 0.0)
        sizes = set()
        for slot in range(50_000):
            sizes.add(decoys.look(slot, 1, slot - 1, slot / 2))
        sizes.discard(0)
        self.assertGreaterEqual(min(sizes), LEAST)
        self.assertLessEqual(max(sizes), MOST)
        self.assertGreater(len(sizes), 100)

    def test_an_idle_flock_has_rounds_at_any_time(self) -> None:
        world = World(3, network=VirtualNetwork(), decoys=60)
        world.settle()
        before = len(world.nodes[0].starts)
        world.network.run(1800)
        rounds = len(world.nodes[0].starts) - before
        self.assertTrue(15 <= rounds <= 45, rounds)
        self.assertEqual([len(node.starts) for node in world.nodes], 3 * [rounds + before])
