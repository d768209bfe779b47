# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How late a node's frames leave while the same node scans many files, against
the same node with nothing to do: C{python -m benchmarks.lateness}.

Three real nodes; node 2 makes small changes, so that rounds run.  In the busy
half, node 1 scans a box of its own that nobody else has.  Lateness is what
the wire process itself measures: from when a tick was due to when it was sent.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.integration.cluster import Cluster


def measure(top: Path, files: int, rounds: int) -> list[tuple[float, ...]]:
    """
    @return: for each node, mean, median, 99th percentile and worst lateness of
        its ticks, in ms.
    """
    cluster = Cluster(top, uplink="200 Mbit/s")
    try:
        if files:
            archive = cluster.folder(0) / "archive"
            for number in range(files):
                path = archive / f"{number % 500}" / f"{number}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(os.urandom(4096))
            config = cluster.folder(0) / "config"
            config.write_text("box = archive@archive\n" + config.read_text())
        cluster.start()
        cluster.together()
        for change in range(rounds):
            (cluster.box(1) / f"{change}").write_bytes(os.urandom(1000))
            cluster.wait_equal((1, 2), lambda tree, name: name in tree, b"%d" % change)
        found = [cluster.status(node) for node in range(3)]
        return [tuple(status["lateness_ms"]) for status in found if status]
    finally:
        cluster.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", default=None, help="where to work (on a real disk)")
    arguments = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="lateness-", dir=arguments.folder))
    print(f"{'node 1':24}{'node':>6}{'mean ms':>10}{'median':>10}{'99 %':>10}{'worst':>10}")
    for name, files in (("idle", 0), (f"scans {arguments.files} files", arguments.files)):
        rows = measure(top / name.split()[0], files, arguments.rounds)
        for node, row in enumerate(rows, 1):
            print(f"{name:24}{node:>6}" + "".join(f"{each:>10.3f}" for each in row), flush=True)
    shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
