# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One random tree is perturbed into three: mine, theirs, and what both had in
common, which a third box still holds.  Told of each other, the three become
one.
"""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge import reconcile, settling
from flocknode.box.values import Path, Value
from tests.box.model import Model, Step, Violated

Folder = dict[Path, Value]

modest = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = ("write", "write", "write", "mkdir", "mkdir", "rename", "recase", "delete", "touch")


def edits(most: int) -> st.SearchStrategy[list[Step]]:
    """What a user does to a tree."""
    number = st.integers(0, 255)
    return st.lists(st.tuples(st.sampled_from(NAMES), st.just(0), number, number), max_size=most)


@attrs.frozen
class Three:
    """The trees, and the one that they became."""

    common: Folder
    mine: Folder
    theirs: Folder
    end: Folder


def reconciled(common: list[Step], mine: list[Step], theirs: list[Step]) -> Three:
    """
    Make the trees, and then one of them.

    @raise Violated: it does not end, or they do not become equal.
    """
    model = Model(3)
    for step in common:
        model.do(step)
    model.finish()
    base = dict(model.boxes[0].disk)
    for name, _, first, second in mine:
        model.do((name, 0, first, second))
    for name, _, first, second in theirs:
        model.do((name, 1, first, second))
    left = dict(model.boxes[0].disk), dict(model.boxes[1].disk)
    model.finish()
    return Three(base, *left, dict(model.boxes[2].disk))


def contents(folder: Folder) -> set[bytes]:
    return {value.content for value in folder.values() if value.content}


def related(path: Path, changed: set[Path]) -> bool:
    """Is any of these the path, above or below it, or what lives on beside it?"""
    return any(
        path == other or path.startswith(other + b"/") or other.startswith(path + b"/")
        for other in changed
    )


def changes(before: Folder, after: Folder) -> set[Path]:
    paths = before.keys() | after.keys()
    return {path for path in paths if before.get(path) != after.get(path)}


def lacking(three: Three) -> set[bytes]:
    """What was made on one side only, and is not everywhere."""
    made = (contents(three.mine) | contents(three.theirs)) - contents(three.common)
    return made - contents(three.end)


class ThreeTreeTests(SynchronousTestCase):
    @modest
    @given(edits(15), edits(8), edits(8))
    def test_they_become_equal_and_what_one_side_made_is_everywhere(
        self, common: list[Step], mine: list[Step], theirs: list[Step]
    ) -> None:
        """That it ends, and that all three are equal, is seen to on the way."""
        self.assertEqual(lacking(reconciled(common, mine, theirs)), set())

    @modest
    @given(edits(15), edits(6), edits(6))
    def test_what_only_one_side_changed_is_as_that_side_left_it(
        self, common: list[Step], mine: list[Step], theirs: list[Step]
    ) -> None:
        three = reconciled(common, mine, theirs)
        for ours, others in (three.mine, three.theirs), (three.theirs, three.mine):
            touched = changes(three.common, others)
            for path in changes(three.common, ours):
                if not related(path, touched):
                    self.assertEqual(three.end.get(path), ours.get(path))

    @modest
    @given(edits(15), edits(15))
    def test_what_only_I_did_is_what_all_get(self, common: list[Step], mine: list[Step]) -> None:
        three = reconciled(common, mine, [])
        self.assertEqual(three.end, three.mine)

    def test_a_planner_that_drops_the_loser_is_caught(self) -> None:
        self.patch(reconcile, "settle", lambda path, known: (settling.settle(path, known)[0], ()))
        self.patch(Model, "check", lambda model: None)
        here: list[Step] = [("write", 0, 0, 1)]
        self.assertTrue(lacking(reconciled([], here, here)))

    def test_a_planner_that_makes_no_directories_is_caught(self) -> None:
        self.patch(reconcile, "as_directory", lambda path, known: (known, ()))
        common: list[Step] = [("mkdir", 0, 0, 1)]
        with self.assertRaises(Violated):
            reconciled(common, [("delete", 0, 0, 0)], [("write", 0, 1, 1)])
