# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How the rate follows lines that become wider and narrower: three real nodes, each in
a network namespace behind a token bucket, and a file that takes long.

Run C{python -m benchmarks.following} as root, where C{ip} and C{tc} are.  Prints the
rate of a link whenever it changes; wanted: a line that doubles is followed within
ten seconds, one that halves within five.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.switch import Switch
from benchmarks.watched import WatchedCluster

NODES = 3
_pause = threading.Event()


def shape(switch: Switch, megabits: float) -> None:
    """Let each node send so much from now on, with a queue of 200 ms."""
    for node in range(NODES):
        subprocess.run(
            ["ip", "netns", "exec", switch.namespace(node), "tc", "qdisc", "replace",
             "dev", "eth0", "root", "tbf", "rate", f"{megabits}mbit", "burst", "32kb",
             "latency", "200ms"],
            check=True,
        )  # fmt: skip


def follow(cluster: WatchedCluster, seconds: float, megabits: float) -> None:
    """Print how the rate changes in this time."""
    begin, before = time.perf_counter(), -1.0
    while (passed := time.perf_counter() - begin) < seconds:
        status = cluster.status(0) or {}
        rate = status.get("rate", 0) * 8 * (NODES - 1) / 1e6
        if rate != before:
            print(f"  after {passed:4.1f} s: {rate:5.1f} Mbit/s, {rate / megabits:.0%}", flush=True)
            before = rate
        _pause.wait(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabits", type=float, default=20.0, help="of the narrow lines")
    parser.add_argument("--seconds", type=float, default=20.0, help="between two changes")
    parser.add_argument("--mebibytes", type=int, default=300, help="of the file")
    arguments = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="following-"))
    switch = Switch(NODES)
    cluster = WatchedCluster(top / "flock", NODES, switch, uplink="100 Mbit/s")
    try:
        shape(switch, arguments.megabits)
        cluster.start()
        cluster.together()
        cluster.wait_settled()
        with (cluster.box(0) / "large").open("wb") as file:
            for _ in range(arguments.mebibytes):
                file.write(os.urandom(1 << 20))
        for factor in (1, 2, 1, 2):
            megabits = arguments.megabits * factor
            shape(switch, megabits)
            print(f"lines of {megabits:g} Mbit/s")
            follow(cluster, arguments.seconds, megabits)
    finally:
        cluster.close()
        top.rmdir()


if __name__ == "__main__":
    main()
