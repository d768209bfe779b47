# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The arithmetic of guessing: intervals, what chance alone would do, and how much
anonymity is left.
"""

from __future__ import annotations

import math
from typing import Final

Z: Final = 1.959964
"""Of the normal distribution, for 95 %."""


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    share = hits / trials
    scale = 1 + Z * Z / trials
    middle = (share + Z * Z / (2 * trials)) / scale
    half = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def by_chance(hits: int, trials: int, chance: float) -> float:
    """How likely a guesser is right so often or more often."""
    return min(
        1.0,
        sum(
            math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k)
            for k in range(hits, trials + 1)
        ),
    )


def degree(accuracy: float, nodes: int) -> float:
    """
    The degree of anonymity H / log2 N (Diaz et al. 2002) against an attack of
    this accuracy: its guess has this probability, the others share the rest.
    One that is worse than guessing counts as guessing.
    """
    hit = max(accuracy, 1 / nodes)
    miss = (1 - hit) / (nodes - 1)
    entropy = -sum(
        weight * p * math.log2(p) for weight, p in ((1, hit), (nodes - 1, miss)) if p > 0
    )
    return min(1.0, entropy / math.log2(nodes))


def two_sided(t: float) -> float:
    """How likely a mean is so many standard errors or more from zero (normal)."""
    return math.erfc(abs(t) / math.sqrt(2))
