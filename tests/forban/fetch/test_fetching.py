# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.fetching}, with neighbours on loopback that mean
well.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path as FolderPath
from typing import Any, ClassVar

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocknode.box.lane import Stopped
from flocknode.box.listing import Known, ListedFile
from flocknode.box.patterns import parse
from flocknode.box.values import Path
from flocknode.errors import BoxError, FlocknodeError, NeighbourError
from flocknode.forban import catalogue
from flocknode.forban.fetch import staging, transfers
from flocknode.forban.fetch.staging import KEPT, name_of
from flocknode.forban.fetch.visiting import AT_A_TIME
from flocknode.forban.fetch.wanting import Limits, Rules
from flocknode.forban.protocol.remote import RemoteFile
from tests.certificates import write_certificate
from tests.forban.fetch.fetchers import Fetcher
from tests.forban.fetch.peers import (
    NOT_DONE,
    Flocknode,
    Goforban,
    Original,
    Peer,
    small_hash,
    until,
    uuid_of,
)

FILES = {
    b"a.txt": b"one",
    b"d/b.bin": bytes(range(256)) * 3000,
    "ä ö/ü,+?.txt".encode(): b"odd",
    b"sub/~~~???>>>.x": b"plus and slash in Base64",
    b"empty": b"",
    b"page.html": b"<html>a page</html>",
    b"<script>alert(1)</script>": b"markup",
}
SMALL = {path: data for path, data in FILES.items() if len(data) < 1000}


class FetchingCase(TestCase):
    """Nodes and their neighbours, which end with the test."""

    def setUp(self) -> None:
        self.folder = self.mktemp()

    def fetcher(self, *peers: Peer, **more: Any) -> Fetcher:
        """A node that hears of these."""
        fetcher = Fetcher(self.folder, **more)
        self.begin(fetcher, *peers)
        return fetcher

    def begin(self, fetcher: Fetcher, *peers: Peer) -> None:
        """Let it hear of these."""
        for peer in peers:
            if peer.port is None:
                self.listen(peer)
        self.addCleanup(lambda: Deferred.fromCoroutine(fetcher.stop()))
        fetcher.start(*peers)

    def holds(self, fetcher: Fetcher, count: int) -> bool:
        """Does it hold so many files?"""
        return len(fetcher.held()) == count

    def listen(self, peer: Peer) -> None:
        """Let it, until the end."""
        peer.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(peer.stop()))

    async def settled(self, fetcher: Fetcher, *peers: Peer) -> None:
        """Wait until these were visited, and nothing is left to be done."""
        await until(lambda: all(fetcher.indexes.of(peer.uuid) for peer in peers))
        await until(lambda: fetcher.fetching._fetched is not None)
        await until(
            lambda: all(
                status.state == "left alone" or status.wait for status in self.visits(fetcher)
            )
        )

    def visits(self, fetcher: Fetcher) -> tuple[Any, ...]:
        """Who is visited or is to be."""
        return fetcher.fetching.status().visits

    async def fails(self, asking: Any, error: type[FlocknodeError]) -> str:
        """@return: the sentence."""
        try:
            await asking
        except error as found:
            return str(found)
        raise self.failureException("It was answered.")


