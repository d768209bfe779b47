# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.service}: two of them on loopback, each on an address
of its own.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path as FolderPath
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocknode.box.values import Path
from flocknode.errors import BoxError, ConfigError, NeighbourError
from flocknode.forban import parts
from flocknode.forban.fetch import indexes, staging
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.near.announcing import Announcing
from flocknode.forban.near.destinations import Destination
from flocknode.forban.near.neighbours import Address
from flocknode.forban.service import Forban
from flocknode.forban.settings import ForbanSettings
from flocknode.forban.status import NeighbourStatus
from flocknode.testing.shelves import FolderShelf
from tests.certificates import write_certificate
from tests.forban.fetch.peers import reactor, until

HOSTS = ("127.0.0.2", "127.0.0.3")


def free_port() -> int:
    """A port that is free on all of L{HOSTS}, for UDP and TCP."""
    while True:
        made = []
        try:
            made.append(socket.create_server((HOSTS[0], 0)))
            port: int = made[0].getsockname()[1]
            made.append(socket.create_server((HOSTS[1], port)))
            for host in HOSTS:
                made.append(socket.socket(type=socket.SOCK_DGRAM))
                made[-1].bind((host, port))
            return port
        except OSError:
            continue
        finally:
            for each in made:
                each.close()


def descriptors(folder: FolderPath) -> set[str]:
    """What this process has open: sockets, and what is in a folder."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if name.startswith(("socket:", str(folder.resolve()))):
            found.add(f"{number} {name}")
    return found


class Case(TestCase):
    """
    Nodes.

    @ivar asked: where files and indexes were asked for, with the question.
    """

    def setUp(self) -> None:
        self.port = free_port()
        self.folder = FolderPath(self.mktemp())
        self.asked: list[tuple[Address, str]] = []
        ask = Asker.ask

        async def noting(
            asker: Asker, address: Address, query: str, *arguments: Any, **more: Any
        ) -> Any:
            self.asked.append((address, query))
            return await ask(asker, address, query, *arguments, **more)

        self.patch(Asker, "ask", noting)
        # Whoever begins first is not heard by who is not there yet.
        self.patch(parts, "Announcing", partial(Announcing, interval=0.1))
        self.patch(indexes, "SOONEST", 0.1)

    def node(
        self,
        number: int,
        files: Mapping[bytes, bytes] | None = None,
        *,
        shared: bool = False,
        places: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> tuple[Forban, FolderShelf]:
        """One that tells the other of itself, not started."""
        folder = self.folder / str(number)
        shelf = FolderShelf(folder / "papers")
        for path, data in (files or {}).items():
            shelf.put(path, data)
        told = ForbanSettings(
            **{
                "name": f"node {number}",
                "port": self.port,
                "destination": (Destination(HOSTS[1 - number]),),
                **settings,
            }
        )
        forban = Forban(
            reactor,
            told,
            {"papers": shelf},
            str(folder / "state"),
            shared=shared,
            level=lambda _name: True,
            places=places,
            hosts=(HOSTS[number],),
            look=lambda: (),
        )
        return forban, shelf

    def start(self, *nodes: Forban) -> None:
        """Begin, until the end of the test."""
        for node in nodes:
            node.startService()
            self.addCleanup(self.stop, node)

    async def stop(self, node: Forban) -> None:
        """End it, if it has not ended."""
        if node.running:
            await node.stopService()

    async def index_of_other(self, node: Forban) -> NeighbourStatus:
        """Once that is there."""
        await until(lambda: node.neighbours() and node.neighbours()[0].files)
        return node.neighbours()[0]

    async def fails(self, asking: Any, error: type[Exception] = NeighbourError) -> str:
        """@return: the sentence."""
        try:
            await asking
        except error as found:
            return str(found)
        raise self.failureException("It was answered.")


class TwoNodes(Case):
    """They find each other, and bring each other what they have."""

    async def test_each_has_what_the_other_has(self) -> None:
        (one, ours), (other, theirs) = self.node(0, {b"a/b": b"one"}), self.node(1, {b"c": b"two"})
        self.start(one, other)
        await until(lambda: len(ours.files) == len(theirs.files) == 2)
        self.assertEqual(ours.where(b"c").read_bytes(), b"two")
        self.assertEqual(theirs.where(b"a/b").read_bytes(), b"one")
        await until(lambda: one.status().files == other.status().files == 2)

    async def test_by_tls_if_one_of_them_has_it(self) -> None:
        pem = self.mktemp()
        write_certificate(pem)
        port = free_port()
        endpoint = f"ssl:{port}:interface={HOSTS[0]}:privateKey={pem}"
        one, _ = self.node(0, {b"a": b"one"}, listen=(endpoint,))
        other, theirs = self.node(1, {b"b": b"two"})
        self.start(one, other)
        await until(lambda: len(theirs.files) == 2 and one.neighbours() and other.neighbours())
        self.assertTrue(other.neighbours()[0].tls)
        self.assertFalse(one.neighbours()[0].tls)
        self.assertIn(f"https://{HOSTS[0]}:{port}/", one.status().sites)
        files = {
            address
            for address, query in self.asked
            if address.host == HOSTS[0] and "f=b64e" in query
        }
        self.assertEqual({(each.port, len(each.pinned)) for each in files}, {(port, 32)})

    async def test_a_key_that_only_one_has_keeps_the_other_out(self) -> None:
        one, ours = self.node(0, {b"a": b"one"}, key="between us")
        other, theirs = self.node(1, {b"b": b"two"})
        self.start(one, other)
        await until(lambda: len(theirs.files) == 2)
        await until(lambda: one.neighbours() and one.neighbours()[0].tampered)
        self.assertEqual(set(ours.files), {b"a"})

    async def test_a_change_is_told_of_at_once(self) -> None:
        (one, ours), (other, theirs) = self.node(0, {b"a": b"one"}), self.node(1)
        self.start(one, other)
        await until(lambda: set(theirs.files) == {b"a"})
        ours.put(b"new", b"news")
        await until(lambda: set(theirs.files) == {b"a", b"new"})


class WhatPeopleAsk(Case):
    """Of a node in shared mode, that does nothing by itself."""

    async def pair(self) -> tuple[Forban, FolderShelf, str]:
        """@return: the asking one, which knows the other; and the uuid of that."""
        one, ours = self.node(0, mode="shared")
        other, _ = self.node(1, {b"d/report.pdf": b"text", b"e": b""}, mode="shared")
        self.start(one, other)
        await self.index_of_other(one)
        return one, ours, other.status().uuid

    async def test_a_file_is_fetched_by_the_beginning_of_a_uuid(self) -> None:
        one, ours, uuid = await self.pair()
        self.assertEqual(ours.files, {})
        done = await one.get(uuid[:6].upper(), b"d/report.pdf")
        self.assertEqual(done.path, b"d/report.pdf")
        self.assertEqual(ours.where(b"d/report.pdf").read_bytes(), b"text")

    async def test_what_cannot_be_fetched_is_said(self) -> None:
        one, _, uuid = await self.pair()
        for whose, path, sentence in (
            ("0" * 8 if uuid[:8] != "0" * 8 else "1", b"e", "no neighbour that is here"),
            ("", b"e", "a uuid that begins with nothing"),
            (uuid, b"missing", "no such file"),
            (uuid, b"../e", "."),
            (uuid, b"", "."),
        ):
            self.assertIn(sentence, await self.fails(Deferred.fromCoroutine(one.get(whose, path))))

    async def test_files_are_found_here_and_there(self) -> None:
        one, ours, uuid = await self.pair()
        ours.put(b"own report", b"x")
        await until(lambda: one.status().files)
        hits, more = await one.search("REPORT")
        self.assertEqual(
            {(hit.uuid, hit.name, hit.path, hit.size) for hit in hits},
            {
                (one.status().uuid, "node 0", b"own report", 1),
                (uuid, "node 1", b"d/report.pdf", 4),
            },
        )
        self.assertFalse(more)
        self.assertEqual((await one.search(" ")), ([], False))

    async def test_what_it_does_is_told(self) -> None:
        one, _, uuid = await self.pair()
        status = one.status()
        self.assertEqual((status.name, status.mode), ("node 0", "shared"))
        self.assertEqual(status.boxes, ("papers",))
        self.assertEqual((status.neighbours, status.problems), (1, ()))
        self.assertEqual(status.sites, (f"http://{HOSTS[0]}:{self.port}/",))
        (other,) = one.neighbours()
        self.assertEqual((other.uuid, other.name, other.files), (uuid, "node 1", 2))
        self.assertEqual((other.tampered, other.tls, other.error), (False, False, ""))

    async def test_a_uuid_outlives_the_node(self) -> None:
        one, _ = self.node(0)
        self.start(one)
        uuid = one.status().uuid
        await one.stopService()
        one.startService()
        self.assertEqual(one.status().uuid, uuid)

    async def test_who_does_not_run_says_so(self) -> None:
        one, _ = self.node(0)
        one.round_started()
        one.round_stopped()
        one.mounts_changed()
        for ask in (one.status, one.neighbours):
            self.assertIn("not running", str(self.assertRaises(NeighbourError, ask)))
        for asking in (one.search("x"), one.get("0", b"x")):
            sentence = await self.fails(Deferred.fromCoroutine(asking))
            self.assertIn("not running", sentence)


class Ending(Case):
    """Nothing is left open."""

    async def test_in_the_middle_of_transfers_in_both_directions(self) -> None:
        before = descriptors(self.folder)
        data = bytes(16 << 20)
        one, ours = self.node(0, {b"a": data}, rate=1 << 20)
        other, theirs = self.node(1, {b"b": data + b"x"}, rate=1 << 20)
        self.start(one, other)

        def received(node: Forban) -> int:
            return sum(each.received for each in node.status().fetching.transfers)

        await until(lambda: received(one) and received(other))
        await one.stopService()
        await until(lambda: not other.status().fetching.transfers)
        await other.stopService()
        self.assertEqual(descriptors(self.folder) - before, set())
        for opened in (*ours.opened, *theirs.opened):
            self.assertLess(opened._descriptor, 0)
        self.assertEqual((set(ours.files), set(theirs.files)), ({b"a"}, {b"b"}))

    async def test_before_it_has_really_begun(self) -> None:
        before = descriptors(self.folder)
        one, _ = self.node(0, {b"a": b"one"})
        self.start(one)
        await one.stopService()
        self.assertEqual(descriptors(self.folder) - before, set())
        await one.stopService()


class Trouble(Case):
    """It is said, and what can go on goes on."""

    async def test_a_certificate_that_is_not_there_is_said_before_anything_begins(self) -> None:
        endpoint = "ssl:1:privateKey=/nowhere/key.pem"
        error = self.assertRaises(
            ConfigError, self.node, 0, listen=(endpoint,), places={endpoint: "node1, line 3"}
        )
        self.assertEqual(
            str(error),
            f"node1, line 3: listen = {endpoint}: /nowhere/key.pem cannot be read:"
            " No such file or directory",
        )

    async def test_a_state_folder_that_cannot_be_used_is_said(self) -> None:
        one, _ = self.node(0)
        (self.folder / "0" / "state").write_bytes(b"")
        error = self.assertRaises(ConfigError, one.startService)
        self.assertIn("a file that this node can write", str(error))
        await one.stopService()

    async def test_a_port_that_is_taken_is_said_and_it_announces_itself_all_the_same(self) -> None:
        taken = socket.create_server((HOSTS[0], self.port))
        self.addCleanup(taken.close)
        one, _ = self.node(0)
        other, _ = self.node(1)
        self.start(one, other)
        place = f"{HOSTS[0]}:{self.port}"
        self.assertEqual(
            one.status().problems,
            (f"The site cannot listen on {place}: Address already in use.",),
        )
        await until(other.neighbours)

    async def test_what_is_shown_and_cannot_be_written_down_is_shown_all_the_same(self) -> None:
        one, ours = self.node(0)
        self.start(one)
        await one.stopService()
        # Root may write into any folder; nobody into one that has a file's name.
        state = self.folder / "0" / "state"
        ours.put(b"a", b"one")
        one.startService()
        await until(lambda: one.status().files == 1)
        await until(lambda: [path.suffix for path in state.glob("shown-*")] == [""])
        (shown,) = state.glob("shown-*")
        shown.unlink()
        (shown / "x").mkdir(parents=True)
        ours.put(b"b", b"two")
        await until(lambda: one.status().files == 2)
        await until(lambda: one.status().problems)
        self.assertIn("What is shown of papers cannot be written down", one.status().problems[0])
        (shown / "x").rmdir()
        shown.rmdir()
        ours.put(b"c", b"three")
        await until(lambda: not one.status().problems)

    async def test_notes_that_cannot_be_made_are_said_and_it_serves_all_the_same(self) -> None:
        for name in ("fetched", "fetched/fetched.sqlite"):
            folder = self.folder / "1" / "state"
            one, _ = self.node(0, {b"a": b"one"})
            other, theirs = self.node(1, {b"b": b"two"})
            if name == "fetched":
                folder.mkdir(parents=True)
                (folder / name).write_bytes(b"")
            else:
                (folder / "fetched").unlink()
                (folder / name).mkdir(parents=True)
            self.start(one, other)
            await until(lambda other=other: other.status().fetching.error)  # type: ignore[misc]
            self.assertIn(str(folder / name), other.status().fetching.error)
            await self.index_of_other(one)
            sentence = await self.fails(
                Deferred.fromCoroutine(other.get(one.status().uuid, b"a")), BoxError
            )
            self.assertIn(str(folder / name), sentence)
            self.assertEqual(set(theirs.files), {b"b"})
            await one.stopService()
            await other.stopService()

    async def test_a_full_disk_is_said_and_tried_again(self) -> None:
        one, _ = self.node(0, {b"a": b"one"})
        other, theirs = self.node(1)
        write = os.write
        full = [True]

        class Full:
            """The system, for staged files."""

            def __getattr__(self, name: str) -> Any:
                return getattr(os, name)

            def write(self, descriptor: int, data: bytes) -> int:
                if full[0]:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(descriptor, data)

        self.patch(staging, "os", Full())
        self.start(one, other)
        await until(lambda: other.status().fetching.error)
        self.assertIn("No space left on device", other.status().fetching.error)
        self.assertEqual(os.listdir(self.folder / "1" / "state" / "fetched" / "incoming"), [])
        full[0] = False
        done = await other.get(one.status().uuid, b"a")
        self.assertEqual((done.path, theirs.where(b"a").read_bytes()), (Path(b"a"), b"one"))
