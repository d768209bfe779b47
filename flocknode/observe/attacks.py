# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The attacks: each learns from rounds whose source is known, and names the source
of others.  Some need not learn anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Final, Protocol

import attrs

from flocknode.observe.ranking import Case, Scale, Table, centred, fit, probabilities

FOLDS: Final = 5
"""Each fifth of the rounds, in the order of time, is guessed by what was learned
of the other four."""

Guess = Callable[[Table], int]


class Attack(Protocol):
    """Learns, and returns what it has learned."""

    def __call__(self, cases: Sequence[Case], chance: random.Random) -> Guess: ...


@attrs.frozen
class Extreme:
    """
    Names the node in which one feature is the largest (or the least).

    @ivar sign: 1, -1, or 0: learned.
    """

    feature: int
    sign: int = 0
    habits: bool = False

    def __call__(self, cases: Sequence[Case], chance: random.Random) -> Guess:
        """See L{Attack}."""
        scale = Scale.of(cases, self.habits)
        sign = self.sign or (1 if self._right(cases, scale, chance) >= 0 else -1)
        return lambda table: extreme(
            [sign * row[self.feature] for row in scale.apply(table)], chance
        )

    def _right(self, cases: Sequence[Case], scale: Scale, chance: random.Random) -> int:
        right = 0
        for case in cases:
            column = [row[self.feature] for row in scale.apply(case.table)]
            right += extreme(column, chance) == case.source
            right -= extreme([-x for x in column], chance) == case.source
        return right


@attrs.frozen
class Best:
    """The single feature that tells most in training, either way."""

    habits: bool = False

    def __call__(self, cases: Sequence[Case], chance: random.Random) -> Guess:
        """See L{Attack}."""
        scale = Scale.of(cases, self.habits)
        tables = [scale.apply(case.table) for case in cases]
        width = len(tables[0][0])

        def hits(feature: int, sign: int) -> int:
            return sum(
                extreme([sign * row[feature] for row in table], chance) == case.source
                for table, case in zip(tables, cases, strict=True)
            )

        _, feature, sign = max((hits(f, s), f, s) for f in range(width) for s in (1, -1))
        return lambda table: extreme([sign * row[feature] for row in scale.apply(table)], chance)


@attrs.frozen
class Logistic:
    """Logistic regression over all features."""

    habits: bool = False

    def __call__(self, cases: Sequence[Case], chance: random.Random) -> Guess:
        """See L{Attack}."""
        scale = Scale.of(cases, self.habits)
        weights = fit([scale.apply(case.table) for case in cases], [c.source for c in cases])
        return lambda table: extreme(probabilities(scale.apply(table), weights), chance)


@attrs.frozen
class Forest:
    """A random forest; needs scikit-learn."""

    habits: bool = False

    def __call__(self, cases: Sequence[Case], chance: random.Random) -> Guess:
        """See L{Attack}."""
        from sklearn.ensemble import RandomForestClassifier

        scale = Scale.of(cases, self.habits)
        rows, answers = [], []
        for case in cases:
            for node, row in enumerate(scale.apply(case.table)):
                rows.append(row)
                answers.append(node == case.source)
        forest = RandomForestClassifier(200, min_samples_leaf=3, random_state=0)
        forest.fit(rows, answers)
        return lambda table: extreme(
            [float(each[1]) for each in forest.predict_proba(scale.apply(table))], chance
        )


def extreme(values: Sequence[float], chance: random.Random) -> int:
    """The place of the largest; among equals by lot."""
    top = max(values)
    return chance.choice([place for place, value in enumerate(values) if value == top])


def can_grow_forests() -> bool:
    """Is scikit-learn installed?"""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        return False
    return True


def attacks(names: Sequence[str]) -> dict[str, Attack]:
    """@param names: of the features."""

    def one(feature: str, sign: int = 0, habits: bool = False) -> Attack:
        return Extreme(list(names).index(feature), sign, habits)

    found: dict[str, Attack] = {
        "first to start": one("start", -1),
        "first to start, for it": one("start", -1, True),
        "first to stop": one("stop", -1),
        "most bytes out": one("bytes out", 1),
        "most bytes out, for it": one("bytes out", 1, True),
        "out/in ratio": one("out/in", 1),
        "lateness before the round": one("heartbeat spread before", 1, True),
        "heartbeat phase": one("heartbeat phase"),
        "late in the round": one("lateness in the round", 1, True),
        "punctual at first": one("lateness at first, less later", -1),
        "variance under load": one("gap variance", 1, True),
        "slow to answer": one("answers after, before", 1, True),
        "lagged correlation": one("leads others", 1),
        "best single feature": Best(),
        "best single feature, for it": Best(True),
        "logistic regression": Logistic(),
        "logistic regression, for it": Logistic(True),
    }
    if can_grow_forests():
        found["random forest"] = Forest()
        found["random forest, for it"] = Forest(True)
    return found


def judge(attack: Attack, cases: Sequence[Case], seed: int = 0) -> list[bool]:
    """For each round, whether its source was named, by what the other folds taught."""
    chance = random.Random(seed)
    folds = max(2, min(FOLDS, len(cases)))
    right = []
    for fold in range(folds):
        begin, end = len(cases) * fold // folds, len(cases) * (fold + 1) // folds
        guess = attack([*cases[:begin], *cases[end:]], chance)
        right += [guess(case.table) == case.source for case in cases[begin:end]]
    return right


def shuffled(cases: Sequence[Case], seed: int) -> list[Case]:
    """The same rounds with the same sources, but in another order."""
    sources = [case.source for case in cases]
    random.Random(seed).shuffle(sources)
    return [attrs.evolve(c, source=s) for c, s in zip(cases, sources, strict=True)]


@attrs.frozen
class Difference:
    """
    A feature of the source against that of the others, over all rounds.

    @ivar mean: of the source's, less the mean of the others', habits taken off.
    @ivar error: the standard error of it.
    """

    feature: str
    mean: float
    error: float

    @property
    def t(self) -> float:
        """In standard errors."""
        return self.mean / self.error if self.error else 0.0


def differences(cases: Sequence[Case], names: Sequence[str]) -> list[Difference]:
    """For each feature, the largest in standard errors first."""
    nodes = len(cases[0].table)
    tables = [centred(case.table) for case in cases]
    found = []
    for feature, name in enumerate(names):
        habit = [fmean(table[node][feature] for table in tables) for node in range(nodes)]
        each = [
            (table[case.source][feature] - habit[case.source]) * nodes / (nodes - 1)
            for case, table in zip(cases, tables, strict=True)
        ]
        found.append(Difference(name, fmean(each), stdev(each) / len(each) ** 0.5))
    return sorted(found, key=lambda difference: -abs(difference.t))