class ByTLS(FetchingCase):
    """The neighbour's index says that its files are to be fetched by TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.pem = self.mktemp()
        self.fingerprint = write_certificate(self.pem)
        self.peer = Flocknode(SMALL)
        self.listen(self.peer)
        self.peer.listen_by_tls(self.pem)

    async def refused(self) -> tuple[Fetcher, str]:
        """@return: the node that fetched nothing, and why it did not."""
        fetcher = self.fetcher(self.peer)
        await until(lambda: any(visit.error for visit in self.visits(fetcher)))
        self.assertEqual(fetcher.held(), {})
        asked = set(self.peer.asked)
        self.assertEqual(asked, {b"forban/index.jsonl"})
        return fetcher, self.visits(fetcher)[0].error

    async def test_they_are_and_nothing_but_the_index_by_plain_http(self) -> None:
        fetcher = self.fetcher(self.peer)
        await until(lambda: len(fetcher.held()) == len(SMALL))
        self.assertEqual(fetcher.held(), SMALL)
        self.assertEqual(len(self.peer.asked_by_tls), len(SMALL))
        self.assertEqual(self.peer.asked[0], b"forban/index.jsonl")
        self.assertEqual(self.peer.asked[1:], self.peer.asked_by_tls)

    async def test_what_a_person_asks_for_too(self) -> None:
        fetcher = self.fetcher(self.peer, opportunistic=False)
        await self.settled(fetcher, self.peer)
        await fetcher.fetching.get(self.peer.uuid, Path(b"a.txt"))
        self.assertEqual(fetcher.held(), {b"a.txt": b"one"})
        self.assertEqual(len(self.peer.asked_by_tls), 1)

    async def test_with_another_certificate_nothing_is_fetched_in_any_way(self) -> None:
        assert self.peer.tls is not None
        self.peer.tls = attrs.evolve(self.peer.tls, fingerprint=bytes(32))
        _, error = await self.refused()
        self.assertIn("another certificate", error)

    async def test_if_nobody_listens_there_nothing_is_fetched_in_any_way(self) -> None:
        await self.peer.stop()
        self.listen(self.peer)
        _, error = await self.refused()
        self.assertIn("No connection", error)

    async def test_what_a_person_asks_for_is_refused_as_well(self) -> None:
        assert self.peer.tls is not None
        self.peer.tls = attrs.evolve(self.peer.tls, fingerprint=bytes(32))
        fetcher = self.fetcher(self.peer, opportunistic=False)
        await self.settled(fetcher, self.peer)
        asking = fetcher.fetching.get(self.peer.uuid, Path(b"a.txt"))
        self.assertIn("another certificate", await self.fails(asking, NeighbourError))
        self.assertEqual(self.peer.asked, [b"forban/index.jsonl"])


class Replication(FetchingCase):
    """All that a neighbour has is here after a while."""

    async def replicate(self, peer: Peer) -> Fetcher:
        """@return: the node that has all, and rests."""
        fetcher = self.fetcher(peer)
        await until(lambda: len(fetcher.held()) == len(peer.files))
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), peer.files)
        self.assertEqual(os.listdir(os.path.join(self.folder, "state", "incoming")), [])
        status = fetcher.fetching.status()
        self.assertEqual((status.fetched, status.error), (len(peer.files), ""))
        self.assertEqual(status.today, sum(map(len, peer.files.values())))
        return fetcher

    async def test_from_the_original(self) -> None:
        fetcher = await self.replicate(Original(FILES))
        file = fetcher.shelves["papers"].files[Path(b"a.txt")]
        self.assertEqual(file.mtime_ns, 1_600_000_000 * 10**9)

    async def test_what_the_original_never_gives_keeps_nothing_else_away(self) -> None:
        # As captured: it lists these, and answers 404.
        never = {b"%d wait...mp3" % number: b"x" for number in range(12)}
        files = {b"song.mp3": b"longer", **never}
        peer = Original(files)
        fetcher = self.fetcher(peer)
        await until(lambda: self.holds(fetcher, 1))
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), {b"song.mp3": b"longer"})
        # It was asked for each, in both ways of writing them, and is not left alone.
        self.assertGreaterEqual(len(set(peer.asked)), len(files))
        self.assertEqual([each.error for each in self.visits(fetcher)], [""])

    async def test_from_goforban(self) -> None:
        await self.replicate(Goforban(FILES))

    async def test_from_another_flocknode(self) -> None:
        await self.replicate(Flocknode(SMALL))

    async def test_from_several_at_once(self) -> None:
        peers = [
            Original({b"%d/%d" % (number, name): b"%d" % name for name in range(30)}, number)
            for number in range(1, 8)
        ]
        fetcher = self.fetcher(*peers)
        await until(lambda: len(fetcher.held()) == 7 * 30)

    async def test_several_files_come_at_a_time(self) -> None:
        class Waiting(Original):
            """Answers when so many are asked for."""

            waiting: ClassVar[list[Any]] = []

            def answer(self, request: Any) -> Any:
                if b"f" not in request.args:
                    return super().answer(request)
                self.waiting.append((request, super().answer(request)))
                if len(self.waiting) == AT_A_TIME:
                    for each, data in self.waiting:
                        each.write(data)
                        each.finish()
                    self.waiting.clear()
                return NOT_DONE

        peer = Waiting({b"%d" % number: b"%d" % number for number in range(2 * AT_A_TIME)})
        fetcher = self.fetcher(peer)
        await until(lambda: len(fetcher.held()) == 2 * AT_A_TIME)

    async def test_what_is_new_at_a_neighbour_comes_too(self) -> None:
        peer = Original({b"a": b"1"})
        fetcher = self.fetcher(peer)
        await until(fetcher.held)
        peer.files[b"b"] = b"22"
        fetcher.indexes._known[peer.uuid].asked -= 60
        peer.announce(fetcher.neighbours)
        await until(lambda: len(fetcher.held()) == 2)

    async def test_what_two_have_comes_once(self) -> None:
        peers = [Original({b"a": b"x" * 50_000}, number) for number in (1, 2)]
        fetcher = self.fetcher(*peers)
        await self.settled(fetcher, *peers)
        self.assertEqual(fetcher.held(), peers[0].files)
        self.assertEqual(fetcher.fetching.status().fetched, 1)

    async def test_nothing_is_fetched_before_it_is_known_what_is_here(self) -> None:
        peer = Original({b"a": b"1"})
        fetcher = Fetcher(self.folder)
        fetcher.fetching._catalogue = lambda: None
        self.begin(fetcher, peer)
        await until(lambda: fetcher.indexes.of(peer.uuid))
        await self.fails(fetcher.fetching.get(peer.uuid, Path(b"a")), BoxError)
        self.assertEqual((fetcher.held(), self.visits(fetcher)[0].state), ({}, "waiting"))
        fetcher.fetching._catalogue = fetcher.catalogue
        fetcher.fetching._begin()
        await until(fetcher.held)


class TheOwner(FetchingCase):
    """What is the owner's stays as the owner wants it."""

    async def test_something_else_of_the_same_name_comes_beside_it_once(self) -> None:
        for peer in (Original({b"a": b"longer"}, 1), Flocknode({b"a": b"as lon"}, 2)):
            self.folder = self.mktemp()
            fetcher = Fetcher(self.folder)
            fetcher.shelves["papers"].put(b"a", b"mine" + b"!" * peer.uuid.count("2") * 2)
            self.begin(fetcher, peer)
            await until(partial(self.holds, fetcher, 2))
            for _ in range(3):
                fetcher.fetching._has_index(peer.uuid)
                await self.settled(fetcher, peer)
            held = fetcher.held()
            self.assertTrue(held.pop(b"a").startswith(b"mine"))
            self.assertEqual(list(held.values()), list(peer.files.values()))

    async def test_the_same_size_is_the_same_file_where_there_is_no_hash(self) -> None:
        peer = Original({b"a": b"1234"})
        fetcher = Fetcher(self.folder)
        fetcher.shelves["papers"].put(b"a", b"mine")
        self.begin(fetcher, peer)
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), {b"a": b"mine"})

    async def test_what_was_deleted_stays_away_until_a_person_asks(self) -> None:
        peer = Original({b"a": b"1", b"b": b"2"})
        fetcher = self.fetcher(peer)
        await until(lambda: len(fetcher.held()) == 2)
        shelf = fetcher.shelves["papers"]
        shelf.remove(b"a")
        for known in (Known.DELETED, Known.UNKNOWN):
            # A box forgets after a month or two.
            shelf.known_as[Path(b"a")] = known
            fetcher.fetching._has_index(peer.uuid)
            await self.settled(fetcher, peer)
            self.assertEqual(fetcher.held(), {b"b": b"2"})
        delivered = await fetcher.fetching.get(peer.uuid, Path(b"a"))
        self.assertEqual(delivered.path, b"a")
        self.assertEqual(fetcher.held(), peer.files)

    async def test_what_was_deleted_stays_away_after_a_restart(self) -> None:
        peer = Original({b"a": b"1", b"b": b"2"})
        fetcher = self.fetcher(peer)
        await until(lambda: len(fetcher.held()) == 2)
        await self.settled(fetcher, peer)
        await fetcher.stop()
        again = self.fetcher(peer)
        await self.settled(again, peer)
        # The new box knows of nothing: what was brought in before is noted.
        self.assertEqual(again.shelves["papers"].files, {})

    async def test_what_was_shown_and_is_gone_does_not_come_from_those_who_have_it(self) -> None:
        # What no member of a flock has heard of leaves nothing in its box.
        peer = Original({b"a": b"1", b"b": b"2"})
        fetcher = Fetcher(self.folder)
        fetcher.fetching.startService()
        await fetcher.fetching.gone("papers", [ListedFile(Path(b"a"), 1, 0, small_hash(b"1"))])
        self.begin(fetcher, peer)
        await until(fetcher.held)
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), {b"b": b"2"})
        await fetcher.fetching.get(peer.uuid, Path(b"a"))
        self.assertEqual(fetcher.held(), peer.files)

    async def test_after_the_end_nothing_is_noted(self) -> None:
        fetcher = self.fetcher()
        await fetcher.stop()
        await self.assertFailure(
            Deferred.fromCoroutine(fetcher.fetching.gone("papers", [])), Stopped
        )

    async def test_what_is_on_its_way_or_refused_is_left(self) -> None:
        peer = Original({b"a": b"1", b"b": b"2", b"c": b"3"})
        fetcher = Fetcher(self.folder)
        fetcher.shelves["papers"].known_as.update(
            {Path(b"a"): Known.COMING, Path(b"b"): Known.REFUSED}
        )
        self.begin(fetcher, peer)
        await until(fetcher.held)
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), {b"c": b"3"})

    async def test_only_what_the_rules_allow_is_fetched(self) -> None:
        peer = Original({b"a.txt": b"1", b"b.txt": b"12345", b"c.png": b"1", b"x/a.txt": b"2"})
        rules = Rules(parse(b"*.txt\n")[0], parse(b"x/\n")[0], 4)
        fetcher = self.fetcher(peer, limits=Limits(rules, reserve=lambda _whole: 0))
        await until(fetcher.held)
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), {b"a.txt": b"1"})
        for path in (b"b.txt", b"c.png", b"x/a.txt"):
            await fetcher.fetching.get(peer.uuid, Path(path))
        self.assertEqual(fetcher.held(), peer.files)

    async def test_the_quota_of_a_day_is_kept_to_also_after_a_restart(self) -> None:
        peer = Original({b"a": b"x" * 60, b"b": b"x" * 50, b"c": b"x" * 40})
        limits = Limits(quota=100, reserve=lambda _whole: 0)
        fetcher = self.fetcher(peer, limits=limits)
        await until(lambda: len(fetcher.held()) == 2)
        await self.settled(fetcher, peer)
        self.assertEqual(set(fetcher.held()), {b"b", b"c"})
        self.assertEqual(fetcher.fetching.status().today, 90)
        await fetcher.stop()
        again = self.fetcher(peer, limits=limits)
        await self.settled(again, peer)
        self.assertEqual(again.fetching.status().today, 90)
        self.assertEqual(again.held(), {})

    async def test_what_did_not_come_is_not_counted(self) -> None:
        peer = Original({b"a": b"x" * 60, b"b": b"x" * 70})
        fetcher = self.fetcher(peer, limits=Limits(quota=100, reserve=lambda _whole: 0))
        index = peer.index()
        self.patch(peer, "index", lambda: index)
        del peer.files[b"a"]
        await until(lambda: fetcher.held() or self.visits(fetcher))
        await self.settled(fetcher, peer)
        fetcher.fetching._has_index(peer.uuid)
        await until(fetcher.held)
        self.assertEqual(fetcher.held(), peer.files)
        self.assertEqual(fetcher.fetching.status().today, 70)

    async def test_a_disk_that_would_be_too_full_is_said_so(self) -> None:
        peer = Original({b"a": b"1"})
        fetcher = self.fetcher(peer, limits=Limits(reserve=lambda whole: whole))
        await until(lambda: fetcher.fetching.status().error)
        self.assertIn("disk", fetcher.fetching.status().error)
        self.assertEqual(fetcher.held(), {})


