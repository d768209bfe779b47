# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The attacks find what is there, and nothing where there is nothing.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe.attacks import (
    Best,
    Extreme,
    Forest,
    Logistic,
    can_grow_forests,
    differences,
    judge,
    shuffled,
)
from flocknode.observe.chances import by_chance, degree, two_sided, wilson
from flocknode.observe.ranking import Case

NODES = 4
WIDTH = 6


def cases(count: int, leak: float, habit: float = 0.0) -> list[Case]:
    """
    Rounds in which the source's feature 2 is larger by C{leak}; all features
    are noise of unit variance on what is usual for each node.
    """
    chance = random.Random(7)
    usual = [[chance.gauss(0, habit) for _ in range(WIDTH)] for _ in range(NODES)]
    found = []
    for _ in range(count):
        source = chance.randrange(NODES)
        table = [[chance.gauss(x, 1) for x in row] for row in usual]
        table[source][2] += leak
        found.append(Case(source, tuple(map(tuple, table))))
    return found


def share(right: list[bool]) -> float:
    return sum(right) / len(right)


class Attacks(SynchronousTestCase):
    """On made-up rounds."""

    attacks = (Extreme(2, 1), Extreme(2), Best(), Logistic())

    def test_a_plain_leak_is_found_by_all(self) -> None:
        for attack in self.attacks:
            self.assertGreater(share(judge(attack, cases(40, 6.0))), 0.9)

    def test_a_leak_beneath_what_is_usual_for_a_node_is_found(self) -> None:
        hidden = cases(60, 5.0, habit=30.0)
        self.assertLess(share(judge(Extreme(2, 1), hidden)), 0.6)
        for attack in (Extreme(2, 1, True), Best(True), Logistic(True)):
            self.assertGreater(share(judge(attack, hidden)), 0.8)

    def test_a_leak_the_other_way_round_is_learned(self) -> None:
        self.assertGreater(share(judge(Extreme(2), cases(60, -6.0))), 0.9)
        self.assertLess(share(judge(Extreme(2, 1), cases(60, -6.0))), 0.1)

    def test_without_a_leak_there_is_only_guessing(self) -> None:
        for attack in self.attacks:
            right = judge(attack, cases(80, 0.0))
            self.assertGreater(by_chance(sum(right), len(right), 1 / NODES), 0.001)

    def test_with_shuffled_labels_there_is_only_guessing(self) -> None:
        known = cases(80, 6.0)
        self.assertEqual(
            sorted(case.source for case in shuffled(known, 1)),
            sorted(case.source for case in known),
        )
        for attack in self.attacks:
            right = judge(attack, shuffled(known, 1))
            self.assertGreater(by_chance(sum(right), len(right), 1 / NODES), 0.001)

    def test_a_forest_finds_a_leak(self) -> None:
        if not can_grow_forests():
            self.skipTest("scikit-learn is not installed")
        self.assertGreater(share(judge(Forest(), cases(40, 6.0))), 0.8)

    def test_the_difference_of_the_source_is_measured(self) -> None:
        found = differences(cases(300, 0.6), [f"feature {n}" for n in range(WIDTH)])
        self.assertEqual(found[0].feature, "feature 2")
        self.assertLess(abs(found[0].mean - 0.6), 3 * found[0].error)
        self.assertLess(two_sided(found[0].t), 0.001)
        self.assertTrue(all(two_sided(each.t) > 0.001 for each in found[1:]))


class Chances(SynchronousTestCase):
    """Against known values."""

    def test_the_interval_is_wilsons(self) -> None:
        low, high = wilson(15, 60)
        self.assertAlmostEqual(low, 0.1577, 3)
        self.assertAlmostEqual(high, 0.3723, 3)
        self.assertEqual(wilson(0, 10)[0], 0.0)
        self.assertEqual(wilson(0, 0), (0.0, 1.0))

    def test_chance_is_binomial(self) -> None:
        self.assertAlmostEqual(by_chance(2, 2, 0.25), 0.0625)
        self.assertAlmostEqual(by_chance(0, 5, 0.25), 1.0)

    def test_the_degree_of_anonymity_falls_from_one_to_nought(self) -> None:
        self.assertEqual(degree(0.25, 4), 1.0)
        self.assertEqual(degree(0.1, 4), 1.0)
        self.assertAlmostEqual(degree(1.0, 4), 0.0)
        self.assertAlmostEqual(degree(0.5, 4), (0.5 + 0.5 * 2.58496) / 2, 5)
