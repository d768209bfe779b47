# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forbancommands}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Path
from flocknode.errors import FlocknodeError, NeighbourError
from flocknode.forban.fetch.arrivals import Delivered
from flocknode.forban.fetch.status import FetchStatus, TransferStatus
from flocknode.forban.media.medium import MediumStatus
from flocknode.forban.near.announcing import AnnouncingStatus
from flocknode.forban.status import ForbanStatus, Hit, NeighbourStatus
from flocknode.forbancommands import ForbanCommands

UUID = "0b8f6c1e-3d53-4a5e-9c1b-6f0e8a7d4c21"


class FakeForban:
    """
    Stands for the service.

    @ivar asked: what was asked.
    @ivar delivered: the answer to a C{get}.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.delivered: Delivered | Exception = Delivered(Path(b"a\xff"))

    def status(self) -> ForbanStatus:
        """All that there can be."""
        return ForbanStatus(
            UUID,
            "ada",
            "shared",
            ("papers",),
            files=1,
            size=2,
            sites=("http://192.0.2.1:12555/",),
            problems=("One.",),
            announcing=AnnouncingStatus(12555, problems=("Two.",)),
            neighbours=3,
            fetching=FetchStatus(True, transfers=(TransferStatus(UUID, "a\udcff", 4, 2),)),
            media=(MediumStatus("/media/stick", "idle"),),
        )

    def neighbours(self) -> list[NeighbourStatus]:
        """One."""
        return [NeighbourStatus(UUID, "ada", "192.0.2.1:12555", 1.5, 2, tls=True)]

    async def search(self, term: str) -> tuple[list[Hit], bool]:
        """One hit."""
        self.asked.append(term)
        return [Hit(UUID, "ada", Path(b"a\xff"), 2)], True

    async def get(self, uuid: str, path: bytes) -> Delivered:
        """What it is to be."""
        self.asked.append((uuid, path))
        if isinstance(self.delivered, Exception):
            raise self.delivered
        return self.delivered


class Commands(SynchronousTestCase):
    """Of a node."""

    def setUp(self) -> None:
        self.forban = FakeForban()
        forban: Any = self.forban
        self.commands = ForbanCommands(forban).commands()

    def done(self, command: str, **arguments: object) -> Any:
        """What is answered, as it comes out of the socket."""
        answer = self.commands[command](**arguments)
        if isinstance(answer, Deferred):
            answer = self.successResultOf(answer)
        return json.loads(json.dumps(answer))

    def test_the_status_is_told_with_all_in_it(self) -> None:
        status = self.done("forban_status")
        self.assertEqual((status["uuid"], status["sites"]), (UUID, ["http://192.0.2.1:12555/"]))
        self.assertEqual(status["fetching"]["transfers"][0]["received"], 2)
        self.assertEqual(status["media"][0]["path"], "/media/stick")

    def test_neighbours_are_told(self) -> None:
        (neighbour,) = self.done("forban_neighbours")
        self.assertEqual((neighbour["files"], neighbour["tls"]), (2, True))

    def test_what_is_found_is_told_with_paths_as_text(self) -> None:
        found = self.done("forban_search", term="x")
        self.assertEqual(self.forban.asked, ["x"])
        self.assertEqual((found["hits"][0]["path"], found["more"]), ("a\udcff", True))

    def test_a_file_is_fetched_by_the_bytes_of_its_path(self) -> None:
        found = self.done("forban_get", uuid="0b", path="a\udcff")
        self.assertEqual(self.forban.asked, [("0b", b"a\xff")])
        self.assertEqual(found, {"path": "a\udcff", "wait": 0.0})

    def test_that_it_waits_is_told(self) -> None:
        self.forban.delivered = Delivered(None, 90.0, "name")
        found = self.done("forban_get", uuid="0b", path="a")
        self.assertEqual(found, {"path": None, "wait": 90.0})

    def test_what_goes_wrong_is_passed_on(self) -> None:
        self.forban.delivered = NeighbourError("No.")
        answer = self.commands["forban_get"](uuid="0b", path="a")
        self.failureResultOf(answer, NeighbourError)

    def test_arguments_that_are_no_text_are_refused(self) -> None:
        for command, arguments in (
            ("forban_search", {"term": 1}),
            ("forban_get", {"uuid": None, "path": "a"}),
            ("forban_get", {"uuid": "a", "path": ["a"]}),
        ):
            self.assertRaises(FlocknodeError, self.commands[command], **arguments)

    def test_without_a_public_box_it_is_said_how_there_is_one(self) -> None:
        commands = ForbanCommands(None).commands()
        for name, arguments in (
            ("forban_status", {}),
            ("forban_neighbours", {}),
            ("forban_search", {"term": "x"}),
            ("forban_get", {"uuid": "0b", "path": "a"}),
        ):
            try:
                answer = commands[name](**arguments)
                error = self.failureResultOf(answer, FlocknodeError).value
            except FlocknodeError as found:
                error = found
            self.assertIn("forban = yes", str(error))
