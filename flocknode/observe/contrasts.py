# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
In which of many numbers do some rounds differ from the others?  Some difference
there always is; how large the largest is if nothing but chance decides which
rounds are which, is found by drawing them by lot, again and again (the
permutation test of Westfall and Young, which needs no normal distribution and
allows for as many numbers as are looked at).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import compress
from statistics import fmean, pstdev
from typing import Final

import attrs

from flocknode.observe.packets import ObserveError

LOTS: Final = 2000


@attrs.frozen
class Contrast:
    """
    One number.

    @ivar mean: in the rounds in question; C{others}: in all others.
    @ivar t: their difference in standard errors, as if there were none.
    @ivar chance: how likely any number at all differs as much by chance.
    """

    name: str
    mean: float
    others: float
    t: float
    chance: float


def contrasts(
    numbers: Mapping[str, Sequence[float]], chosen: Sequence[bool], lots: int = LOTS
) -> list[Contrast]:
    """
    @param numbers: each in all rounds.
    @param chosen: which rounds are those in question.
    @param lots: how often it is drawn.
    @return: the largest difference first.
    @raise ObserveError: there are fewer than two of either kind.
    """
    count, total = sum(chosen), len(chosen)
    if not 2 <= count <= total - 2:
        raise ObserveError("There are too few rounds of one of the kinds to compare them.")
    scaled = [_scaled(column) for column in numbers.values()]
    # A mean of so many out of all, drawn without putting back.
    unit = (count * (total - count) / (total - 1)) ** 0.5

    def differences(places: Sequence[int]) -> list[float]:
        return [sum(map(column.__getitem__, places)) / unit for column in scaled]

    lot = random.Random(0)
    largest = [
        max(map(abs, differences(lot.sample(range(total), count)))) for _ in range(lots)
    ]
    mine = differences(list(compress(range(total), chosen)))
    found = []
    for (name, column), t in zip(numbers.items(), mine, strict=True):
        # Sums in another order differ in the last place.
        as_large = sum(each > abs(t) - 1e-9 for each in largest)
        others = fmean(compress(column, (not each for each in chosen)))
        chance = (1 + as_large) / (1 + lots)
        found.append(Contrast(name, fmean(compress(column, chosen)), others, t, chance))
    return sorted(found, key=lambda each: -abs(each.t))


def _scaled(column: Sequence[float]) -> list[float]:
    """With mean 0 and variance 1; zeros, if nothing varies."""
    mean, unit = fmean(column), pstdev(column)
    # What differs by rounding only does not vary.
    if unit <= 1e-9 * max(map(abs, column), default=0.0):
        return [0.0] * len(column)
    return [(x - mean) / unit for x in column]
