# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How late a node's frames leave while the same node scans many files, against
the same node with nothing to do: C{python -m benchmarks.lateness}.

Three real nodes; node 2 makes small changes, so that rounds run.  In the busy
half, node 1 scans a box of its own that nobody else has, in the last part it
hashes a large file in it, again and again.  Lateness is what the wire process
itself measures: from when a tick was due to when it was sent.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.integration.cluster import Cluster, wait_until


def fill(archive: Path, files: int, mebibytes: int) -> None:
    """What node 1 has to read."""
    archive.mkdir(exist_ok=True)
    for number in range(files):
        path = archive / f"{number % 500}" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(4096))
    if mebibytes:
        data = os.urandom(1 << 20)
        with (archive / "film").open("wb") as file:
            for number in range(mebibytes):
                file.write(number.to_bytes(4, "big") + data[4:])


def hash_again(archive: Path) -> None:
    """Give the large file, if there is one, another ctime: it is hashed anew."""
    film = archive / "film"
    if film.exists():
        os.utime(film, ns=(time.time_ns(), film.stat().st_mtime_ns))


def held(cluster: Cluster) -> bool:
    """Does node 1 know its archive?"""
    boxes = (cluster.status(0) or {}).get("boxes", ())
    return any(box["name"] == "archive" and box["files"] for box in boxes)


def read_by(pid: int) -> float:
    """MiB that a process has read so far: did it have the work that it was to have?"""
    (line,) = (
        each
        for each in Path(f"/proc/{pid}/io").read_text().splitlines()
        if each.startswith("rchar:")
    )
    return int(line.split()[1]) / (1 << 20)


def measure(top: Path, files: int, mebibytes: int, rounds: int) -> list[tuple[float, ...]]:
    """
    @param mebibytes: of a file that node 1 hashes before each round.
    @return: for each node, mean, median, 99th percentile and worst lateness of
        its ticks, in ms.
    """
    cluster = Cluster(top, uplink="200 Mbit/s")
    try:
        archive = cluster.folder(0) / "archive"
        if files or mebibytes:
            fill(archive, files, mebibytes)
            config = cluster.folder(0) / "config"
            config.write_text("box = archive@archive\n" + config.read_text())
        if mebibytes:
            # Read once while nobody hears of it, or a round would be for it.
            cluster.start(0)
            wait_until(lambda: held(cluster), "the archive is read")
            cluster.kill(0)
        cluster.start()
        cluster.together()
        for change in range(rounds):
            hash_again(archive)
            (cluster.box(1) / f"{change}").write_bytes(os.urandom(1000))
            cluster.wait_equal((1, 2), lambda tree, name: name in tree, b"%d" % change)
        print(f"node 1 has read {read_by(cluster.processes[0].pid):.0f} MiB", flush=True)
        found = [cluster.status(node) for node in range(3)]
        return [tuple(status["lateness_ms"]) for status in found if status]
    finally:
        cluster.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", default=None, help="where to work (on a real disk)")
    arguments = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="lateness-", dir=arguments.folder))
    print(f"{'node 1':24}{'node':>6}{'mean ms':>10}{'median':>10}{'99 %':>10}{'worst':>10}")
    for name, files, mebibytes in (
        ("idle", 0, 0),
        (f"scans {arguments.files} files", arguments.files, 0),
        (f"hashes {arguments.mebibytes} MiB", 0, arguments.mebibytes),
    ):
        rows = measure(top / name.split()[0], files, mebibytes, arguments.rounds)
        for node, row in enumerate(rows, 1):
            print(f"{name:24}{node:>6}" + "".join(f"{each:>10.3f}" for each in row), flush=True)
    shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
