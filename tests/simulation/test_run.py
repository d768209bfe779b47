# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.simulation.run}: small flocks, and all that may befall them.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.core import Flock
from flocknode.flock.interfaces import MemberId, Priority
from flocknode.simulation import flock, report
from flocknode.simulation.invariants import EQUAL, FRAMES, INSIDE
from flocknode.simulation.run import NAME, Outcome, Run
from flocknode.simulation.scenario import Scenario, ScenarioError, Span
from flocknode.simulation.traces import TraceWriter, read_trace
from flocknode.testing import flocks
from tests.flock.test_noninterference import EagerFlock, SparingFlock

MIB = 1 << 20


def groups(*numbers: int) -> tuple[frozenset[int], ...]:
    """One group of these nodes."""
    return (frozenset(numbers),)


def traced(scenario: Scenario) -> str:
    """What a passer-by sees of it."""
    file = io.StringIO()
    Run(scenario, TraceWriter(file)).run()
    return file.getvalue()


class RunCase(SynchronousTestCase):
    """Runs scenarios of a mebibyte."""

    def run_of(self, **differences: Any) -> Outcome:
        """A small flock that differs in this."""
        return Run(Scenario(**{"nodes": 3, "size": MIB, **differences})).run()

    def good(self, **differences: Any) -> Outcome:
        """The same; nothing is wrong with it."""
        outcome = self.run_of(**differences)
        self.assertEqual(outcome.breaches, ())
        self.assertIsNotNone(outcome.all_have_it)
        return outcome


class Calm(RunCase):
    """Nothing but time passes."""

    def test_three_nodes_have_a_mebibyte_in_one_round(self) -> None:
        outcome = self.good()
        self.assertEqual((outcome.rounds, outcome.unfinished), (1, 0))
        assert outcome.all_have_it is not None
        self.assertLess(outcome.all_have_it, 2.5)

    def test_three_nodes_need_at_most_a_quarter_more_than_the_ideal(self) -> None:
        ratio = self.good(size=64 * MIB, uplink=6_250_000).ratio
        assert ratio is not None
        self.assertLessEqual(ratio, 1.25)

    def test_eight_nodes_need_at_most_two_fifths_more(self) -> None:
        ratio = self.good(nodes=8, size=64 * MIB).ratio
        assert ratio is not None
        self.assertLessEqual(ratio, 1.40)

    def test_whoever_is_the_source_the_passer_by_sees_the_same(self) -> None:
        one, other = (traced(Scenario(nodes=3, size=MIB, source=source)) for source in (1, 3))
        self.assertTrue(one == other)

    def test_what_is_counted_is_what_the_trace_shows(self) -> None:
        file = io.StringIO()
        outcome = Run(Scenario(nodes=3, size=MIB), TraceWriter(file)).run()
        file.seek(0)
        seen = [m for m in read_trace(file) if m.time > outcome.change]
        frames = [message.size for message in seen if message.size > 256]
        self.assertEqual(len(frames), outcome.tally.frames)
        self.assertEqual(sum(frames), outcome.tally.frame_bytes)
        self.assertEqual(len(seen) - len(frames), outcome.tally.heartbeats)


class TheSameAgain(RunCase):
    """Nothing is left to chance but the seed."""

    HARD = Scenario(
        nodes=4,
        size=MIB,
        loss=0.01,
        seed=7,
        crashes=(Span(1.8, 5.0, groups(2)),),
        late={3: 4.0},
    )

    def test_the_same_seed_gives_the_same_trace_byte_for_byte(self) -> None:
        # not assertEqual, which would print both
        self.assertTrue(traced(self.HARD) == traced(self.HARD))

    def test_another_seed_gives_another(self) -> None:
        one, other = (traced(Scenario(nodes=2, size=100, seed=seed)) for seed in (1, 2))
        self.assertFalse(one == other)

    def test_how_python_hashes_plays_no_part(self) -> None:
        """What comes of it, not only what is seen."""
        program = (
            "from tests.simulation.test_run import *\n"
            "print(report.summary(Run(TheSameAgain.HARD).run()))"
        )
        said = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
                check=True,
                capture_output=True,
            ).stdout
            for seed in ("1", "2")
        }
        self.assertEqual(len(said), 1, said)


