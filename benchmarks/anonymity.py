# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who made the change?  A flock of real nodes on a network of its own, changes at
nodes drawn at random, every packet captured, and then the attacks of
L{flocknode.observe}: C{python -m benchmarks.anonymity}.

C{--program syncthing} does the same to Syncthing, which hides nothing: it must be
found.  So must a leak planted into all nodes by C{--leak} (C{thrifty} with
C{--kinds "large file"} names nearly every source).  C{--kinds "cut off"} loses all
packets of some node in the middle of each round; C{--leak hasty} makes that
quicker.

A long run may be made in pieces: with C{--keep} of a folder for each, with C{--skip}
of what earlier ones have done, and C{--together} of all folders at the end.

Root, C{ip} and C{tcpdump} are needed; without namespaces all nodes are on
loopback.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.passerby import why_not
from benchmarks.sources import CUT, KINDS, Sources
from benchmarks.switch import Switch, switch_or_none
from benchmarks.watched import BURSTS, WatchedCluster, WatchedSyncthing
from flocknode.observe import labels
from flocknode.observe.meddling import Episode, episodes, judged_episodes
from flocknode.observe.ranking import Case
from flocknode.observe.report import cases, judged, look, read_segments
from flocknode.observe.tables import node_table

FORMING = 31.0
"""Seconds after which a flock is no longer a forming one."""


def record(keep: Path, options: argparse.Namespace) -> None:
    """Run the nodes; leave C{capture.pcap} and C{labels.tsv} in C{keep}."""
    top = Path(tempfile.mkdtemp(prefix="anonymity-", dir=keep))
    watched = start(top / "nodes", options)
    try:
        sources = Sources(
            watched, options.seed, options.archive, options.kinds, skip=options.skip
        )
        if isinstance(watched, WatchedCluster):
            watched.survey()
        watched.start()
        if isinstance(watched, WatchedCluster):
            watched.together()
        sources.change("many files")
        if isinstance(watched, WatchedCluster):
            time.sleep(FORMING)
        watched.settle()
        sources.labels.clear()
        watched.watch()
        end = time.monotonic() + options.seconds
        while len(sources.labels) < options.rounds and time.monotonic() < end:
            sources.change()
            watched.settle()
            sources.write(keep / "labels.tsv")
        print(watched.unwatch().strip().replace("\n", "; "))
        if isinstance(watched, WatchedCluster):
            for node in range(options.nodes):
                status = watched.status(node) or {}
                print(f"lateness of node {node + 1}, ms: {status.get('lateness_ms')}")
        shutil.move(watched.capture, keep / "capture.pcap")
    finally:
        watched.close()
        shutil.rmtree(top, ignore_errors=True)


def start(top: Path, options: argparse.Namespace) -> WatchedCluster | WatchedSyncthing:
    """The nodes, of which none runs yet."""
    if options.program == "syncthing":
        return WatchedSyncthing(top, Switch(options.nodes))
    switch = switch_or_none(options.nodes)
    cluster = WatchedCluster(top, options.nodes, switch, options.uplink)
    cluster.leak = options.leak
    return cluster


def conclude(folders: Sequence[Path], bursts: float | None) -> Iterator[str]:
    """How the attacks fare on all of these runs together."""
    names: list[str] = []
    known: list[Case] = []
    cut: list[Episode] = []
    nodes = 0
    for folder in folders:
        told = labels.read((folder / "labels.tsv").read_text().splitlines())
        seen = look(read_segments(folder / "capture.pcap"), bursts)
        nodes = len(seen.traffic.nodes)
        yield from node_table(seen.traffic, seen.beats)
        yield f"{len(seen.rounds)} rounds"
        if any(label.cut for label in told):
            names, found = episodes(seen, told)
            cut += found
        else:
            names, rounds = cases(seen, told)
            known += rounds
    yield ""
    yield from judged_episodes(names, cut, nodes) if cut else judged(names, known, nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", choices=("flocknode", "syncthing"), default="flocknode")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1e9, help="after which no more begin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="changes that earlier runs have made")
    parser.add_argument("--uplink", default="40 Mbit/s")
    parser.add_argument("--archive", type=int, default=512, help="MiB that a source hashes")
    parser.add_argument("--leak", choices=("eager", "thrifty", "hasty"), default="")
    parser.add_argument("--kinds", nargs="+", choices=(*KINDS, CUT), default=KINDS)
    parser.add_argument("--keep", type=Path, help="folder for the capture and the labels")
    parser.add_argument("--only-keep", action="store_true", help="and look at them later")
    parser.add_argument("--together", type=Path, nargs="+", help="look at these, run nothing")
    options = parser.parse_args()
    bursts = BURSTS if options.program == "syncthing" else None
    if options.together:
        print(*conclude(options.together, bursts), sep="\n")
        return
    reason = why_not()
    if reason:
        sys.exit(f"Nothing can be watched here: {reason}.")
    keep = options.keep or Path(tempfile.mkdtemp(prefix="anonymity-"))
    keep.mkdir(parents=True, exist_ok=True)
    # What was started and made is ended and removed, whoever ends this.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(1))
    record(keep, options)
    if not options.only_keep:
        print(*conclude([keep], bursts), sep="\n")
    if options.keep is None:
        shutil.rmtree(keep)


if __name__ == "__main__":
    main()
