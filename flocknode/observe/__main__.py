# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{python -m flocknode.observe capture.pcap}: what a passer-by can find out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from flocknode.errors import FlocknodeError
from flocknode.observe import labels
from flocknode.observe.meddling import episodes, judged_episodes
from flocknode.observe.picture import draw
from flocknode.observe.report import Seen, attack, look, read_segments
from flocknode.observe.tables import node_table, round_table


def main(words: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m flocknode.observe",
        description="Find out what a passer-by can, from packets or from a simulated flock.",
    )
    parser.add_argument("capture", type=Path, help="pcap, pcapng, or a trace")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="time, tab, node of each news")
    parser.add_argument("--rounds", type=int, default=3, help="print so many of the last ones")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it (SVG)")
    parser.add_argument("--begin", type=float, metavar="S", help="of the picture, since the first")
    parser.add_argument("--seconds", type=float, metavar="S", help="that the picture shows")
    parser.add_argument("--bursts", type=float, metavar="S",
        help="of another program: cut where nothing is sent for so long")  # fmt: skip
    options = parser.parse_args(words)
    try:
        known = None
        if options.labels is not None:
            with options.labels.open(errors="replace") as lines:
                known = labels.read(lines)
        seen = look(read_segments(options.capture), options.bursts)
        show(seen, options.rounds)
        if options.picture is not None:
            options.picture.write_text(_picture(seen, options.begin, options.seconds))
        if known is not None:
            print()
            print(*report(seen, known), sep="\n")
    except FlocknodeError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}.")


def show(seen: Seen, rounds: int) -> None:
    """Print what was seen."""
    print(*node_table(seen.traffic, seen.beats), sep="\n")
    print(f"heartbeats of {seen.heartbeat} B; {len(seen.rounds)} rounds")
    first = max(0, len(seen.rounds) - rounds)
    for number in range(first, len(seen.rounds)):
        which = seen.rounds[number]
        table = seen.features(which)
        print(*round_table(number + 1, which, table, seen.traffic.nodes, seen.begin), sep="\n")


def report(seen: Seen, known: Sequence[labels.Label]) -> Iterator[str]:
    """How attacks fare; others, if the observer cut nodes off."""
    if any(label.cut for label in known):
        return judged_episodes(*episodes(seen, known), len(seen.traffic.nodes))
    return attack(seen, known)


def _picture(seen: Seen, begin: float | None, seconds: float | None) -> str:
    """The first round and what is around it, if nothing else is asked for."""
    first = seen.rounds[0] if seen.rounds else None
    start = seen.begin + begin if begin is not None else first.start - 1.5 if first else seen.begin
    length = seconds or (first.stop - start + 1.5 if first and begin is None else 10.0)
    return draw(seen.traffic, seen.rounds, start, start + length)


if __name__ == "__main__":
    main()
