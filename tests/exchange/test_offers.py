# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.offers}, L{flocknode.exchange.backlog} and
L{flocknode.exchange.clock}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.exchange.backlog import Backlog
from flocknode.exchange.clock import RoundClock
from flocknode.exchange.offers import Offers

A, B = b"a" * 16, b"b" * 16
D, E = b"d" * 16, b"e" * 16


class Offering(SynchronousTestCase):
    """What the flock is told."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[int, int, int, bytes]] = []
        self.offers = Offers(lambda *offer: self.told.append(offer), self.clock.seconds)

    def update(
        self,
        backlog: int = 0,
        remaining: int = 0,
        digest: bytes = D,
        more: bool = False,
        **new: int,
    ) -> None:
        """It is like this now."""
        totals = {A: new.get("a", 0), B: new.get("b", 0)}
        self.offers.update(totals, backlog, remaining, digest, more=more)

    def test_the_sum_of_all_boxes_is_offered(self) -> None:
        self.update(a=3, b=4, backlog=5, remaining=6)
        self.assertEqual(self.told, [(7, 5, 6, D)])

    def test_what_has_not_changed_is_not_told_again(self) -> None:
        self.update(a=3)
        self.clock.advance(9)
        self.update(a=3)
        self.assertEqual(len(self.told), 1)

    def test_new_changes_and_another_digest_are_told_at_once(self) -> None:
        self.update()
        self.update(a=1)
        self.update(a=1, digest=E)
        self.assertEqual(len(self.told), 3)

    def test_they_wait_while_more_is_being_looked_at(self) -> None:
        self.update(a=1)
        for size in range(2, 10):
            self.update(a=size, digest=E, more=True)
            self.clock.advance(0.05)
        self.assertEqual(self.told, [(1, 0, 0, D)])
        self.assertEqual(self.offers.counted(9), {A: 1, B: 0})
        self.update(a=9, digest=E)
        self.assertEqual(self.told[1:], [(9, 0, 0, E)])
        self.assertEqual(self.offers.counted(9), {A: 9, B: 0})

    def test_but_not_for_long_and_nothing_else_waits(self) -> None:
        self.update()
        for size in range(40):
            self.update(a=1 + size, backlog=5, more=True)
            self.clock.advance(0.05)
        totals = [told[0] for told in self.told]
        self.assertEqual(self.told[1], (0, 5, 0, D))
        self.assertEqual(totals, sorted(totals))
        self.assertTrue(4 <= len(set(totals)) <= 6, totals)
        # What came from others is no news.
        self.update(a=40)
        self.update(a=40, digest=E, more=True)
        self.update(a=40, digest=D, more=True)
        self.assertEqual([told[3] for told in self.told[-2:]], [E, D])

    def test_so_is_the_first_byte_left_to_do_and_the_last(self) -> None:
        self.update()
        self.update(remaining=9)
        self.update(remaining=9, backlog=9)
        self.update(backlog=9)
        self.update()
        self.assertEqual(len(self.told), 5)

    def test_those_in_between_are_told_ten_times_a_second(self) -> None:
        for remaining in range(100, 0, -1):
            self.update(remaining=remaining)
            self.clock.advance(0.01)
        self.assertTrue(9 <= len(self.told) <= 11, len(self.told))

    def test_the_last_of_them_is_told_in_the_end(self) -> None:
        self.update(remaining=9)
        self.update(remaining=8)
        self.update(remaining=7)
        self.offers.tick()
        self.assertEqual(len(self.told), 1)
        self.clock.advance(0.25)
        self.offers.tick()
        self.assertEqual(self.told[1:], [(0, 0, 7, D)])
        self.offers.tick()
        self.assertEqual(len(self.told), 2)

    def test_a_round_counts_what_each_box_had_when_it_was_offered(self) -> None:
        for a, b in [(1, 0), (1, 5), (4, 5), (4, 6)]:
            self.update(a=a, b=b)
        self.assertEqual(self.offers.counted(9), {A: 4, B: 5})
        self.assertEqual(self.offers.counted(9), {})
        self.assertEqual(self.offers.counted(10), {A: 4, B: 6})

    def test_a_box_that_was_removed_does_not_make_the_sum_fall(self) -> None:
        self.update(a=3, b=4)
        self.offers.removed(4)
        self.offers.update({A: 3}, 0, 0, E)
        self.assertEqual(self.told[-1][0], 7)
        self.offers.update({A: 8}, 0, 0, E)
        self.assertEqual(self.offers.counted(12), {A: 8})

    def test_offers_that_are_remembered_are_bounded(self) -> None:
        for new in range(10_000):
            self.update(a=new)
        self.assertEqual(self.offers.counted(10), {})
        self.assertEqual(self.offers.counted(9_999), {A: 9_999, B: 0})


class WritingOff(SynchronousTestCase):
    """L{Backlog}."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.backlog = Backlog(self.clock.seconds)

    def round(self, before: dict[bytes, int], after: dict[bytes, int], missing: int = 0) -> None:
        """One round."""
        self.backlog.round_started(before, missing)
        self.backlog.round_stopped(after, 0)

    def test_it_is_the_most_that_any_member_lacks(self) -> None:
        self.assertEqual(self.backlog.most({A: 3, B: 7}), 7)
        self.assertEqual(self.backlog.most({}), 0)

    def test_what_three_rounds_have_not_changed_is_not_worth_a_fourth(self) -> None:
        for _ in range(2):
            self.round({A: 10, B: 1}, {A: 10, B: 0})
        self.assertEqual(self.backlog.most({A: 10}), 10)
        self.round({A: 10}, {A: 10})
        self.assertEqual(self.backlog.most({A: 10}), 0)

    def test_until_a_while_has_passed_and_each_time_longer(self) -> None:
        for rounds, pause in ((3, 60), (1, 120), (1, 240)):
            for _ in range(rounds):
                self.round({A: 10}, {A: 10})
            self.clock.advance(pause - 1)
            self.assertEqual(self.backlog.most({A: 10}), 0)
            self.clock.advance(1)
            self.assertEqual(self.backlog.most({A: 10}), 10)

    def test_then_a_short_round_is_tried(self) -> None:
        for _ in range(3):
            self.round({A: 10**9}, {A: 10**9})
        self.clock.advance(60)
        self.assertEqual(self.backlog.most({A: 10**9}), 65_536)
        self.assertEqual(self.backlog.most({A: 10**9 - 1}), 10**9 - 1)

    def test_but_what_is_added_to_it_is(self) -> None:
        for _ in range(3):
            self.round({A: 10}, {A: 10})
        self.assertEqual(self.backlog.most({A: 15}), 5)

    def test_and_all_of_it_once_the_member_takes_something(self) -> None:
        for _ in range(3):
            self.round({A: 10}, {A: 10})
        self.assertEqual(self.backlog.most({A: 9}), 9)
        self.assertEqual(self.backlog.most({A: 10}), 10)

    def test_or_comes_back(self) -> None:
        for _ in range(3):
            self.round({A: 10}, {A: 10})
        self.backlog.forget(A)
        self.assertEqual(self.backlog.most({A: 10}), 10)

    def test_a_round_in_which_it_took_something_starts_the_count_anew(self) -> None:
        for after in (10, 10, 9, 10, 10):
            self.round({A: 10}, {A: after})
        self.assertEqual(self.backlog.most({A: 10}), 10)

    def test_so_does_one_in_which_more_arrived_here_that_it_lacks_now(self) -> None:
        for _ in range(5):
            self.round({A: 10}, {A: 20}, missing=10)
        self.assertEqual(self.backlog.most({A: 20}), 20)


class Clocks(SynchronousTestCase):
    """L{RoundClock}."""

    def test_it_counts_the_seconds_of_rounds_only(self) -> None:
        clock = Clock()
        rounds = RoundClock(clock.seconds)
        clock.advance(5)
        self.assertEqual((rounds(), rounds.running), (0, False))
        rounds.start()
        clock.advance(2)
        self.assertEqual((rounds(), rounds.running), (2, True))
        rounds.start()
        clock.advance(1)
        rounds.stop()
        clock.advance(9)
        self.assertEqual((rounds(), rounds.running), (3, False))
        rounds.stop()
        self.assertEqual(rounds(), 3)
