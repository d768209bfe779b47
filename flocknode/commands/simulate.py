# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{flocknode simulate}: a flock of many nodes in virtual time.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from flocknode import configtext
from flocknode.commands.common import Commands
from flocknode.errors import FlocknodeError

if TYPE_CHECKING:
    from flocknode.simulation.scenario import Scenario, Span

T = TypeVar("T")

BACK_AFTER = 10.0
"""Seconds after which a node that crashed starts again, if it is not said."""

_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)\s*(s|ms)?\Z", re.ASCII)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*(%)?\Z", re.ASCII)
_NODES = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?\Z", re.ASCII)


class Broken(FlocknodeError):
    """Something does not hold that must."""


def add(commands: Commands) -> None:
    """Declare it."""
    parser = commands.add_parser(
        "simulate",
        help="try a flock of many nodes in virtual time",
        description="Run the real flock and exchange on machines, lines and clocks that exist in"
        " memory only: one node has a new file, and all are to get it. Times that follow an @"
        " count from that change. The exit code is 1 if anything does not hold that must.",
    )

    def option(name: str, read: Callable[[str], object], help: str, **more: object) -> None:
        parser.add_argument(name, type=_of(read), help=help, **more)

    option("--nodes", _number, "how many [8]", default=8, metavar="N")
    option("--source", _number, "which node has the file, from 1 [1]", default=1, metavar="N")
    option("--size", configtext.size, "of the file [64 MiB]", default=64 << 20, metavar="SIZE")
    option("--uplink", _rate, "configured at each node [100 Mbit/s]", default=12_500_000,
           metavar="RATE")
    option("--line", _line, "what each node's line really carries [the uplink], or N@RATE: that of"
           " node N; may be repeated", action="append", default=[], metavar="RATE")
    option("--latency", _seconds, "of lines, on average [5 ms]", default=0.005, metavar="TIME")
    option("--jitter", _seconds, "that a message takes longer at most [2 ms]", default=0.002,
           metavar="TIME")
    option("--loss", _share, "of messages that are lost, such as 1%% [0]", default=0.0,
           metavar="SHARE")
    option("--drift", _number, "of clocks at most, millionths [50]", default=50, metavar="PPM")
    option("--clocks", _seconds, "that wall clocks are wrong at most [2 s]", default=2.0,
           metavar="TIME")
    option("--crash", _crash, "N@T: node N crashes and starts again 10 s later; N@T..T: then; may"
           " be repeated", action="append", default=[], metavar="N@T")
    option("--partition", _partition, "such as 1-3|4,5@2..9: these do not reach those; may be"
           " repeated", action="append", default=[], metavar="A|B@T..T")
    option("--late", _late, "N@T: node N starts only then; may be repeated", action="append",
           default=[], metavar="N@T")
    option("--limit", _seconds, "end then, finished or not", metavar="TIME")
    option("--seed", _number, "of all chance: the same seed, the same course [1]", default=1,
           metavar="N")
    parser.add_argument("--trace", metavar="FILE", help="write what a passer-by sees")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_simulate)


def _of(read: Callable[[str], T]) -> Callable[[str], T]:
    """The clause that C{read} raises becomes argparse's."""

    def parse(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _number(text: str) -> int:
    if not re.match(r"\d{1,9}\Z", text, re.ASCII):
        raise ValueError("expected a whole number")
    return int(text)


def _rate(text: str) -> int:
    return configtext.rate(text if text.endswith("/s") else f"{text}/s")


def _seconds(text: str) -> float:
    match = _SECONDS.match(text)
    if match is None:
        raise ValueError("expected a time such as 2, 1.5 s or 20 ms")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _share(text: str) -> float:
    match = _SHARE.match(text)
    if match is None:
        raise ValueError("expected a share such as 1% or 0.01")
    return float(match[1]) / (100 if match[2] else 1)


def _line(text: str) -> tuple[int | None, int]:
    node, at, rate = text.rpartition("@")
    return (_number(node) if at else None), _rate(rate)


def _at(text: str) -> tuple[str, float, float | None]:
    """C{WHAT@T} or C{WHAT@T..T}."""
    what, at, times = text.rpartition("@")
    start, _, end = times.partition("..")
    if not at:
        raise ValueError("expected N@T or N@T..T, such as 3@2.5")
    return what, _seconds(start), _seconds(end) if end else None


def _nodes(text: str) -> frozenset[int]:
    """C{1-3,7}."""
    found: set[int] = set()
    for part in text.split(","):
        match = _NODES.match(part.strip())
        if match is None:
            raise ValueError("expected nodes such as 1-3,7")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def _crash(text: str) -> Span:
    from flocknode.simulation.scenario import Span

    what, start, end = _at(text)
    return Span(start, start + BACK_AFTER if end is None else end, (_nodes(what),))


def _partition(text: str) -> Span:
    from flocknode.simulation.scenario import Span

    what, start, end = _at(text)
    if end is None:
        raise ValueError("expected A|B@T..T, such as 1-3|4,5@2..9")
    return Span(start, end, tuple(_nodes(group) for group in what.split("|")))


def _late(text: str) -> tuple[int, float]:
    node, at, time = text.rpartition("@")
    if not at:
        raise ValueError("expected N@T, such as 3@5")
    return _number(node), _seconds(time)


def _scenario(options: argparse.Namespace) -> Scenario:
    from flocknode.simulation.scenario import Scenario

    lines = dict(options.line)
    line = lines.pop(None, None)
    return Scenario(
        nodes=options.nodes,
        source=options.source,
        size=options.size,
        uplink=options.uplink,
        line=line,
        lines=lines,
        latency=options.latency,
        jitter=options.jitter,
        loss=options.loss,
        drift=options.drift / 1e6,
        clock_offset=options.clocks,
        crashes=tuple(options.crash),
        partitions=tuple(options.partition),
        late=dict(options.late),
        seed=options.seed,
        limit=options.limit,
    )


def _simulate(options: argparse.Namespace) -> None:
    # all of this is needed by nothing but this command
    from flocknode.simulation import report
    from flocknode.simulation.run import Run
    from flocknode.simulation.traces import TraceWriter

    scenario = _scenario(options)
    with ExitStack() as stack:
        writer = None
        if options.trace is not None:
            try:
                file = stack.enter_context(open(options.trace, "w", encoding="utf-8"))
            except OSError as error:
                raise FlocknodeError(f"{options.trace}: {error.strerror}") from None
            writer = TraceWriter(file, f"{scenario.nodes} nodes, seed {scenario.seed}")
        outcome = Run(scenario, writer).run()
    if options.json:
        print(json.dumps(report.summary(outcome), indent=1))
    else:
        for line in report.lines(outcome):
            print(line)
    sys.stdout.flush()
    if outcome.breaches:
        names = ", ".join(dict.fromkeys(breach.invariant for breach in outcome.breaches))
        raise Broken(f"what must hold does not: {names}")
