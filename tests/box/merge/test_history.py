# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.history}.
"""

from __future__ import annotations

import itertools

from hypothesis import given
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge.history import (
    DIRECTORY,
    IMPLIED,
    MAX_SUPERSEDED,
    NOTHING,
    Change,
    forget,
    join,
    local_change,
    matches,
    value_half,
    value_order,
    version_id,
)
from flocknode.box.merge.settling import as_directory, settle
from flocknode.box.values import TOMBSTONE, History, Kind, Path, Value, VersionId
from tests.box.histories import FOUR, ONE, THREE, TWO, after, file, first, ids, value_of
from tests.strategies import Replica, replicas, values

PATH = Path(b"notes/plan.txt")


class VersionTests(SynchronousTestCase):
    """
    Tests for L{version_id} and L{value_order}.
    """

    def test_ids_are_fixed_for_all_time(self) -> None:
        """They travel and are stored: another hash would make all boxes conflict."""
        parentless = version_id((), ONE)
        self.assertEqual(parentless.hex(), "0000000000000000" + value_half(ONE).hex())
        self.assertEqual(value_half(ONE).hex(), "446a0b8edbb3f2f4")
        self.assertEqual(version_id([parentless], TWO).hex(), "ff9c242c6aa39c8b3b5daff48b78545e")
        self.assertEqual(value_half(replace(ONE, mtime_ns=-(2**70))).hex(), "b6a810b89c969e8a")

    def test_the_order_of_parents_does_not_matter(self) -> None:
        """They are a set."""
        parents = [version_id((), value) for value in (ONE, TWO, THREE)]
        found = {version_id(order, FOUR) for order in itertools.permutations(parents)}
        found.add(version_id(parents * 2, FOUR))
        self.assertEqual(len(found), 1)

    @given(values(), values())
    def test_different_values_have_different_ids_and_an_order(
        self, mine: Value, theirs: Value
    ) -> None:
        """The order is total: no two values are equally great."""
        same = mine == theirs
        self.assertEqual(value_half(mine) == value_half(theirs), same)
        self.assertEqual(value_order(mine) == value_order(theirs), same)

    def test_alive_then_directories_then_newer_win(self) -> None:
        """And then anything, as long as it is the same everywhere."""
        content = bytes(31) + b"\x09"
        ascending = [
            TOMBSTONE,
            Value(mode=0o777, mtime_ns=-5, content=b"\xff" * 32),
            Value(mode=0o600, mtime_ns=7, content=bytes(32)),
            Value(mode=0o600, mtime_ns=7, content=content),
            Value(mode=0o644, mtime_ns=7, content=content),
            Value(kind=Kind.SYMLINK, mtime_ns=7, content=content),
            Value(kind=Kind.DIRECTORY, mode=0o700),
            Value(kind=Kind.DIRECTORY, mode=0o755),
        ]
        self.assertEqual(sorted(set(ascending), key=value_order), ascending)

    def test_a_head_that_does_not_match_its_id_is_told_apart(self) -> None:
        """Values from outside are bound to their ids."""
        head = first(ONE).history.heads[0]
        self.assertTrue(matches(head))
        self.assertFalse(matches(replace(head, value=TWO)))
        self.assertFalse(matches(replace(head, id=VersionId(head.id + b"\0"))))


class LocalChangeTests(SynchronousTestCase):
    """
    Tests for L{local_change}.
    """

    def test_the_only_parent_is_what_the_folder_held(self) -> None:
        """Not the newest that was heard of."""
        base = first(ONE)
        theirs = after(base, TWO)
        heard = join(base.history, theirs.history)
        mine = local_change(heard, base.placed, THREE, 1)
        assert base.placed is not None
        self.assertEqual(mine.placed, version_id([base.placed], THREE))
        self.assertEqual(ids(mine.history), {mine.placed, theirs.placed})

    def test_depth_counts_the_longest_chain(self) -> None:
        """A version is deeper than its deepest parent."""
        chain = [first(ONE)]
        for value in (TWO, THREE):
            chain.append(after(chain[-1], value))
        self.assertEqual([change.history.heads[0].depth for change in chain], [0, 1, 2])
        settled, _ = settle(PATH, join(chain[-1].history, first(FOUR).history))
        self.assertEqual(settled.heads[0].depth, 3)

    def test_a_change_that_is_none_changes_nothing(self) -> None:
        """The folder still holds the version that it held."""
        base = first(ONE)
        again = after(base, ONE)
        self.assertEqual((again.history, again.placed), (base.history, base.placed))

    def test_what_never_was_can_be_deleted_without_trace(self) -> None:
        """There is nothing to tell anybody."""
        self.assertEqual(first(TOMBSTONE), Change(NOTHING, None, None))

    def test_a_change_that_no_one_has_heard_of_is_replaced(self) -> None:
        """As if it had never been."""
        base = first(ONE)
        for before in (NOTHING, base.history):
            placed = None if before == NOTHING else base.placed
            unseen = local_change(before, placed, TWO, 1)
            replaced = local_change(unseen.history, unseen.placed, THREE, 1, unseen.unseen)
            self.assertEqual(replaced, local_change(before, placed, THREE, 1))

    def test_created_and_deleted_unheard_of_leaves_nothing(self) -> None:
        """No tombstone of what no one knew."""
        unseen = first(ONE)
        gone = local_change(unseen.history, unseen.placed, TOMBSTONE, 0, unseen.unseen)
        self.assertEqual(gone, Change(NOTHING, None, None))

    def test_changed_and_changed_back_unheard_of_leaves_all_as_it_was(self) -> None:
        """The old version is still the head."""
        base = first(ONE)
        unseen = after(base, TWO)
        back = local_change(unseen.history, unseen.placed, ONE, 1, unseen.unseen)
        self.assertEqual(back, Change(base.history, base.placed, None))

    def test_a_replaced_change_can_be_replaced_again(self) -> None:
        """A file that is saved every second has one version."""
        change = base = first(ONE)
        for number in range(2, 10):
            change = local_change(change.history, change.placed, file(number), 1, change.unseen)
            self.assertEqual(change.history.superseded, ())
        self.assertEqual(base.history.heads[0].depth, change.history.heads[0].depth)

    def test_a_change_that_something_was_built_on_is_not_replaced(self) -> None:
        """It has met another version meanwhile."""
        base = first(ONE)
        unseen = after(base, TWO)
        theirs = after(base, THREE)
        heard, _ = settle(PATH, join(unseen.history, theirs.history))
        mine = local_change(heard, unseen.placed, FOUR, 1, unseen.unseen)
        assert unseen.placed is not None
        self.assertEqual(mine.placed, version_id([unseen.placed], FOUR))

    def test_a_change_that_conflicts_at_once_is_seen(self) -> None:
        """What follows from it can not be taken back."""
        base = first(ONE)
        heard = join(base.history, after(base, TWO).history)
        self.assertIsNone(local_change(heard, base.placed, THREE, 1).unseen)

    def test_what_was_known_already_is_not_taken_back(self) -> None:
        """A scan that finds what the index had before is no news of its own."""
        known = first(ONE).history
        found = local_change(known, None, ONE, 1)
        self.assertEqual((found.history, found.unseen), (known, None))

    def test_a_found_file_is_the_version_that_had_its_value(self) -> None:
        """After the index was lost: the parent of the next change is right."""
        base = first(ONE)
        second = after(base, TWO)
        for value in (ONE, TWO):
            found = local_change(second.history, None, value, 1)
            self.assertEqual(ids(found.history), {second.placed})
            self.assertEqual(found.placed, base.placed if value == ONE else second.placed)

    def test_a_found_file_prefers_the_latest_version_with_its_value(self) -> None:
        """There may have been several."""
        change = first(TWO)
        for value in (ONE, TWO, ONE, THREE):
            change = after(change, value)
        latest = max((depth, id) for id, depth in change.history.superseded)[1]
        self.assertEqual(local_change(change.history, None, ONE, 1).placed, latest)

    def test_a_parent_that_was_forgotten_is_a_parent_all_the_same(self) -> None:
        """It only makes the new version as deep as can be."""
        base = first(ONE)
        second = after(after(base, TWO), THREE)
        assert base.placed is not None
        history = forget(second.history, [base.placed])
        mine = local_change(history, base.placed, FOUR, 1)
        self.assertEqual(mine.placed, version_id([base.placed], FOUR))
        self.assertEqual({head.depth for head in mine.history.heads}, {2, 3})


class JoinTests(SynchronousTestCase):
    """
    Tests for L{join}.
    """

    @given(replicas(3))
    def test_any_order_and_any_repetition_give_the_same(self, boxes: list[Replica]) -> None:
        """It is a semilattice."""
        a, b, c = (box.history for box in boxes)
        self.assertEqual(join(a, b), join(b, a))
        self.assertEqual(join(join(a, b), c), join(a, join(b, c)))
        self.assertEqual(join(a, a), a)
        self.assertEqual(join(join(a, b), b), join(a, b))
        self.assertEqual(join(a, NOTHING), a)

    @given(replicas(3))
    def test_some_head_is_always_left(self, boxes: list[Replica]) -> None:
        """Versions never supersede each other in a circle."""
        a, b, c = (box.history for box in boxes)
        joined = join(join(a, b), c)
        self.assertEqual(bool(joined.heads), bool(a.heads or b.heads or c.heads))
        known = dict(joined.superseded)
        known.update((head.id, head.depth) for head in joined.heads)
        known.pop(version_id((), IMPLIED), None)
        if known:
            deepest = max(known, key=lambda id: (known[id], id))
            self.assertIn(deepest, ids(joined))

    def test_a_change_supersedes_what_it_has_seen_and_nothing_else(self) -> None:
        """Two changes that had not seen each other are both heads."""
        base = first(ONE)
        mine, theirs = after(base, TWO), after(base, THREE)
        self.assertEqual(ids(join(base.history, mine.history)), {mine.placed})
        joined = join(mine.history, theirs.history)
        self.assertEqual(ids(joined), {mine.placed, theirs.placed})
        self.assertEqual(joined.superseded, ((base.placed, 0),))

    def test_equal_changes_are_one_version(self) -> None:
        """Whoever made them."""
        base = first(ONE)
        joined = join(after(base, TWO).history, after(base, TWO).history)
        self.assertEqual(len(joined.heads), 1)

    def test_a_parentless_head_is_the_version_that_has_its_value(self) -> None:
        """Two folders that were equal meet for the first time."""
        theirs = after(first(ONE), TWO)
        joined = join(first(TWO).history, theirs.history)
        self.assertEqual(ids(joined), {theirs.placed})

    def test_a_parentless_head_is_the_version_that_had_its_value(self) -> None:
        """An index was lost; the folder is behind, and must not conflict."""
        theirs = after(after(first(ONE), TWO), THREE)
        joined = join(first(TWO).history, theirs.history)
        self.assertEqual(ids(joined), {theirs.placed})

    def test_what_is_implied_gives_way_to_anything(self) -> None:
        """Even to a tombstone; no version of its own comes of it."""
        implied, _ = as_directory(PATH, None)
        for theirs in (first(ONE), first(DIRECTORY), after(first(ONE), TOMBSTONE)):
            self.assertEqual(ids(join(implied, theirs.history)), {theirs.placed})

    def test_of_liars_something_is_left(self) -> None:
        """A path never ends without any head, whatever others say."""
        base, other = first(ONE), first(TWO)
        gone = [head.id for head in (*base.history.heads, *other.history.heads)]
        liar = History(other.history.heads, tuple((id, 9) for id in sorted(gone)))
        self.assertEqual(len(join(base.history, liar).heads), 1)
        self.assertEqual(join(base.history, liar), join(liar, base.history))

    def test_above_the_cap_the_oldest_ids_go(self) -> None:
        """And an old version that comes back is a conflict, not a loss."""
        base = first(ONE)
        many = tuple(
            (VersionId(number.to_bytes(16, "big")), number)
            for number in range(1, MAX_SUPERSEDED + 1)
        )
        head = replace(first(TWO).history.heads[0], depth=MAX_SUPERSEDED + 1)
        new = join(History((head,), many), History((), ((base.history.heads[0].id, 0),)))
        self.assertEqual(new.superseded, many)
        settled, siblings = settle(PATH, join(new, base.history))
        self.assertEqual(value_of(settled), TWO)
        self.assertEqual([value_of(sibling.history) for sibling in siblings], [ONE])
