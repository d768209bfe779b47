# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is known of who had news: lines with a time (seconds, as in the capture), a
node, and perhaps what it was, separated by tabs.  The first round after that
time is of that node.
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
class Label:
    """
    @ivar time: seconds.
    @ivar source: the name of a node.
    @ivar kind: what it did; may be empty.
    """

    time: float
    source: str
    kind: str = ""


def read(lines: Iterable[str]) -> list[Label]:
    """
    In the order of time; a first line that is no label is a header.

    @raise ObserveError: names the line that cannot be read.
    """
    found = []
    for number, line in enumerate(lines, 1):
        words = line.strip("\r\n").split("\t")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            time = float(words[0])
        except ValueError:
            time = math.nan
        if math.isfinite(time) and len(words) > 1 and words[1]:
            found.append(Label(time, words[1], words[2] if len(words) > 2 else ""))
        elif number > 1:
            raise ObserveError(f"Line {number} of the labels says no time and node.")
    return sorted(found, key=lambda label: label.time)


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
