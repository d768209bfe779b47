# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
From a file to what is known of it, and from that to how the attacks fare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from flocknode.observe import capture, trace
from flocknode.observe.attacks import Attack, attacks, differences, judge, shuffled
from flocknode.observe.decode import decode
from flocknode.observe.features import Features, features
from flocknode.observe.flows import Traffic, traffic
from flocknode.observe.labels import Label, assign
from flocknode.observe.packets import ObserveError, Segment
from flocknode.observe.ranking import Case
from flocknode.observe.rounds import (
    SILENCE,
    Beats,
    Round,
    find_beats,
    find_rounds,
    heartbeat_size,
)
from flocknode.observe.tables import attack_table, difference_table

LARGER: Final = 1.5
"""What is so many times as large as a heartbeat is none."""
LEAST: Final = 10
"""Rounds with known sources, without which nothing is learned."""
SHUFFLES: Final = 3
MOST_DIFFERENCES: Final = 8


@attrs.frozen(eq=False)
class Seen:
    """
    @ivar heartbeat: bytes of payload.
    @ivar begin: of the capture, seconds.
    """

    traffic: Traffic
    heartbeat: int
    beats: Sequence[Beats]
    rounds: Sequence[Round]
    begin: float

    def features(self, which: Round) -> list[Features]:
        """By node."""
        return features(self.traffic, self.beats, which, self.beyond)

    @property
    def beyond(self) -> int:
        """Bytes; what is larger is no heartbeat."""
        return int(LARGER * self.heartbeat)


def read_segments(path: Path) -> Iterator[Segment]:
    """
    All TCP segments of a capture, or all messages of a trace.

    @raise ObserveError: it is neither.
    """
    with path.open("rb") as file:
        if file.peek(1)[:1] in (b"\xa1", b"\xd4", b"\x4d", b"\x0a"):
            for packet in capture.read(file):
                segment = decode(packet)
                if segment is not None:
                    yield segment
            return
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from trace.read(lines)


def look(segments: Iterable[Segment], bursts: float | None = None) -> Seen:
    """
    @param bursts: of a program without heartbeats and rounds: whatever is sent is
        cut where nothing is for so many seconds.
    @raise ObserveError: there is too little to see.
    """
    found = traffic(segments)
    size = heartbeat_size(found) if bursts is None else 0
    return Seen(
        found,
        size,
        [find_beats(flow, size) if size else Beats() for flow in found.sent],
        find_rounds(found, int(LARGER * size), SILENCE if bursts is None else bursts),
        min(flow.times[0] for flow in found.sent if flow.times),
    )


def cases(seen: Seen, labels: Sequence[Label]) -> tuple[list[str], list[Case]]:
    """
    The names of the features, and the rounds whose sources are known.

    @raise ObserveError: a node that was not seen.
    """
    names: list[str] = []
    found = []
    for which, label in assign(labels, seen.rounds):
        if label.source not in seen.traffic.nodes:
            raise ObserveError(
                f"No node {label.source} was seen; there are {', '.join(seen.traffic.nodes)}."
            )
        rows = seen.features(which)
        names = list(rows[0])
        table = tuple(tuple(row.values()) for row in rows)
        found.append(Case(seen.traffic.nodes.index(label.source), table))
    return names, found


def attack(seen: Seen, labels: Sequence[Label]) -> Iterator[str]:
    """
    The tables of how all attacks fare.

    @raise ObserveError: see L{cases} and L{judged}.
    """
    yield from judged(*cases(seen, labels), len(seen.traffic.nodes))


def judged(
    names: Sequence[str],
    known: Sequence[Case],
    nodes: int,
    chosen: Mapping[str, Attack] | None = None,
) -> Iterator[str]:
    """
    The tables of how attacks fare, for rounds that may be of several captures.

    @param known: in the order of time.
    @param chosen: L{None}: all attacks.  If some are chosen, features are not
        listed.
    @raise ObserveError: too few rounds.
    """
    if len(known) < LEAST:
        raise ObserveError(f"Only {len(known)} rounds have a known source; {LEAST} are needed.")
    results = []
    for name, each in (attacks(names) if chosen is None else chosen).items():
        null = [hit for seed in range(SHUFFLES) for hit in judge(each, shuffled(known, seed), seed)]
        results.append((name, judge(each, known), null))
    sources = [case.source for case in known]
    most = max(map(sources.count, range(nodes))) / len(known)
    yield f"{len(known)} rounds of {nodes} nodes, each guessed from the other four fifths;"
    yield f"the node with the most news had {most:.3f} of them:"
    yield from attack_table(results, nodes)
    if chosen is None:
        yield ""
        yield from difference_table(differences(known, names), MOST_DIFFERENCES)
