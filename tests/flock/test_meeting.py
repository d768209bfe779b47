# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.meeting}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.meeting import prefers


class MeetingTests(SynchronousTestCase):
    """Two flocks of different times."""

    def test_the_larger_set_wins(self) -> None:
        self.assertTrue(prefers((3, b"z"), (2, b"a")))
        self.assertFalse(prefers((2, b"a"), (3, b"z")))

    def test_of_equal_ones_the_lower_id_wins(self) -> None:
        self.assertTrue(prefers((2, b"a"), (2, b"b")))
        self.assertFalse(prefers((2, b"b"), (2, b"a")))

    def test_nobody_prefers_its_own(self) -> None:
        self.assertFalse(prefers((2, b"a"), (2, b"a")))
