# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.requests}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Hash, Need
from flocknode.exchange.records import PIECE_SIZE, Piece
from flocknode.exchange.requests import (
    AHEAD,
    FIRST_TARGET,
    LARGEST_TARGET,
    MOST_REQUESTS,
    SILENCE,
    Requests,
)

BOX = b"b" * 16
SPACE = 10**9


def need(number: int, size: int = 4 * PIECE_SIZE) -> Need:
    """A block."""
    hash = Hash(number.to_bytes(32, "big"))
    return Need(hash, size, hash, size)


def pieces(of: Need, data: bytes | None = None) -> list[Piece]:
    """All pieces of it."""
    data = bytes(of.size) if data is None else data
    return [
        Piece(of.hash, offset, data[offset : offset + PIECE_SIZE])
        for offset in range(0, of.size, PIECE_SIZE)
    ]


class RequestsCase(SynchronousTestCase):
    """Requests of one link, from time 0."""

    def setUp(self) -> None:
        self.requests = Requests()

    def serve(self, of: Need, now: float) -> bytes | None:
        """All pieces come at once."""
        done = None
        for piece in pieces(of):
            done = self.requests.piece(piece, now)
        return None if done is None else done[1]


class Assembling(RequestsCase):
    """Pieces that become blocks."""

    def test_pieces_in_any_order_make_the_block(self) -> None:
        wanted = need(1, 3 * PIECE_SIZE + 5)
        data = bytes(range(256)) * 384 + b"lasts"
        self.requests.ask(BOX, wanted, 0.0)
        parts = pieces(wanted, data)
        for piece in [*parts[2:], *parts[:1], *parts[2:]]:
            self.assertIsNone(self.requests.piece(piece, 0.0))
        done = self.requests.piece(parts[1], 0.0)
        assert done is not None
        self.assertEqual((done[0].need, done[0].boxes, done[1]), (wanted, [BOX], data))
        self.assertEqual((len(self.requests), self.requests.outstanding), (0, 0))

    def test_pieces_that_nobody_asked_for_are_ignored(self) -> None:
        self.assertIsNone(self.serve(need(1), 0.0))
        self.assertEqual(self.requests.arrived, 0)

    def test_pieces_that_do_not_fit_are_ignored(self) -> None:
        wanted = need(1, PIECE_SIZE + 5)
        self.requests.ask(BOX, wanted, 0.0)
        for offset, size in [(0, 5), (1, PIECE_SIZE), (PIECE_SIZE, 6), (2 * PIECE_SIZE, 5)]:
            self.assertIsNone(
                self.requests.piece(Piece(wanted.hash, offset, bytes(size)), 0.0)
            )
        self.assertIsNotNone(self.serve(wanted, 0.0))

    def test_a_block_for_two_boxes_is_asked_for_once(self) -> None:
        self.assertTrue(self.requests.ask(BOX, need(1), 0.0))
        self.assertFalse(self.requests.ask(b"c" * 16, need(1), 0.0))
        self.assertEqual(self.requests.outstanding, need(1).size)
        self.assertFalse(self.requests.drop_for(BOX, need(1).hash))
        self.assertTrue(self.requests.drop_for(b"c" * 16, need(1).hash))
        self.assertEqual(self.requests.outstanding, 0)

    def test_what_came_before_a_loss_is_kept_for_the_next_try(self) -> None:
        wanted = need(1)
        parts = pieces(wanted, b"x" * wanted.size)
        self.requests.ask(BOX, wanted, 0.0)
        for piece in parts[:3]:
            self.requests.piece(piece, 0.0)
        (torn,) = self.requests.torn()
        self.requests.lose(torn.need.hash)
        self.assertEqual(len(self.requests), 0)
        self.requests.ask(BOX, wanted, 1.0)
        self.assertEqual(self.requests.torn(), [])
        done = self.requests.piece(parts[3], 1.0)
        assert done is not None
        self.assertEqual(done[1], b"x" * wanted.size)

    def test_what_is_kept_is_bounded(self) -> None:
        several = [need(number, 32 * PIECE_SIZE) for number in range(6)]
        for wanted in several:
            self.requests.ask(BOX, wanted, 0.0)
            self.requests.piece(pieces(wanted)[0], 0.0)
            self.requests.lose(wanted.hash)
        for wanted in several:
            self.requests.ask(BOX, wanted, 0.0)
            done = [self.requests.piece(piece, 0.0) for piece in pieces(wanted)[1:]]
            self.assertEqual(done[-1] is not None, wanted in several[2:], wanted.hash[-1])


