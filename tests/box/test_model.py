# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The rules of the box layer against L{tests.box.model}: random programs for a
few boxes, and wrong rules that must not get away with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge import history, reconcile, settling
from flocknode.box.merge.history import NOTHING, Change
from flocknode.box.merge.reconcile import MemoryTree
from flocknode.box.merge.settling import Sibling
from flocknode.box.values import Head, History, Path, Value, VersionId
from tests import strategies
from tests.box.model import Model, Step, Violated
from tests.box.modelbox import Rules, is_sibling
from tests.box.programs import (
    forgetful_program,
    random_program,
    run,
    run_in_turn,
    run_one_writer,
    run_renames,
)
from tests.strategies import programs

Runner = Callable[[int, Sequence[Step], Rules | None], Model]

modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class ModelTests(SynchronousTestCase):
    """
    The promises, kept.
    """

    @modest
    @given(st.integers(2, 4), programs())
    def test_all_end_equal_and_nothing_is_lost(self, boxes: int, program: list[Step]) -> None:
        """Whatever users do at the same time, and however it is told."""
        run(boxes, program)

    @modest
    @given(st.integers(2, 4), programs())
    def test_one_writer_never_conflicts(self, boxes: int, program: list[Step]) -> None:
        """All folders end as the one that was written to."""
        run_one_writer(boxes, program)

    @modest
    @given(st.integers(2, 4), programs())
    def test_edits_that_have_seen_each_other_never_conflict(
        self, boxes: int, program: list[Step]
    ) -> None:
        """The last one stays."""
        run_in_turn(boxes, program)

    @modest
    @given(st.integers(2, 3), programs())
    def test_what_is_renamed_is_never_away(self, boxes: int, program: list[Step]) -> None:
        """Not even between two entries of an announcement."""
        run_renames(boxes, program)

    def test_many_programs_that_are_the_same_every_time(self) -> None:
        """Longer ones than above."""
        conflicts = again = 0
        for seed in range(300):
            model = run(2 + seed % 3, random_program(seed, 120))
            siblings = [path for path in model.boxes[0].tree if is_sibling(path)]
            conflicts += bool(siblings)
            again += any(path.count(b".conflict-") > 1 for path in siblings)
        # Were these rare, the programs would prove nothing.
        self.assertGreater(conflicts, 200)
        self.assertGreater(again, 20)

    def test_no_sibling_where_nothing_conflicts(self) -> None:
        """Not even one that is deleted again."""
        for runner, seed in itertools.product((run_one_writer, run_in_turn), range(150)):
            model = runner(2 + seed % 3, random_program(seed, 80))
            self.assertFalse([path for path in model.boxes[0].tree if is_sibling(path)])


    def test_boxes_that_forget_end_equal_and_lose_nothing(self) -> None:
        """Although only what is new is announced, even at the end."""
        forgot = apart = 0
        for seed in range(150):
            model = run(2 + seed % 3, forgetful_program(seed))
            forgot += any(box.gone for box in model.boxes)
            apart += len({len(box.tree) for box in model.boxes}) > 1
        # Were these rare, the programs would prove nothing.
        self.assertGreater(forgot, 30)
        self.assertGreater(apart, 1)

    def test_nothing_is_lost_above_the_cap(self) -> None:
        """Old versions come back as conflicts, and all boxes end equal."""
        for cap in 1, 3:
            self.patch(history, "MAX_SUPERSEDED", cap)
            for seed in range(100):
                run(2 + seed % 3, random_program(seed, 120))


def without_net(heads: dict[VersionId, Head], superseded: dict[VersionId, int]) -> History:
    """What is left of a join without identification, and without the net for liars."""
    alive = [head for id, head in sorted(heads.items()) if id not in superseded]
    return History(tuple(alive), tuple(sorted(superseded.items())))


