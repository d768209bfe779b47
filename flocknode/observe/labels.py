# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is known of who had news: lines with a time (seconds, as in the capture), a
node, and perhaps what it was, separated by tabs.  The first round after that
time is of that node.  If the observer also cut a node off, its name and from when
to when are three more words of the line.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from flocknode.observe.packets import ObserveError
from flocknode.observe.rounds import Round

WITHIN: Final = 30.0
"""Seconds between news and its round, at most."""


@attrs.frozen
class Cut:
    """
    All packets of a node were lost.

    @ivar node: its name.
    @ivar begin: and C{end}, seconds.
    """

    node: str
    begin: float
    end: float


@attrs.frozen
class Label:
    """
    @ivar time: seconds.
    @ivar source: the name of a node.
    @ivar kind: what it did; may be empty.
    @ivar cut: which node was cut off, if any was.
    """

    time: float
    source: str
    kind: str = ""
    cut: Cut | None = None

    def __str__(self) -> str:
        """As L{read} reads it."""
        words = [f"{self.time:.6f}", self.source, self.kind]
        if self.cut is not None:
            words += [self.cut.node, f"{self.cut.begin:.6f}", f"{self.cut.end:.6f}"]
        return "\t".join(words)


def read(lines: Iterable[str]) -> list[Label]:
    """
    In the order of time; a first line that is no label is a header.

    @raise ObserveError: names the line that cannot be read.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        label = _parse(line.strip("\r\n").split("\t"))
        if label is not None:
            found.append(label)
        elif number > 1:
            raise ObserveError(f"Line {number} of the labels says no time and node.")
    return sorted(found, key=lambda label: label.time)


def _parse(words: Sequence[str]) -> Label | None:
    """None, if it is no label."""
    try:
        time = float(words[0])
        cut = Cut(words[3], float(words[4]), float(words[5])) if len(words) > 5 else None
    except ValueError:
        return None
    if len(words) < 2 or not words[1] or not math.isfinite(time):
        return None
    if cut is not None and not (cut.node and -math.inf < cut.begin <= cut.end < math.inf):
        return None
    return Label(time, words[1], words[2] if len(words) > 2 else "", cut)


def assign(labels: Sequence[Label], rounds: Sequence[Round]) -> list[tuple[Round, Label]]:
    """
    The first round after each label; labels without one of their own, and
    further rounds, are left out.
    """
    starts = [each.start for each in rounds]
    found = []
    for place, label in enumerate(labels):
        first = bisect_left(starts, label.time)
        until = labels[place + 1].time if place + 1 < len(labels) else math.inf
        if first < len(starts) and starts[first] < min(until, label.time + WITHIN):
            found.append((rounds[first], label))
    return found
