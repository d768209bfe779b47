# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.reconcile}.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge.history import (
    DIRECTORY,
    IMPLIED,
    NOTHING,
    Change,
    is_alive,
    local_change,
    version_id,
)
from flocknode.box.merge.reconcile import MemoryTree, join_delta, numbering, settle_paths
from flocknode.box.values import TOMBSTONE, History, Kind, Path, Value
from tests.box.modelbox import is_sibling
from tests.box.programs import random_program
from tests.box.programs import run as run_model

PRIVATE = Value(kind=Kind.DIRECTORY, mode=0o700)


def file(number: int) -> Value:
    """A file with content of its own; greater numbers are newer."""
    return Value(mode=0o644, mtime_ns=number * 10**9, content=bytes([number]) * 32)


def change(history: History, value: Value) -> Change:
    """What becomes of a settled path whose folder holds its head."""
    placed = history.heads[0].id if history.heads else None
    return local_change(history, placed, value, 1)


def version(*values: Value) -> History:
    """A path that had these values one after the other."""
    history = NOTHING
    for value in values:
        history = change(history, value).history
    return history


def tree_of(**paths: History) -> MemoryTree:
    """A settled tree; C{__} in a name stands for a slash."""
    tree = MemoryTree()
    join_delta(tree, delta(**paths))
    return tree


def delta(**paths: History) -> list[tuple[Path, History]]:
    """Entries; C{__} in a name stands for a slash."""
    return [(Path(name.replace("__", "/").encode()), history) for name, history in paths.items()]


def values_of(tree: MemoryTree) -> dict[Path, Value]:
    """What all settled paths are."""
    found = {}
    for path, history in tree.items():
        (head,) = history.heads
        found[path] = head.value
    return found


class MemoryTreeTests(SynchronousTestCase):
    """
    Tests for L{MemoryTree}.
    """

    def test_a_history_without_heads_removes_the_row(self) -> None:
        """And is no news if there was none."""
        tree = tree_of(a=version(file(1)))
        for _ in range(2):
            tree.set(Path(b"a"), NOTHING)
            self.assertIsNone(tree.get(Path(b"a")))
            self.assertEqual((len(tree), list(tree)), (0, []))

    @given(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from([b"a", b"b", b"a "]), min_size=1, max_size=4),
                st.sampled_from([NOTHING, version(file(1)), version(file(1), TOMBSTONE)]),
            )
        )
    )
    def test_it_knows_where_something_alive_is_below(
        self, changes: list[tuple[list[bytes], History]]
    ) -> None:
        """Whatever was set in between."""
        tree = MemoryTree()
        for names, history in changes:
            tree.set(Path(b"/".join(names)), history)
        for names, _ in changes:
            path = Path(b"/".join(names))
            expected = any(
                other.startswith(path + b"/") and is_alive(history)
                for other, history in tree.items()
            )
            self.assertEqual(tree.alive_below(path), expected)