class HowMuch(RequestsCase):
    """How much to ask for."""

    def test_at_first_it_is_what_is_known_to_be_reasonable(self) -> None:
        self.assertEqual(self.requests.room(SPACE), FIRST_TARGET)
        self.requests.ask(BOX, need(1), 0.0)
        self.assertEqual(self.requests.room(SPACE), FIRST_TARGET - need(1).size)

    def test_no_more_than_there_is_space_for_but_always_one_block(self) -> None:
        self.assertEqual(self.requests.room(1_000), 1_000)
        self.assertGreater(self.requests.room(-5), 0)
        self.requests.ask(BOX, need(1), 0.0)
        self.assertLessEqual(self.requests.room(1_000), 0)

    def test_then_about_what_comes_in_some_seconds(self) -> None:
        now = 0.0
        for number in range(80):
            self.requests.ask(BOX, need(number), now)
        for number in range(40):
            now += 0.25
            self.serve(need(number), now)
            self.requests.measure(now)
        rate = 4 * need(1).size
        self.assertTrue(0.9 * rate < self.requests.rate < 1.1 * rate, self.requests.rate)
        ahead = self.requests.room(SPACE) + self.requests.outstanding
        self.assertEqual(ahead, int(AHEAD * self.requests.rate))

    def test_but_not_without_limit(self) -> None:
        for number in range(200):
            self.requests.ask(BOX, need(number, 1_048_576), 0.0)
        for number in range(199):
            self.serve(need(number, 1_048_576), 0.1)
        self.requests.measure(1.0)
        self.assertGreater(self.requests.rate, LARGEST_TARGET)
        self.assertEqual(self.requests.room(SPACE), LARGEST_TARGET - 1_048_576)

    def test_a_link_that_had_nothing_to_send_is_not_thought_slow(self) -> None:
        for number in range(2):
            self.requests.ask(BOX, need(number), 0.0)
        self.serve(need(0), 0.5)
        self.requests.measure(0.5)
        rate = self.requests.rate
        self.serve(need(1), 0.6)
        self.requests.measure(100.0)
        self.requests.ask(BOX, need(2), 200.0)
        self.requests.measure(200.1)
        self.assertEqual(self.requests.rate, rate)

    def test_small_blocks_are_counted_too(self) -> None:
        for number in range(MOST_REQUESTS):
            self.assertFalse(self.requests.full)
            self.requests.ask(BOX, need(number, 1), 0.0)
        self.assertTrue(self.requests.full)


class Patience(RequestsCase):
    """What has not come in time."""

    def late(self, now: float) -> list[int]:
        """Numbers of those to give up."""
        return [int.from_bytes(late.need.hash, "big") for late in self.requests.overdue(now)]

    def test_a_silent_link_is_given_up_for_all(self) -> None:
        for number in range(3):
            self.requests.ask(BOX, need(number), 1.0)
        self.assertEqual(self.late(1.0 + SILENCE), [])
        self.assertEqual(self.late(1.1 + SILENCE), [0, 1, 2])

    def test_a_block_that_stopped_in_the_middle_is_given_up(self) -> None:
        for number in range(3):
            self.requests.ask(BOX, need(number), 0.0)
        self.requests.piece(pieces(need(1))[0], 0.0)
        for now in (1.0, 3.0, 5.0):
            self.requests.piece(pieces(need(2))[int(now) // 2], now)
        self.assertIn(1, self.late(5.5))
        self.assertNotIn(2, self.late(5.5))

    def test_one_behind_much_else_may_take_as_long_as_that_takes_twice(self) -> None:
        for number in range(40):
            self.requests.ask(BOX, need(number), 0.0)
        now = 0.0
        for number in range(20):
            now += 1.0
            self.serve(need(number), now)
            self.requests.measure(now)
        self.assertEqual(self.late(now), [])
        for number in range(21, 39):
            self.serve(need(number), now)
        self.serve(need(38), now + 40)
        self.requests.ask(BOX, need(50), now + 40)
        self.serve(need(50), now + 40)
        self.assertIn(20, self.late(now + 40))
