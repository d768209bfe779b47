# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.commands.check}.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocknode import cli
from flocknode.commands import check

SOUND = {"files": 7, "size": 2048, "kept": 2, "wrong": 0, "findings": [], "repairing": 0}


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []

    def run_with(self, answer: Any, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""

        def ask(_options: object, command: str, **more: object) -> Any:
            self.asked.append((command, more))
            if isinstance(answer, BaseException) and command == "check":
                raise answer
            return answer

        self.patch(check, "ask", ask)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(["check", "papers", *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_a_sound_box_is_exit_code_0(self) -> None:
        code, out, _ = self.run_with(SOUND)
        self.assertEqual(code, 0)
        self.assertEqual(out, "7 files (2.0 KiB) and 2 old versions were read\n")
        self.assertEqual(self.asked, [("check", {"box": "papers", "repair": False})])

    def test_what_is_wrong_is_said_and_exit_code_1(self) -> None:
        findings = [["a\x1b[2Jb", "It rots."], ["", "The index is odd."]]
        answer = {**SOUND, "wrong": 2, "findings": findings, "repairing": 1}
        code, out, err = self.run_with(answer, "--repair")
        self.assertEqual(code, 1)
        self.assertIn("a\\x1b[2Jb: It rots.\nThe index is odd.\n1 files are fetched again", out)
        self.assertIn("2 things are not as they were", err)
        self.assertEqual(self.asked, [("check", {"box": "papers", "repair": True})])

    def test_it_can_be_stopped(self) -> None:
        self.assertEqual(self.run_with(None, "--stop")[0], 0)
        self.assertEqual(self.asked, [("check_stop", {"box": "papers"})])

    def test_an_impatient_user_stops_it(self) -> None:
        self.assertEqual(self.run_with(KeyboardInterrupt())[0], 130)
        self.assertEqual([command for command, _ in self.asked], ["check", "check_stop"])