class Several(FetchingCase):
    """More than one public box."""

    async def test_the_first_component_may_name_a_box(self) -> None:
        peer = Original({b"books/a": b"1", b"papers/b": b"2", b"other/c": b"3", b"d": b"4"})
        fetcher = self.fetcher(peer, names=("papers", "books"))
        await until(lambda: len(fetcher.held("papers")) == 3)
        await until(lambda: fetcher.held("books"))
        self.assertEqual(fetcher.held("books"), {b"a": b"1"})
        self.assertEqual(set(fetcher.held("papers")), {b"b", b"other/c", b"d"})


    async def test_one_that_is_not_there_does_not_hinder_the_others(self) -> None:
        peer = Original({b"books/a": b"1", b"papers/b": b"2"})
        fetcher = Fetcher(self.folder, names=("papers", "books"))
        fetcher.shelves["books"].error = BoxError("Its medium is not there.")
        self.begin(fetcher, peer)
        await until(fetcher.held)
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held("papers"), {b"b": b"2"})
        fetcher.shelves["books"].error = None
        fetcher.fetching._has_index(peer.uuid)
        await until(lambda: fetcher.held("books"))


class Shared(FetchingCase):
    """A box that a flock shares."""

    async def test_what_is_fetched_waits(self) -> None:
        peer = Original(SMALL)
        fetcher = self.fetcher(peer, shared=["papers"])
        await until(lambda: fetcher.fetching.status().waiting == len(SMALL))
        await self.settled(fetcher, peer)
        fetcher.fetching._has_index(peer.uuid)
        await self.settled(fetcher, peer)
        status = fetcher.fetching.status()
        self.assertEqual((status.waiting, status.fetched), (len(SMALL), len(SMALL)))
        self.assertEqual(fetcher.held(), {})

    async def test_what_is_new_here_is_fetched_as_by_those_who_lack_it(self) -> None:
        peer = Original({b"new": b"just made", b"old": b"x"})
        fetcher = Fetcher(self.folder, shared=["papers"])
        shelf = fetcher.shelves["papers"]
        shelf.put(b"new", b"just made")
        shelf.put(b"old", b"x")
        shelf.unsettled.add(Path(b"new"))
        shown = {path: file for path, file in shelf.files.items() if path != b"new"}
        fetcher.shown = catalogue.compile({"papers": (shelf, shown)})
        self.begin(fetcher, peer)
        await until(lambda: fetcher.fetching.status().waiting == 1)
        await self.settled(fetcher, peer)
        self.assertEqual(peer.asked.count(b"bmV3"), 1)
        self.assertNotIn(b"b2xk", peer.asked)

    async def test_a_person_is_told_how_long_it_takes(self) -> None:
        peer = Original({b"a": b"1"})
        fetcher = self.fetcher(peer, shared=["papers"], opportunistic=False)
        await until(lambda: fetcher.indexes.of(peer.uuid))
        delivered = await fetcher.fetching.get(peer.uuid, Path(b"a"))
        self.assertIsNone(delivered.path)
        self.assertTrue(60 <= delivered.wait <= 1800)


