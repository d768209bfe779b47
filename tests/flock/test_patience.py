# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.patience}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.patience import PATIENCE, STAND_IN, Patience


class PatienceTests(SynchronousTestCase):
    """One member's."""

    def setUp(self) -> None:
        self.patience = Patience()

    def test_nothing_is_announced_without_need(self) -> None:
        self.assertFalse(self.patience.look(False, 0.0))

    def test_what_leads_to_nothing_is_taken_back_for_a_slot(self) -> None:
        self.assertTrue(self.patience.look(True, 0.0))
        self.assertTrue(self.patience.look(True, PATIENCE))
        self.assertFalse(self.patience.look(True, PATIENCE + 0.5))
        self.assertTrue(self.patience.look(True, PATIENCE + 1.0))

    def test_nobody_stands_in_as_long_as_nothing_is_outstanding(self) -> None:
        self.patience.look(False, 0.0)
        self.assertFalse(self.patience.stands_in(1, 1e9))

    def test_one_after_the_other_stands_in(self) -> None:
        self.patience.look(True, 5.0)
        self.patience.look(True, 5.0 + STAND_IN)
        for rank in (1, 2, 5):
            after = 5.0 + rank * STAND_IN
            self.assertFalse(self.patience.stands_in(rank, after - 0.1))
            self.assertTrue(self.patience.stands_in(rank, after))

    def test_also_while_the_announcement_is_taken_back(self) -> None:
        self.patience.look(True, 0.0)
        self.patience.look(True, PATIENCE + 0.5)
        self.assertTrue(self.patience.stands_in(1, PATIENCE + 0.5))

    def test_with_a_round_all_begins_anew(self) -> None:
        self.patience.look(True, 0.0)
        self.patience.rest()
        self.patience.look(True, 20.0)
        self.assertFalse(self.patience.stands_in(1, 20.0))
