# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.exchange}: one exchange, what it says and what
it offers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from flocknode.box.content import block_hash
from flocknode.box.index.rows import COST
from flocknode.box.values import Hash
from flocknode.exchange.entries import record_of
from flocknode.exchange.exchange import Exchange
from flocknode.exchange.fetching import SPACE
from flocknode.exchange.records import (
    BULK,
    CONTROL,
    PIECE_SIZE,
    Ack,
    BoxNumbers,
    Cancel,
    Gone,
    Have,
    Hello,
    Index,
    Piece,
    Record,
    Want,
    encode,
    encode_pieces,
)
from flocknode.testing.boxes import MemoryBox
from flocknode.testing.links import BUDGET
from tests.exchange.strategies import records
from tests.exchange.support import MEMBER, OTHER, Sent, records_in

BLOCK = 131_072
CHANGE = 1_000 + COST
"""What a file of 1000 bytes counts for."""


class ExchangeCase(SynchronousTestCase):
    """One exchange with a box, whose links are looked at."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent = Sent()
        self.offers: list[tuple[int, int, int, bytes]] = []
        self.exchange = Exchange(
            self.sent,
            self.clock.seconds,
            random.Random(1),
            lambda *offer: self.offers.append(offer),
        )
        self.box = MemoryBox(random=random.Random(1))
        self.exchange.add(self.box)
        self.theirs = MemoryBox(random=random.Random(2))

    def start_round(self, counted: int = 0) -> None:
        """The flock starts one."""
        self.exchange.round_started(1, counted, BUDGET)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            self.exchange.tick()

    def receive(self, *records: Record, member: bytes = MEMBER) -> None:
        """A member sends these."""
        self.exchange.received(member, b"".join(map(encode, records)))

    def hello(self, stored: int = 0, member: bytes = MEMBER) -> None:
        """A member says that it has C{theirs}, and what it knows of the box."""
        numbers = BoxNumbers(
            self.box.id, self.theirs.index_id, self.theirs.highest, self.box.index_id, stored
        )
        self.receive(Hello(1, (numbers,)), member=member)

    def meet(self, member: bytes = MEMBER) -> None:
        """A member is alive, says hello, and nothing sent so far is of interest."""
        self.exchange.alive(member, 1)
        self.hello(member=member)
        self.leave_all()

    def show(self, member: bytes = MEMBER) -> None:
        """A member announces all of C{theirs}."""
        entries, to = self.successResultOf(self.theirs.entries_after(0, 10**6))
        records = tuple(record_of(entry) for entry in entries)
        self.receive(Index(self.box.id, 0, to, records), member=member)

    def give(self, hash: bytes, data: bytes, member: bytes = MEMBER) -> None:
        """A member sends a block."""
        for run in encode_pieces(hash, data):
            self.exchange.received(member, run)

    def leave_all(self) -> list[Record]:
        """All that was sent leaves.  @return: what it was."""
        for member, priority, data in self.sent.data:
            self.exchange.consumed(member, priority, len(data))
        return self.sent.take()

    def wanted(self, member: bytes = MEMBER) -> list[bytes]:
        """Hashes of blocks that this member is asked for, since the last time."""
        mine = [sent for sent in self.sent.data if sent[0] == member]
        rest = [sent for sent in self.sent.data if sent[0] != member]
        self.sent.data = mine
        found = [record for record in self.leave_all() if isinstance(record, Want)]
        self.sent.data += rest
        return [hash for want in found for hash, _size in want.blocks]


class WritingOff(ExchangeCase):
    """Rounds that do not help."""

    def lacking_after(self, budget: int) -> int:
        """@return: the backlog after three rounds that helped nobody."""
        self.meet()
        self.box.put(b"file", bytes(1_000))
        for number in range(4):
            self.exchange.round_started(number, self.box.new_total, budget)
            self.leave_all()
            self.exchange.round_stopped(number)
        self.wait(1)
        return self.offers[-1][1]

    def test_what_three_rounds_have_not_changed_is_not_shown(self) -> None:
        self.assertEqual(self.lacking_after(BUDGET), 0)

    def test_constant_cover_goes_on_for_it(self) -> None:
        self.assertEqual(self.lacking_after(0), CHANGE)


class Digests(ExchangeCase):
    """A member that was level and shows something else."""

    def setUp(self) -> None:
        super().setUp()
        self.meet()
        self.start_round()
        self.exchange.round_stopped(1)
        self.exchange.digest(MEMBER, b"1" * 16)
        self.wait(0.5)

    def backlog(self) -> int:
        """As it was offered last."""
        return self.offers[-1][1]

    def test_it_is_a_reason_for_a_round(self) -> None:
        self.assertEqual(self.backlog(), 0)
        self.exchange.digest(MEMBER, b"2" * 16)
        self.wait(0.5)
        self.assertEqual(self.backlog(), COST)

    def test_for_one_round(self) -> None:
        self.exchange.digest(MEMBER, b"2" * 16)
        self.start_round()
        self.exchange.round_stopped(1)
        self.exchange.digest(MEMBER, b"2" * 16)
        self.wait(0.5)
        self.assertEqual(self.backlog(), 0)

    def test_and_not_for_a_next_while_that_is_on(self) -> None:
        self.exchange.digest(MEMBER, b"2" * 16)
        self.start_round()
        self.wait(0.5)
        self.assertEqual(self.backlog(), 0)

    def test_what_it_shows_while_it_lacks_something_is_not_what_it_shows_when_level(self) -> None:
        self.box.put(b"a", b"x" * 1_000)
        self.start_round(self.box.new_total)
        self.exchange.round_stopped(1)
        self.wait(0.5)
        self.exchange.digest(MEMBER, b"2" * 16)
        self.wait(0.5)
        self.assertEqual(self.backlog(), CHANGE)
        self.exchange.digest(MEMBER, b"3" * 16)
        self.wait(0.5)
        self.assertEqual(self.backlog(), CHANGE)


class Greeting(ExchangeCase):
    """Hellos."""

    def hellos(self) -> list[Hello]:
        """Those that were sent."""
        return [record for record in self.leave_all() if isinstance(record, Hello)]

    def test_a_member_that_appears_is_greeted(self) -> None:
        self.box.put(b"a", b"a")
        self.exchange.alive(MEMBER, 0)
        numbers = BoxNumbers(self.box.id, self.box.index_id, 1, 0, 0)
        self.assertEqual(self.leave_all(), [Hello(1, (numbers,))])

    def test_a_box_whose_index_went_with_its_medium_is_not_named_until_it_is_back(self) -> None:
        self.box.put(b"a", b"a")
        self.meet()
        index_id, highest = self.box.index_id, self.box.highest
        self.box.index_id = self.box.highest = 0
        self.exchange.advanced(self.box)
        self.assertEqual(self.hellos(), [Hello(1, ())])
        self.exchange.alive(OTHER, 0)
        self.assertEqual(self.hellos(), [Hello(1, ())])
        self.show()
        self.box.index_id, self.box.highest = index_id, highest
        self.exchange.advanced(self.box)
        self.assertEqual(
            [hello.boxes[0].index_id for hello in self.hellos()], [index_id, index_id]
        )

    def test_so_are_all_whenever_a_round_starts(self) -> None:
        self.meet(MEMBER)
        self.meet(OTHER)
        self.start_round()
        self.assertEqual(len(self.hellos()), 2)

    def test_it_says_how_far_the_member_is_known(self) -> None:
        self.theirs.put(b"a", b"a")
        self.meet()
        self.show()
        self.start_round()
        (numbers,) = self.hellos()[0].boxes
        self.assertEqual((numbers.your_id, numbers.stored), (self.theirs.index_id, 1))

    def test_who_has_not_heard_of_the_box_is_greeted_again(self) -> None:
        self.start_round()
        self.exchange.alive(MEMBER, 1)
        self.leave_all()
        self.receive(Hello(1, (BoxNumbers(self.box.id, 9, 0, 0, 0),)))
        self.wait(3)
        self.assertEqual(len(self.hellos()), 1)

    def test_missing_bytes_are_answered_by_a_hello_not_more_than_one_a_second(self) -> None:
        self.meet()
        self.start_round()
        self.leave_all()
        for _ in range(40):
            self.exchange.reset(MEMBER)
            self.wait(0.25)
        self.assertTrue(9 <= len(self.hellos()) <= 11)

    def test_a_box_is_shown_once_its_index_is_open(self) -> None:
        box = MemoryBox("other", random=random.Random(3))
        box.put(b"a", b"a")
        index_id, box.index_id = box.index_id, 0
        self.exchange.add(box)
        self.meet()
        self.receive(Hello(1, (BoxNumbers(box.id, 9, 0, index_id, 0),)))
        self.assertEqual(self.leave_all(), [])
        box.index_id = index_id
        self.exchange.advanced(box)
        hello, index = self.leave_all()
        assert isinstance(hello, Hello)
        assert isinstance(index, Index)
        self.assertIn(BoxNumbers(box.id, index_id, 1, 9, 0), hello.boxes)
        self.assertEqual((index.box, index.to), (box.id, 1))

    def test_another_index_id_is_told_before_the_index(self) -> None:
        self.box.put(b"a", b"a")
        self.meet()
        self.hello(stored=77)
        hello, index, *_rest = self.leave_all()
        assert isinstance(hello, Hello)
        assert isinstance(index, Index)
        self.assertEqual(hello.boxes[0].index_id, self.box.index_id)
        self.assertEqual((index.start, index.to), (0, 1))

    def test_a_member_that_speaks_another_version_is_not_understood(self) -> None:
        self.box.put(b"a", b"a")
        self.exchange.alive(MEMBER, 1)
        self.leave_all()
        numbers = BoxNumbers(self.box.id, 9, 0, self.box.index_id, 0)
        self.receive(Hello(2, (numbers,)))
        self.assertEqual(self.leave_all(), [])
        self.assertEqual(self.exchange.status().links[0].errors, 1)
        self.receive(Hello(1, (numbers,)))
        self.assertEqual(len(self.leave_all()), 1)

    def test_a_box_that_is_removed_is_said_to_be_gone(self) -> None:
        self.theirs.put(b"a", bytes(BLOCK))
        self.meet()
        self.show()
        self.leave_all()
        self.exchange.remove(self.box)
        cancel, hello = sorted(self.leave_all(), key=lambda record: type(record).__name__)
        self.assertEqual(cancel, Cancel((block_hash(bytes(BLOCK)),)))
        self.assertEqual(hello, Hello(1, ()))
        self.assertIsNone(self.box.listener)
        self.show()
        self.assertEqual(self.leave_all(), [])


class Asking(ExchangeCase):
    """Wants, and what comes of them."""

    def setUp(self) -> None:
        super().setUp()
        self.data = bytes(range(256)) * 512
        self.hash = block_hash(self.data)
        self.theirs.put(b"a", self.data)

    def test_what_is_missing_is_asked_for_and_kept(self) -> None:
        self.meet()
        self.start_round()
        self.show()
        self.assertEqual(self.wanted(), [self.hash])
        self.assertEqual(self.offers[-1][2], BLOCK)
        self.give(self.hash, self.data)
        self.assertEqual(self.box.files()[b"a"][1], self.data)
        self.assertEqual(self.offers[-1][2], 0)

    def test_all_but_pieces_goes_before_pieces(self) -> None:
        self.box.put(b"b", b"content")
        self.meet()
        self.start_round()
        self.show()
        self.receive(Want(self.box.id, ((block_hash(b"content"), 7), (bytes(32), 7))))
        self.give(self.hash, self.data)
        self.wait(0.25)
        bulk = self.sent.take(BULK)
        self.assertEqual({type(record) for record in bulk}, {Piece})
        control = {type(record) for record in self.sent.take(CONTROL)}
        self.assertEqual(control, {Hello, Ack, Want, Gone, Index})

    def test_verified_blocks_are_shown_to_those_who_lack_them(self) -> None:
        for member in (MEMBER, OTHER):
            self.meet(member)
        self.exchange.alive(b"n" * 16, 1)  # does not have the box
        self.show()
        self.leave_all()
        self.give(self.hash, self.data)
        haves = [
            (member, record)
            for member, _priority, data in self.sent.data
            for record in records_in(data)
            if isinstance(record, Have)
        ]
        self.assertEqual(haves, [(OTHER, Have(self.box.id, (Hash(self.hash),)))])

    def test_who_says_that_it_has_a_block_is_asked_for_it(self) -> None:
        self.meet(OTHER)
        self.receive(Have(self.box.id, (self.hash,)), member=OTHER)
        self.meet()
        self.show()
        self.assertEqual(len(self.wanted()) + len(self.wanted(OTHER)), 1)
        self.exchange.lost(MEMBER)
        self.exchange.lost(OTHER)
        self.meet(OTHER)
        self.receive(Have(self.box.id, (self.hash,)), member=OTHER)
        self.assertEqual(self.wanted(OTHER), [self.hash])

    def test_a_block_that_is_wrong_is_asked_of_somebody_else(self) -> None:
        self.meet(MEMBER)
        self.start_round()
        self.show()
        self.assertEqual(self.wanted(), [self.hash])
        self.give(self.hash, bytes(BLOCK))
        self.assertEqual(self.wanted(), [])
        self.assertEqual(self.exchange.status().bad, 1)
        self.meet(OTHER)
        self.show(OTHER)
        self.assertEqual(self.wanted(OTHER), [self.hash])
        self.give(self.hash, self.data, OTHER)
        self.assertIn(b"a", self.box.files())

    def test_but_in_the_next_round_its_sender_gets_another_chance(self) -> None:
        self.meet(MEMBER)
        self.start_round()
        self.show()
        self.wanted()
        self.give(self.hash, bytes(BLOCK))
        self.wait(10)
        self.assertEqual(self.wanted(), [])
        self.exchange.round_stopped(1)
        self.start_round()
        self.assertEqual(self.wanted(), [self.hash])

    def test_or_after_a_minute_in_a_round_without_end(self) -> None:
        self.meet(MEMBER)
        self.start_round()
        self.show()
        self.wanted()
        self.receive(Gone((self.hash,)))
        self.assertEqual(self.wanted(), [])
        self.wait(61)
        self.assertIn(self.hash, self.wanted())

    def test_a_silent_member_is_given_up_and_another_is_asked(self) -> None:
        self.meet(MEMBER)
        self.start_round()
        self.show()
        self.assertEqual(self.wanted(), [self.hash])
        self.meet(OTHER)
        self.receive(Have(self.box.id, (self.hash,)), member=OTHER)
        self.assertEqual(self.wanted(OTHER), [])
        self.wait(5.5)
        self.assertIn(self.hash, self.wanted(OTHER))

    def test_time_between_rounds_does_not_count(self) -> None:
        self.meet(MEMBER)
        self.show()
        self.assertEqual(self.wanted(), [self.hash])
        self.wait(60)
        self.assertEqual(self.wanted(), [])

    def test_a_box_that_cannot_write_is_left_alone_for_a_while(self) -> None:
        self.meet(MEMBER)
        self.start_round()
        self.show()
        self.wanted()
        self.box.broken = True
        self.give(self.hash, self.data)
        self.wait(4)
        self.assertEqual(self.wanted(), [])
        self.box.broken = False
        self.wait(1.5)
        self.assertEqual(self.wanted(), [self.hash])
        self.assertEqual(self.exchange.status().bad, 0)

    def test_a_block_that_is_not_missing_any_more_is_cancelled(self) -> None:
        self.meet(MEMBER)
        self.show()
        self.leave_all()
        self.box.put(b"b", self.data)
        self.successResultOf(self.box.write([(Hash(self.hash), self.data)]))
        self.assertIn(Cancel((self.hash,)), self.leave_all())

    def test_no_more_is_asked_for_than_there_is_space(self) -> None:
        pending: list[Deferred[list[bool]]] = []

        def write(blocks: Sequence[tuple[Hash, bytes]]) -> Deferred[list[bool]]:
            pending.append(Deferred())
            return pending[-1]

        many = random.Random(1)
        blocks = {block_hash(data): data for data in (many.randbytes(BLOCK) for _ in range(400))}
        for number, data in enumerate(blocks.values()):
            self.theirs.put(b"%d" % number, data)
        self.meet(MEMBER)
        self.start_round()
        self.show()
        self.patch(self.box, "write", write)
        taken = 0
        for _ in range(400):
            for hash in self.wanted():
                taken += BLOCK
                self.clock.advance(0.001)
                self.give(hash, blocks.get(Hash(hash), self.data))
            self.wait(0.25)
        self.assertTrue(SPACE // 2 < taken <= SPACE + BLOCK, taken)

    def test_blocks_of_two_boxes_are_asked_for_in_turns(self) -> None:
        second, theirs = (MemoryBox("second", random=random.Random(n)) for n in (5, 6))
        self.exchange.add(second)
        self.meet()
        self.receive(
            Hello(
                1,
                (
                    BoxNumbers(self.box.id, self.theirs.index_id, 0, self.box.index_id, 0),
                    BoxNumbers(second.id, theirs.index_id, 0, second.index_id, 0),
                ),
            )
        )
        for number in range(40):
            self.theirs.put(b"%d" % number, b"%d" % number * BLOCK)
            theirs.put(b"%d" % number, b"x%d" % number * BLOCK)
        self.show()
        first, self.theirs, self.box = self.box, theirs, second
        self.show()
        self.leave_all()
        self.exchange.lost(MEMBER)
        self.exchange.alive(MEMBER, 2)
        wants = [record for record in self.leave_all() if isinstance(record, Want)]
        counts = {want.box: len(want.blocks) for want in wants}
        self.assertEqual(counts.keys(), {first.id, second.id})
        self.assertLessEqual(abs(counts[first.id] - counts[second.id]), 1)


class Offering(ExchangeCase):
    """What the flock is told."""

    def test_new_changes_are_offered_at_once(self) -> None:
        self.box.put(b"a", bytes(1_000))
        self.assertEqual(self.offers[-1], (CHANGE, 0, 0, self.box.digest))

    def test_they_are_backlog_only_once_a_round_has_counted_them(self) -> None:
        self.meet()
        self.box.put(b"a", bytes(1_000))
        self.assertEqual(self.offers[-1][:2], (CHANGE, 0))
        self.start_round(CHANGE)
        self.assertEqual(self.offers[-1][:2], (CHANGE, CHANGE))
        self.box.put(b"b", bytes(1_000))
        self.assertEqual(self.offers[-1][:2], (2 * CHANGE, CHANGE))

    def test_what_nobody_else_has_is_no_news_until_somebody_has_it(self) -> None:
        self.exchange.alive(MEMBER, 1)
        self.box.put(b"a", bytes(1_000))
        self.assertEqual(self.offers[-1][0], CHANGE)
        self.receive(Hello(1, ()))
        self.box.put(b"b", bytes(1_000))
        self.assertEqual(self.offers[-1], (CHANGE, 0, 0, bytes(16)))
        self.start_round(CHANGE)
        self.exchange.round_stopped(1)
        self.hello()
        self.wait(0.25)
        self.assertEqual(self.offers[-1][:2], (CHANGE, 2 * CHANGE))
        self.assertEqual(self.offers[-1][3], self.box.digest)
        self.box.put(b"c", bytes(1_000))
        self.assertEqual(self.offers[-1][:2], (2 * CHANGE, 2 * CHANGE))
        self.start_round(2 * CHANGE)
        self.wait(0.25)
        self.assertEqual(self.offers[-1][:2], (2 * CHANGE, 3 * CHANGE))

    def test_what_somebody_had_who_is_away_is_news(self) -> None:
        self.meet()
        self.receive(Ack(self.box.id, self.box.index_id, self.box.highest))
        self.start_round()
        self.show()
        self.exchange.round_stopped(1)
        self.exchange.lost(MEMBER)
        self.exchange.alive(OTHER, 1)
        self.receive(Hello(1, ()), member=OTHER)
        self.box.put(b"a", bytes(1_000))
        self.assertEqual(self.offers[-1][0], CHANGE)

    def test_a_member_without_the_box_lacks_nothing(self) -> None:
        self.exchange.alive(MEMBER, 1)
        self.receive(Hello(1, ()))
        self.box.put(b"a", bytes(1_000))
        self.start_round(CHANGE)
        self.assertEqual(self.offers[-1][1], 0)

    def test_backlog_is_the_most_that_any_member_lacks(self) -> None:
        for member in (MEMBER, OTHER):
            self.meet(member)
        self.box.put(b"a", bytes(1_000))
        self.theirs.put(b"a", bytes(1_000))
        self.start_round(self.box.new_total)
        self.show(OTHER)
        self.receive(Ack(self.box.id, self.box.index_id, self.box.highest), member=OTHER)
        self.assertEqual(self.offers[-1][1], CHANGE)
        lacking = {link.member: link.lacking for link in self.exchange.status().links}
        self.assertEqual(lacking, {MEMBER: CHANGE, OTHER: 0})
        self.exchange.lost(MEMBER)
        self.assertEqual(self.offers[-1][1], 0)

    def test_an_index_that_is_not_acknowledged_is_backlog(self) -> None:
        self.meet()
        self.box.put(b"a", b"a")
        self.theirs.put(b"a", b"a")
        self.start_round(self.box.new_total)
        self.show()
        self.wait(0.25)
        self.assertEqual(self.offers[-1][1], COST)
        self.receive(Ack(self.box.id, self.box.index_id, self.box.highest))
        self.wait(0.25)
        self.assertEqual(self.offers[-1][1], 0)

    def test_the_sum_of_the_boxes_is_counted_for_each_of_them(self) -> None:
        second = MemoryBox("second", random=random.Random(3))
        self.exchange.add(second)
        counted: list[tuple[str, int]] = []
        for box in (self.box, second):
            self.patch(box, "counted", lambda total, box=box: counted.append((box.name, total)))
        self.box.put(b"a", bytes(100))
        second.put(b"a", bytes(10))
        self.box.put(b"b", bytes(1))
        first, both = 100 + COST, 110 + 2 * COST
        self.assertEqual(self.offers[-1][0], both + 1 + COST)
        self.start_round(both)
        self.assertEqual(counted, [("box", first), ("second", 10 + COST)])
        self.exchange.round_stopped(1)
        self.start_round(both + 1 + COST)
        self.assertEqual(counted[2:], [("box", first + 1 + COST), ("second", 10 + COST)])

    def test_the_digests_of_all_boxes_are_summed(self) -> None:
        second = MemoryBox("second", random=random.Random(3))
        self.exchange.add(second)
        self.box.put(b"a", b"a")
        second.put(b"a", b"b")
        total = sum(int.from_bytes(box.digest, "big") for box in (self.box, second)) % 2**128
        self.assertEqual(self.offers[-1][3], total.to_bytes(16, "big"))


class Hostile(ExchangeCase):
    """Bytes that a member should not send."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=300), max_size=5))
    def test_any_bytes_do_no_harm(self, chunks: list[bytes]) -> None:
        self.setUp()
        self.meet()
        for chunk in chunks:
            self.exchange.received(MEMBER, chunk)
        self.exchange.reset(MEMBER)
        self.works()

    @settings(max_examples=100, deadline=None)
    @given(st.lists(records(), max_size=8), st.booleans())
    def test_any_records_do_no_harm(self, sent: list[Record], mine: bool) -> None:
        self.setUp()
        self.box.put(b"a", bytes(1_000))
        self.meet()
        self.start_round()
        for record in sent:
            if mine and isinstance(record, Index | Ack | Want | Have):
                self.receive(msgspec.structs.replace(record, box=self.box.id))
            else:
                self.receive(record)
            self.wait(0.25)
        self.works()

    def works(self) -> None:
        """An honest member is still served."""
        self.meet(OTHER)
        self.box.put(b"b", b"content")
        self.receive(Want(self.box.id, ((block_hash(b"content"), 7),)), member=OTHER)
        self.assertIn(Piece(block_hash(b"content"), 0, b"content"), self.leave_all())

    def test_a_record_that_does_not_parse_is_skipped_and_counted(self) -> None:
        self.box.put(b"a", b"content")
        self.meet()
        self.exchange.received(MEMBER, b"\0\0\0\x02\x91\x03")
        self.receive(Want(self.box.id, ((block_hash(b"content"), 7),)))
        self.assertIn(Piece(block_hash(b"content"), 0, b"content"), self.leave_all())
        self.assertEqual(self.exchange.status().links[0].errors, 1)

    def test_one_warning_is_enough_however_often_a_member_comes_anew(self) -> None:
        warnings: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_level"] is LogLevel.warn:
                warnings.append(eventAsText(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for epoch in range(5):
            self.exchange.alive(MEMBER, epoch)
            for _ in range(5):
                self.exchange.received(MEMBER, b"\0\0\0\x02\x91\x03")
        self.assertEqual(len(warnings), 1)
        self.assertIn(MEMBER.hex(), warnings[0])

    def test_a_stream_that_makes_no_sense_goes_on_at_the_next_record(self) -> None:
        self.meet()
        self.exchange.received(MEMBER, b"\xff" * 100)
        self.assertEqual(self.sent.skipped, [MEMBER])
        self.exchange.received(MEMBER, b"\xff" * 100)
        self.assertEqual(self.sent.skipped, [MEMBER])
        self.exchange.reset(MEMBER)
        self.works()

    def test_what_nobody_asked_for_is_not_kept(self) -> None:
        self.meet()
        for number in range(200):
            self.give(number.to_bytes(32, "big"), bytes(PIECE_SIZE))
        self.assertEqual(self.exchange.status().content_received, 0)

    def test_members_that_are_not_alive_are_not_heard(self) -> None:
        self.hello()
        self.exchange.reset(MEMBER)
        self.exchange.consumed(MEMBER, BULK, 5)
        self.exchange.lost(MEMBER)
        self.assertEqual(self.leave_all(), [])