class Media(FetchingCase):
    """What came another way."""

    async def test_it_goes_into_its_box_and_is_noted(self) -> None:
        for shared in ([], ["papers"]):
            self.folder = self.mktemp()
            peer = Original({b"a": b"from a stick"})
            fetcher = Fetcher(self.folder, shared=shared)
            source = FolderPath(self.folder) / "copy"
            source.write_bytes(b"from a stick")
            self.begin(fetcher)
            delivered = await fetcher.fetching.deliver("papers", Path(b"a"), str(source), 5)
            self.assertEqual(delivered.path, None if shared else b"a")
            self.assertFalse(source.exists())
            peer.listen()
            peer.announce(fetcher.neighbours)
            await self.settled(fetcher, peer)
            status = fetcher.fetching.status()
            self.assertEqual((status.waiting, status.today), (len(shared), 0))
            self.assertNotIn(b"YQ!!", peer.asked)
            await peer.stop()

    async def test_what_is_not_there_is_said_so(self) -> None:
        fetcher = self.fetcher()
        gone = os.path.join(self.folder, "gone")
        await self.fails(fetcher.fetching.deliver("papers", Path(b"a"), gone, None), BoxError)


class Content(FetchingCase):
    """What another flocknode says of content."""

    async def test_what_is_here_under_another_name_is_copied(self) -> None:
        peer = Flocknode({b"new/name": b"content", b"other": b"new"})
        fetcher = Fetcher(self.folder)
        fetcher.shelves["papers"].put(b"old name", b"content")
        self.begin(fetcher, peer)
        await until(lambda: len(fetcher.held()) == 3)
        self.assertEqual(fetcher.held(), {b"old name": b"content", **peer.files})
        self.assertEqual(len(peer.asked), 2)

    async def test_what_a_neighbour_has_twice_comes_once(self) -> None:
        for shared in ([], ["papers"]):
            self.folder = self.mktemp()
            peer = Flocknode({b"%d" % number: b"content" for number in range(6)})
            fetcher = self.fetcher(peer, shared=shared)
            await until(partial(self.has_brought, fetcher, 6))
            self.assertEqual(len(peer.asked), 2, peer.asked)

    def has_brought(self, fetcher: Fetcher, count: int) -> bool:
        """Are so many here, or wait?"""
        return len(fetcher.held()) + fetcher.fetching.status().waiting == count

    async def test_what_is_not_what_its_index_says_is_not_taken(self) -> None:
        peer = Flocknode({b"a": b"good", b"b": b"fine"})
        peer.files[b"a"] = b"good"
        index = peer.better_index()
        peer.files[b"a"] = b"evil"
        self.patch(peer, "better_index", lambda: index)
        fetcher = self.fetcher(peer)
        await until(fetcher.held)
        await self.settled(fetcher, peer)
        self.assertEqual(fetcher.held(), {b"b": b"fine"})

    async def test_a_file_that_changed_since_it_was_shown_is_fetched(self) -> None:
        peer = Flocknode({b"b": b"content"})
        fetcher = Fetcher(self.folder)
        shelf = fetcher.shelves["papers"]
        shelf.put(b"a", b"content")
        fetcher.shown = catalogue.compile({"papers": (shelf, dict(shelf.files))})
        shelf.put(b"a", b"changed")
        self.begin(fetcher, peer)
        await until(lambda: len(fetcher.held()) == 2)
        self.assertEqual(fetcher.held(), {b"a": b"changed", b"b": b"content"})
        self.assertIn(b"Yg!!", peer.asked)


