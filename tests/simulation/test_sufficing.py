# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A round is long enough for what it is called for: on a network that loses nothing,
of a thousand less than one needs a next.

C{FLOCKNODE_SOAK=1} in the environment tries a thousand; without it, some.
"""

from __future__ import annotations

import os
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from flocknode.simulation.run import Run
from flocknode.simulation.scenario import Scenario

FORMED = 70.0
"""Seconds after which nobody is a newcomer any more: then rounds are slowest."""
NAMES = 20
MANY = bool(os.environ.get("FLOCKNODE_SOAK"))


class Sufficing(SynchronousTestCase):
    """Changes of random sizes at random nodes, one after the other."""

    def in_vain(self, nodes: int, uplink: int, changes: int, after: float = FORMED) -> int:
        """
        @param after: seconds.
        @return: rounds of which nobody would have been in need.
        """
        run = Run(Scenario(nodes=nodes, uplink=uplink, seed=nodes))
        members, network, chance = run.flock.members, run.network, Random(nodes)
        for member in members:
            network.at(chance.uniform(0, 1), member.host.start)
        network.run(after)
        self.assertTrue(network.run_until(run.settled(), after))

        def rounds() -> int:
            return max(state.rounds for state in run.states().values())

        before = rounds()
        for number in range(changes):
            # From 16 bytes to 8 MiB.
            content = chance.randbytes(int(2 ** chance.uniform(4, 23)))
            chance.choice(members).box.put(b"%d" % (number % NAMES), content, number + 1)
            # It is noticed within a slot, and then no node is idle.
            network.run(0.6)
            self.assertTrue(network.run_until(run.settled(), 120.0))
            self.assertTrue(all(m.box.values() == members[0].box.values() for m in members))
            network.run(chance.uniform(0, 1))
        return rounds() - before - changes

    def test_three_nodes(self) -> None:
        self.assertLessEqual(self.in_vain(3, 12_500_000, 1000 if MANY else 60), 0)

    def test_six_nodes_on_slow_lines(self) -> None:
        self.assertLessEqual(self.in_vain(6, 2_500_000, 300 if MANY else 30), 0)

    def test_eight_nodes_on_fast_lines(self) -> None:
        self.assertLessEqual(self.in_vain(8, 125_000_000, 300 if MANY else 15), 0)

    def test_nodes_that_have_just_come(self) -> None:
        self.assertLessEqual(self.in_vain(4, 12_500_000, 10, after=10.0), 0)
