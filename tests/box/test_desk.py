# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.desk} and L{flocknode.boxcommands}: with the real
reactor and real threads.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from flocknode.box.box import Box
from flocknode.box.retention import KeepNone
from flocknode.box.settings import BoxSettings
from flocknode.boxcommands import BoxCommands
from flocknode.errors import FlocknodeError
from flocknode.plugged import PluggedMedia
from tests.box.test_box import BoxTestCase, pass_on, until


class DeskTests(BoxTestCase):
    """Two boxes; a file of the first is changed, and the second keeps what it was."""

    async def changed(self, **settings: Any) -> tuple[Box, Box]:
        a = await self.made("a")
        b = await self.made("b", BoxSettings(poll=0.05, **settings))
        for content in (b"one", b"two"):
            self.put(a, "file", content)
            await self.until_passed_on(a, b, content)
        return a, b

    async def until_passed_on(self, a: Box, b: Box, content: bytes) -> None:
        for _ in range(200):
            await pass_on(a, b)
            if self.get(b, "file") == content and b.status.state == "in sync":
                return
        raise AssertionError("It does not arrive.")

    def commands(self, *boxes: Box) -> BoxCommands:
        plugged = PluggedMedia(reactor, boxes, frozenset(), lambda name, place: boxes[0])
        return BoxCommands(boxes, plugged)

    async def refused(self, asked: Any) -> str:
        try:
            await asked
        except FlocknodeError as error:
            return str(error)
        raise AssertionError("It is not refused.")

    async def test_what_is_restored_is_a_local_change(self) -> None:
        a, b = await self.changed()
        ask = self.commands(a, b)
        (kept,) = await ask.versions("b", "file")
        before = b.new_total
        done = await ask.restore("b", "file", kept["id"])
        self.assertEqual(done, {"restored": ["file"], "problems": []})
        self.assertEqual(self.get(b, "file"), b"one")
        await until(lambda: b.new_total > before)
        await self.until_passed_on(b, a, b"one")
        self.assertEqual(len(await ask.versions("b", "file")), 2)

    async def test_it_is_noticed_even_if_nothing_is_heard_of_the_folder(self) -> None:
        _, b = await self.changed()
        self.deafen(b)
        before = b.new_total
        (kept,) = await b.desk.versions("file")
        await b.desk.restore("file", kept["id"], "elsewhere")
        await until(lambda: b.new_total > before)

    async def test_conflicts_are_listed_and_ended(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        self.put(a, "plan", b"from a")
        await until(lambda: a.status.files == 1)
        self.put(b, "plan", b"from b")
        await until(lambda: b.status.files == 1)
        await pass_on(a, b)
        await until(lambda: len(b.status.conflicts) == 1)
        ask = self.commands(a, b)
        found = await ask.conflicts()
        self.assertEqual(found["boxes"]["a"], [])
        self.assertEqual([each["of"] for each in found["boxes"]["b"]], ["plan"])
        await ask.resolve("b", "both", "plan")
        await until(lambda: not b.status.conflicts)
        self.assertEqual({self.get(b, "plan"), self.get(b, "plan (2)")}, {b"from a", b"from b"})
        self.assertEqual((await ask.conflicts("b"))["boxes"], {"b": []})

    async def test_a_box_that_is_away_says_why(self) -> None:
        a, b = await self.made("a"), await self.made("b")
        os.rename(self.path(b, ""), self.path(b, "").rstrip("/") + "-away")
        await until(lambda: b.status.state == "offline")
        ask = self.commands(a, b)
        for asked in (
            ask.versions("b", "."),
            ask.restore("b", "file", "0123"),
            ask.conflicts("b"),
            ask.resolve("b", "mine", "file"),
        ):
            self.assertIn("folder", await self.refused(asked))
        found = await ask.conflicts()
        self.assertEqual(found["boxes"], {"a": []})
        self.assertEqual(len(found["problems"]), 1)

    async def test_a_box_that_fails_a_request_goes_on(self) -> None:
        a, b = await self.changed()
        for path in ("..", "file"):
            await self.refused(self.commands(b).restore("b", path, "0000"))
        self.assertEqual(b.status.state, "in sync")
        self.put(a, "file", b"three")
        await self.until_passed_on(a, b, b"three")

    async def test_where_nothing_is_kept_the_store_is_empty_soon(self) -> None:
        _, b = await self.changed(versions=KeepNone())
        store = self.path(b, ".flocknode/versions")
        self.assertEqual(len(os.listdir(store)), 1)
        for _ in range(100):
            if not os.listdir(store):
                return
            await deferLater(reactor, 0.1)
        raise AssertionError("It is still there.")