class JoinDeltaTests(SynchronousTestCase):
    """
    Tests for L{join_delta}.
    """

    def test_what_is_new_is_taken_over(self) -> None:
        """As it is."""
        entries = delta(a=version(DIRECTORY), a__b=version(file(1), file(2)))
        tree = MemoryTree()
        self.assertEqual(join_delta(tree, entries), {b"a", b"a/b"})
        self.assertEqual(dict(tree.items()), dict(entries))

    def test_what_is_known_changes_nothing(self) -> None:
        """And is not told as a change."""
        new, old = version(file(1), file(2)), version(file(1))
        tree = tree_of(a=new)
        self.assertEqual(join_delta(tree, delta(a=old)), set())
        self.assertEqual(join_delta(tree, delta(a=new)), set())
        self.assertEqual(tree.get(Path(b"a")), new)

    def test_the_same_path_may_come_twice(self) -> None:
        """It is joined as often."""
        tree = MemoryTree()
        twice = [*delta(a=version(file(1), file(2))), *delta(a=version(file(1)))]
        join_delta(tree, twice)
        self.assertEqual(tree.get(Path(b"a")), version(file(1), file(2)))

    def test_a_loser_lives_on_next_to_the_winner(self) -> None:
        """Both are told as changed."""
        tree = tree_of(a=version(file(1)))
        name = b"a.conflict-19700101-000001-010101010101"
        self.assertEqual(join_delta(tree, delta(a=version(file(2)))), {b"a", name})
        self.assertEqual(values_of(tree), {Path(b"a"): file(2), Path(name): file(1)})

    def test_a_loser_meets_what_has_its_siblings_name(self) -> None:
        """And if it loses there again, it goes on."""
        name = "a.conflict-19700101-000001-010101010101"
        tree = tree_of(
            **{"a": version(file(1)), name: version(file(9)), name + "-2": version(file(8))}
        )
        join_delta(tree, delta(a=version(file(2))))
        self.assertEqual(
            values_of(tree),
            {
                Path(b"a"): file(2),
                Path(name.encode()): file(9),
                Path(name.encode() + b"-2"): file(8),
                Path(name.encode() + b"-3"): file(1),
            },
        )

    def test_a_loser_pushes_away_what_is_older(self) -> None:
        """That moves to a sibling of the sibling."""
        name = "a.conflict-19700101-000005-050505050505"
        tree = tree_of(**{"a": version(file(5)), name: version(file(3))})
        join_delta(tree, delta(a=version(file(6))))
        self.assertEqual(
            values_of(tree),
            {
                Path(b"a"): file(6),
                Path(name.encode()): file(5),
                Path(name.encode() + b".conflict-19700101-000003-030303030303"): file(3),
            },
        )

    def test_a_loser_finds_a_directory_with_its_siblings_name(self) -> None:
        """And gives way to it."""
        name = "a.conflict-19700101-000001-010101010101"
        tree = tree_of(a=version(file(1)), **{name: version(DIRECTORY)})
        join_delta(tree, delta(a=version(file(2))))
        self.assertEqual(values_of(tree)[Path(name.encode() + b"-2")], file(1))

    def test_a_deleted_directory_with_something_alive_comes_back(self) -> None:
        """All the way up."""
        tree = tree_of(
            a=version(DIRECTORY, TOMBSTONE), a__b=version(PRIVATE, TOMBSTONE), a__b__c=NOTHING
        )
        changed = join_delta(tree, delta(a__b__c=version(file(1))))
        self.assertEqual(changed, {b"a", b"a/b", b"a/b/c"})
        self.assertEqual(
            values_of(tree),
            {Path(b"a"): DIRECTORY, Path(b"a/b"): DIRECTORY, Path(b"a/b/c"): file(1)},
        )

    def test_a_directory_that_is_deleted_elsewhere_stays_for_what_is_in_it(self) -> None:
        """They had not seen it."""
        tree = tree_of(a=version(PRIVATE), a__b=version(file(1)))
        changed = join_delta(tree, delta(a=version(PRIVATE, TOMBSTONE)))
        self.assertEqual(changed, {b"a"})
        self.assertEqual(values_of(tree)[Path(b"a")], DIRECTORY)

    def test_a_directory_that_is_deleted_with_all_that_is_in_it_is_gone(self) -> None:
        """In whatever order that is told."""
        entries = delta(a=version(DIRECTORY, TOMBSTONE), a__b=version(file(1), TOMBSTONE))
        for told in (entries, entries[::-1]):
            tree = tree_of(a=version(DIRECTORY), a__b=version(file(1)))
            join_delta(tree, told)
            self.assertEqual(set(values_of(tree).values()), {TOMBSTONE})

    def test_a_file_in_place_of_a_directory_gives_way_to_what_is_in_that(self) -> None:
        """And lives on as a sibling."""
        tree = tree_of(a=version(DIRECTORY), a__b=version(file(1)))
        join_delta(tree, delta(a=version(DIRECTORY, file(2))))
        self.assertEqual(
            values_of(tree),
            {
                Path(b"a"): DIRECTORY,
                Path(b"a/b"): file(1),
                Path(b"a.conflict-19700101-000002-020202020202"): file(2),
            },
        )

    def test_a_file_within_a_file_makes_that_a_directory(self) -> None:
        """Two boxes had different things of one name."""
        tree = tree_of(a=version(file(2)))
        join_delta(tree, delta(a__b=version(file(1))))
        name = Path(b"a.conflict-19700101-000002-020202020202")
        self.assertEqual(
            values_of(tree), {Path(b"a"): DIRECTORY, Path(b"a/b"): file(1), name: file(2)}
        )

    def test_a_sibling_within_a_deleted_directory_brings_that_back(self) -> None:
        """A sibling is alive, so all above it is."""
        older, newer = version(file(1), file(3)), version(file(1), file(2), TOMBSTONE)
        tree = tree_of(a=version(DIRECTORY, TOMBSTONE), a__b=newer)
        join_delta(tree, delta(a__b=older))
        self.assertEqual(values_of(tree), {Path(b"a"): DIRECTORY, Path(b"a/b"): file(3)})

    def test_a_directory_whose_entry_is_not_there_yet_is_implied(self) -> None:
        """And gives way to it when it comes, without a trace in its mode."""
        tree = tree_of(a__b__c=version(file(1)))
        self.assertEqual([values_of(tree)[Path(path)] for path in (b"a", b"a/b")], [IMPLIED] * 2)
        join_delta(tree, delta(a=version(PRIVATE)))
        self.assertEqual(values_of(tree)[Path(b"a")], PRIVATE)
        found = tree.get(Path(b"a"))
        assert found is not None
        self.assertEqual({head.id for head in found.heads}, {version_id((), PRIVATE)})

    def test_the_outcome_does_not_depend_on_the_order_of_entries(self) -> None:
        """Only on what they are."""
        source = random.Random(7)
        names = [b"a", b"a/b", b"a/b/c", b"d", b"d/e"]
        names += [b"d.conflict-19700101-000003-030303030303", b"a/b/f"]
        kinds = [DIRECTORY, PRIVATE, TOMBSTONE, file(3), file(4), file(5)]
        siblings = 0
        for _ in range(100):
            mine, theirs = (
                [
                    (Path(name), version(file(1), *source.sample(kinds, source.randint(0, 3))))
                    for name in names
                ]
                for _ in range(2)
            )
            found = []
            for _ in range(3):
                tree = MemoryTree()
                join_delta(tree, mine)
                source.shuffle(theirs)
                changed = join_delta(tree, theirs)
                found.append((changed, dict(tree.items())))
            self.assertEqual(found[0], found[1])
            self.assertEqual(found[0], found[2])
            siblings += any(is_sibling(path) for path in found[0][0])
        self.assertGreater(siblings, 50)

    def test_thousands_of_entries_take_a_moment(self) -> None:
        """
        Well under a second; the limit leaves a slow and busy machine ten times
        as long as this takes.
        """
        entries = delta(d=version(DIRECTORY))
        entries += [
            (Path(b"d/%d" % number), version(replace(file(1), mtime_ns=number)))
            for number in range(5000)
        ]
        tree = MemoryTree()
        for delta_ in (entries, entries, [(path, version(TOMBSTONE)) for path, _ in entries]):
            start = time.process_time()
            join_delta(tree, delta_)
            self.assertLess(time.process_time() - start, 1)
        self.assertEqual(len(tree), 5001)


