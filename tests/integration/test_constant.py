# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Constant cover on a flock of three real nodes, of which one asks for it.
"""

from __future__ import annotations

import os
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.cluster import Cluster, wait_until


class Covered(SynchronousTestCase):
    """One of three has C{cover = constant} in its configuration."""

    def setUp(self) -> None:
        self.cluster = Cluster(f"{self._testMethodName[:60]}.flock")
        self.addCleanup(self.cluster.close)
        self.cluster.configure(1, "400 Mbit/s", "cover = constant")
        self.cluster.start()
        self.cluster.together()

    def covers(self, *nodes: int) -> set[str]:
        """What cover these nodes say there is."""
        found = [self.cluster.status(node) for node in nodes]
        return {status["cover"] if status else "?" for status in found}

    def rounds(self, node: int) -> tuple[int, int]:
        """Rounds that a node has finished, and heard called."""
        status = self.cluster.status(node)
        assert status is not None
        return status["rounds"], self.cluster.log(node).count("a round is called")

    def test_files_arrive_without_any_round(self) -> None:
        wait_until(lambda: self.covers(0, 1, 2) == {"constant"}, "constant cover everywhere")
        # Two may have met before the one who asks was there.
        before = [self.rounds(node) for node in range(3)]
        for node in range(3):
            (self.cluster.box(node) / f"of {node}").write_bytes(os.urandom(20_000))
        found = self.cluster.wait_equal(holds=lambda tree: len(tree) == 3)
        self.assertEqual(set(found), {b"of 0", b"of 1", b"of 2"})
        (self.cluster.box(2) / "of 0").unlink()
        self.cluster.wait_same(2)
        self.cluster.wait_settled()
        for node in range(3):
            status = self.cluster.status(node)
            assert status is not None
            self.assertEqual(status["rate"], 65_536)
            self.assertIn("constant cover begins", self.cluster.log(node))
        self.assertEqual([self.rounds(node) for node in range(3)], before)

    @skipUnless(os.environ.get("FLOCKNODE_SOAK"), "half a minute: set FLOCKNODE_SOAK=1")
    def test_when_the_one_who_asks_is_gone_the_others_have_rounds(self) -> None:
        wait_until(lambda: self.covers(0, 1, 2) == {"constant"}, "constant cover everywhere")
        self.assertEqual(self.cluster.stop(1), 0)
        wait_until(lambda: self.covers(0, 2) == {"rounds"}, "cover in rounds")
        (self.cluster.box(0) / "file").write_bytes(os.urandom(100_000))
        self.cluster.wait_same(0, (0, 2))
        self.cluster.wait_settled((0, 2))
        self.assertGreaterEqual(self.rounds(0)[0], 1)
