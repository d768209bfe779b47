# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a passer-by can compute of one node in and around one round.  All of it
enters the attacks; none of it may tell who had news.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, pvariance
from typing import Final

from flocknode.observe.flows import Flow, Traffic
from flocknode.observe.rounds import Beats, Round

TICK: Final = 0.010
"""Seconds between two emissions in a round."""
AT_FIRST: Final = 0.12
LATER: Final = (0.15, 0.5)
"""Seconds since its first frame: up to where only a source has anything to send, and
from when to when others do, too."""
LAST_SLOT: Final = 0.6
"""Seconds; in the last slot, ticks are stretched to the private offset of the stop."""
APART: Final = 0.002
"""Seconds; packets further apart are of two emissions."""
BEFORE: Final = 3.0
"""Seconds before the start, and after the stop, that are looked at."""
BIN: Final = 0.05
LAGS: Final = 10
"""Correlation: seconds of a bin, and up to how many bins later."""
MISSING: Final = 1.0
"""Seconds that stand for "never" where a node did not start, stop or beat."""

Features = dict[str, float]


def features(traffic: Traffic, beats: Sequence[Beats], which: Round, beyond: int) -> list[Features]:
    """
    @param beyond: bytes; larger packets are frames.
    @return: by node, each with the same names.
    """
    begin, end = which.start - 0.1, which.stop + 0.1
    series = [_series(flow, begin, end, beyond) for flow in traffic.sent]
    total = [sum(column) for column in zip(*series, strict=True)]
    return [
        {
            **_ends(which, node, beats[node]),
            **_amounts(sent, got, begin, end, beyond),
            **_rhythm(sent, begin, end, beyond),
            **_around(beats[node], sent, which),
            **_answers(sent, got, which.start - BEFORE, which.start, "before"),
            **_answers(sent, got, begin, end, "in"),
            "leads others": _leads(series[node], total),
        }
        for node, (sent, got) in enumerate(zip(traffic.sent, traffic.got, strict=True))
    ]


def _ends(which: Round, node: int, beats: Beats) -> Features:
    start, stop = which.starts[node], which.stops[node]
    last = [time for time in beats.times if time < (start or which.start)]
    return {
        "start": MISSING if start is None else start - which.start,
        "stop": -MISSING if stop is None else stop - which.stop,
        "heartbeat phase": min(MISSING, (start or which.start) - last[-1]) if last else MISSING,
    }


def _amounts(sent: Flow, got: Flow, begin: float, end: float, beyond: int) -> Features:
    going, coming = sent.between(begin, end), got.between(begin, end)
    out, into = sent.bytes(going), got.bytes(coming)
    early = sent.between(begin, begin + 0.6)
    bare = sum(1 for place in going if not sent.sizes[place])
    large = sum(1 for place in going if sent.sizes[place] > beyond)
    windows = sent.windows[going.start : going.stop]
    return {
        "bytes out": out,
        "bytes in": into,
        "out/in": out / max(1, into),
        "packets out": len(going),
        "packets in": len(coming),
        "bare acknowledgements": bare,
        "mean size": out / max(1, len(going) - bare),
        "large packets": large,
        "bytes in the first half second": sent.bytes(early),
        "mean window": fmean(windows) if windows else 0.0,
        "least window": min(windows, default=0),
    }


def _rhythm(sent: Flow, begin: float, end: float, beyond: int) -> Features:
    """Punctuality of emissions, against the grid that the node itself shows."""
    ticks: list[list[float]] = []
    for place in sent.between(begin, end):
        if sent.sizes[place] > beyond:
            time = sent.times[place] - begin
            if ticks and time - ticks[-1][1] < APART:
                ticks[-1][1] = time
            else:
                ticks.append([time, time])
    firsts = [tick[0] for tick in ticks if tick[0] < end - begin - LAST_SLOT]
    gaps = [later - earlier for earlier, later in pairwise(firsts)]
    late = _residuals(firsts)
    lengths = [tick[1] - tick[0] for tick in ticks]
    return {
        "emissions": len(ticks),
        "lateness in the round": fmean(late) if late else 0.0,
        "lateness in the first half second": fmean(late[:50]) if late else 0.0,
        "lateness at first, less later": _at_first(firsts),
        "lateness, 95 %": _quantile(late, 0.95),
        "gap variance": pvariance(gaps) if gaps else 0.0,
        "longest gap": max(gaps, default=0.0),
        "length of an emission": fmean(lengths) if lengths else 0.0,
        "length of an emission, 95 %": _quantile(lengths, 0.95),
    }


