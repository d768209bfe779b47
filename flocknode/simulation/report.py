# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a simulation came to, for people and for programs.
"""

from __future__ import annotations

from collections.abc import Iterator

from flocknode.flock.rate import rate
from flocknode.simulation.invariants import ALL, Breach
from flocknode.simulation.run import Outcome

MOST_BREACHES = 5
"""Of each invariant that are told one by one."""


def lines(outcome: Outcome) -> Iterator[str]:
    """The report, line by line."""
    scenario, tally = outcome.scenario, outcome.tally
    yield (
        f"{scenario.nodes} nodes with {mega(8 * scenario.uplink)}bit/s each; node"
        f" {scenario.source} has {binary(scenario.size)} that the others lack"
    )
    if outcome.all_have_it is None:
        yield f"all have it:    not within {scenario.patience:.0f} s"
    else:
        yield f"all have it:    after {outcome.all_have_it:.2f} s"
    if outcome.first_frame is not None:
        yield f"first round:    {outcome.first_frame:.2f} s after the change"
    if outcome.ratio is not None:
        yield (
            f"over S/U:       {outcome.ratio:.2f} from the first frame on (S/U is"
            f" {scenario.ideal:.2f} s: U is {mega(8 * scenario.payload_rate)}bit/s of payload)"
        )
    yield f"rounds:         {outcome.rounds}, of which {outcome.unfinished} left something over"
    if outcome.steps:
        first, least, last = outcome.steps
        yield (
            f"rate of a link: {binary(rate(first))}/s at first, {binary(rate(least))}/s at least,"
            f" {binary(rate(last))}/s at last (steps {first}, {least}, {last})"
        )
    yield (
        f"frames:         {tally.frames:,}, of which {share(tally.filled, tally.frames)} carried"
        f" something; {tally.refused:,} times a queue was full"
    )
    yield (
        f"heartbeats:     {tally.heartbeats:,}; in all about {tally.packets:,} packets,"
        f" {binary(tally.frame_bytes + tally.heartbeat_bytes)}"
    )
    useful = scenario.size * (scenario.nodes - 1)
    if outcome.all_have_it is not None:
        yield f"useful:         {share(useful, tally.frame_bytes)} of the bytes in frames"
    broken: dict[str, list[Breach]] = {}
    for breach in outcome.breaches:
        broken.setdefault(breach.invariant, []).append(breach)
    for invariant in ALL:
        breaches = broken.get(invariant, [])
        yield f"{'BROKEN' if breaches else 'holds':7} {invariant}"
        for breach in breaches[:MOST_BREACHES]:
            yield f"          {breach.what}"
        if len(breaches) > MOST_BREACHES:
            yield f"          and {len(breaches) - MOST_BREACHES} more"


def summary(outcome: Outcome) -> dict[str, object]:
    """The same for programs; times in seconds."""
    tally = outcome.tally
    return {
        "all_have_it": outcome.all_have_it,
        "first_frame": outcome.first_frame,
        "ideal": outcome.scenario.ideal,
        "ratio": outcome.ratio,
        "rounds": outcome.rounds,
        "unfinished": outcome.unfinished,
        "steps": list(outcome.steps),
        "frames": tally.frames,
        "filled": tally.filled,
        "refused": tally.refused,
        "frame_bytes": tally.frame_bytes,
        "heartbeats": tally.heartbeats,
        "heartbeat_bytes": tally.heartbeat_bytes,
        "packets": tally.packets,
        "breaches": [list(breach) for breach in outcome.breaches],
    }


def share(part: float, whole: float) -> str:
    """Per cent."""
    return f"{100 * part / whole:.0f} %" if whole else "none"


def binary(size: float) -> str:
    """Bytes, with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def mega(number: float) -> str:
    """A number of bits, with the beginning of a unit."""
    for unit in ("", "k", "M", "G"):
        if number < 1000 or unit == "G":
            break
        number /= 1000
    return f"{number:.3g} {unit}"
