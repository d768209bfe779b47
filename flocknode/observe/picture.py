# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The picture: time to the right, a row for each node, a stroke for what it sent in
that instant, as high as it was large.  SVG, written by hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from flocknode.observe.flows import Flow, Traffic
from flocknode.observe.rounds import Round

WIDTH: Final = 1200
ROW: Final = 64
LEFT: Final = 140
TOP: Final = 24
"""Units of the picture."""

_STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}path{stroke:#246;stroke-width:1;fill:none}"
    ".round{fill:#f3e6c8}line{stroke:#bbb}"
)


def draw(traffic: Traffic, rounds: Sequence[Round], begin: float, end: float) -> str:
    """
    @param begin: and C{end}: seconds.
    @return: an SVG document.
    """
    height = TOP + ROW * len(traffic.nodes) + 28
    scale = (WIDTH - LEFT - 10) / max(end - begin, 1e-6)

    def x(time: float) -> float:
        return round(LEFT + (min(max(time, begin), end) - begin) * scale, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        f"<style>{_STYLE}</style>",
    ]
    for each in rounds:
        if each.start < end and each.stop > begin:
            parts.append(
                f'<rect class="round" x="{x(each.start)}" y="{TOP}" '
                f'width="{round(x(each.stop) - x(each.start), 1)}" '
                f'height="{ROW * len(traffic.nodes)}"/>'
            )
    for place, (name, flow) in enumerate(zip(traffic.nodes, traffic.sent, strict=True)):
        base = TOP + ROW * (place + 1) - 4
        parts.append(f'<text x="4" y="{base - ROW // 3}">{escape(name)}</text>')
        parts.append(f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - 10}" y2="{base}"/>')
        parts.append(f'<path d="{_strokes(flow, begin, end, scale, base)}"/>')
    step = _step(end - begin)
    for number in range(int((end - begin) / step) + 1):
        at = x(begin + number * step)
        parts.append(f'<text x="{at}" y="{height - 8}">{number * step:g} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def _strokes(flow: Flow, begin: float, end: float, scale: float, base: int) -> str:
    """One stroke for each column of the picture, as high as log of its bytes."""
    columns: dict[int, int] = {}
    for place in flow.between(begin, end):
        if flow.sizes[place]:
            column = round(LEFT + (flow.times[place] - begin) * scale)
            columns[column] = columns.get(column, 0) + flow.sizes[place]
    return "".join(
        f"M{column} {base}v-{min(ROW - 10, max(2, round(5 * math.log2(size / 64 + 1))))}"
        for column, size in columns.items()
    )


def _step(seconds: float) -> float:
    """A round number of seconds, so that there are at most ten of them."""
    least = max(seconds, 1e-3) / 10
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