class Hardship(RunCase):
    """Whatever happens, all have it in the end, and nothing shows."""

    def test_messages_are_lost(self) -> None:
        self.good(loss=0.02)

    def test_latency_and_jitter_are_great(self) -> None:
        self.good(latency=0.1, jitter=0.05)

    def test_clocks_drift_and_are_hours_apart(self) -> None:
        self.good(drift=0.0005, clock_offset=7200.0)

    def test_a_node_crashes_in_the_round(self) -> None:
        outcome = self.good(size=8 * MIB, crashes=(Span(1.8, 8.0, groups(2)),))
        assert outcome.all_have_it is not None
        self.assertGreater(outcome.all_have_it, 8.0)

    def test_the_source_crashes_in_the_round(self) -> None:
        self.good(size=8 * MIB, crashes=(Span(1.8, 8.0, groups(1)),))

    def test_the_flock_is_cut_in_two(self) -> None:
        outcome = self.good(
            nodes=4, size=8 * MIB, partitions=(Span(1.8, 9.0, groups(1, 2) + groups(3, 4)),)
        )
        assert outcome.all_have_it is not None
        self.assertGreater(outcome.all_have_it, 9.0)

    def test_two_of_three_have_all_of_an_uplink(self) -> None:
        size, uplink = 16 * MIB, 2_500_000
        alone = size / uplink
        run = Run(Scenario(nodes=3, size=size, uplink=uplink, late={3: 60.0}, limit=1.5 * alone))
        run.run()
        self.assertIn(NAME, run.flock.members[1].box.values())
        self.assertNotIn(NAME, run.flock.members[2].box.values())

    def test_a_node_starts_late(self) -> None:
        outcome = self.good(late={2: 10.0})
        assert outcome.all_have_it is not None
        self.assertGreater(outcome.all_have_it, 10.0)

    def test_one_line_is_narrower_than_the_configured_uplink(self) -> None:
        outcome = self.good(size=8 * MIB, lines={2: 6_250_000})
        self.assertGreater(outcome.tally.refused, 0)

    def test_nodes_take_long_to_hear_of_anything(self) -> None:
        # With a fixed 0.2 s of what is ready to be sent this took 5.5.
        self.patch(flock, "PIPE", 0.3)
        outcome = self.good(size=32 * MIB, uplink=6_250_000)
        assert outcome.ratio is not None
        self.assertLess(outcome.ratio, 2.5)


class WhatBreaks(RunCase):
    """Planted faults are named."""

    def broken(self, engine: type[Flock]) -> set[str]:
        """The invariants that a flock of such engines breaks."""
        self.patch(flocks, "Flock", engine)
        return {breach.invariant for breach in self.run_of().breaches}

    def test_empty_frames_that_are_left_out(self) -> None:
        self.assertIn(FRAMES, self.broken(SparingFlock))

    def test_payload_that_is_sent_at_once(self) -> None:
        class Eager(EagerFlock):
            def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
                if self._conductor.round is None:
                    super().queue(member, priority, records)
                else:
                    Flock.queue(self, member, priority, records)

        self.assertIn(INSIDE, self.broken(Eager))

    def test_what_never_arrives(self) -> None:
        outcome = self.run_of(size=64 * MIB, limit=3.0)
        self.assertIn(EQUAL, {breach.invariant for breach in outcome.breaches})
        self.assertIn("BROKEN  all equal at the end", list(report.lines(outcome)))


class Scenarios(SynchronousTestCase):
    """What cannot be is refused."""

    def test_nonsense_is_refused(self) -> None:
        for nonsense in (
            {"nodes": 1},
            {"nodes": 251},
            {"source": 9},
            {"late": {1: 2.0}},
            {"loss": 1.0},
            {"crashes": (Span(2.0, 1.0, groups(2)),)},
            {"partitions": (Span(1.0, 2.0, groups(1, 2) + groups(2, 3)),)},
            {"partitions": (Span(1.0, 3.0, groups(1)), Span(2.0, 4.0, groups(2)))},
        ):
            with self.assertRaises(ScenarioError, msg=repr(nonsense)):
                Scenario(**nonsense)
