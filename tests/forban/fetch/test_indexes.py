# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.indexes}, in virtual time, with neighbours that
answer when the test says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.timers import Timers
from flocknode.errors import NeighbourError
from flocknode.forban.fetch import indexes
from flocknode.forban.fetch.heads import Head
from flocknode.forban.fetch.indexes import (
    AT_A_TIME,
    HOURLY,
    LATEST,
    NEWCOMERS,
    SOONEST,
    UNSURE,
    Indexes,
)
from flocknode.forban.fetch.reading import COST
from flocknode.forban.near.neighbours import Address, Neighbours
from flocknode.forban.protocol.announcement import Announcement
from flocknode.forban.protocol.items import index_hmac
from flocknode.forban.protocol.remote import Tls
from tests.forban.fetch.peers import Flocknode, uuid_of

ONE = b"a,1\n"
TWO = b"a,1\nb,2\n"


class Asked:
    """
    One question that waits for its answer.

    @ivar number: of the neighbour.
    """

    def __init__(self, address: Address, query: str, choose: Callable[[Head], Any]) -> None:
        self.number = address.port
        self.query = query
        self.done: Deferred[tuple[Head, Any]] = Deferred()
        self._choose = choose

    def answer(self, body: bytes) -> None:
        """With this."""
        head = Head(200, len(body), "text/plain")
        self.done.callback((head, self._choose(head).finish(body, True)))

    def not_found(self) -> None:
        """With 404."""
        self.done.callback((Head(404), None))

    def fail(self) -> None:
        """With nothing."""
        self.done.errback(NeighbourError("No answer."))


