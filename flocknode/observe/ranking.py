# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Logistic regression over all features: the probability that a node is the source
is proportional to exp(weights x its features), within each round.  Batch gradient
descent with momentum, after features are scaled to unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

import attrs

STEPS: Final = 120
RATE: Final = 0.15
MOMENTUM: Final = 0.8
PENALTY: Final = 0.02

Table = Sequence[Sequence[float]]
"""By node, by feature."""


@attrs.frozen
class Case:
    """
    One round whose source is known.

    @ivar source: a node's place.
    """

    source: int
    table: tuple[tuple[float, ...], ...]


@attrs.frozen
class Scale:
    """
    Makes features comparable: within a round only differences between the nodes
    count, each in units of its usual size.

    @ivar habit: what each node's features usually are; zeros if habits do not
        count.
    """

    habit: tuple[tuple[float, ...], ...]
    unit: tuple[float, ...]

    @classmethod
    def of(cls, cases: Sequence[Case], habits: bool) -> Scale:
        """@param habits: take off what is usual for the node itself."""
        nodes, width = len(cases[0].table), len(cases[0].table[0])
        tables = [centred(case.table) for case in cases]
        habit = tuple(
            tuple(fmean(t[n][f] for t in tables) if habits else 0.0 for f in range(width))
            for n in range(nodes)
        )
        unit = tuple(
            math.sqrt(fmean((t[n][f] - habit[n][f]) ** 2 for t in tables for n in range(nodes)))
            or 1.0
            for f in range(width)
        )
        return cls(habit, unit)

    def apply(self, table: Table) -> list[list[float]]:
        """Scaled, and limited so that a single oddity does not decide."""
        return [
            [
                max(-5.0, min(5.0, (x - h) / u))
                for x, h, u in zip(row, usual, self.unit, strict=True)
            ]
            for row, usual in zip(centred(table), self.habit, strict=True)
        ]


def centred(table: Table) -> list[list[float]]:
    """Each feature less its mean over the nodes."""
    means = [fmean(column) for column in zip(*table, strict=True)]
    return [[x - mean for x, mean in zip(row, means, strict=True)] for row in table]


def probabilities(table: Table, weights: Sequence[float]) -> list[float]:
    """By node."""
    scores = [sum(w * x for w, x in zip(weights, row, strict=True)) for row in table]
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    whole = sum(powers)
    return [power / whole for power in powers]


def fit(tables: Sequence[Table], sources: Sequence[int]) -> list[float]:
    """Weights of the features."""
    width = len(tables[0][0])
    weights, speed = [0.0] * width, [0.0] * width
    for _ in range(STEPS):
        slope = [-PENALTY * weight for weight in weights]
        for table, source in zip(tables, sources, strict=True):
            for node, p in enumerate(probabilities(table, weights)):
                pull = ((node == source) - p) / len(tables)
                row = table[node]
                for feature in range(width):
                    slope[feature] += pull * row[feature]
        for feature in range(width):
            speed[feature] = MOMENTUM * speed[feature] + RATE * slope[feature]
            weights[feature] += speed[feature]
    return weights
