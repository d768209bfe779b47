# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is printed: the nodes, the rounds, and how the attacks fared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from flocknode.observe.attacks import Difference
from flocknode.observe.chances import by_chance, degree, two_sided, wilson
from flocknode.observe.contrasts import Contrast
from flocknode.observe.features import Features
from flocknode.observe.flows import Traffic
from flocknode.observe.rounds import Beats, Round

SHOWN = (
    ("start", 1e3, "start ms"),
    ("stop", 1e3, "stop ms"),
    ("heartbeat phase", 1e3, "phase ms"),
    ("bytes out", 1.0, "out B"),
    ("bytes in", 1.0, "in B"),
    ("packets out", 1.0, "packets"),
    ("lateness in the round", 1e3, "late ms"),
    ("longest gap", 1e3, "gap ms"),
    ("heartbeat spread before", 1e3, "before ms"),
)
"""Feature, factor and heading of a column."""


def node_table(traffic: Traffic, beats: Sequence[Beats]) -> Iterator[str]:
    """What each node did in all."""
    yield (
        f"{'node':24}{'out B':>14}{'in B':>14}{'packets out':>13}{'in':>9}"
        f"{'heartbeats':>12}{'every s':>9}"
    )
    for place, name in enumerate(traffic.nodes):
        sent, got, own = traffic.sent[place], traffic.got[place], beats[place]
        count = len(own.times)
        every = (own.times[-1] - own.times[0]) / (count - 1) if count > 1 else 0.0
        yield (
            f"{name:24}{sum(sent.sizes):>14}{sum(got.sizes):>14}{len(sent.times):>13}"
            f"{len(got.times):>9}{count:>12}{every:>9.3f}"
        )


def round_table(
    number: int, which: Round, rows: Sequence[Features], nodes: Sequence[str], begin: float
) -> Iterator[str]:
    """What can be computed of each node in one round; C{begin} of the capture."""
    yield (
        f"round {number}: {which.start - begin:.3f} s to {which.stop - begin:.3f} s"
        f" ({which.stop - which.start:.3f} s)"
    )
    yield f"  {'node':22}" + "".join(f"{heading:>11}" for _, _, heading in SHOWN)
    for name, row in zip(nodes, rows, strict=True):
        yield f"  {name:22}" + "".join(
            f"{row[feature] * factor:>11.{3 if factor > 1 else 0}f}" for feature, factor, _ in SHOWN
        )


def attack_table(
    results: Sequence[tuple[str, Sequence[bool], Sequence[bool]]], nodes: int
) -> Iterator[str]:
    """@param results: name, right or not, and the same with shuffled labels."""
    yield (
        f"{'attack':30}{'right':>10}{'share':>8}{'95 % interval':>18}{'1/N':>7}"
        f"{'by chance':>11}{'degree':>8}{'shuffled':>10}"
    )
    for name, right, null in results:
        hits, trials = sum(right), len(right)
        low, high = wilson(hits, trials)
        chance = by_chance(hits, trials, 1 / nodes)
        mark = " *" if chance < 0.05 / len(results) else ""
        yield (
            f"{name:30}{f'{hits}/{trials}':>10}{hits / trials:>8.3f}"
            f"{f'{low:.3f} to {high:.3f}':>18}{1 / nodes:>7.3f}{chance:>11.3g}"
            f"{degree(hits / trials, nodes):>8.3f}{fmean(null):>10.3f}{mark}"
        )
    yield (
        "by chance: how likely mere guessing is right as often; * : less than 5 % for so many"
        " attacks together."
    )


def difference_table(found: Sequence[Difference], most: int) -> Iterator[str]:
    """The features in which sources differ most from the others."""
    yield f"{'source less others':38}{'mean':>14}{'error':>12}{'t':>8}{'by chance':>11}"
    for each in found[:most]:
        chance = two_sided(each.t)
        mark = " *" if chance < 0.05 / len(found) else ""
        yield (
            f"{each.feature:38}{each.mean:>14.6g}{each.error:>12.3g}{each.t:>8.2f}"
            f"{chance:>11.3g}{mark}"
        )


def contrast_table(found: Sequence[Contrast], most: int) -> Iterator[str]:
    """The numbers that tell the two kinds of rounds apart most."""
    yield (
        f"{'of ' + str(len(found)) + ' numbers':46}{'if it was':>13}{'if not':>13}{'t':>8}"
        f"{'by chance':>11}"
    )
    for each in found[:most]:
        mark = " *" if each.chance < 0.05 else ""
        yield (
            f"{each.name:46}{each.mean:>13.6g}{each.others:>13.6g}{each.t:>8.2f}"
            f"{each.chance:>11.3g}{mark}"
        )
    yield "by chance: how likely any of them differs as much, if it is drawn by lot which is which."
