# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.sample}, with processes that stand for nodes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocknode
from flocknode import sample
from flocknode.errors import ConfigError

TOP = Path(flocknode.__file__).parent.parent

WAITS = "import signal; print('here', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
ENDS = "print('no key for node2')"


class Nodes(SynchronousTestCase):
    """Three nodes of a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.files = []
        for name in ("node1", "node2", "node3"):
            self.files.append(str(self.folder / name))
            text = f"hostname=ipc://run/{name}.ipc\nbox=b@run/{name}/box\nstate=run/{name}/state\n"
            (self.folder / name).write_text(text)

    def started(self, program: str) -> sample.Sample:
        """The nodes, running C{program}, and each by now as far as to say something."""
        self.patch(sample, "TWISTD", ("-c", program))
        nodes = sample.Sample(self.files)
        nodes.prepare()
        logs = []
        for name in ("node1", "node2", "node3"):
            log = str(self.folder / "run" / name / "log")
            os.mkfifo(log)
            logs.append(os.fdopen(os.open(log, os.O_RDWR), "rb", buffering=0))
            self.addCleanup(logs[-1].close)
        nodes.start()
        self.addCleanup(nodes.stop)
        for said in logs:
            said.readline()
        return nodes

    def test_all_folders_that_the_nodes_need_are_made(self) -> None:
        sample.Sample(self.files).prepare()
        sample.Sample(self.files).prepare()
        for name in ("node1", "node2", "node3"):
            self.assertTrue((self.folder / "run" / name / "box").is_dir())
            self.assertEqual((self.folder / "run" / name / "state").stat().st_mode & 0o777, 0o700)

    def test_people_are_told_where_everything_is(self) -> None:
        text = sample.Sample(self.files).describe()
        for name in ("node1", "node2", "node3"):
            for part in ("box", "log"):
                self.assertIn(str(self.folder / "run" / name / part), text)
        self.assertIn("status --config", text)

    def test_a_wrong_configuration_is_refused_before_anything_is_started(self) -> None:
        (self.folder / "node2").write_text("colour = red")
        self.assertRaises(ConfigError, sample.Sample, self.files)

    def test_nodes_run_until_they_are_stopped(self) -> None:
        nodes = self.started(WAITS)
        self.assertEqual(nodes.ended(), "")
        nodes.stop()
        self.assertEqual(nodes.ended(), self.files[0])

    def test_nodes_that_do_not_end_are_killed(self) -> None:
        self.patch(sample, "PATIENCE", 0.01)
        nodes = self.started(STUBBORN)
        nodes.stop()
        self.assertEqual(nodes.ended(), self.files[0])

    def run_command(self, program: str) -> subprocess.Popen[str]:
        """The whole command, with C{program} in the place of twistd."""
        code = f"import sys; from flocknode import sample; sample.TWISTD = ('-c', {program!r});"
        code += "sys.exit(sample.main(sys.argv[1:]))"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *self.files],
            env={**os.environ, "PYTHONPATH": str(TOP)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def test_it_ends_well_when_it_is_asked_to(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.run_command(WAITS)
            assert process.stdout is not None
            while "Ctrl-C" not in process.stdout.readline():
                self.assertIsNone(process.poll())
            process.send_signal(number)
            _, errors = process.communicate(timeout=30)
            self.assertEqual((process.returncode, errors), (0, ""))

    def test_a_node_that_ends_ends_all_and_its_last_words_are_shown(self) -> None:
        process = self.run_command(ENDS)
        _, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1)
        self.assertIn("no key for node2", errors)
