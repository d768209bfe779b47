# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Real packets of real nodes: what a passer-by captures of a few changes.  The
statistics, which take many rounds, are made by L{benchmarks.anonymity}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.sources import Sources
from benchmarks.switch import WatchedCluster, switch_or_none, why_not
from flocknode.observe.labels import Label, assign
from flocknode.observe.report import Seen, look, read_segments

NODES = 3
KINDS = ("many files", "large file", "while hashing", "delete")
SAME = 0.02
"""Share by which the bytes of nodes may differ: heartbeats more or less, what the
system sends again, and frames that a busy machine missed.  The sender of a file
would send a multiple of what the others send."""


class Watched(SynchronousTestCase):
    """On a network of its own."""

    def watch(self, kinds: Sequence[str], leak: str = "") -> tuple[Seen, list[Label]]:
        """
        What a passer-by captures, and what happened.

        @param leak: see L{benchmarks.leaky}.
        """
        if reason := why_not():
            self.skipTest(f"nothing can be watched here: {reason}")
        switch = switch_or_none(NODES)
        cluster = WatchedCluster(f"{self._testMethodName[:40]}.flock", NODES, switch)
        self.addCleanup(cluster.close)
        cluster.leak = leak
        sources = Sources(cluster, seed=1, archive=16)
        sources.survey()
        cluster.start()
        cluster.together()
        sources.change("large file")
        sources.settle()
        sources.labels.clear()
        try:
            cluster.watch()
        except AssertionError:
            self.skipTest("tcpdump is not permitted to capture here")
        began = time.time()
        for kind in kinds:
            sources.change(kind)
            sources.settle()
        self.assertIn("0 packets dropped by kernel", cluster.unwatch())
        seen = look(read_segments(cluster.capture))
        self.assertGreater(seen.begin, began - 5.0)
        labels = [Label(*each) for each in sources.labels]
        self.assertEqual(len(assign(labels, seen.rounds)), len(kinds))
        return seen, labels

    def test_all_nodes_send_as_much_as_each_other_whoever_has_news(self) -> None:
        seen, labels = self.watch(KINDS)
        self.assertEqual(len(seen.traffic.nodes), NODES)
        for which, _ in assign(labels, seen.rounds):
            out = [row["bytes out"] for row in seen.features(which)]
            self.assertLess(max(out) / min(out), 1 + SAME, out)

    @skipUnless(os.environ.get("FLOCKNODE_SOAK"), "half a minute: set FLOCKNODE_SOAK=1")
    def test_and_if_frames_are_left_out_the_source_is_seen_to_send_most(self) -> None:
        seen, labels = self.watch(("large file",) * 2, leak="thrifty")
        for which, label in assign(labels, seen.rounds):
            out = [row["bytes out"] for row in seen.features(which)]
            self.assertEqual(seen.traffic.nodes[out.index(max(out))], label.source, out)
            self.assertGreater(max(out) / min(out), 1 + SAME, out)
