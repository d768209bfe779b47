# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who made the change?  A flock of real nodes on a network of its own, changes at
nodes drawn at random, every packet captured, and then the attacks of
L{flocknode.observe}: C{python -m benchmarks.anonymity}.

C{--leak} plants a leak into all nodes: it must be found (C{thrifty} with C{--kinds
"large file"} names nearly every source).  C{--kinds "cut off"} loses all packets
of some node in the middle of each round.  Root, C{ip} and C{tcpdump} are needed;
without namespaces all nodes are on loopback.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sources import CUT, KINDS, Sources
from benchmarks.switch import WatchedCluster, switch_or_none, why_not
from flocknode.observe import labels
from flocknode.observe.report import attack, look, read_segments
from flocknode.observe.tables import node_table


def record(keep: Path, options: argparse.Namespace) -> None:
    """Run the flock; leave C{capture.pcap} and C{labels.tsv} in C{keep}."""
    nodes = options.nodes
    top = Path(tempfile.mkdtemp(prefix="anonymity-", dir=keep))
    cluster = WatchedCluster(top / "flock", nodes, switch_or_none(nodes), options.uplink)
    cluster.leak = options.leak
    try:
        sources = Sources(cluster, options.seed, options.archive, options.kinds)
        sources.survey()
        cluster.start()
        cluster.together()
        sources.change("many files")
        time.sleep(31)  # the flock is no longer a forming one
        sources.settle()
        sources.labels.clear()
        cluster.watch()
        for _ in range(options.rounds):
            sources.change()
            sources.settle()
            sources.write(keep / "labels.tsv")
        print(cluster.unwatch().strip().replace("\n", "; "))
        for node in range(nodes):
            status = cluster.status(node) or {}
            print(f"lateness of node {node + 1}, ms: {status.get('lateness_ms')}")
        shutil.move(cluster.capture, keep / "capture.pcap")
    finally:
        cluster.close()
        shutil.rmtree(top, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--uplink", default="40 Mbit/s")
    parser.add_argument("--archive", type=int, default=512, help="MiB that a source hashes")
    parser.add_argument("--leak", choices=("eager", "thrifty"), default="", help="to plant")
    parser.add_argument("--kinds", nargs="+", choices=(*KINDS, CUT), default=KINDS)
    parser.add_argument("--keep", type=Path, help="folder for the capture and the labels")
    options = parser.parse_args()
    reason = why_not()
    if reason:
        sys.exit(f"Nothing can be watched here: {reason}.")
    keep = options.keep or Path(tempfile.mkdtemp(prefix="anonymity-"))
    keep.mkdir(parents=True, exist_ok=True)
    # What was started and made is ended and removed, whoever ends this.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(1))
    record(keep, options)
    known = labels.read((keep / "labels.tsv").read_text().splitlines())
    seen = look(read_segments(keep / "capture.pcap"))
    print(*node_table(seen.traffic, seen.beats), sep="\n")
    print(f"{len(seen.rounds)} rounds", end="\n\n")
    print(*attack(seen, known), sep="\n")
    if options.keep is None:
        shutil.rmtree(keep)


if __name__ == "__main__":
    main()
