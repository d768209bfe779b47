# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.commands.restore} and L{flocknode.commands.conflicts}.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from flocknode import control
from flocknode.errors import FlocknodeError
from tests.test_cli import Case

VERSION = {
    "id": "0123456789abcdef",
    "path": "d/\x1b[31mplan",
    "kind": "file",
    "size": 2048,
    "mtime": 1e9,
    "kept": 1.5e9,
}

CONFLICT = {
    "path": "plan.conflict-x",
    "of": "plan",
    "there": False,
    "kind": "file",
    "size": 3,
    "mtime": 1e9,
}


class AskingCase(Case):
    """
    A node that gives one answer.

    @ivar answer: what it says; an error: that it refuses.
    @ivar asked: what it was asked.
    """

    def setUp(self) -> None:
        super().setUp()
        self.answer: Any = None
        self.asked: list[tuple[str, dict[str, object]]] = []

        def ask(state: str, command: str, patience: None, **arguments: object) -> Any:
            self.asked.append((command, arguments))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        self.patch(control, "ask", ask)


class Versions(AskingCase):
    """C{flocknode versions}."""

    def test_they_are_shown_as_restore_takes_them(self) -> None:
        self.answer = [VERSION]
        shown = self.done("versions", "papers", "d")
        self.assertIn("01234567", shown)
        self.assertIn(datetime.datetime.fromtimestamp(1.5e9).isoformat(" "), shown)
        self.assertIn("2.0 KiB", shown)
        self.assertEqual(self.asked, [("versions", {"box": "papers", "path": "d"})])

    def test_names_do_nothing_to_the_terminal(self) -> None:
        self.answer = [VERSION]
        self.assertIn("\\x1b[31mplan", self.done("versions", "papers", "d"))

    def test_programs_get_all_of_it(self) -> None:
        self.answer = [VERSION]
        self.assertEqual(json.loads(self.done("versions", "papers", "d", "--json")), [VERSION])

    def test_that_there_are_none_is_said(self) -> None:
        self.answer = []
        self.assertIn("no earlier version of d", self.refused("versions", "papers", "d"))
        self.assertEqual(json.loads(self.done("versions", "papers", "d", "--json")), [])


class Restore(AskingCase):
    """C{flocknode restore}."""

    def at(self, text: str) -> object:
        """What a node is asked for."""
        self.answer = {"restored": ["plan"], "problems": []}
        self.done("restore", "papers", "plan", "--at", text)
        return self.asked[-1][1]["at"]

    def test_what_was_restored_is_said(self) -> None:
        self.answer = {"restored": ["a", "b\n"], "problems": []}
        shown = self.done("restore", "papers", "d", "--at", "0123456789abcdef", "--to", "e")
        self.assertEqual(shown, "restored a\nrestored b\\n\n")
        self.assertEqual(
            self.asked,
            [("restore", {"box": "papers", "path": "d", "at": "0123456789abcdef", "to": "e"})],
        )

    def test_what_was_not_is_an_error(self) -> None:
        self.answer = {"restored": ["a"], "problems": ["b is a directory.", "c is too."]}
        code, out, err = self.run_command("restore", "papers", "d", "--at", "0123")
        self.assertEqual((code, out), (1, "restored a\n"))
        self.assertIn("not all was restored: b is a directory. (and 1 more)", err)

    def test_times_are_local(self) -> None:
        for text, when in {
            "2026-11-20": datetime.datetime(2026, 11, 20),
            "2026-11-20 14:00": datetime.datetime(2026, 11, 20, 14),
            " 2026-11-20T14:00:05": datetime.datetime(2026, 11, 20, 14, 0, 5),
        }.items():
            self.assertEqual(self.at(text), when.timestamp())

    def test_unless_they_name_a_zone(self) -> None:
        zone = datetime.timezone(datetime.timedelta(hours=2))
        when = datetime.datetime(2026, 11, 20, 14, tzinfo=zone)
        self.assertEqual(self.at("2026-11-20 14:00+02:00"), when.timestamp())

    def test_ids_are_ids_whatever_their_digits(self) -> None:
        for text in ("2026", "20261120", "deadbeef"):
            self.assertEqual(self.at(text), text)

    def test_what_is_neither_is_not_asked_for(self) -> None:
        for text in ("yesterday", "14:00", "2026-13-01", "abc", "0123456789abcdef0", ""):
            self.assertIn("expected an id", self.refused("restore", "b", "p", f"--at={text}"))
        self.assertEqual(self.asked, [])

    def test_what_the_node_says_is_said(self) -> None:
        self.answer = FlocknodeError("The folder is not there.")
        self.assertIn("The folder is not there.", self.refused("restore", "b", "p", "--at=0123"))


class Conflicts(AskingCase):
    """C{flocknode conflicts}."""

    def test_they_are_listed_by_box(self) -> None:
        self.answer = {"boxes": {"papers": [CONFLICT], "music": []}, "problems": []}
        shown = self.done("conflicts")
        self.assertIn("papers  plan (gone)  plan.conflict-x", shown)
        self.assertEqual(self.asked, [("conflicts", {"box": None})])
        self.assertEqual(json.loads(self.done("conflicts", "papers", "--json")), self.answer)

    def test_that_there_are_none_is_said(self) -> None:
        self.answer = {"boxes": {"papers": []}, "problems": []}
        self.assertEqual(self.done("conflicts", "papers"), "no conflicts\n")

    def test_a_box_that_is_away_hides_none_of_others(self) -> None:
        self.answer = {"boxes": {"papers": [CONFLICT]}, "problems": ["box music: It is away."]}
        shown = self.done("conflicts")
        self.assertIn("plan.conflict-x", shown)
        self.assertIn("box music: It is away.\n", shown)

    def test_what_is_kept_is_asked_for(self) -> None:
        self.answer = {"removed": ["a"], "replaced": "b", "renamed": [["c", "d (2)"]]}
        shown = self.done("conflicts", "papers", "--keep", "other", "plan")
        self.assertEqual(shown, "replaced b\nremoved a\nrenamed c to d (2)\n")
        self.assertEqual(
            self.asked, [("resolve", {"box": "papers", "keep": "other", "path": "plan"})]
        )

    def test_only_what_there_is_to_keep_is_asked_for(self) -> None:
        self.assertIn("expected mine", self.refused("conflicts", "papers", "--keep", "his", "p"))
        self.assertIn("name of the box", self.refused("conflicts", "--keep", "mine", "p"))
        self.assertEqual(self.asked, [])
