# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.arrivals}, in virtual time; only notes and files
take threads.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path as FolderPath

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from flocknode.box.lane import Lane
from flocknode.box.listing import Deleted, Known, Offer, Refused
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.fetch import arrivals as arrivals_module
from flocknode.forban.fetch.arrivals import AGAIN, LATEST, SOONEST, Arrivals, Delivered
from flocknode.forban.fetch.fetched import Fetched
from flocknode.forban.fetch.staging import Whole
from flocknode.forban.fetch.wanting import Version, Wanted
from flocknode.forban.protocol.remote import RemoteFile
from flocknode.testing.shelves import FolderShelf
from tests.forban.fetch.peers import in_thread, reactor, until


class ArrivalsTests(TestCase):
    """
    @ivar shared: names of boxes that a flock shares.
    """

    def setUp(self) -> None:
        self.folder = FolderPath(self.mktemp())
        self.folder.mkdir()
        self.clock = Clock()
        self.shelf = FolderShelf(self.folder / "papers", "papers")
        self.shared = {"papers"}
        self.count = 0
        self.wall = 1e9

    async def start(self, seed: int = 1, public: bool = True) -> Arrivals:
        """As after a start of the node."""
        lane = Lane(reactor, "notes")
        lane.start()
        fetched = await lane.do(Fetched, str(self.folder / "fetched.sqlite"))
        self.fetched = fetched
        arrivals = Arrivals(
            {"papers": self.shelf} if public else {},
            lambda name: name in self.shared,
            str(self.folder / "arrived"),
            lane,
            in_thread,
            clock=self.clock,
            wall=lambda: self.wall + self.clock.seconds(),
            random=random.Random(seed),
        )
        await arrivals.start(fetched)

        async def end() -> None:
            await arrivals.stop()
            await lane.stop(fetched.close)

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return arrivals

    def file(self, path: bytes = b"a", data: bytes = b"data") -> tuple[Wanted, Whole]:
        """One that was just fetched."""
        self.count += 1
        where = self.folder / f"staged-{self.count}"
        where.write_bytes(data)
        wanted = Wanted(RemoteFile(Path(path), len(data)), "papers", Path(path))
        return wanted, Whole(str(where), None)

    def waiting_files(self) -> int:
        """How many lie in the folder."""
        return len(os.listdir(self.folder / "arrived"))

    async def test_into_a_box_of_ones_own_it_goes_at_once(self) -> None:
        self.shared.clear()
        arrivals = await self.start()
        wanted, whole = self.file()
        delivered = await arrivals.deliver(wanted, whole, 5)
        self.assertEqual(delivered, Delivered(Path(b"a")))
        self.assertEqual(self.shelf.files[Path(b"a")].mtime_ns, 5)
        self.assertFalse(os.path.exists(whole.path))
        self.assertEqual(
            self.fetched.versions("papers", [Path(b"a")]), {Path(b"a"): [Version(4)]}
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_into_a_shared_box_it_goes_after_one_to_thirty_minutes(self) -> None:
        arrivals = await self.start()
        waits = []
        for number in range(40):
            wanted, whole = self.file(b"%d" % number, b"%d" % number)
            delivered = await arrivals.deliver(wanted, whole, None)
            self.assertIsNone(delivered.path)
            waits.append(delivered.wait)
        self.assertTrue(all(SOONEST <= wait <= LATEST for wait in waits))
        self.assertGreater(max(waits) - min(waits), 900)
        self.assertEqual((arrivals.waiting, self.shelf.files), (40, {}))
        for wait in sorted(waits):
            self.clock.advance(wait - 0.001 - self.clock.seconds())
            here = sum(each < wait for each in waits)
            self.assertEqual(len(self.shelf.files), here)
            self.clock.advance(0.002)
            await until(lambda: arrivals._delivering is None)
            self.assertEqual(len(self.shelf.files), here + 1)
        self.assertEqual((arrivals.waiting, self.waiting_files()), (0, 0))

    async def test_what_waits_is_due_at_the_same_time_after_a_restart(self) -> None:
        arrivals = await self.start()
        wanted, whole = self.file()
        wait = (await arrivals.deliver(wanted, whole, 7)).wait
        await arrivals.stop()
        self.clock.advance(50.0)
        arrivals = await self.start(seed=2)
        self.clock.advance(wait - 51.0)
        self.assertEqual((arrivals.waiting, self.shelf.files), (1, {}))
        self.clock.advance(2.0)
        await until(lambda: not arrivals.waiting)
        self.assertEqual(self.shelf.files[Path(b"a")].mtime_ns, 7)

    async def test_a_clock_that_was_put_back_makes_nothing_wait_for_longer(self) -> None:
        arrivals = await self.start()
        await arrivals.deliver(*self.file(), None)
        await arrivals.stop()
        self.wall -= 10**8
        arrivals = await self.start()
        self.clock.advance(LATEST)
        await until(lambda: not arrivals.waiting)
        self.assertEqual(set(self.shelf.files), {b"a"})

    async def test_versions_of_one_path_wait_beside_each_other(self) -> None:
        arrivals = await self.start()
        names = set()
        for path, data in ((b"a", b"1"), (b"a", b"22"), (b"b", b"1")):
            delivered = await arrivals.deliver(*self.file(path, data), None)
            names.add(delivered.name)
            where = arrivals.file_of(delivered.name)
            assert where is not None
            self.assertEqual(FolderPath(where).read_bytes(), data)
        self.assertEqual((len(names), arrivals.waiting), (3, 3))
        self.clock.advance(LATEST)
        await until(lambda: not arrivals.waiting)
        self.assertEqual(len(self.shelf.files), 3)
        self.assertIsNone(arrivals.file_of(names.pop()))

    async def test_what_was_deleted_meanwhile_stays_deleted(self) -> None:
        arrivals = await self.start()
        for path, asked in ((b"a", False), (b"b", True)):
            wanted, whole = self.file(path, path)
            await arrivals.deliver(wanted, whole, None, asked=asked)
            self.shelf.known_as[Path(path)] = Known.DELETED
        self.clock.advance(LATEST)
        await until(lambda: not arrivals.waiting)
        self.assertEqual(set(self.shelf.files), {b"b"})
        self.assertEqual(self.waiting_files(), 0)

    async def test_what_another_is_in_the_place_of_lies_beside_it(self) -> None:
        arrivals = await self.start()
        await arrivals.deliver(*self.file(), None)
        self.shelf.put(b"a", b"the owner's")
        self.clock.advance(LATEST)
        await until(lambda: not arrivals.waiting)
        self.assertEqual(self.shelf.where(b"a").read_bytes(), b"the owner's")
        self.assertEqual(len(self.shelf.files), 2)

    async def test_a_box_that_says_no_is_tried_again(self) -> None:
        self.shared.clear()
        arrivals = await self.start()
        self.shelf.error = BoxError("Its folder is not there.")
        delivered = await arrivals.deliver(*self.file(), None)
        self.assertIsNone(delivered.path)
        self.assertEqual(arrivals.error, "Its folder is not there.")
        wait = AGAIN
        for _ in range(9):
            self.clock.advance(wait)
            await until(lambda: arrivals._delivering is None)
            self.assertEqual(arrivals.waiting, 1)
            wait = min(wait * 2, LATEST) if _ else AGAIN
        self.shelf.error = None
        self.clock.advance(LATEST)
        await until(lambda: not arrivals.waiting)
        self.assertEqual((set(self.shelf.files), arrivals.error), ({b"a"}, ""))

    async def test_one_that_cannot_be_taken_does_not_hinder_others(self) -> None:
        arrivals = await self.start()
        for path in (b"a", b"b", b"c"):
            await arrivals.deliver(*self.file(path, path), None)
        self.shelf.where(b"b").mkdir()
        self.clock.advance(LATEST)
        await until(lambda: len(self.shelf.files) == 2)
        await until(lambda: arrivals._delivering is None)
        self.assertEqual(set(self.shelf.files), {b"a", b"c"})
        self.assertEqual(arrivals.waiting, 1)
        self.assertNotEqual(arrivals.error, "")

    async def test_what_is_not_noted_is_removed_at_the_start(self) -> None:
        arrivals = await self.start()
        await arrivals.deliver(*self.file(), None)
        await arrivals.stop()
        (self.folder / "arrived" / "stray").write_bytes(b"x")
        arrivals = await self.start()
        self.assertEqual((arrivals.waiting, self.waiting_files()), (1, 1))

    async def test_what_is_noted_and_not_there_is_forgotten(self) -> None:
        arrivals = await self.start()
        await arrivals.deliver(*self.file(), None)
        await arrivals.stop()
        for name in os.listdir(self.folder / "arrived"):
            (self.folder / "arrived" / name).unlink()
        arrivals = await self.start()
        self.assertEqual(arrivals.waiting, 0)
        self.assertEqual(self.fetched.arrivals(), [])

    async def test_a_box_that_is_not_public_any_more_gets_nothing(self) -> None:
        arrivals = await self.start()
        await arrivals.deliver(*self.file(), None)
        await arrivals.stop()
        arrivals = await self.start(public=False)
        self.clock.advance(LATEST)
        await until(lambda: not arrivals.waiting)
        self.assertEqual((self.shelf.files, self.waiting_files()), ({}, 0))

    async def test_what_comes_while_a_box_takes_some_goes_there_together(self) -> None:
        self.shared.clear()
        arrivals = await self.start()
        adopt, first = self.shelf.adopt, Deferred[None]()

        def adopting(offers: Sequence[Offer]) -> Deferred[list[Path | BoxError]]:
            taken = adopt(offers)
            return first.addCallback(lambda _: taken) if len(self.shelf.batches) == 1 else taken

        self.patch(self.shelf, "adopt", adopting)
        paths = [b"a", b"b", b"c", b"d"]
        self.shelf.known_as[Path(b"c")] = Known.REFUSED
        delivering = [
            Deferred.fromCoroutine(arrivals.deliver(*self.file(path, path), None))
            for path in paths
        ]
        self.assertEqual(self.shelf.batches, [[b"a"]])
        first.callback(None)
        for path, each in zip(paths, delivering, strict=True):
            if path == b"c":
                await self.assertFailure(each, Refused)
            else:
                self.assertEqual(await each, Delivered(Path(path)))
        self.assertEqual(self.shelf.batches, [[b"a"], [b"b", b"c", b"d"]])
        # What a box refuses is neither kept nor noted.
        self.assertEqual((arrivals.waiting, self.waiting_files()), (0, 0))
        noted = self.fetched.versions("papers", [Path(path) for path in paths])
        self.assertEqual(set(noted), {b"a", b"b", b"d"})

    async def test_a_large_file_does_not_make_others_wait(self) -> None:
        self.shared.clear()
        self.patch(arrivals_module, "SMALL", 4)
        arrivals = await self.start()
        adopt, large = self.shelf.adopt, Deferred[None]()

        def adopting(offers: Sequence[Offer]) -> Deferred[list[Path | BoxError]]:
            taken = adopt(offers)
            return large.addCallback(lambda _: taken) if offers[0].path == b"big" else taken

        self.patch(self.shelf, "adopt", adopting)
        waiting = Deferred.fromCoroutine(arrivals.deliver(*self.file(b"big", b"large"), None))
        self.assertEqual(
            await arrivals.deliver(*self.file(b"a", b"1"), None), Delivered(Path(b"a"))
        )
        self.assertNoResult(waiting)
        large.callback(None)
        self.assertEqual(await waiting, Delivered(Path(b"big")))

    async def test_what_the_owner_deleted_is_noted_and_not_tried_again(self) -> None:
        self.shared.clear()
        arrivals = await self.start()
        self.shelf.known_as[Path(b"a")] = Known.DELETED
        wanted, whole = self.file()
        with self.assertRaises(Deleted):
            await arrivals.deliver(wanted, whole, None)
        self.assertFalse(os.path.exists(whole.path))
        # Or it would be fetched again and again.
        noted = self.fetched.versions("papers", [Path(b"a")])
        self.assertEqual(noted, {Path(b"a"): [Version(4)]})
        self.assertEqual((arrivals.waiting, self.fetched.today(self.wall)), (0, 0))
        delivered = await arrivals.deliver(*self.file(), None, asked=True)
        self.assertEqual(delivered, Delivered(Path(b"a")))
