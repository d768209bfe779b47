# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Boxes on the real disk whose process is killed at random times; see
L{tests.box.killing}.
"""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

KILLS = 1000 if os.environ.get("FLOCKNODE_SOAK") else 100


class KilledTests(SynchronousTestCase):
    def test_nothing_is_lost_and_nothing_partial_is_seen(self) -> None:
        base = os.path.abspath(self.mktemp())
        os.makedirs(base)
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        done = subprocess.run(
            [sys.executable, "-m", "tests.box.killing", base, "1", str(KILLS)],
            cwd=root, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        # Otherwise it was killed before anything was placed.
        self.assertGreater(int(done.stdout), KILLS // 4)