class SettlePathsTests(SynchronousTestCase):
    """
    Tests for L{settle_paths}.
    """

    def apply(self, tree: MemoryTree, changes: Iterable[tuple[bytes, History]]) -> set[Path]:
        """Set these histories, then settle."""
        paths = set()
        for path, history in changes:
            tree.set(Path(path), history)
            paths.add(Path(path))
        return settle_paths(tree, paths)

    def test_what_is_settled_already_is_no_change(self) -> None:
        """The caller knows of it."""
        tree = MemoryTree()
        changed = self.apply(tree, [(b"a", version(DIRECTORY)), (b"a/b", version(file(1)))])
        self.assertEqual(changed, set())

    def test_a_local_change_may_conflict(self) -> None:
        """With what was heard of and not placed."""
        base = version(file(1))
        tree = tree_of(a=change(base, file(3)).history)
        known = tree.get(Path(b"a"))
        assert known is not None
        mine = local_change(known, base.heads[0].id, file(2), 1)
        sibling = Path(b"a.conflict-19700101-000002-020202020202")
        self.assertEqual(self.apply(tree, [(b"a", mine.history)]), {b"a", sibling})
        self.assertEqual(values_of(tree), {Path(b"a"): file(3), sibling: file(2)})

    def test_a_directory_that_is_deleted_here_stays_for_what_was_heard_of(self) -> None:
        """It was not yet in the folder when it was deleted there."""
        base = version(DIRECTORY)
        tree = tree_of(a=base, a__b=version(file(1)))
        changed = self.apply(tree, [(b"a", change(base, TOMBSTONE).history)])
        self.assertEqual(changed, {b"a"})
        self.assertEqual(values_of(tree)[Path(b"a")], DIRECTORY)

    def test_a_directory_that_leaves_no_row_stays_for_what_was_heard_of(self) -> None:
        """Created and deleted here, unheard of; filled elsewhere."""
        tree = tree_of(a=version(DIRECTORY), a__b=version(file(1)))
        self.assertEqual(self.apply(tree, [(b"a", NOTHING)]), {b"a"})
        self.assertEqual(values_of(tree)[Path(b"a")], IMPLIED)

    def test_a_directory_is_deleted_with_all_that_is_in_it(self) -> None:
        """In one call, in any order."""
        tree = tree_of(a=version(DIRECTORY), a__b=version(file(1)))
        changed = self.apply(
            tree,
            [(b"a", version(DIRECTORY, TOMBSTONE)), (b"a/b", version(file(1), TOMBSTONE))],
        )
        self.assertEqual(changed, set())
        self.assertEqual(set(values_of(tree).values()), {TOMBSTONE})

    def test_all_above_a_new_path_is_looked_at(self) -> None:
        """Even where a path between was set in the same call."""
        tree = tree_of(a=version(file(1)), a__b=NOTHING)
        changed = self.apply(
            tree, [(b"a/b", version(file(2), TOMBSTONE)), (b"a/b/c", version(file(3)))]
        )
        self.assertEqual(changed, {b"a", b"a/b", b"a.conflict-19700101-000001-010101010101"})


