# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.serving} and L{flocknode.exchange.outbox}.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Hash
from flocknode.errors import BoxError
from flocknode.exchange.outbox import LIMITS, Outbox
from flocknode.exchange.records import BULK, CONTROL, PIECE_SIZE, Piece
from flocknode.exchange.serving import MOST_READS, MOST_WANTS, Serving
from tests.exchange.support import MEMBER, Sent, running

BOX, SECOND = b"b" * 16, b"c" * 16
SIZE = 2 * PIECE_SIZE


def name(number: int) -> Hash:
    """A hash."""
    return Hash(number.to_bytes(32, "big"))


def wants(*numbers: int) -> list[tuple[bytes, int]]:
    """Blocks to ask for."""
    return [(name(number), SIZE) for number in numbers]


class ServingCase(SynchronousTestCase):
    """One member that is served, in a round."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent = Sent()
        self.outbox = Outbox(self.sent, MEMBER)
        self.reads: list[tuple[bytes, int]] = []
        self.slow: dict[int, Deferred[bytes | None]] | None = None
        self.absent: set[int] = set()
        self.gone: list[int] = []
        self.given: Counter[Hash] = Counter()
        self.serving = self.another()

    def another(self) -> Serving:
        """The same for another member."""
        return Serving(
            self.outbox,
            running(self.clock),
            self.read,
            lambda hash: self.gone.append(int.from_bytes(hash, "big")),
            self.given,
        )

    def read(self, box: bytes, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
        """Blocks that are the number of their hash, repeated."""
        return gatherResults([self.read_one(box, hash) for hash in hashes])

    def read_one(self, box: bytes, hash: Hash) -> Deferred[bytes | None]:
        """The same for one."""
        number = int.from_bytes(hash, "big")
        self.reads.append((box, number))
        if self.slow is not None:
            self.slow[number] = Deferred()
            return self.slow[number]
        if number in self.absent:
            return succeed(None)
        return succeed(bytes([number % 256]) * SIZE)

    def served(self) -> list[int]:
        """Numbers of the blocks of which all pieces were sent, and have now left."""
        self.outbox.consumed(BULK, self.sent.size(BULK))
        pieces = [piece for piece in self.sent.take(BULK) if isinstance(piece, Piece)]
        for piece in pieces:
            number = int.from_bytes(piece.hash, "big")
            self.assertEqual(piece.data, bytes([number % 256]) * PIECE_SIZE)
        return [int.from_bytes(piece.hash, "big") for piece in pieces if piece.offset]

    def all_served(self) -> list[int]:
        """The same, until there is nothing left."""
        numbers: list[int] = []
        while served := self.served():
            numbers += served
            self.serving.pump()
        return numbers


class Order(ServingCase):
    """What goes when."""

    def test_blocks_go_in_the_order_in_which_they_were_asked_for(self) -> None:
        self.serving.want(BOX, wants(*range(20, 10, -1)))
        self.serving.want(BOX, wants(5, 11, 6))
        self.assertEqual(self.all_served(), [*range(20, 10, -1), 5, 6])

    def test_what_was_served_can_be_asked_for_again(self) -> None:
        for _ in range(2):
            self.serving.want(BOX, wants(1))
            self.assertEqual(self.all_served(), [1])

    def test_boxes_take_turns(self) -> None:
        self.serving.want(BOX, wants(*range(20)))
        self.serving.want(SECOND, wants(*range(100, 120)))
        served = self.all_served()
        turns = [number >= 100 for number in served[10:30]]
        # Two blocks of this size are a turn.
        self.assertEqual([turns[0], *turns[2::4], *turns[3::4]], [turns[0]] + 10 * [not turns[0]])
        self.assertEqual(turns[::4] + turns[1::4], 10 * [turns[0]])

    def test_what_others_were_not_given_goes_first(self) -> None:
        for number in range(5):
            self.given[name(number)] += 1
        self.serving.want(BOX, wants(*range(12)))
        self.assertEqual(self.all_served(), [*range(5, 12), *range(5)])
        self.assertEqual(self.given[name(0)], 2)

    def test_but_nothing_is_passed_over_for_ever(self) -> None:
        self.given[name(0)] += 1
        self.serving.want(BOX, wants(*range(200)))
        self.assertLess(self.all_served().index(0), 40)

    def test_what_is_cancelled_does_not_go(self) -> None:
        self.serving.want(BOX, wants(*range(30)))
        self.serving.cancel([name(29), name(77)])
        served = self.all_served()
        self.assertIn(28, served)
        self.assertNotIn(29, served)

    def test_nor_if_it_is_being_read(self) -> None:
        self.slow = {}
        self.serving.want(BOX, wants(1, 2))
        self.serving.cancel([name(1)])
        for number, read in self.slow.items():
            read.callback(bytes([number]) * SIZE)
        self.assertEqual(self.all_served(), [2])


class Bounds(ServingCase):
    """How much at a time."""

    def test_no_more_is_queued_than_the_link_takes_in_a_moment(self) -> None:
        self.serving.want(BOX, wants(*range(1_000)))
        waiting = self.outbox.waiting(BULK)
        self.assertTrue(0 < waiting < 512 * 1_024, waiting)
        self.outbox.consumed(BULK, waiting)
        self.serving.pump()
        self.assertGreater(self.outbox.waiting(BULK), 0)

    def leave(self, size: int) -> None:
        """So much leaves, and this hears of it."""
        self.outbox.consumed(BULK, size)
        self.serving.consumed()

    def test_what_is_ready_and_never_needed_becomes_less(self) -> None:
        self.serving.want(BOX, wants(*range(16_000)))
        for _ in range(3):
            self.leave(self.outbox.waiting(BULK))
        much = self.outbox.waiting(BULK)
        for _ in range(40):
            self.clock.advance(0.25)
            self.leave(SIZE)
        little = self.outbox.waiting(BULK)
        self.assertLess(little, much // 2)
        for _ in range(40):
            self.clock.advance(0.25)
            self.leave(SIZE)
        self.assertLess(abs(self.outbox.waiting(BULK) - little), 2 * SIZE)

    def test_that_it_runs_dry_at_the_end_says_nothing(self) -> None:
        for number in range(50):
            self.serving.want(BOX, wants(number))
            self.leave(self.outbox.waiting(BULK))
        self.serving.want(BOX, wants(*range(100, 1_000)))
        self.assertLess(self.outbox.waiting(BULK), 512 * 1_024)

    def test_a_fast_link_has_more_ready_but_never_over_the_limit(self) -> None:
        self.serving.want(BOX, wants(*range(2_000)))
        for _ in range(40):
            self.leave(self.outbox.waiting(BULK))
            self.assertLessEqual(self.outbox.waiting(BULK), LIMITS[BULK])
        self.serving.want(BOX, wants(*range(3_000, 3_500)))
        self.serving.pump()
        self.assertGreater(self.outbox.waiting(BULK), LIMITS[BULK] // 2)

    def test_several_blocks_are_read_at_a_time_but_not_all(self) -> None:
        self.slow = {}
        self.serving.want(BOX, [(name(number), 100) for number in range(100)])
        self.assertEqual(len(self.reads), MOST_READS)
        for number in range(32):
            self.slow[number].callback(bytes(100))
        self.assertEqual(len(self.reads), MOST_READS + 32)

    def test_many_small_blocks_are_read_in_one_go_and_large_ones_alone(self) -> None:
        self.slow = {}
        calls: list[int] = []
        whole = self.read

        def read(box: bytes, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
            calls.append(len(hashes))
            return whole(box, hashes)

        self.patch(self, "read", read)
        self.another().want(BOX, [(name(number), 131_072) for number in range(2)])
        self.another().want(BOX, [(name(number), 4_096) for number in range(50)])
        self.assertEqual(calls, [1, 1, 32, 18])

    def test_a_block_longer_than_the_queue_goes_bit_by_bit(self) -> None:
        size = 2 * LIMITS[BULK]
        self.slow = {}
        self.serving.want(BOX, [(name(1), size)])
        self.slow[1].callback(bytes(size))
        pieces = 0
        while sent := self.sent.size(BULK):
            self.assertLessEqual(self.outbox.waiting(BULK), LIMITS[BULK])
            pieces += len(self.sent.take(BULK))
            self.outbox.consumed(BULK, sent)
            self.serving.pump()
        self.assertEqual(pieces, size // PIECE_SIZE)

    def test_who_asks_for_too_much_is_not_heard(self) -> None:
        self.slow = {}
        for start in range(0, MOST_WANTS + 1_000, 1_000):
            self.serving.want(BOX, wants(*range(start, start + 1_000)))
        self.assertEqual(self.serving.waiting, MOST_WANTS)

    def test_boxes_that_are_none_do_not_pile_up(self) -> None:
        self.slow = {}
        self.serving.want(BOX, wants(*range(MOST_WANTS + 200)))
        for number in range(1_000):
            self.serving.want(number.to_bytes(16, "big"), wants(number))
        self.assertLess(len(self.serving._wants), 100)

    def test_a_block_that_two_boxes_wait_for_is_read_once(self) -> None:
        self.slow = {}
        self.outbox.send(BULK, bytes(3_000_000))
        self.serving.want(BOX, wants(1))
        self.serving.want(SECOND, wants(1))
        self.outbox.consumed(BULK, 3_000_000)
        self.sent.data.clear()
        self.serving.pump()
        self.assertEqual(len(self.reads), 1)
        self.slow[1].callback(bytes([1]) * SIZE)
        self.assertEqual(self.all_served(), [1])
        self.assertEqual(self.serving._reading_size, 0)

    def test_nothing_is_read_or_sent_after_the_end(self) -> None:
        self.slow = {}
        self.serving.want(BOX, wants(1, 2))
        self.serving.close()
        for read in list(self.slow.values()):
            read.callback(bytes(SIZE))
        self.assertEqual(self.sent.data, [])


class Missing(ServingCase):
    """What cannot be served."""

    def test_blocks_that_are_not_here_are_gone(self) -> None:
        self.absent = {2}
        self.serving.want(BOX, wants(1, 2, 3))
        self.assertEqual(self.all_served(), [1, 3])
        self.assertEqual(self.gone, [2])

    def test_blocks_of_another_size_are_gone(self) -> None:
        self.serving.want(BOX, [(name(1), SIZE - 1)])
        self.assertEqual((self.all_served(), self.gone), ([], [1]))

    def test_blocks_that_cannot_be_read_are_gone(self) -> None:
        self.serving = Serving(
            self.outbox,
            running(self.clock),
            lambda box, hash: fail(BoxError("offline")),
            lambda hash: self.gone.append(int.from_bytes(hash, "big")),
            self.given,
        )
        self.serving.want(BOX, wants(1, 2))
        self.assertEqual(self.gone, [1, 2])


class Waiting(SynchronousTestCase):
    """L{Outbox}."""

    def setUp(self) -> None:
        self.sent = Sent()
        self.outbox = Outbox(self.sent, MEMBER)

    def test_it_counts_what_was_sent_and_has_not_left(self) -> None:
        self.outbox.send(CONTROL, bytes(10))
        self.outbox.send(BULK, bytes(7))
        self.outbox.consumed(CONTROL, 4)
        self.assertEqual((self.outbox.waiting(CONTROL), self.outbox.waiting(BULK)), (6, 7))
        self.assertEqual((self.outbox.sent(CONTROL), self.outbox.left(CONTROL)), (10, 4))

    def test_what_an_earlier_epoch_had_queued_does_not_count(self) -> None:
        self.outbox.consumed(BULK, 1_000)
        self.outbox.send(BULK, bytes(7))
        self.assertEqual(self.outbox.waiting(BULK), 7)

    def test_beyond_the_limit_it_drops(self) -> None:
        for _ in range(10):
            self.outbox.send(BULK, bytes(1_048_576))
        self.assertEqual(self.outbox.waiting(BULK), LIMITS[BULK])
        self.assertEqual(self.sent.size(BULK), LIMITS[BULK])