class MutantTests(SynchronousTestCase):
    """
    Wrong rules, each of which some promise does not survive.
    """

    def caught(self, runner: Runner, rules: Rules | None = None, steps: int = 80) -> str:
        """
        How the first program fails that fails.

        @raise FailTest: none does.
        """
        for seed in range(1500):
            try:
                runner(2 + seed % 3, random_program(seed, steps), rules)
            except Violated as violated:
                return str(violated)
        self.fail("the mutant lives")

    def test_the_newest_version_heard_of_as_parent(self) -> None:
        """An edit made while a newer version is still underway swallows it."""

        def wrong(known: History, placed: VersionId | None, *rest: Any) -> Change:
            return history.local_change(known, known.heads[0].id if known.heads else placed, *rest)

        self.assertIn("is lost", self.caught(run, Rules(local_change=wrong)))

    def test_no_parent(self) -> None:
        """Every edit conflicts with what it edits."""

        def wrong(known: History, placed: VersionId | None, *rest: Any) -> Change:
            value: Value = rest[0]
            return history.local_change(known, placed if value.deleted else None, *rest)

        self.assertIn("undone", self.caught(run_in_turn, Rules(local_change=wrong)))

    def test_a_loser_is_dropped(self) -> None:
        """Instead of becoming a sibling."""
        self.patch(reconcile, "settle", lambda path, known: (settling.settle(path, known)[0], ()))
        self.assertIn("is lost", self.caught(run))

    def test_a_file_in_place_of_a_directory_is_dropped(self) -> None:
        """Instead of becoming a sibling."""
        self.patch(
            reconcile,
            "as_directory",
            lambda path, known: (settling.as_directory(path, known)[0], ()),
        )
        self.assertIn("is lost", self.caught(run))

    def test_no_tree_rule(self) -> None:
        """Something is alive where nothing can be placed."""
        self.patch(reconcile, "as_directory", lambda path, known: (known or NOTHING, ()))
        self.assertIn("no directory", self.caught(run))

    def test_superseded_versions_are_forgotten_at_once(self) -> None:
        """Each announcement that comes late brings them back."""

        join = history.join

        def wrong(mine: History, theirs: History) -> History:
            return History(join(mine, theirs).heads)

        self.patch(reconcile, "join", wrong)
        self.patch(history, "join", wrong)
        self.assertIn("has changed", self.caught(run_one_writer))

    def test_superseded_versions_of_others_are_not_remembered(self) -> None:
        """They are known to this box's changes only."""

        def wrong(mine: History, theirs: History) -> History:
            joined = history.join(mine, theirs)
            return History(joined.heads, mine.superseded)

        self.patch(reconcile, "join", wrong)
        self.caught(run_one_writer)

    def test_what_somebody_has_not_heard_of_is_forgotten(self) -> None:
        """He brings it back, to some."""
        self.assertIn("differs", self.caught_forgetting(Rules(forgets_unheard=True)))

    def test_who_has_forgotten_is_not_reminded(self) -> None:
        """An old version lives on with him alone."""
        # It takes some ten thousand programs to find these.
        seeds = (12_045, 14_997)
        self.assertIn("differs", self.caught_forgetting(Rules(reminds=False), seeds))

    def test_a_page_ends_where_it_is_full(self) -> None:
        """A directory is implied that was taken back before it was announced."""
        program: list[Step] = [
            ("mkdir", 0, 240, 117),
            ("mkdir", 0, 229, 246),
            ("mkdir", 0, 10, 33),
            ("scan", 0, 99, 231),
            ("touch", 0, 73, 229),
            ("scan", 0, 173, 170),
            ("announce", 0, 211, 1),
            ("delete", 0, 101, 194),
            ("arrive", 0, 0, 1),
        ]
        for brought, left in (True, {b"a"}), (False, {b"a", b"a/b"}):
            model = run(2, program, Rules(brings_forward=brought))
            self.assertEqual(set(model.boxes[0].disk), left)

    def caught_forgetting(self, rules: Rules, seeds: Iterable[int] = range(300)) -> str:
        """As L{caught}, with boxes that forget."""
        for seed in seeds:
            try:
                run(2 + seed % 3, forgetful_program(seed), rules)
            except Violated as violated:
                return str(violated)
        self.fail("the mutant lives")

    def test_the_winner_depends_on_chance(self) -> None:
        """Boxes never agree."""
        chance = itertools.count()

        def wrong(path: Path, known: History) -> tuple[History, tuple[Sibling, ...]]:
            settled, siblings = settling.settle(path, known)
            if settled == known:
                return settled, siblings
            head = known.heads[next(chance) % len(known.heads)]
            new = replace(
                settled.heads[0],
                id=history.version_id([head.id for head in known.heads], head.value),
                value=head.value,
                size=head.size,
            )
            return History((new,), settled.superseded), siblings

        self.patch(reconcile, "settle", wrong)
        self.caught(run)

    def test_equal_values_are_settled_by_new_versions(self) -> None:
        """Boxes that pass on in a ring go on for ever, each with another id."""

        def wrong(path: Path, known: History) -> tuple[History, tuple[Sibling, ...]]:
            settled, siblings = settling.settle(path, known)
            if settled == known:
                return settled, siblings
            id = history.version_id((head.id for head in known.heads), settled.heads[0].value)
            depth = 1 + max(head.depth for head in known.heads)
            new = replace(settled.heads[0], id=id, depth=depth)
            return History((new,), settled.superseded), siblings

        for rule, rests in (settling.settle, True), (wrong, False):
            self.patch(strategies, "settle", rule)
            boxes = [strategies.Replica() for _ in range(3)]
            for number, box in enumerate(boxes):
                box.edit(Value(mtime_ns=number, content=bytes(32)))
            for _ in range(50):
                told = [box.history for box in boxes]
                for place, box in enumerate(boxes):
                    box.hear(told[place - 1])
                    box.settle()
            self.assertEqual(len({box.history for box in boxes}) == 1, rests)

    def test_ids_without_parents(self) -> None:
        """What comes back to an earlier value has been superseded by then."""

        def wrong(parents: object, value: Value) -> VersionId:
            return VersionId(bytes(8) + history.value_half(value))

        self.patch(history, "version_id", wrong)
        self.patch(settling, "version_id", wrong)
        self.patch(history, "_history", without_net)
        self.caught(run_in_turn)

    def test_a_lost_index_is_not_recognised(self) -> None:
        """Each old version in the folder conflicts with the one that followed."""

        self.patch(history, "_history", without_net)
        self.assertIn("has changed", self.caught(run_one_writer))

    def test_a_change_counts_as_unseen_after_it_was_announced(self) -> None:
        """Replaced by the next, it conflicts with it."""
        self.assertIn("has changed", self.caught(run_one_writer, Rules(announced_is_seen=False)))

    def test_the_folder_is_not_looked_at_before_placing(self) -> None:
        """What was not noticed yet is overwritten."""
        self.assertIn("is lost", self.caught(run, Rules(look_before_placing=False)))

    def test_what_the_folder_holds_does_not_move_on(self) -> None:
        """An edit has a parent that was superseded without any change."""
        self.assertIn("undone", self.caught(run_in_turn, Rules(placed_moves_on=False)))

    def test_nobody_looks_at_what_came_out(self) -> None:
        """What was saved in the last instant is in a version store, and in no folder."""
        self.assertIn("is lost", self.caught(run, Rules(look_at_what_came_out=False)))

    def test_the_marker_is_ignored(self) -> None:
        """A folder that is not mounted counts as emptied."""
        self.assertIn("nobody has deleted", self.caught(run, Rules(heeds_marker=False)))

    def test_superseded_versions_are_forgotten_before_all_have_acknowledged_them(self) -> None:
        """Whoever is told later brings them back."""
        self.caught(run_one_writer, Rules(remembers_superseded=False))

    def test_deletions_come_before_what_was_renamed(self) -> None:
        """Whoever hears of half of it has no name left for the content."""

        def wrong(tree: MemoryTree, paths: Iterable[Path]) -> list[Path]:
            return reconcile.numbering(tree, paths)[::-1]

        caught = self.caught(run_renames, Rules(numbering=wrong))
        self.assertIn("away for a moment", caught)