class FakeAsker:
    """
    Stands for the asker.

    @ivar asked: what was asked and not answered.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def ask(
        self,
        address: Address,
        query: str,
        choose: Callable[[Head], Any],
        most: int,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Head, Any]:
        """See L{flocknode.forban.fetch.asker.Asker.ask}."""
        asked = Asked(address, query, choose)
        self.asked.append(asked)
        return await asked.done


class IndexesTests(SynchronousTestCase):
    """
    @ivar told: the numbers of those whose index was new, in order.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.neighbours = Neighbours(uuid_of(0), self.clock.seconds)
        self.asker = FakeAsker()
        self.timers = Timers(self.clock)
        asker: Any = self.asker
        self.indexes = Indexes(
            self.neighbours, asker, self.timers, self.clock.seconds, random.Random(1)
        )
        self.told: list[str] = []
        self.indexes.tell(self.told.append)
        self.indexes.start()
        self.addCleanup(self.timers.stop)

    def hear(self, number: int = 1, hmac: str = "") -> str:
        """An announcement; @return: the uuid."""
        uuid = uuid_of(number)
        self.neighbours.heard(Announcement(uuid, "", hmac), Address("127.0.0.1", number))
        return uuid

    def next(self, query: str = "g=forban/index") -> Asked:
        """The one question that is open."""
        (asked,) = self.asker.asked
        self.asker.asked.clear()
        self.assertEqual(asked.query, query)
        return asked

    def answer(self, body: bytes = ONE) -> None:
        """Let it answer as a node does that is no flocknode."""
        self.next("g=forban/index.jsonl").not_found()
        self.next().answer(body)

    def test_who_is_new_is_asked(self) -> None:
        uuid = self.hear()
        self.assertIsNone(self.indexes.of(uuid))
        self.answer()
        index = self.indexes.of(uuid)
        assert index is not None
        self.assertEqual((set(index.files), self.told), ({b"a"}, [uuid]))
        self.assertEqual(self.indexes.all(), {uuid: index})
        (status,) = self.indexes.status()
        self.assertEqual((status.files, status.error), (1, ""))

    def test_who_has_the_better_one_is_not_asked_for_the_other(self) -> None:
        uuid = self.hear()
        peer = Flocknode({b"a": b"x"})
        self.next("g=forban/index.jsonl").answer(peer.better_index())
        index = self.indexes.of(uuid)
        assert index is not None
        self.assertTrue(all(file.content for file in index.files.values()))

    def test_how_files_are_to_be_fetched_is_not_forgotten_for_want_of_a_better_index(self) -> None:
        uuid = self.hear()
        peer = Flocknode({b"a": b"x"})
        peer.tls = Tls(12557, bytes(32))
        self.next("g=forban/index.jsonl").answer(peer.better_index())
        self.hear(hmac=index_hmac(TWO))
        self.clock.advance(SOONEST)
        self.answer(TWO)
        index = self.indexes.of(uuid)
        assert index is not None
        self.assertEqual((len(index.files), index.tls), (2, peer.tls))
        self.assertTrue(self.indexes.status()[0].tls)

    def test_only_a_better_index_says_that_files_are_fetched_without_tls(self) -> None:
        uuid = self.hear()
        peer = Flocknode({b"a": b"x"})
        peer.tls = Tls(12557, bytes(32))
        self.next("g=forban/index.jsonl").answer(peer.better_index())
        self.hear(hmac=index_hmac(TWO))
        self.clock.advance(SOONEST)
        peer.tls = None
        self.next("g=forban/index.jsonl").answer(peer.better_index())
        index = self.indexes.of(uuid)
        assert index is not None
        self.assertIsNone(index.tls)

    def test_who_has_no_better_one_is_not_asked_for_it_for_an_hour(self) -> None:
        self.hear(hmac=index_hmac(ONE))
        self.answer()
        self.clock.advance(SOONEST)
        self.hear(hmac=index_hmac(TWO))
        self.clock.advance(1)
        self.next().answer(TWO)
        for _ in range(int(HOURLY / 60) + 2):
            self.clock.advance(60)
            self.hear(hmac=index_hmac(TWO))
        self.next("g=forban/index.jsonl")

    def test_another_announced_hash_is_another_index(self) -> None:
        uuid = self.hear(hmac=index_hmac(ONE))
        self.answer()
        for _ in range(20):
            self.clock.advance(10)
            self.hear(hmac=index_hmac(ONE))
        self.assertEqual(self.asker.asked, [])
        self.hear(hmac=index_hmac(TWO))
        self.clock.advance(1)
        self.next().answer(TWO)
        index = self.indexes.of(uuid)
        assert index is not None
        self.assertEqual(set(index.files), {b"a", b"b"})
        self.assertEqual(self.told, [uuid, uuid])

    def test_a_change_during_the_question_is_asked_for_again(self) -> None:
        self.hear(hmac=index_hmac(ONE))
        self.next("g=forban/index.jsonl").not_found()
        self.hear(hmac=index_hmac(TWO))
        self.next().answer(ONE)
        self.clock.advance(SOONEST + 1)
        self.next().answer(TWO)

    def test_a_hash_that_never_fits_is_asked_about_twice_and_no_more(self) -> None:
        self.hear(hmac="0" * 40)
        self.answer()
        self.clock.advance(UNSURE)
        self.next().answer(ONE)
        for _ in range(int(HOURLY / 60) - 2):
            self.clock.advance(60)
            self.hear(hmac="0" * 40)
        self.assertEqual(self.asker.asked, [])

    def test_who_announces_no_hash_is_asked_each_hour(self) -> None:
        self.hear()
        self.answer()
        for _ in range(int(HOURLY / 60) - 1):
            self.clock.advance(60)
            self.hear()
        self.assertEqual(self.asker.asked, [])
        self.clock.advance(61)
        self.assertEqual(len(self.asker.asked), 1)

    def test_a_hash_that_always_changes_is_not_followed_each_time(self) -> None:
        count = 0
        for number in range(300):
            self.hear(hmac=f"{number:040x}")
            while self.asker.asked:
                asked = self.asker.asked.pop()
                if "jsonl" in asked.query:
                    asked.not_found()
                else:
                    # What takes long is asked for seldom.
                    self.clock.advance(2.0)
                    asked.answer(ONE)
                    count += 1
            self.clock.advance(1.0)
        self.assertLessEqual(count, 1 + (300 + 2 * count) / (indexes.SHARE * 2.0) + 1)
        self.assertGreater(count, 4)

    def test_who_does_not_answer_is_asked_more_and_more_seldom(self) -> None:
        uuid = self.hear()
        wait = SOONEST
        while wait < LATEST:
            self.next("g=forban/index.jsonl").fail()
            (status,) = self.indexes.status()
            self.assertEqual(status.error, "No answer.")
            # Nor is it a way around that to announce another index.
            for number in range(10):
                self.hear(hmac=f"{number:040x}")
                self.clock.advance(wait / 10 - 0.2)
                self.assertEqual(self.asker.asked, [])
            self.clock.advance(3.1)
            wait *= 2
        self.assertEqual(self.indexes.of(uuid), None)

    def test_only_some_are_asked_at_a_time_and_of_newcomers_fewer(self) -> None:
        good = [self.hear(number) for number in (1, 2)]
        while self.asker.asked:
            asked = self.asker.asked.pop()
            if "jsonl" in asked.query:
                asked.not_found()
            else:
                asked.answer(ONE)
        self.assertEqual(set(self.told), set(good))
        for number in range(10, 40):
            self.hear(number)
        self.assertEqual(len(self.asker.asked), NEWCOMERS)
        self.clock.advance(SOONEST)
        for number in (1, 2):
            self.hear(number, "0" * 40)
        self.clock.advance(1)
        self.assertEqual(len(self.asker.asked), AT_A_TIME)
        self.assertEqual(sum(asked.number < 10 for asked in self.asker.asked), 1)

    def test_who_is_gone_is_forgotten(self) -> None:
        uuid = self.hear()
        self.answer()
        self.clock.pump([60.0] * 7)
        self.assertIsNone(self.indexes.of(uuid))
        self.assertEqual(self.indexes.status(), [])

    def test_all_indexes_together_are_bounded(self) -> None:
        with patch.object(indexes, "MOST_MEMORY", 10 * (COST + 1)):
            sizes = {1: 3, 2: 5, 3: 1, 4: 3}
            for number, count in sizes.items():
                self.hear(number)
                self.answer(b"".join(b"%d,1\n" % name for name in range(count)))
        self.assertEqual(set(self.indexes.all()), {uuid_of(1), uuid_of(3), uuid_of(4)})
        with patch.object(indexes, "MOST_INDEXES", 3):
            self.hear(5)
            self.answer(b"")
        self.assertEqual(len(self.indexes.all()), 3)

    def test_an_index_that_is_too_much_alone_is_not_kept(self) -> None:
        with patch.object(indexes, "MOST_MEMORY", COST):
            uuid = self.hear()
            self.answer(TWO)
        self.assertIsNone(self.indexes.of(uuid))
        (status,) = self.indexes.status()
        self.assertNotEqual(status.error, "")

    def test_what_was_not_there_makes_it_ask_once_more(self) -> None:
        uuid = self.hear(hmac=index_hmac(ONE))
        self.answer()
        self.indexes.refresh(uuid)
        self.clock.advance(UNSURE)
        self.next().answer(ONE)

    def test_after_the_stop_nobody_is_asked(self) -> None:
        self.hear()
        self.next("g=forban/index.jsonl").not_found()
        stopped = Deferred.fromCoroutine(self.indexes.stop())
        self.assertNoResult(stopped)
        self.next().fail()
        self.successResultOf(stopped)
        self.hear(2)
        self.clock.advance(100)
        self.assertEqual(self.asker.asked, [])
