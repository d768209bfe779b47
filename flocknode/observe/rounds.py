# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Rounds and heartbeats, found as anybody finds them: heartbeats are the size that
comes all the time, rounds are when larger things are on their way.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Final

import attrs

from flocknode.observe.flows import Flow, Traffic
from flocknode.observe.packets import ObserveError

SILENCE: Final = 0.7
"""Seconds without anything large between two rounds; there is a whole second
between the call of a round and its start."""
LEAST: Final = 4
"""Large packets of a round."""
TOGETHER: Final = 0.1
"""Seconds within which copies of one heartbeat leave."""


@attrs.frozen
class Round:
    """
    @ivar start: and C{stop}, of the middle one of all nodes, seconds.
    @ivar starts: and C{stops}: first and last large packet of each node; None
        if it sent none.
    """

    start: float
    stop: float
    starts: tuple[float | None, ...]
    stops: tuple[float | None, ...]


@attrs.frozen(eq=False)
class Beats:
    """
    The heartbeats of one node.

    @ivar times: of the first copy of each.
    @ivar spreads: seconds from the first copy to the last.
    """

    times: array[float] = attrs.field(factory=lambda: array("d"))
    spreads: array[float] = attrs.field(factory=lambda: array("d"))


def heartbeat_size(traffic: Traffic) -> int:
    """
    The payload that occurs in most seconds, over all nodes.

    @raise ObserveError: nothing carries anything.
    """
    seconds: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
    for node, flow in enumerate(traffic.sent):
        for time, size in zip(flow.times, flow.sizes, strict=True):
            if size:
                seconds[size].add((node, int(time)))
    if not seconds:
        raise ObserveError("No packet in it carries anything.")
    return min(seconds, key=lambda size: (-len(seconds[size]), size))


def find_rounds(traffic: Traffic, beyond: int, silence: float = SILENCE) -> list[Round]:
    """
    @param beyond: what is larger than this, bytes, is no heartbeat.
    @param silence: seconds without any of that between two rounds.
    """
    large = large_packets(traffic, beyond)
    everything = sorted(time for times in large for time in times)
    spans: list[list[float]] = []
    count = 0
    for time in everything:
        if not spans or time - spans[-1][1] > silence:
            if spans and count < LEAST:
                spans.pop()
            spans.append([time, time])
            count = 0
        spans[-1][1] = time
        count += 1
    if spans and count < LEAST:
        spans.pop()
    return [round_between(begin, end, large) for begin, end in spans]


def large_packets(traffic: Traffic, beyond: int) -> list[array[float]]:
    """When each node sent something larger than so many bytes."""
    return [
        array("d", (t for t, s in zip(flow.times, flow.sizes, strict=True) if s > beyond))
        for flow in traffic.sent
    ]


def round_between(begin: float, end: float, large: Sequence[array[float]]) -> Round:
    """
    What each node sent of a round.

    @param large: see L{large_packets}; there is at least one from begin to end.
    """
    starts: list[float | None] = []
    stops: list[float | None] = []
    for times in large:
        within = times[bisect_left(times, begin) : bisect_right(times, end)]
        starts.append(within[0] if within else None)
        stops.append(within[-1] if within else None)
    return Round(
        median(time for time in starts if time is not None),
        median(time for time in stops if time is not None),
        tuple(starts),
        tuple(stops),
    )


def find_beats(flow: Flow, size: int) -> Beats:
    """A node's heartbeats, copies to several receivers taken together."""
    times, spreads = array("d"), array("d")
    for time, length in zip(flow.times, flow.sizes, strict=True):
        if length != size:
            continue
        if times and time - times[-1] < TOGETHER:
            spreads[-1] = time - times[-1]
        else:
            times.append(time)
            spreads.append(0.0)
    return Beats(times, spreads)
