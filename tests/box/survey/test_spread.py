# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.spread}.
"""

from __future__ import annotations

import threading

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.survey.spread import Spread, spare_threads


class SpareThreadsTests(SynchronousTestCase):
    def test_one_core_is_left_alone_if_there_are_three(self) -> None:
        # The asking thread works too.
        self.assertEqual([spare_threads(cores) for cores in (3, 4, 8)], [1, 2, 6])

    def test_there_is_always_one(self) -> None:
        self.assertEqual([spare_threads(cores) for cores in (1, 2)], [1, 1])
        self.assertGreaterEqual(spare_threads(), 1)


class SpreadTests(SynchronousTestCase):
    def spread(self, threads: int) -> Spread:
        spread = Spread(threads)
        self.addCleanup(spread.close)
        return spread

    def test_results_come_in_the_order_of_the_things(self) -> None:
        for threads in (0, 1, 3):
            found = self.spread(threads).map(lambda number: number * 2, range(50))
            self.assertEqual(found, [number * 2 for number in range(50)])

    def test_the_work_is_done_at_the_same_time(self) -> None:
        # Each waits until there are three: one after another would break it.
        together = threading.Barrier(3, timeout=10)
        names: set[str] = set()

        def work(_: int) -> None:
            names.add(threading.current_thread().name)
            together.wait()

        self.spread(2).map(work, range(3))
        self.assertEqual(len(names), 3)
        self.assertIn(threading.current_thread().name, names)

    def test_a_single_thing_is_done_in_the_asking_thread(self) -> None:
        (found,) = self.spread(4).map(lambda _: threading.current_thread(), [1])
        self.assertIs(found, threading.current_thread())

    def test_nothing_to_do_is_nothing(self) -> None:
        self.assertEqual(self.spread(2).map(str, ()), [])

    def test_what_goes_wrong_is_raised_and_the_rest_is_not_begun(self) -> None:
        for threads in (0, 2):
            begun: list[int] = []

            def work(number: int, begun: list[int] = begun) -> None:
                begun.append(number)
                raise ValueError

            with self.assertRaises(ValueError):
                self.spread(threads).map(work, range(100))
            self.assertLess(len(begun), 5)

    def test_it_can_be_used_again_after_it_was_closed(self) -> None:
        spread = self.spread(2)
        for _ in range(2):
            self.assertEqual(spread.map(abs, [-1, -2, -3]), [1, 2, 3])
            spread.close()