class OnDemand(FetchingCase):
    """What a person asks for in shared mode."""

    async def test_nothing_is_fetched_but_what_is_asked_for(self) -> None:
        peer = Original(SMALL)
        fetcher = self.fetcher(peer, opportunistic=False)
        await until(lambda: fetcher.indexes.of(peer.uuid))
        delivered = await fetcher.fetching.get(peer.uuid, Path(b"a.txt"))
        self.assertEqual(delivered.path, b"a.txt")
        self.assertEqual(fetcher.held(), {b"a.txt": b"one"})
        self.assertEqual(self.visits(fetcher), ())

    async def test_what_is_here_already_is_said_to_be(self) -> None:
        peer = Original({b"a": b"mine"})
        fetcher = Fetcher(self.folder, opportunistic=False)
        fetcher.shelves["papers"].put(b"a", b"mine")
        self.begin(fetcher, peer)
        await until(lambda: fetcher.indexes.of(peer.uuid))
        delivered = await fetcher.fetching.get(peer.uuid, Path(b"a"))
        self.assertEqual(delivered.path, b"a")
        self.assertNotIn(b"YQ!!", peer.asked)

    async def test_what_cannot_be_is_said_in_one_sentence(self) -> None:
        peer = Original({b"a": b"1"})
        fetcher = self.fetcher(peer, opportunistic=False)
        get = fetcher.fetching.get
        await self.fails(get(uuid_of(9), Path(b"a")), FlocknodeError)
        await until(lambda: fetcher.indexes.of(peer.uuid))
        await self.fails(get(uuid_of(9), Path(b"a")), NeighbourError)
        await self.fails(get(peer.uuid, Path(b"b")), NeighbourError)
        del peer.files[b"a"]
        await self.fails(get(peer.uuid, Path(b"a")), NeighbourError)
        await peer.stop()
        await self.fails(get(peer.uuid, Path(b"a")), NeighbourError)
        await fetcher.stop()
        await self.fails(get(peer.uuid, Path(b"a")), BoxError)

    async def test_without_the_agreed_key_nothing_is_fetched(self) -> None:
        peer = Original({b"a": b"1"})
        fetcher = self.fetcher(peer, key=b"secret")
        await self.settled(fetcher, peer)
        (status,) = fetcher.indexes.status()
        self.assertTrue(status.tampered)
        self.assertEqual(fetcher.held(), {})
        await self.fails(fetcher.fetching.get(peer.uuid, Path(b"a")), NeighbourError)


