# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Real packets of real nodes: what a passer-by captures of a few changes.  The
statistics, which take many rounds, are made by L{benchmarks.anonymity}.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.passerby import why_not
from benchmarks.sources import CUT, Sources, jobs
from benchmarks.switch import switch_or_none
from benchmarks.watched import BURSTS, WatchedCluster, WatchedSyncthing
from flocknode.observe.labels import Label, assign
from flocknode.observe.report import Seen, look, read_segments

NODES = 3
KINDS = ("many files", "large file", "while hashing", "delete")
SAME = 0.02
"""Share by which the bytes of nodes may differ: heartbeats more or less, what the
system sends again, and frames that a busy machine missed.  The sender of a file
would send a multiple of what the others send."""


class Jobs(SynchronousTestCase):
    """Who does what in which order."""

    def test_each_node_does_as_much_of_each_kind(self) -> None:
        found = Counter(islice(jobs(4, KINDS, random.Random(1)), 2 * 4 * len(KINDS)))
        self.assertEqual(set(found.values()), {2})
        self.assertEqual({(job.node, job.kind) for job in found}, set(product(range(4), KINDS)))

    def test_who_is_cut_off_says_nothing_of_the_source(self) -> None:
        found = Counter(islice(jobs(4, (CUT,), random.Random(1)), 32))
        self.assertEqual(set(found.values()), {2})
        self.assertEqual({(job.node, job.lost) for job in found}, set(product(range(4), range(4))))

    def test_the_order_is_another_with_each_seed(self) -> None:
        one, other = (list(islice(jobs(4, KINDS, random.Random(n)), 16)) for n in (1, 2))
        self.assertNotEqual(one, other)


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
        cluster.survey()
        cluster.start()
        cluster.together()
        sources.change("large file")
        cluster.settle()
        sources.labels.clear()
        try:
            cluster.watch()
        except AssertionError:
            self.skipTest("tcpdump is not permitted to capture here")
        began = time.time()
        for kind in kinds:
            sources.change(kind)
            cluster.settle()
        self.assertIn("0 packets dropped by kernel", cluster.unwatch())
        seen = look(read_segments(cluster.capture))
        self.assertGreater(seen.begin, began - 5.0)
        self.assertEqual(len(assign(sources.labels, seen.rounds)), len(kinds))
        return seen, sources.labels

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

    @skipUnless(os.environ.get("FLOCKNODE_SOAK"), "half a minute: set FLOCKNODE_SOAK=1")
    def test_syncthing_tells_who_has_news(self) -> None:
        if shutil.which("syncthing") is None:
            self.skipTest("there is no Syncthing")
        if reason := why_not():
            self.skipTest(f"nothing can be watched here: {reason}")
        switch = switch_or_none(NODES)
        if switch is None:
            self.skipTest("there can be no switch here")
        syncthing = WatchedSyncthing(Path(f"{self._testMethodName}.nodes").absolute(), switch)
        self.addCleanup(syncthing.close)
        sources = Sources(syncthing, seed=1, archive=1)
        syncthing.start()
        syncthing.settle()
        syncthing.watch()
        for _ in range(4):
            sources.change("large file")
            syncthing.settle()
        syncthing.unwatch()
        seen = look(read_segments(syncthing.capture), BURSTS)
        found = assign(sources.labels, seen.rounds)
        self.assertEqual(len(found), 4)
        for which, label in found:
            ratio = [row["out/in"] for row in seen.features(which)]
            self.assertEqual(seen.traffic.nodes[ratio.index(max(ratio))], label.source, ratio)
