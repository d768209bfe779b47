# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.observe.contrasts}.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe.contrasts import contrasts
from flocknode.observe.packets import ObserveError
from flocknode.observe.tables import contrast_table

ROUNDS = 60
WIDTH = 30
CHOSEN = tuple(number % 4 == 0 for number in range(ROUNDS))


def noise(seed: int) -> dict[str, list[float]]:
    """Numbers that have nothing to do with anything."""
    chance = random.Random(seed)
    return {f"number {n}": [chance.gauss(0, 1) for _ in range(ROUNDS)] for n in range(WIDTH)}


class Contrasts(SynchronousTestCase):
    """Every fourth round is one of those in question."""

    def test_what_differs_is_found_and_nothing_else(self) -> None:
        numbers = noise(1)
        numbers["number 7"] = [
            x + 2.5 * mine for x, mine in zip(numbers["number 7"], CHOSEN, strict=True)
        ]
        first, *rest = contrasts(numbers, CHOSEN)
        self.assertEqual(first.name, "number 7")
        self.assertLess(first.chance, 0.002)
        self.assertLess(abs(first.mean - first.others - 2.5), 1.0)
        self.assertTrue(all(each.chance > 0.05 for each in rest))

    def test_of_many_numbers_that_tell_nothing_one_rarely_seems_to(self) -> None:
        alarms = sum(contrasts(noise(seed), CHOSEN, 100)[0].chance < 0.2 for seed in range(20))
        self.assertLess(alarms, 11)  # 4 are to be expected, 11 in one of a thousand cases

    def test_what_never_varies_tells_nothing(self) -> None:
        (only,) = contrasts({"the same": [0.1] * ROUNDS}, CHOSEN)
        self.assertEqual((only.t, only.chance), (0.0, 1.0))

    def test_a_number_that_is_another_whenever_it_counts_is_found(self) -> None:
        (only,) = contrasts({"it": [float(mine) for mine in CHOSEN]}, CHOSEN)
        self.assertLess(only.chance, 0.001)
        self.assertEqual((only.mean, only.others), (1.0, 0.0))

    def test_too_few_of_a_kind_are_refused(self) -> None:
        for chosen in ([False] * ROUNDS, [True] * ROUNDS, [True] + [False] * (ROUNDS - 1)):
            self.assertRaises(ObserveError, contrasts, noise(1), chosen)

    def test_the_largest_are_printed_first(self) -> None:
        lines = list(contrast_table(contrasts(noise(1), CHOSEN), 3))
        self.assertEqual(len(lines), 5)
        self.assertTrue(lines[0].startswith("of 30 numbers"))