class Resumption(FetchingCase):
    """What broke off is gone on with."""

    async def resume(self, peer: Peer, file: RemoteFile, change: bool) -> None:
        """With a beginning that an earlier process left."""
        data = peer.files[file.path]
        path = FolderPath(self.folder) / "state" / "incoming" / name_of(peer.uuid, file)
        path.parent.mkdir(parents=True)
        path.write_bytes(data[:KEPT])
        date = "Sun, 13 Sep 2020 12:26:41 GMT" if change else "Sun, 13 Sep 2020 12:26:40 GMT"
        FolderPath(str(path) + ".from").write_text(date)
        sent: list[int] = []
        original = peer.whole_or_part

        def whole_or_part(request: Any, data: bytes) -> bytes:
            part = original(request, data)
            sent.append(len(part))
            return part

        self.patch(peer, "whole_or_part", whole_or_part)
        fetcher = self.fetcher(peer)
        await until(fetcher.held)
        self.assertEqual(fetcher.held(), peer.files)
        self.assertEqual(sent, [len(data) if change else len(data) - KEPT])
        await self.settled(fetcher, peer)
        self.assertEqual(os.listdir(path.parent), [])

    async def test_after_a_restart_only_the_rest_is_asked_for(self) -> None:
        data = os.urandom(2 * KEPT)
        await self.resume(Original({b"a": data}), RemoteFile(Path(b"a"), len(data)), False)

    async def test_of_a_file_that_is_another_one_now_all_comes(self) -> None:
        data = os.urandom(2 * KEPT)
        await self.resume(Original({b"a": data}), RemoteFile(Path(b"a"), len(data)), True)

    async def test_a_beginning_of_other_content_is_found_out(self) -> None:
        data = os.urandom(100_000)
        peer = Flocknode({b"a": data})
        file = RemoteFile(Path(b"a"), len(data), small_hash(data))
        self.patch(staging, "KEPT", 1000)
        self.patch(transfers, "KEPT", 1000)
        path = FolderPath(self.folder) / "state" / "incoming" / name_of(peer.uuid, file)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 50_000)
        fetcher = self.fetcher(peer, opportunistic=False)
        await until(lambda: fetcher.indexes.of(peer.uuid))
        await self.fails(fetcher.fetching.get(peer.uuid, Path(b"a")), NeighbourError)
        self.assertEqual(fetcher.held(), {})
        await fetcher.fetching.get(peer.uuid, Path(b"a"))
        self.assertEqual(fetcher.held(), peer.files)