class NumberingTests(SynchronousTestCase):
    """
    Tests for L{numbering}.
    """

    def test_who_hears_a_part_misunderstands_nothing(self) -> None:
        """Siblings, creations from above, deletes from below, replacements."""
        gone = version(file(1), TOMBSTONE)
        tree = MemoryTree()
        rows = {
            b"z.conflict-19700101-000001-010101010101": version(file(1)),
            b"d": version(DIRECTORY),
            b"d/e": version(file(1)),
            b"d/f": gone,
            b"g": gone,
            b"g/h": gone,
            b"r": version(DIRECTORY, file(1)),
            b"r/s": gone,
            b"z": version(file(1), file(2)),
        }
        for name, history in rows.items():
            tree.set(Path(name), history)
        self.assertEqual(
            numbering(tree, [Path(b"unknown"), *tree]),
            [
                b"z.conflict-19700101-000001-010101010101",
                b"d",
                b"d/e",
                b"z",
                b"unknown",
                b"r/s",
                b"g/h",
                b"g",
                b"d/f",
                b"r",
            ],
        )

    @settings(max_examples=20)
    @given(st.integers(0, 10**6))
    def test_nothing_is_left_out_or_told_twice(self, seed: int) -> None:
        """It is an order."""
        model = run_model(2, random_program(seed, 40))
        tree = model.boxes[0].tree
        self.assertEqual(sorted(numbering(tree, tree)), sorted(tree))
