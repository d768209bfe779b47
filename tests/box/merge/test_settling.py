# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.settling}.
"""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge.history import (
    DIRECTORY,
    IMPLIED,
    NOTHING,
    is_alive,
    join,
    local_change,
    version_id,
)
from flocknode.box.merge.settling import as_directory, settle
from flocknode.box.values import TOMBSTONE, Head, History, Kind, Path, Value, VersionId
from tests.box.histories import FOUR, ONE, THREE, TWO, after, file, first, ids, value_of
from tests.strategies import Replica, replicas

PATH = Path(b"notes/plan.txt")


def left(mine: History, theirs: History) -> set[VersionId]:
    """
    The heads that neither has superseded, without what L{join} does to keep
    one where a liar has left none.
    """
    superseded = {id for id, _ in (*mine.superseded, *theirs.superseded)}
    return (ids(mine) | ids(theirs)) - superseded


class SettleTests(SynchronousTestCase):
    """
    Tests for L{settle}.
    """

    def test_one_head_is_settled(self) -> None:
        """And so is nothing at all."""
        for history in (NOTHING, first(ONE).history, after(first(ONE), TWO).history):
            self.assertEqual(settle(PATH, history), (history, ()))

    def test_the_greatest_value_wins_over_all_heads(self) -> None:
        """With all of them as parents."""
        base = first(ONE)
        changes = [after(base, value) for value in (TWO, FOUR, THREE)]
        joined = NOTHING
        for change in changes:
            joined = join(joined, change.history)
        settled, _ = settle(PATH, joined)
        parents = [change.placed for change in changes if change.placed is not None]
        self.assertEqual(ids(settled), {version_id(parents, FOUR)})
        self.assertEqual(value_of(settled), FOUR)
        self.assertEqual({id for id, _ in settled.superseded}, {base.placed, *parents})

    def test_each_loser_with_other_content_becomes_a_sibling(self) -> None:
        """Whose first version has the losing version as its parent."""
        base = first(ONE)
        lost = after(base, TWO)
        _, (sibling,) = settle(PATH, join(lost.history, after(base, THREE).history))
        assert lost.placed is not None
        self.assertEqual(sibling.path, b"notes/plan.conflict-19700101-000000-000000000000.txt")
        new = version_id([lost.placed], TWO)
        self.assertEqual(sibling.history, History((Head(new, 2, TWO, 1),), ((lost.placed, 1),)))

    def test_a_delete_loses_and_leaves_no_sibling(self) -> None:
        """There is nothing to keep of it."""
        base = first(THREE)
        joined = join(after(base, TOMBSTONE).history, after(base, ONE).history)
        settled, siblings = settle(PATH, joined)
        self.assertEqual((value_of(settled), siblings), (ONE, ()))

    def test_equal_content_leaves_no_sibling(self) -> None:
        """Another mode or time is not worth a copy."""
        base = first(ONE)
        joined = join(
            after(base, file(2, mtime=50)).history,
            after(base, replace(file(2, mtime=60), mode=0o600)).history,
        )
        settled, siblings = settle(PATH, joined)
        self.assertEqual((value_of(settled).mtime_ns, siblings), (60, ()))

    def test_a_link_and_a_file_with_the_same_bytes_are_not_the_same(self) -> None:
        """The target of a link is not a content that a file could keep."""
        link = Value(kind=Kind.SYMLINK, mtime_ns=1, content=ONE.content)
        _, siblings = settle(PATH, join(first(ONE).history, first(link).history))
        self.assertEqual(len(siblings), 1)

    def test_a_file_loses_against_a_directory(self) -> None:
        """And lives on next to it; a directory never becomes a sibling."""
        joined = join(first(file(9)).history, first(DIRECTORY).history)
        settled, siblings = settle(PATH, join(joined, first(IMPLIED).history))
        self.assertEqual(value_of(settled), DIRECTORY)
        self.assertEqual([value_of(sibling.history) for sibling in siblings], [file(9)])

    def test_equal_values_make_no_new_version(self) -> None:
        """Nothing has to be told that the others do not know."""
        mine = after(after(first(ONE), TWO), FOUR)
        theirs = after(first(THREE), FOUR)
        settled, siblings = settle(PATH, join(mine.history, theirs.history))
        self.assertEqual((ids(settled), siblings), ({mine.placed}, ()))

    def test_a_winner_is_a_version_of_its_own(self) -> None:
        """
        Were it the winning head itself, two boxes could each supersede what
        the other kept: h by w here, c by d there, c being a child of w and h one
        of d.
        """
        d, w = first(THREE), first(FOUR)
        h, c = after(d, ONE), after(w, TOMBSTONE)
        here, _ = settle(PATH, join(h.history, w.history))
        there, _ = settle(PATH, join(c.history, d.history))
        self.assertEqual((value_of(here), value_of(there)), (FOUR, THREE))
        self.assertEqual(left(here, there), ids(here) | ids(there))

    def test_of_equal_values_the_deepest_stays_whatever_its_id(self) -> None:
        """
        Were it the one with the greatest id, two boxes could each supersede
        what the other kept: h by w here, c by d there, with c a child of w and
        h a descendant of d.
        """
        found = 0
        for start in range(40):
            d = after(first(file(start)), ONE)
            h = after(after(d, TWO), THREE)
            w = first(THREE)
            c = after(w, ONE)
            here, _ = settle(PATH, join(h.history, w.history))
            there, _ = settle(PATH, join(c.history, d.history))
            found += max(ids(w.history)) > max(ids(h.history))
            found += max(ids(d.history)) > max(ids(c.history))
            self.assertTrue(left(here, there))
        self.assertTrue(found, "no chance to go wrong")

    @given(replicas(4), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
    def test_settling_anywhere_in_any_order_converges(
        self, boxes: list[Replica], talks: list[tuple[int, int]]
    ) -> None:
        """All end with the same, and without any conflict."""
        for to, sender in talks:
            boxes[to].hear(boxes[sender].history)
            boxes[to].settle()
        for _ in range(4):
            for to, sender in itertools.permutations(range(4), 2):
                boxes[to].hear(boxes[sender].history)
                boxes[to].settle()
        self.assertEqual(len({box.history for box in boxes}), 1)
        self.assertLessEqual(len(boxes[0].history.heads), 1)

    @settings(max_examples=50)
    @given(replicas(5))
    def test_boxes_that_pass_on_in_a_ring_come_to_rest(self, boxes: list[Replica]) -> None:
        """
        Each hears only what its neighbour thought before it heard its own: had
        equal values to be settled by a new version, they would go on for ever.
        """
        for box in boxes:
            box.settle()
        for _ in range(3 * len(boxes)):
            told = [box.history for box in boxes]
            for place, box in enumerate(boxes):
                box.hear(told[place - 1])
                box.settle()
        self.assertEqual(len({box.history for box in boxes}), 1)

    @given(replicas(3))
    def test_what_is_settled_knows_all_that_was_known(self, boxes: list[Replica]) -> None:
        """Nothing that was superseded ever comes back."""
        joined = join(boxes[0].history, join(boxes[1].history, boxes[2].history))
        settled, _ = settle(PATH, joined)
        known = ids(joined) | {id for id, _ in joined.superseded}
        self.assertEqual(known - ids(settled) - {id for id, _ in settled.superseded}, set())
        self.assertEqual(join(settled, joined), settled)

    def test_a_sibling_that_was_deleted_stays_deleted(self) -> None:
        """When another box makes the same one again."""
        base = first(ONE)
        _, (sibling,) = settle(PATH, join(after(base, TWO).history, after(base, THREE).history))
        gone = local_change(sibling.history, sibling.history.heads[0].id, TOMBSTONE, 0)
        self.assertFalse(is_alive(join(gone.history, sibling.history)))


class AsDirectoryTests(SynchronousTestCase):
    """
    Tests for L{as_directory}.
    """

    def test_a_directory_stays_as_it_is(self) -> None:
        """Whatever its mode."""
        history = first(Value(kind=Kind.DIRECTORY, mode=0o700)).history
        self.assertEqual(as_directory(PATH, history), (history, ()))

    def test_a_deleted_directory_comes_back(self) -> None:
        """As a new version over its tombstone."""
        deleted = after(first(DIRECTORY), TOMBSTONE)
        history, siblings = as_directory(PATH, deleted.history)
        assert deleted.placed is not None
        self.assertEqual(ids(history), {version_id([deleted.placed], DIRECTORY)})
        self.assertEqual(siblings, ())
        self.assertEqual(join(history, deleted.history), history)

    def test_a_file_becomes_a_directory_and_a_sibling(self) -> None:
        """It is not lost."""
        file = after(first(DIRECTORY), ONE)
        history, (sibling,) = as_directory(PATH, file.history)
        self.assertEqual(value_of(history), DIRECTORY)
        self.assertEqual(value_of(sibling.history), ONE)
        self.assertEqual(sibling.history.superseded, ((file.placed, 1),))

    def test_what_is_not_known_is_implied(self) -> None:
        """With a mode that loses against any other."""
        history, siblings = as_directory(PATH, None)
        self.assertEqual((value_of(history), siblings), (IMPLIED, ()))
