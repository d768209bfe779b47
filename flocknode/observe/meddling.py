# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What somebody learns who cuts a node off in the middle of a round: all that he
sees from one piece of news to the next.

Three questions: does that round name the source, do the rounds after it, and
does all of it together tell whether it was the node that was cut off?  In the first
two, that node shows nothing of its own: that it fell silent says nothing of the
others, but would hide how they differ.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Final

import attrs

from flocknode.observe.attacks import Attack, Best, Forest, Logistic, can_grow_forests
from flocknode.observe.contrasts import contrasts
from flocknode.observe.features import Features
from flocknode.observe.labels import WITHIN, Label
from flocknode.observe.packets import ObserveError
from flocknode.observe.ranking import Case, centred
from flocknode.observe.report import Seen, judged
from flocknode.observe.rounds import LEAST, Round, find_rounds, large_packets, round_between
from flocknode.observe.tables import contrast_table

MOST_ROUNDS: Final = 4
"""Further rounds that are looked at one by one."""
MARGIN: Final = 0.1
"""Seconds by which private offsets let the lost node begin earlier, and end later."""
MOST_DIFFERENCES: Final = 12
Table = tuple[tuple[float, ...], ...]
"""By node, by feature."""


@attrs.frozen
class Episode:
    """
    From one piece of news to the next.

    @ivar source: a node's place; C{lost} that of the one that was cut off.
    @ivar first: the features of the round, by node; C{further}: of those after it.
    @ivar course: when which round was, and how long.
    """

    source: int
    lost: int
    first: Table
    further: tuple[Table, ...]
    course: Features


def episodes(seen: Seen, labels: Sequence[Label]) -> tuple[list[str], list[Episode]]:
    """
    The names of the features, and all that began with news and a cut.

    @raise ObserveError: a node that was not seen.
    """
    places = {name: place for place, name in enumerate(seen.traffic.nodes)}
    large = large_packets(seen.traffic, seen.beyond)
    # To the one who is cut off everything is sent again and again.
    cut_off = {label.cut.node for label in labels if label.cut is not None} & places.keys()
    among = {places[name]: seen.traffic.without(places[name]) for name in cut_off}
    rounds = {cut: find_rounds(traffic, seen.beyond) for cut, traffic in among.items()}
    names: list[str] = []
    found = []
    for place, label in enumerate(labels):
        if label.cut is None:
            continue
        if missing := {label.source, label.cut.node} - places.keys():
            raise ObserveError(f"No node {', '.join(missing)} was seen.")
        lost = places[label.cut.node]
        until = labels[place + 1].time if place + 1 < len(labels) else math.inf
        starts = [each.start for each in rounds[lost]]
        own = rounds[lost][bisect_left(starts, label.time) : bisect_left(starts, until)]
        if not own or own[0].start > label.time + WITHIN:
            continue
        whole = [_whole(each, large) for each in own]
        tables = [seen.features(each) for each in whole]
        names = list(tables[0][0])
        first, *further = (tuple(tuple(row.values()) for row in rows) for rows in tables)
        sent = sum(sum(f.bytes(f.between(*_span(each))) for f in among[lost].sent) for each in own)
        course = _course(label.cut.begin, label.cut.end, own, whole, large[lost])
        course["bytes in all rounds"] = sent
        found.append(Episode(places[label.source], lost, first, tuple(further), course))
    return names, found


def _span(which: Round) -> tuple[float, float]:
    """From the very first to the very last packet of it, seconds."""
    starts = [time for time in which.starts if time is not None]
    stops = [time for time in which.stops if time is not None]
    return min(starts) - MARGIN, max(stops) + MARGIN


def _whole(which: Round, large: Sequence[array[float]]) -> Round:
    """With the one who is cut off, so far as it takes part."""
    return round_between(*_span(which), large)


def _course(
    begin: float, end: float, own: Sequence[Round], whole: Sequence[Round], lost: Sequence[float]
) -> Features:
    """
    @param begin: and C{end} of the cut.
    @param own: the rounds, without the one who is cut off; C{whole}: with it.
    @param lost: when it sent something large.
    """
    first, *further = own
    without = 0
    for each in further:
        start, stop = _span(each)
        without += bisect_left(lost, stop) - bisect_left(lost, start) < LEAST
    found = {
        "cut off at": begin - first.start,
        "cut off for": end - begin,
        "length of the round": first.stop - first.start,
        "round after the cut": first.stop - begin,
        "further rounds": len(further),
        "further rounds without it": without,
        "seconds in further rounds": sum(each.stop - each.start for each in further),
        "end of it all": own[-1].stop - begin,
    }
    for number in range(MOST_ROUNDS):
        here = number < len(further)
        found |= {
            f"pause before round {number + 2}": (
                further[number].start - own[number].stop if here else 0.0
            ),
            f"length of round {number + 2}": (
                further[number].stop - further[number].start if here else 0.0
            ),
        }
    return found


def judged_episodes(names: Sequence[str], found: Sequence[Episode], nodes: int) -> Iterator[str]:
    """
    The tables of how all attacks fare.

    @raise ObserveError: too few.
    """
    yield f"{len(found)} rounds in which a node was cut off"
    yield from judged(names, [_without(each, each.first) for each in found], nodes)
    yield ""
    after = [_without(each, table) for each in found for table in each.further]
    yield f"{len(after)} rounds after those, until the next news"
    yield from judged(names, after, nodes)
    yield ""
    mine = sum(each.source == each.lost for each in found)
    yield f"Was it the node that was cut off? It was in {mine} of {len(found)}:"
    attacks: dict[str, Attack] = {"best single number": Best(), "logistic regression": Logistic()}
    if can_grow_forests():
        attacks["random forest"] = Forest()
    cases = [_about_lost(each, found) for each in found]
    yield from judged(list(found[0].course), cases, nodes, attacks)
    yield ""
    its = [each.source == each.lost for each in found]
    yield from contrast_table(contrasts(_numbers(names, found), its), MOST_DIFFERENCES)


def _without(episode: Episode, table: Table) -> Case:
    """As if the node that was cut off were like the average of the others."""
    others = [row for node, row in enumerate(table) if node != episode.lost]
    usual = tuple(map(fmean, zip(*others, strict=True)))
    return Case(
        episode.source,
        tuple(usual if node == episode.lost else row for node, row in enumerate(table)),
    )


def _about_lost(episode: Episode, found: Sequence[Episode]) -> Case:
    """
    The course, less what it usually is, belongs to the node that was cut off: an
    attack names it, if the course speaks for it, or else one of the others.
    """
    usual = (fmean(each.course[name] for each in found) for name in episode.course)
    own = tuple(x - mean for x, mean in zip(episode.course.values(), usual, strict=True))
    none = (0.0,) * len(own)
    nodes = range(len(episode.first))
    return Case(episode.source, tuple(own if n == episode.lost else none for n in nodes))


def _numbers(names: Sequence[str], found: Sequence[Episode]) -> dict[str, list[float]]:
    """
    All that may tell whether it was the node that was cut off: the course, and
    what is its own, compared with the others, in the round and in the last one
    after it.
    """
    rows = []
    for each in found:
        last = centred(each.further[-1])[each.lost] if each.further else [0.0] * len(names)
        rows.append([*each.course.values(), *centred(each.first)[each.lost], *last])
    columns = [
        *found[0].course,
        *(f"its {name}" for name in names),
        *(f"its {name}, at last" for name in names),
    ]
    return dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
