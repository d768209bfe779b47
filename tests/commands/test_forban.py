# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.commands.forban}.
"""

from __future__ import annotations

import json
from typing import Any

from flocknode.errors import FlocknodeError
from tests.commands.test_restore import AskingCase

UUID = "0b8f6c1e-3d53-4a5e-9c1b-6f0e8a7d4c21"

STATUS: dict[str, Any] = {
    "uuid": UUID,
    "name": "ada\x1b[31m",
    "mode": "opportunistic",
    "boxes": ["papers", "maps"],
    "files": 3,
    "size": 2048,
    "sites": ["http://192.0.2.1:12555/", "https://192.0.2.1:12557/"],
    "problems": ["The site cannot listen on tcp:1: Permission denied."],
    "announcing": {"problems": ["Nothing can be sent to 192.0.2.9:12555: no route."]},
    "neighbours": 2,
    "fetching": {
        "fetched": 5,
        "today": 1024,
        "quota": 4096,
        "waiting": 1,
        "transfers": [{"path": "big\x1b[2J", "size": 2048, "received": 1024}],
        "error": "The disk is too full for what could be fetched.",
    },
    "media": [
        {
            "path": "/media/stick",
            "state": "idle",
            "imported": 1,
            "exported": 2,
            "problems": [["a", "It cannot be read."]],
        }
    ],
}

NEIGHBOUR: dict[str, Any] = {
    "uuid": UUID,
    "name": "<b>\x07",
    "address": "192.0.2.1:12555",
    "silent": 4.2,
    "files": 12,
    "tampered": False,
    "error": "",
    "tls": False,
}


class Status(AskingCase):
    """C{flocknode forban status}."""

    def test_all_of_it_is_shown(self) -> None:
        self.answer = STATUS
        shown = self.done("forban", "status")
        for text in (
            UUID,
            "public: papers, maps: 3 files, 2.0 KiB",
            "site: http://192.0.2.1:12555/, https://192.0.2.1:12557/",
            "neighbours: 2",
            "fetched: 5 files, 1.0 KiB of 4.0 KiB today, 1 to enter their boxes later",
            "1.0 KiB of 2.0 KiB",
            "medium /media/stick: idle, 1 files imported, 2 exported",
            "medium /media/stick: a: It cannot be read.",
            "Permission denied",
            "no route",
            "too full",
        ):
            self.assertIn(text, shown)
        self.assertNotIn("\x1b", shown)

    def test_a_site_that_is_nowhere_is_said_so(self) -> None:
        self.answer = {**STATUS, "sites": []}
        self.assertIn("site: nowhere", self.done("forban", "status"))

    def test_programs_get_all_of_it(self) -> None:
        self.answer = STATUS
        self.assertEqual(json.loads(self.done("forban", "status", "--json")), STATUS)

    def test_that_no_box_is_public_is_said(self) -> None:
        self.answer = FlocknodeError("no box is public")
        self.assertIn("no box is public", self.refused("forban", "status"))


class Neighbours(AskingCase):
    """C{flocknode forban neighbours}."""

    def shown(self, **changes: object) -> str:
        """With one that is like this."""
        self.answer = [{**NEIGHBOUR, **changes}]
        return self.done("forban", "neighbours")

    def test_what_they_have_is_shown(self) -> None:
        shown = self.shown()
        self.assertIn("12 files", shown)
        self.assertIn("4 s ago", shown)
        self.assertNotIn("by TLS", shown)
        self.assertNotIn("\x07", shown)

    def test_how_it_is_fetched_is_shown(self) -> None:
        self.assertIn("12 files, by TLS", self.shown(tls=True))

    def test_what_is_wrong_is_shown(self) -> None:
        self.assertIn("not made with the key", self.shown(tampered=True))
        self.assertIn("No answer.", self.shown(files=None, error="No answer."))
        shown = self.shown(tls=True, error="It shows another certificate.")
        self.assertIn("12 files, by TLS; It shows another certificate.", shown)

    def test_one_whose_index_is_not_here_yet_is_shown(self) -> None:
        self.assertIn("?", self.shown(files=None))

    def test_that_nobody_is_there_is_said(self) -> None:
        self.answer = []
        self.assertIn("nobody else", self.done("forban", "neighbours"))
        self.assertEqual(json.loads(self.done("forban", "neighbours", "--json")), [])


class Search(AskingCase):
    """C{flocknode forban search}."""

    def setUp(self) -> None:
        super().setUp()
        hit = {"uuid": UUID, "name": "ada", "path": "a\x1b[31m", "size": 1024}
        self.answer = {"hits": [hit], "more": False}

    def test_what_is_found_is_shown(self) -> None:
        shown = self.done("forban", "search", "two", "words")
        self.assertEqual(self.asked, [("forban_search", {"term": "two words"})])
        self.assertIn("1.0 KiB", shown)
        self.assertIn("a\\x1b[31m", shown)
        self.assertNotIn("there are more", shown)

    def test_that_there_are_more_is_said(self) -> None:
        self.answer["more"] = True
        self.assertIn("there are more", self.done("forban", "search", "x"))

    def test_that_there_are_none_is_said(self) -> None:
        self.answer = {"hits": [], "more": False}
        self.assertIn("nobody who is here", self.refused("forban", "search", "x"))
        found = json.loads(self.done("forban", "search", "x", "--json"))
        self.assertEqual(found, self.answer)


class Get(AskingCase):
    """C{flocknode forban get}."""

    def test_where_it_is_is_said(self) -> None:
        self.answer = {"path": "d/a\x07", "wait": 0.0}
        shown = self.done("forban", "get", "0b", "d/a")
        self.assertEqual(self.asked, [("forban_get", {"uuid": "0b", "path": "d/a"})])
        self.assertIn("d/a\\x07", shown)

    def test_when_it_will_be_there_is_said(self) -> None:
        self.answer = {"path": None, "wait": 600.0}
        self.assertIn("in 10 minutes", self.done("forban", "get", "0b", "a"))

    def test_why_it_does_not_come_is_said(self) -> None:
        self.answer = FlocknodeError("no neighbour that is here has it")
        self.assertIn("no neighbour", self.refused("forban", "get", "0b", "a"))
