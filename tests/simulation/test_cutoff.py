# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node is cut off in the middle of a round: whoever it is, and whoever has news,
all packets are the same, also those after its return.
"""

from __future__ import annotations

import io

import attrs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.rounds import Round
from flocknode.simulation.run import Run
from flocknode.simulation.scenario import Scenario, Span
from flocknode.simulation.traces import TraceWriter

NODES = 4
FEW = settings(
    deadline=None,
    database=None,
    max_examples=4,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
"""Each example takes a second, and shrinking it many."""
AFTERWARDS = 22.0
"""Seconds after the cut in which all that follows from it is done, but for the
news of who returned."""


def scene(seed: int, cut: int, begin: float, away: float) -> Scenario:
    """
    A file of 2 MiB, which takes 3.5 s of a round.

    @param cut: the node that is cut off, C{begin} seconds after the change, for
        C{away} seconds.
    """
    others = frozenset(range(1, NODES + 1)) - {cut}
    span = Span(begin, begin + away, (others,))
    size, uplink = 2 << 20, 1_250_000
    return Scenario(nodes=NODES, size=size, uplink=uplink, seed=seed, partitions=(span,))


def seen(scenario: Scenario) -> list[str]:
    """What a passer-by sees until all is done."""
    file = io.StringIO()
    outcome = Run(scenario, TraceWriter(file)).run()
    end = outcome.change + scenario.last_event + AFTERWARDS
    lines = (line for line in file.getvalue().splitlines() if not line.startswith("#"))
    return [line for line in lines if float(line.split("\t")[0]) < min(end, outcome.time)]


def same(one: list[str], other: list[str]) -> bool:
    """As far as both go: one may have been idle before the other."""
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))


class CutOff(SynchronousTestCase):
    """Two worlds, equal but for the source."""

    @FEW
    @given(
        st.integers(1, 1 << 30),
        st.integers(1, NODES),
        st.integers(1, NODES - 1),
        st.floats(1.0, 6.0),
        st.floats(2.2, 9.0),
    )
    def test_whether_it_is_the_source_does_not_show(
        self, seed: int, cut: int, further: int, begin: float, away: float
    ) -> None:
        found = scene(seed, cut, begin, away)
        source = seen(attrs.evolve(found, source=cut))
        another = seen(attrs.evolve(found, source=(cut - 1 + further) % NODES + 1))
        self.assertTrue(same(source, another))

    def test_it_would_if_rounds_followed_as_they_are_needed(self) -> None:
        self.patch(Round, "doubtful", lambda current, slot: 0)
        found = scene(1, 2, 2.6, 7.8)
        source, another = (seen(attrs.evolve(found, source=source)) for source in (2, 3))
        self.assertFalse(same(source, another))

    def test_two_rounds_follow_and_one_for_the_return(self) -> None:
        outcome = Run(scene(1, 2, 3.8, 7.8)).run()
        self.assertEqual((outcome.rounds, outcome.breaches), (4, ()))
