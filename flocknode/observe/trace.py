# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Traces of a simulated flock: one message a line, as a JSON object with C{time},
C{from}, C{to} and C{size}, or as these four separated by tabs.  Lines that begin
with C{#}, and up to L{HEADERS} lines before the first message, say other things.
C{to} may be empty or C{*}: to all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Final

from flocknode.observe.packets import Endpoint, ObserveError, Segment

ALL: Final = ("", "*", "all")
HEADERS: Final = 3
LONGEST: Final = 4096
"""Characters of a line."""


def read(lines: Iterable[str]) -> Iterator[Segment]:
    """
    All messages of a trace; what goes to all goes to an endpoint named C{*}.

    @raise ObserveError: names the line that cannot be read.
    """
    headers = HEADERS
    for number, line in enumerate(lines, 1):
        text = line.strip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        segment = _parse(text) if len(text) <= LONGEST else None
        if segment is not None:
            headers = 0
            yield segment
        elif headers:
            headers -= 1
        else:
            raise ObserveError(f"Line {number} of the trace says no time, from, to and size.")


def _parse(line: str) -> Segment | None:
    try:
        if line.lstrip().startswith("{"):
            fields = json.loads(line)
            words = [fields[name] for name in ("time", "from", "to", "size")]
        else:
            words = line.split("\t")[:4]
        time, source, target, size = words
        moment, length = float(time), int(size)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if not math.isfinite(moment) or length < 0 or not source:
        return None
    to = "*" if target is None or str(target) in ALL else str(target)
    return Segment(moment, Endpoint(str(source), 0), Endpoint(to, 0), length)
