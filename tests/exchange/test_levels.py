# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.exchange.levels}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.exchange.levels import UNKNOWN, Levels

ANNA, BERT = b"a" * 16, b"b" * 16
ONE, TWO = b"1" * 16, b"2" * 16


class LevelsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.levels = Levels()
        self.levels.show(ANNA, ONE)

    def test_who_was_never_level_does_not_differ(self) -> None:
        self.levels.show(ANNA, TWO)
        self.assertFalse(self.levels.differs(ANNA))
        self.assertFalse(self.levels.differs(BERT))

    def test_who_shows_something_else_than_when_it_was_level_differs(self) -> None:
        self.levels.level(ANNA)
        self.assertFalse(self.levels.differs(ANNA))
        self.levels.show(ANNA, TWO)
        self.levels.level(ANNA)
        self.assertTrue(self.levels.differs(ANNA))
        self.levels.show(ANNA, ONE)
        self.assertFalse(self.levels.differs(ANNA))

    def test_who_does_not_say_does_not_differ(self) -> None:
        self.levels.level(ANNA)
        self.levels.show(ANNA, UNKNOWN)
        self.levels.level(ANNA)
        self.levels.show(ANNA, TWO)
        self.assertFalse(self.levels.differs(ANNA))

    def test_after_a_round_everything_counts_anew(self) -> None:
        self.levels.level(ANNA)
        self.levels.show(ANNA, TWO)
        self.levels.forget_all()
        self.assertFalse(self.levels.differs(ANNA))
        # What was shown before the round says nothing of after it.
        self.levels.level(ANNA)
        self.levels.show(ANNA, ONE)
        self.assertFalse(self.levels.differs(ANNA))

    def test_one_who_is_gone_is_forgotten(self) -> None:
        self.levels.level(ANNA)
        self.levels.forget(ANNA)
        self.levels.show(ANNA, TWO)
        self.assertFalse(self.levels.differs(ANNA))
