# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.announcing}.
"""

from __future__ import annotations

import random

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Entry, Holder, Path
from flocknode.exchange.announcing import WINDOW, Announcer, IndexSource, Shown, fingerprint
from flocknode.exchange.entries import entries_of
from flocknode.exchange.outbox import Outbox
from flocknode.exchange.records import CONTROL, Index
from flocknode.testing.boxes import MemoryBox
from tests.exchange.support import MEMBER, OTHER, Sent, running


class AnnouncerCase(SynchronousTestCase):
    """One box announced to one member, in a round."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rounds = running(self.clock)
        self.box = MemoryBox(random=random.Random(1))
        self.sent = Sent()
        self.shown = Shown()
        self.begin()

    def begin(self) -> None:
        """A new link."""
        self.outbox = Outbox(self.sent, MEMBER)
        self.announcer = Announcer(
            self.box,
            Holder(MEMBER),
            IndexSource(self.box),
            outbox=self.outbox,
            clock=self.rounds,
            shown=self.shown,
        )

    def put(self, *paths: bytes) -> None:
        """Change the box."""
        for path in paths:
            self.box.put(path, path)
        self.announcer.pump()

    def greet(self, stored: int = 0) -> None:
        """The member says what it has."""
        self.announcer.hello(self.box.index_id if stored else 0, stored)

    def told(self) -> list[Index]:
        """What was announced, and has now left."""
        self.outbox.consumed(CONTROL, self.outbox.waiting(CONTROL))
        return [record for record in self.sent.take() if isinstance(record, Index)]

    def paths(self) -> list[bytes]:
        """The paths of that."""
        return [entry.path for index in self.told() for entry in index.entries]

    def wait(self, seconds: float) -> None:
        """Time passes."""
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            self.announcer.tick()


class Announcing(AnnouncerCase):
    """What is announced, and when."""

    def test_nothing_is_told_to_who_is_not_known_to_have_the_box(self) -> None:
        self.put(b"a")
        self.assertEqual((self.announcer.open, self.told()), (False, []))
        self.greet()
        self.assertEqual((self.announcer.open, self.paths()), (True, [b"a"]))
        self.announcer.absent()
        self.put(b"b")
        self.assertEqual((self.announcer.open, self.told()), (False, []))

    def test_who_had_the_box_before_is_told_without_being_asked(self) -> None:
        self.put(b"a")
        self.box.acknowledged(Holder(MEMBER), self.box.index_id, 1)
        self.begin()
        self.put(b"b")
        (index,) = self.told()
        self.assertEqual((index.start, index.to), (1, 2))
        self.assertEqual([entry.path for entry in entries_of(index)], [b"b"])

    def test_each_index_continues_the_one_before(self) -> None:
        self.greet()
        for number in range(5):
            self.put(b"%d" % number)
        spans = [(index.start, index.to) for index in self.told()]
        self.assertEqual(spans, [(number, number + 1) for number in range(5)])

    def test_many_entries_are_told_in_few_records_of_bounded_size(self) -> None:
        self.put(*[b"file %d" % number for number in range(1_000)])
        self.greet()
        for _member, _priority, data in self.sent.data:
            self.assertLess(len(data), 65_536)
        told = self.told()
        self.assertLess(len(told), 5)
        self.assertEqual(sum(len(index.entries) for index in told), 1_000)

    def test_so_much_may_be_unacknowledged_and_no_more(self) -> None:
        self.put(*[b"%d" % number * 40 for number in range(8_000)])
        self.greet()
        told: list[Index] = []
        while more := self.told():
            told += more
            self.announcer.pump()
        size = sum(len(entry.path) + 100 for index in told for entry in index.entries)
        self.assertTrue(0.5 * WINDOW < size < 1.5 * WINDOW, size)
        self.announcer.ack(self.box.index_id, told[4].to)
        more = self.told()
        self.assertEqual(more[0].start, told[-1].to)

    def test_it_does_not_fill_the_queue_before_other_records(self) -> None:
        self.put(*[b"%d" % number * 40 for number in range(8_000)])
        self.greet()
        self.assertLess(self.outbox.waiting(CONTROL), 400_000)

    def test_members_at_the_same_number_are_served_by_one_look_into_the_index(self) -> None:
        source = IndexSource(self.box)
        looks: list[int] = []
        after = self.box.entries_after

        def look(number: int, limit: int) -> Deferred[tuple[list[Entry], int]]:
            looks.append(number)
            return after(number, limit)

        self.patch(self.box, "entries_after", look)
        self.put(b"a")
        for member in (MEMBER, OTHER):
            announcer = Announcer(
                self.box,
                Holder(member),
                source,
                outbox=self.outbox,
                clock=self.rounds,
                shown=self.shown,
            )
            announcer.hello(0, 0)
        self.assertEqual(looks, [0])
        self.assertEqual(self.paths(), [b"a", b"a"])


    def test_an_index_that_cannot_be_read_now_is_announced_later(self) -> None:
        self.greet()
        self.box.broken = True
        self.put(b"a")
        self.assertEqual(self.paths(), [])
        self.box.broken = False
        self.wait(0.25)
        self.assertEqual(self.paths(), [b"a"])


