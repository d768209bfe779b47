# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.forgetting}.
"""

from __future__ import annotations

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge.forgetting import AGE, aging, forgotten, is_due, unlearned
from flocknode.box.merge.history import NOTHING, join
from flocknode.box.merge.settling import settle
from flocknode.box.values import TOMBSTONE, History, Path, VersionId
from tests.box.histories import ONE, THREE, TWO, after, first, ids
from tests.strategies import Replica, replicas

EDITED = after(after(first(ONE), TWO), THREE).history
DELETED = after(after(first(ONE), TWO), TOMBSTONE).history


def old_ids(history: History) -> set[VersionId]:
    return {id for id, _ in history.superseded}


class AgingTests(SynchronousTestCase):
    def test_of_a_path_that_never_changed_nothing_is_to_be_forgotten(self) -> None:
        self.assertIsNone(aging(first(ONE).history, 1, 0))

    def test_what_was_superseded_ages(self) -> None:
        old = aging(EDITED, 7, 100)
        assert old is not None
        self.assertEqual((old.number, old.since, old.ids), (7, 100, old_ids(EDITED)))

    def test_a_tombstone_ages_with_all_that_it_superseded(self) -> None:
        old = aging(DELETED, 7, 100)
        assert old is not None
        self.assertEqual(old.ids, old_ids(DELETED) | ids(DELETED))

    def test_it_is_due_when_it_is_old_and_everyone_knows(self) -> None:
        old = aging(EDITED, 7, 100)
        assert old is not None
        self.assertTrue(is_due(old, 7, 100 + AGE))
        self.assertFalse(is_due(old, 6, 100 + AGE))
        self.assertFalse(is_due(old, 7, 99 + AGE))


class ForgottenTests(SynchronousTestCase):
    def test_what_was_superseded_later_stays(self) -> None:
        change = after(first(ONE), TWO)
        old = aging(change.history, 1, 0)
        assert old is not None
        left = forgotten(after(change, THREE).history, 2, old, 2)
        self.assertEqual(old_ids(left), ids(change.history))

    def test_a_deleted_path_is_forgotten_as_a_whole(self) -> None:
        old = aging(DELETED, 3, 0)
        assert old is not None
        self.assertEqual(forgotten(DELETED, 3, old, 3), NOTHING)

    def test_a_path_that_was_deleted_lately_keeps_all_that_is_known(self) -> None:
        """Old copies of it must be known for what they are."""
        change = after(first(ONE), TWO)
        old = aging(change.history, 1, 0)
        assert old is not None
        deleted = after(change, TOMBSTONE).history
        self.assertEqual(forgotten(deleted, 2, old, 2), deleted)

    def test_a_deleted_path_of_which_more_was_heard_waits_for_all(self) -> None:
        old = aging(DELETED, 3, 0)
        assert old is not None
        self.assertEqual(forgotten(DELETED, 4, old, 3), DELETED)


class UnlearnedTests(SynchronousTestCase):
    def test_what_was_forgotten_is_not_learned_again(self) -> None:
        """Nor is it forgotten that something else was superseded."""
        change = after(first(ONE), TWO)
        gone = frozenset(ids(first(ONE).history))
        newer = after(change, THREE).history
        heard = unlearned(newer, change.history, gone, ids(newer))
        self.assertEqual(old_ids(heard), ids(change.history))
        self.assertEqual(heard.heads, newer.heads)

    def test_a_version_that_came_back_is_superseded_again(self) -> None:
        gone = frozenset(old_ids(EDITED))
        back = first(ONE).history
        self.assertEqual(unlearned(EDITED, back, gone, ids(EDITED)).superseded[:1],
                         ((back.heads[0].id, 0),))
        heard = unlearned(EDITED, EDITED, gone, ids(back) | ids(EDITED))
        self.assertEqual(old_ids(heard), ids(back))

    def test_of_a_deleted_path_everything_is_learned(self) -> None:
        gone = frozenset(old_ids(DELETED))
        self.assertEqual(unlearned(DELETED, EDITED, gone, set()), DELETED)
        self.assertEqual(unlearned(EDITED, DELETED, gone, set()), EDITED)

    @given(replicas(2))
    def test_whatever_was_forgotten_heads_are_the_same(self, boxes: list[Replica]) -> None:
        """A box that has forgotten what all know meets one that has not."""
        mine, theirs = (box.history for box in boxes)
        known = join(mine, theirs)
        gone = frozenset(old_ids(known))
        left = History(known.heads)
        # Both know everything; then the other changes something.
        other = Replica()
        other.history, other.placed = known, known.heads[0].id if known.heads else None
        other.edit(THREE)
        heard = unlearned(other.history, left, gone, ids(other.history))
        path = Path(b"path")
        expected, siblings = settle(path, join(known, other.history))
        found, more = settle(path, join(left, heard))
        self.assertEqual((found.heads, more), (expected.heads, siblings))
