# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who made the change?  A flock of real nodes on a network of its own, changes at
nodes drawn at random, every packet captured, and then the attacks of
L{flocknode.observe}: C{python -m benchmarks.anonymity}.

C{--leaky} puts a planted leak into all nodes: it must be found.  Root, C{ip}
and C{tcpdump} are needed; without namespaces all nodes are on loopback.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sources import Sources
from benchmarks.switch import WatchedCluster, switch_or_none, why_not


def record(
    keep: Path, nodes: int, rounds: int, seed: int, uplink: str, archive: int, leaky: bool
) -> None:
    """Run the flock; leave C{capture.pcap} and C{labels.tsv} in C{keep}."""
    top = Path(tempfile.mkdtemp(prefix="anonymity-", dir=keep))
    cluster = WatchedCluster(top / "flock", nodes, uplink, switch_or_none(nodes), leaky)
    try:
        sources = Sources(cluster, seed, archive)
        sources.survey()
        cluster.start()
        cluster.together()
        sources.change("many files")
        time.sleep(31)  # the flock is no longer a forming one
        sources.settle()
        sources.labels.clear()
        cluster.watch()
        for _ in range(rounds):
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
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--uplink", default="40 Mbit/s")
    parser.add_argument("--archive", type=int, default=512, help="MiB that a source hashes")
    parser.add_argument("--leaky", action="store_true", help="with a planted leak")
    parser.add_argument("--keep", type=Path, help="folder for the capture and the labels")
    arguments = parser.parse_args()
    reason = why_not()
    if reason:
        sys.exit(f"Nothing can be watched here: {reason}.")
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="anonymity-"))
    keep.mkdir(parents=True, exist_ok=True)
    record(
        keep,
        arguments.nodes,
        arguments.rounds,
        arguments.seed,
        arguments.uplink,
        arguments.archive,
        arguments.leaky,
    )


if __name__ == "__main__":
    main()