def _residuals(times: Sequence[float]) -> list[float]:
    """Seconds by which each is later than the grid of ticks that fits most."""
    if not times:
        return []
    turn = 2 * math.pi / TICK
    x = sum(math.cos(time * turn) for time in times)
    y = sum(math.sin(time * turn) for time in times)
    phase = math.atan2(y, x) / turn
    found = [(time - phase + TICK / 2) % TICK - TICK / 2 for time in times]
    punctual = _quantile(found, 0.25)
    return [each - punctual for each in found]


def _at_first(times: Sequence[float]) -> float:
    """What the lateness of the first ticks is more than that of those soon after, seconds."""
    begun = [time - times[0] for time in times if time - times[0] < LATER[1]]
    late = list(zip(begun, _residuals(begun), strict=True))
    first = [each for time, each in late if time < AT_FIRST]
    later = [each for time, each in late if time >= LATER[0]]
    return median(first) - median(later) if first and later else 0.0


def _around(beats: Beats, sent: Flow, which: Round) -> Features:
    """Heartbeats and other small things, before the start and after the stop."""
    found: Features = {}
    for name, begin in (("before", which.start - BEFORE), ("after", which.stop)):
        places = [p for p, time in enumerate(beats.times) if begin <= time < begin + BEFORE]
        times = [beats.times[place] for place in places]
        spreads = [beats.spreads[place] for place in places]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        found |= {
            f"heartbeats {name}": len(places),
            f"heartbeat spread {name}": fmean(spreads) if spreads else 0.0,
            f"widest heartbeat spread {name}": max(spreads, default=0.0),
            f"longest heartbeat gap {name}": max(gaps, default=MISSING),
            f"heartbeat gap variance {name}": pvariance(gaps) if gaps else 0.0,
        }
    quiet = sent.between(which.start - 1.0, which.start - 0.05)
    return found | {"packets in the second before": len(quiet)}


def _answers(sent: Flow, got: Flow, begin: float, end: float, name: str) -> Features:
    """Seconds until a node acknowledges what it gets."""
    waits = []
    coming, going = got.between(begin, end), sent.between(begin, end)
    open_since: dict[int, float] = {}
    out = going.start
    for place in coming:
        while out < going.stop and sent.times[out] < got.times[place]:
            since = open_since.pop(sent.others[out], None)
            if since is not None:
                waits.append(sent.times[out] - since)
            out += 1
        if got.sizes[place]:
            open_since.setdefault(got.others[place], got.times[place])
    return {
        f"answers after, {name}": fmean(waits) if waits else 0.0,
        f"answers after, {name}, 95 %": _quantile(waits, 0.95),
    }


def _series(flow: Flow, begin: float, end: float, beyond: int) -> list[float]:
    bins = [0.0] * (int((end - begin) / BIN) + 1)
    for place in flow.between(begin, end):
        if flow.sizes[place] > beyond:
            bins[int((flow.times[place] - begin) / BIN)] += flow.sizes[place]
    return bins


def _leads(own: Sequence[float], total: Sequence[float]) -> float:
    """
    Lagged correlation: how much better this node's bytes go with what the
    others send later than with what they sent before.
    """
    others = [whole - part for whole, part in zip(total, own, strict=True)]
    later = (correlation(own[:-lag], others[lag:]) for lag in range(1, LAGS + 1))
    earlier = (correlation(own[lag:], others[:-lag]) for lag in range(1, LAGS + 1))
    return max(later) - max(earlier)


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's; 0 where one of them does not vary."""
    if len(one) < 2:
        return 0.0
    mean_one, mean_other = fmean(one), fmean(other)
    product = sum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    spread = math.sqrt(
        sum((a - mean_one) ** 2 for a in one) * sum((b - mean_other) ** 2 for b in other)
    )
    return product / spread if spread else 0.0


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else 0.0
