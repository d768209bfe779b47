# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A member of the flock that sends garbage: the others go on with each other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import zmq
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.cluster import Cluster, wait_until
from tests.integration.hostile import Hostile

GROWTH = 64
"""MiB that a node's processes may take more than before: what the queues for one
member may hold, and some."""


class HostileMember(SynchronousTestCase):
    """Two nodes, and one with an allowed key that is none."""

    def setUp(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        self.cluster = Cluster(f"{self._testMethodName[:20]}.flock", count=3)
        self.addCleanup(self.cluster.close)

    def resident(self) -> int:
        """MiB of all processes of both nodes."""
        pages = 0
        for process in self.cluster.processes.values():
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            for pid in (process.pid, *map(int, children.split())):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def dropped(self, node: int) -> list[str]:
        """What a node says of it in its log."""
        return re.findall(
            r"#warn\].*(heartbeat|frame) of .* is dropped", self.cluster.log(node)
        )

    def test_the_others_go_on_and_say_so_once(self) -> None:
        cluster = self.cluster
        cluster.start(0, 1)
        cluster.together(0, 1)
        (cluster.box(0) / "before").write_bytes(os.urandom(100_000))
        cluster.wait_equal((0, 1), lambda tree: b"before" in tree)
        pids = {node: process.pid for node, process in cluster.processes.items()}
        before = self.resident()
        hostile = Hostile(self.context, cluster, 2, seed=1)

        def listened() -> bool:
            hostile.speak()
            return hostile.listeners >= 2

        wait_until(listened, "both listen to it")
        for number in range(3):
            source = number % 2
            (cluster.box(source) / f"{number}").write_bytes(os.urandom(300_000))

            def there(other: int = 1 - source, number: int = number) -> bool:
                for _ in range(10):
                    hostile.speak()
                return (cluster.box(other) / f"{number}").exists()

            wait_until(there, "the change is at the other node")

        def both_say_so() -> bool:
            hostile.speak()
            return all(map(self.dropped, pids))

        wait_until(both_say_so, "both say that they drop something")
        self.assertLess(self.resident() - before, GROWTH)
        for node, pid in pids.items():
            self.assertEqual(cluster.processes[node].pid, pid)
            self.assertIsNone(cluster.processes[node].poll())
            log = cluster.log(node)
            self.assertNotIn("Traceback", log)
            self.assertEqual(len(self.dropped(node)), 1, log[-2_000:])
            self.assertLessEqual(len(re.findall(r"#warn\].*makes no sense", log)), 1)
