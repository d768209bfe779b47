# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.turns}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.exchange.turns import Turn


class TurnTests(SynchronousTestCase):
    """What belongs together ends once."""

    def setUp(self) -> None:
        self.ends = 0
        self.turn = Turn(self.end)

    def end(self) -> None:
        """It is decided."""
        self.ends += 1

    def test_only_the_outermost_ends(self) -> None:
        with self.turn:
            with self.turn:
                pass
            self.assertEqual(self.ends, 0)
        self.assertEqual(self.ends, 1)

    def test_what_happens_at_the_end_is_still_inside(self) -> None:
        def again() -> None:
            self.ends += 1
            with turn:
                pass

        turn = Turn(again)
        with turn:
            pass
        self.assertEqual(self.ends, 1)

    def test_what_fails_decides_nothing_and_does_not_hinder_the_next(self) -> None:
        with self.assertRaises(ValueError), self.turn, self.turn:
            raise ValueError
        self.assertEqual(self.ends, 0)
        with self.turn:
            pass
        self.assertEqual(self.ends, 1)

    def test_a_decision_that_fails_does_not_hinder_the_next(self) -> None:
        def failing() -> None:
            self.ends += 1
            raise ValueError

        turn = Turn(failing)
        for expected in (1, 2):
            with self.assertRaises(ValueError), turn:
                pass
            self.assertEqual(self.ends, expected)
