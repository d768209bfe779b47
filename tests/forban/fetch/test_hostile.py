# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node that fetches, between one neighbour that means well and one that does
not.  After each attack: the other neighbour was served, nothing lies outside of
the box, memory is bounded, nobody is connected for ever, and it ends at once.
"""

from __future__ import annotations

import os
import resource
from functools import partial
from pathlib import Path as FolderPath

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocknode.box.values import Path
from flocknode.forban.fetch import body, fetching, pacing, reading, turns
from flocknode.forban.fetch.staging import name_of
from flocknode.forban.fetch.wanting import Limits
from flocknode.forban.protocol.remote import RemoteFile
from tests.forban.fetch.fetchers import Fetcher
from tests.forban.fetch.peers import Flocknode, Hostile, Original, Script, Talk, text, until

GOOD = {b"good/%d" % number: b"good %d" % number for number in range(40)}

MEMORY = 150
"""MiB that an attack may cost: more than the limits allow would be many times that."""


def tree(folder: FolderPath) -> set[str]:
    """All that lies there, but for the node's own notes."""
    found = set()
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and relative.parts[0] != "state":
            found.add(str(relative))
    return found


def peak() -> float:
    """MiB of memory at its greatest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def was_asked_for_files(hostile: Hostile) -> bool:
    """And not only for its index."""
    return b"b64e" in b"".join(hostile.asked)


def give_what_is_fine(talk: Talk, request: bytes) -> None:
    """Only files whose names begin with C{fin}, which is C{Zmlu} in base64, can be had."""
    if b"g=Zmlu" in request:
        talk.head(4)
        talk.say(b"fine")
    else:
        talk.head(0, b"500 No")


class HostileCase(TestCase):
    """The three of them."""

    def setUp(self) -> None:
        self.folder = FolderPath(self.mktemp()).absolute()
        self.folder.mkdir()
        self.before = peak()
        self.good = Original(GOOD, 1)

    def attack(
        self, script: Script, limits: Limits | None = None, seed: int = 1
    ) -> tuple[Fetcher, Hostile]:
        """Begin."""
        hostile, good = Hostile(script), self.good
        fetcher = Fetcher(str(self.folder / "node"), limits=limits, seed=seed)
        for peer in (hostile, good):
            peer.listen()

        async def end() -> None:
            await fetcher.stop()
            # Whoever is still connected now was not let go.
            await hostile.when_alone()
            await hostile.stop()
            await good.stop()

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        fetcher.start(hostile, good)
        return fetcher, hostile

    async def survived(self, fetcher: Fetcher, more: dict[bytes, bytes] | None = None) -> None:
        """What is here is what is good, and C{more}."""
        wanted = {**GOOD, **(more or {})}
        await until(lambda: len(fetcher.held()) >= len(wanted))
        self.assertEqual(fetcher.held(), wanted)
        names = {os.path.join("node", "papers", os.fsdecode(path)) for path in wanted}
        below = {name for name in tree(self.folder) if not name.startswith("node/state/")}
        self.assertEqual(below, names)
        self.assertLess(peak() - self.before, MEMORY)

    async def left_alone(self, fetcher: Fetcher, hostile: Hostile) -> str:
        """Wait until it is; @return: why."""

        def why() -> str:
            for index in fetcher.indexes.status():
                if index.uuid == hostile.uuid and index.error:
                    return index.error
            for visit in fetcher.fetching.status().visits:
                if visit.uuid == hostile.uuid and visit.error:
                    return visit.error
            return ""

        await until(why)
        return why()


class Indexes(HostileCase):
    """That are no indexes, or bad ones."""

    async def test_one_without_an_end(self) -> None:
        def script(talk: Talk, request: bytes) -> None:
            if b"jsonl" in request:
                talk.head(0, b"404 Not Found")
            else:
                talk.head(None)
                talk.flood(b"x" * 65_536)

        fetcher, hostile = self.attack(script)
        await until(lambda: hostile.uuid in fetcher.indexes.all())
        await self.survived(fetcher)
        self.assertTrue(fetcher.indexes.all()[hostile.uuid].cut)

    async def test_one_of_ten_million_lines(self) -> None:
        self.patch(reading, "MOST_FILES", 20_000)
        lines = b"".join(b"many/%07d,4\n" % number for number in range(50_000))

        def script(talk: Talk, request: bytes) -> None:
            if b"jsonl" in request or b"b64e" in request:
                talk.head(0, b"404 Not Found")
            else:
                talk.head(200 * len(lines))
                talk.flood(lines, 200)

        fetcher, hostile = self.attack(script)
        await until(lambda: hostile.uuid in fetcher.indexes.all())
        self.assertEqual(len(fetcher.indexes.all()[hostile.uuid].files), 20_000)
        await self.survived(fetcher)

    async def test_one_of_ten_million_bad_lines(self) -> None:
        def script(talk: Talk, request: bytes) -> None:
            if b"jsonl" in request:
                talk.head(0, b"404 Not Found")
            else:
                talk.head(None)
                talk.flood(b"\x00../x\n" * 10_000, 1000)

        fetcher, hostile = self.attack(script)
        self.assertIn("bad lines", await self.left_alone(fetcher, hostile))
        await self.survived(fetcher)

    async def test_a_better_one_without_an_end(self) -> None:
        self.patch(reading, "MOST_JSONL_BYTES", 1 << 20)
        hostile_index = Flocknode({b"x": b"1"}, 66).better_index()
        head, line = hostile_index.splitlines(keepends=True)[:2]

        def script(talk: Talk, request: bytes) -> None:
            if b"jsonl" in request:
                talk.head(None)
                talk.say(head)
                talk.flood(line * 100)
            else:
                talk.head(0, b"404 Not Found")

        fetcher, hostile = self.attack(script)
        await until(lambda: hostile.uuid in fetcher.indexes.all())
        self.assertTrue(fetcher.indexes.all()[hostile.uuid].cut)
        await self.survived(fetcher)

    async def test_paths_that_lead_out(self) -> None:
        (self.folder / "victim").mkdir()
        (self.folder / "victim" / "file").write_bytes(b"mine")
        outside = str(self.folder / "victim" / "file").encode()
        paths = [
            b"../../victim/file",
            outside,
            b"/" + outside,
            b"a/../../../victim/file",
            b"..",
            b"./x",
            b"a//b",
            b".flocknode/box",
            b".FLOCKNODE/box",
            b"forban/index",
            b".ssh/authorized_keys",
            b"a/.git/config",
            b"x\x00y",
        ]
        index = b"".join(b"%s,4\n" % path for path in [*paths, b"fine"])

        def give(talk: Talk, _request: bytes) -> None:
            talk.head(4)
            talk.say(b"evil")

        fetcher, _ = self.attack(text(index, give))
        below = outside.lstrip(b"/")
        await until(lambda: len(fetcher.held()) == len(GOOD) + 2)
        # What begins with a slash lies below the box, as goforban means it.
        self.assertEqual(fetcher.held(), {**GOOD, b"fine": b"evil", below: b"evil"})
        self.assertEqual((self.folder / "victim" / "file").read_bytes(), b"mine")
        self.assertFalse((self.folder / "node" / "papers" / ".ssh").exists())

    async def test_sizes_that_are_none(self) -> None:
        sizes = [b"-1", b"1e9", b"99999999999999999999", b"0x10", b"", b" ", b"1.5", b"\xd9\xa3"]
        index = b"".join(b"bad%d,%s\n" % each for each in enumerate(sizes)) + b"fine,4\n"

        def give(talk: Talk, _request: bytes) -> None:
            talk.head(4)
            talk.say(b"good")

        fetcher, _ = self.attack(text(index, give))
        await self.survived(fetcher, {b"fine": b"good"})

    async def test_a_size_that_no_disk_has(self) -> None:
        fetcher, _ = self.attack(
            text(b"large,1000000000000000\n"), Limits(reserve=lambda _whole: 0)
        )
        await until(lambda: fetcher.fetching.status().error)
        self.assertIn("disk", fetcher.fetching.status().error)
        await self.survived(fetcher)

    async def test_names_with_markup(self) -> None:
        names = [b"<script>x</script>", b'"><img src=x>', b"';DROP TABLE fetched;--", b"\x1b[31m"]
        index = b"".join(b"%s,4\n" % name for name in names)

        def give(talk: Talk, _request: bytes) -> None:
            talk.head(4)
            talk.say(b"good")

        fetcher, _ = self.attack(text(index, give))
        await self.survived(fetcher, dict.fromkeys(names, b"good"))

    async def test_somebody_who_does_not_answer(self) -> None:
        fetcher, hostile = self.attack(lambda _talk, _request: None)
        await until(lambda: hostile.connections)
        await self.survived(fetcher)

    async def test_redirects_to_this_machine(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(0, b"302 Found", b"Location: http://127.0.0.1:22/\r\n")

        fetcher, hostile = self.attack(script)
        self.assertIn("302", await self.left_alone(fetcher, hostile))
        await self.survived(fetcher)


FILES = b"".join(b"bad%d,1000\n" % number for number in range(10))
"""An index."""


class Files(HostileCase):
    """That are not what was said."""

    async def test_bodies_that_break_off(self) -> None:
        def give(talk: Talk, _request: bytes) -> None:
            talk.head(1000)
            talk.say(b"half")
            talk.close()

        fetcher, hostile = self.attack(text(FILES, give))
        await self.left_alone(fetcher, hostile)
        await self.survived(fetcher)

    async def test_bodies_that_are_too_short_or_too_long_and_do_not_say_so(self) -> None:
        for data in (b"short", b"x" * 5000):
            self.setUp()

            def give(talk: Talk, _request: bytes, data: bytes = data) -> None:
                talk.head(None, more=b"Connection: close\r\n")
                talk.say(data)
                talk.close()

            fetcher, hostile = self.attack(text(FILES, give))
            await self.left_alone(fetcher, hostile)
            await self.survived(fetcher)

    async def test_bodies_without_an_end(self) -> None:
        def give(talk: Talk, _request: bytes) -> None:
            talk.head(None)
            talk.flood(b"x" * 65_536)

        fetcher, hostile = self.attack(text(FILES, give))
        await self.left_alone(fetcher, hostile)
        await self.survived(fetcher)

    async def test_bodies_that_stall(self) -> None:
        # They are given up after half a minute; here only others are served.
        def give(talk: Talk, _request: bytes) -> None:
            talk.head(1000)
            talk.say(b"some")

        fetcher, _ = self.attack(text(FILES, give))
        await until(lambda: fetcher.fetching.status().transfers)
        await self.survived(fetcher)

    async def test_bodies_that_stall_are_given_up(self) -> None:
        self.patch(pacing, "STALLED", 0.0)

        def give(talk: Talk, _request: bytes) -> None:
            talk.head(1000)
            talk.say(b"some")

        self.patch(body, "CHECKED", 0.01)
        fetcher, hostile = self.attack(text(FILES, give))
        self.assertIn("Nothing came", await self.left_alone(fetcher, hostile))
        await hostile.when_alone()

    async def test_who_takes_long_is_left_when_others_wait(self) -> None:
        self.patch(fetching, "NEIGHBOURS", 1)
        self.patch(fetching, "TURN", 0.01)
        self.patch(fetching, "AFTER_TURN", 0.01)
        self.patch(turns, "SOONEST", 0.1)

        def give(talk: Talk, _request: bytes) -> None:
            talk.head(1000)
            talk.say(b"some")

        # Which of them is visited first is up to chance.
        for seed in range(4):
            self.setUp()
            fetcher, hostile = self.attack(text(FILES, give), seed=seed)
            await until(partial(was_asked_for_files, hostile))
            await self.survived(fetcher)

    async def test_files_that_redirect(self) -> None:
        def give(talk: Talk, _request: bytes) -> None:
            place = b"Location: http://%s/s/?g=Z29vZC8w&f=b64e\r\n"
            talk.head(0, b"307 Temporary", place % str(self.good.address).encode())

        fetcher, hostile = self.attack(text(FILES, give))
        await self.left_alone(fetcher, hostile)
        await self.survived(fetcher)
        self.assertEqual(self.good.asked.count(b"Z29vZC8w"), 1)

    async def test_bad_files_do_not_hinder_good_ones_of_the_same_neighbour(self) -> None:
        index = b"bad1,3\nbad2,3\nfine1,4\nfine2,4\n"
        fetcher, _ = self.attack(text(index, give_what_is_fine))
        await self.survived(fetcher, {b"fine1": b"fine", b"fine2": b"fine"})

    async def test_many_bad_files_do_not_either(self) -> None:
        self.patch(turns, "SOONEST", 0.05)
        index = b"".join(b"bad%d,3\n" % number for number in range(20)) + b"fine,4\n"
        fetcher, _ = self.attack(text(index, give_what_is_fine))
        await self.survived(fetcher, {b"fine": b"fine"})

    async def test_links_in_the_staging_folder_are_not_followed(self) -> None:
        victim = self.folder / "victim"
        victim.write_bytes(b"mine")
        incoming = self.folder / "node" / "state" / "incoming"
        incoming.mkdir(parents=True)
        hostile_uuid = Hostile(lambda _talk, _request: None).uuid
        (incoming / name_of(hostile_uuid, RemoteFile(Path(b"bad"), 4))).symlink_to(victim)

        def give(talk: Talk, _request: bytes) -> None:
            talk.head(4)
            talk.say(b"evil")

        fetcher, _ = self.attack(text(b"bad,4\n", give))
        await until(lambda: fetcher.fetching.status().error)
        self.assertEqual(victim.read_bytes(), b"mine")
