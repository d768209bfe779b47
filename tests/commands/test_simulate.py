# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.commands.simulate}.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from flocknode.cli import main
from flocknode.simulation.traces import read_trace


class Simulating(SynchronousTestCase):
    """The command."""

    def simulate(self, *arguments: str) -> tuple[int, str, str]:
        """Its exit code, and what it wrote to both."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(["simulate", "--nodes", "3", "--size", "100KiB", *arguments])
            except SystemExit as exit:
                code = int(exit.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_it_tells_how_long_it_took_and_what_holds(self) -> None:
        code, out, err = self.simulate("--source", "3", "--uplink", "100Mbit", "--seed", "7")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"3 nodes with 100 Mbit/s each; node 3 has 100.0 KiB")
        self.assertRegex(out, r"all have it: +after \d\.\d\d s")
        self.assertIn("holds   all equal at the end", out)
        self.assertNotIn("BROKEN", out)

    def test_hardship_can_be_asked_for(self) -> None:
        code, out, _ = self.simulate(
            *("--latency", "20ms", "--jitter", "5 ms", "--loss", "1%", "--drift", "100"),
            *("--crash", "2@1", "--late", "3@4", "--partition", "1|2-3@20..24", "--json"),
            *("--line", "50Mbit", "--line", "2@80 Mbit/s", "--clocks", "3600"),
        )
        self.assertEqual(code, 0)
        self.assertEqual(json.loads(out)["breaches"], [])
        # node 2 is back only 10 s after it crashed
        self.assertGreater(json.loads(out)["all_have_it"], 11.0)

    def test_what_does_not_hold_is_named_and_is_a_failure(self) -> None:
        code, out, err = self.simulate("--limit", "0.5")
        self.assertEqual(code, 1)
        self.assertIn("BROKEN  all equal at the end", out)
        self.assertIn("what must hold does not: all equal at the end", err)

    def test_it_writes_a_trace(self) -> None:
        name = self.mktemp()
        self.assertEqual(self.simulate("--trace", name)[0], 0)
        with open(name, encoding="utf-8") as file:
            messages = list(read_trace(file))
        self.assertEqual({m.sender for m in messages}, {"1", "2", "3"})
        self.assertEqual([m.time for m in messages], sorted(m.time for m in messages))

    def test_a_trace_that_cannot_be_written_is_one_sentence(self) -> None:
        code, _, err = self.simulate("--trace", "/nowhere/at all")
        self.assertEqual(code, 1)
        self.assertEqual(err, "flocknode: /nowhere/at all: No such file or directory\n")

    def test_what_makes_no_sense_is_refused(self) -> None:
        for option, value, said in (
            ("--crash", "2", "expected N@T or N@T..T"),
            ("--crash", "x@2", "expected nodes such as"),
            ("--partition", "1|2@3", "expected A|B@T..T"),
            ("--late", "3", "expected N@T"),
            ("--loss", "some", "expected a share"),
            ("--latency", "5 min", "expected a time"),
            ("--uplink", "100", "expected a rate"),
            ("--nodes", "-1", "expected"),
            ("--source", "4", "there is no node 4"),
        ):
            code, _, err = self.simulate(option, value)
            self.assertNotEqual(code, 0, option)
            self.assertIn(said, err)

    def test_other_commands_do_without_the_simulator(self) -> None:
        program = (
            "import sys, flocknode.cli\n"
            "sys.exit(any(name.startswith('flocknode.simulation') for name in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, check=False
        )
        self.assertEqual(done.returncode, 0)
