# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The documented example of embedding, run as it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocknode
from tests.integration.cluster import PATIENCE, Cluster

TOP = Path(flocknode.__file__).parent.parent


class Embedding(SynchronousTestCase):
    """A node in somebody else's application."""

    def test_the_example_runs_a_node_in_another_application(self) -> None:
        cluster = Cluster("embedding.flock", count=1)
        self.addCleanup(cluster.close)
        (cluster.box(0) / "file").write_bytes(b"content")
        process = subprocess.Popen(
            [sys.executable, str(TOP / "examples" / "embedded.py"), "config"],
            cwd=cluster.folder(0),
            env={**os.environ, "PYTHONPATH": str(TOP)},
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        cluster.processes[0] = process
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        line = b""
        while b"in sync, 1 files" not in line:
            line = process.stdout.readline()
            self.assertTrue(line, "the example ended")
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        self.assertFalse((cluster.folder(0) / "state" / "control").exists())