class Losing(AnnouncerCase):
    """What did not arrive."""

    def test_what_is_not_acknowledged_in_time_is_sent_again(self) -> None:
        self.greet()
        self.put(b"a")
        self.assertEqual(self.paths(), [b"a"])
        self.wait(2.5)
        self.assertEqual(self.paths(), [])
        self.wait(1.5)
        self.assertEqual(self.paths(), [b"a"])

    def test_what_has_not_left_yet_is_not_sent_again(self) -> None:
        self.greet()
        self.put(b"a")
        self.wait(60)
        self.assertEqual(self.paths(), [b"a"])

    def test_time_between_rounds_does_not_count(self) -> None:
        self.greet()
        self.put(b"a")
        self.assertEqual(self.paths(), [b"a"])
        self.rounds.stop()
        self.wait(60)
        self.assertEqual(self.paths(), [])

    def test_what_is_acknowledged_is_not_sent_again(self) -> None:
        self.greet()
        self.put(b"a")
        self.assertEqual(self.paths(), [b"a"])
        self.announcer.ack(self.box.index_id, 1)
        self.wait(60)
        self.assertEqual((self.paths(), self.announcer.behind), ([], 0))

    def test_a_hello_that_crossed_the_index_makes_nothing_be_sent_again(self) -> None:
        self.greet()
        self.put(b"a")
        self.greet()
        self.assertEqual(self.paths(), [b"a"])
        self.greet()
        self.assertEqual(self.paths(), [])

    def test_a_hello_that_shows_a_gap_has_it_filled(self) -> None:
        self.greet()
        self.put(b"a", b"b")
        self.assertEqual(self.paths(), [b"a", b"b"])
        self.announcer.ack(self.box.index_id, 2)
        self.greet(1)
        self.assertEqual(self.paths(), [b"b"])

    def test_a_member_that_lost_everything_is_told_everything(self) -> None:
        self.greet()
        self.put(b"a", b"b")
        self.announcer.ack(self.box.index_id, 2)
        self.assertEqual(self.paths(), [b"a", b"b"])
        self.greet()
        self.assertEqual(self.paths(), [b"a", b"b"])

    def test_who_knows_more_than_there_is_makes_everything_be_announced_anew(self) -> None:
        self.put(b"a", b"b")
        before = self.box.index_id
        self.announcer.hello(before, 7)
        self.assertNotEqual(self.box.index_id, before)
        self.assertEqual(self.paths(), [b"a", b"b"])
        self.announcer.ack(before, 2)
        self.assertEqual(self.announcer.behind, 2)
        self.announcer.ack(self.box.index_id, 2)
        self.assertEqual(self.announcer.behind, 0)


class Repeating(AnnouncerCase):
    """What was left out, once its holder is lost."""

    def told_all(self, to: int | None = None) -> list[bytes]:
        """Paths that are announced until there is nothing left."""
        paths = []
        while told := self.told():
            paths += [entry.path for index in told for entry in index.entries]
            self.announcer.ack(self.box.index_id, to or told[-1].to)
        return paths

    def test_all_of_it_is_announced_though_a_hello_comes_meanwhile(self) -> None:
        theirs = MemoryBox(random=random.Random(2))
        for number in range(8000):
            theirs.put(b"%d" % number * 10, b"%d" % number)
        entries, to = self.successResultOf(theirs.entries_after(0, 10**8))
        self.successResultOf(self.box.join(Holder(OTHER), theirs.index_id, 0, to, entries))
        self.shown.add(entries)
        self.greet()
        self.assertEqual(self.told_all(), [])
        # Now that one is lost; the link carries nothing until a round starts.
        self.shown.clear()
        self.announcer.repeat()
        self.announcer.hello(self.box.index_id, self.box.highest)
        self.assertEqual(len(set(self.told_all(self.box.highest))), 8000)


class LeavingOut(AnnouncerCase):
    """What others have shown."""

    def hear(self) -> list[Entry]:
        """Another member shows a file that is not here."""
        other = MemoryBox(random=random.Random(2))
        other.put(b"theirs", b"content")
        entries, to = self.successResultOf(other.entries_after(0, 1_000))
        self.shown.add(entries)
        self.successResultOf(self.box.join(Holder(OTHER), other.index_id, 0, to, entries))
        return entries

    def test_what_another_has_shown_and_is_not_here_is_left_out(self) -> None:
        self.greet()
        self.hear()
        self.put(b"mine")
        told = self.told()
        self.assertEqual([entry.path for index in told for entry in index.entries], [b"mine"])
        self.assertEqual(told[-1].to, self.box.highest)

    def test_it_is_announced_when_it_has_come(self) -> None:
        self.greet()
        (entry,) = self.hear()
        self.announcer.pump()
        self.assertEqual(self.paths(), [])
        hash = self.box.needs()[0].hash
        self.successResultOf(self.box.write([(hash, b"content")]))
        self.announcer.pump()
        (index,) = self.told()
        self.assertEqual([(e.path, e.complete) for e in index.entries], [(entry.path, True)])

    def test_it_is_announced_when_the_other_is_lost(self) -> None:
        self.greet()
        self.hear()
        self.put(b"mine")
        self.announcer.ack(self.box.index_id, self.box.highest)
        self.told()
        self.shown.clear()
        self.announcer.repeat()
        self.assertEqual(self.paths(), [b"theirs", b"mine"])

    def test_what_is_remembered_of_others_is_bounded(self) -> None:
        (entry,) = self.hear()
        mark = fingerprint(entry)
        self.assertIn(mark, self.shown)
        others = [attrs.evolve(entry, path=Path(b"%d" % number)) for number in range(70_000)]
        self.shown.add(others)
        self.assertNotIn(mark, self.shown)
        self.assertIn(fingerprint(others[-1]), self.shown)

    def test_but_not_if_all_that_was_missing_has_come(self) -> None:
        self.greet()
        self.hear()
        self.put(b"mine")
        self.announcer.settled()
        self.told()
        self.shown.clear()
        self.announcer.repeat()
        self.assertEqual(self.paths(), [])
