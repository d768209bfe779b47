# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How long until all have it: real nodes, each in a network namespace with a shaped
uplink.  C{python -m benchmarks.fanout}; needs root, C{ip} and C{tc}.  With
C{--unshaped}: on loopback, as fast as the machine can, compared with the mesh of
L{benchmarks.bare}.

The measure is S/U: the size of what is new by the payload that the uplink of one
node carries, itself measured with a single TCP connection over the same lines.
Who sends to everybody himself needs (N - 1) S/U at least, and is run beside it.
Each flock has had a round of the same size before, so that it knows its rate.
If all of 3 nodes have as much each to send, nothing can be faster than 2 S/U,
against 6 S/U for three that send everything themselves, one after another.

"CPU" is the processor time of all nodes by the time taken, "busy" the share of
the machine that was in use by anybody: where that is near 1, the lines are not
what is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs

from benchmarks.bare import bare_mesh
from benchmarks.solo import broadcast
from benchmarks.switch import Switch, SwitchedCluster, switch_or_none
from flocknode.flock.messages import FRAME_SIZES
from tests.integration.cluster import wait_until

MIB = 1 << 20
PATIENCE = 900.0
"""Seconds until a flock that does not get on is given up."""

_pause = threading.Event()


@attrs.frozen
class Run:
    """
    How one spreading went.

    @ivar seconds: from the first change until all have everything.
    @ivar cpu: seconds of processor time of all nodes, both processes.
    @ivar busy: share of the machine in use, 0 to 1.
    @ivar rate: MB/s of the uplink of a node by the step in force at the end.
    """

    seconds: float
    cpu: float
    busy: float
    rate: float


class Spreading:
    """A flock in which files are spread, on shaped lines or on loopback."""

    def __init__(
        self, top: Path, count: int, switch: Switch | None, bits: int, constant: bool = False
    ) -> None:
        """
        @param bits: of each uplink, per second.
        @param constant: under constant cover, up to the whole uplink.
        """
        if switch is not None:
            for node in range(count):
                switch.shape(node, bits)
        uplink = f"{bits // 1000} kbit/s"
        self.cluster = SwitchedCluster(top, count, switch, uplink)
        if constant:
            for node in range(count):
                self.cluster.configure(node, uplink, "cover = constant", "cover_rate = 1 GiB/s")
        self.count = count
        self._number = 0

    def start(self) -> None:
        """All nodes, until they know each other."""
        self.cluster.start()
        self.cluster.together()
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is going on; who asks often keeps the machine busy."""

        def seldom() -> bool:
            _pause.wait(0.3)
            return self.cluster.settled()

        wait_until(seldom, "in sync and idle", patience=PATIENCE / 10)

    def spread(self, sources: Sequence[int], size: int) -> Run:
        """A new file of C{size} bytes at each of these nodes, at once."""
        self.settle()
        moves: list[Callable[[], object]] = []
        names = []
        for node in sources:
            name = f"{self._number:04}"
            self._number += 1
            whole = self.cluster.folder(node) / name
            with whole.open("wb") as file:
                for _ in range(size // MIB):
                    file.write(os.urandom(MIB))
            names.append(name)
            target = self.cluster.box(node) / name
            moves.append(partial(whole.rename, target))
        cpu, (busy, total) = self._cpu(), _machine()
        began = time.monotonic()
        for move in moves:
            move()
        wait_until(lambda: self._everywhere(names, size), "everywhere", patience=PATIENCE)
        seconds = time.monotonic() - began
        busy_after, total_after = _machine()
        run = Run(
            seconds,
            self._cpu() - cpu,
            (busy_after - busy) / (total_after - total),
            self._rate(),
        )
        self.settle()
        for name in names:
            (self.cluster.box(0) / name).unlink()
        wait_until(lambda: self._everywhere(names, -1), "deleted", patience=PATIENCE)
        return run

    def _everywhere(self, names: Sequence[str], size: int) -> bool:
        return all(
            _size(self.cluster.box(node) / name) == size
            for node in range(self.count)
            for name in names
        )

    def _rate(self) -> float:
        status = self.cluster.status(0) or {}
        return float(status.get("rate", 0)) * (self.count - 1) / 1e6

    def _cpu(self) -> float:
        """Seconds that all processes of all nodes have used."""
        ticks = 0
        for process in self.cluster.processes.values():
            for pid in _family(process.pid):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _machine() -> tuple[float, float]:
    """Ticks in which the machine's processors were busy, and all of them."""
    with open("/proc/stat") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


class Table:
    """What is printed, a line for each thing measured."""

    def __init__(self, optimum: float) -> None:
        """@param optimum: S/U, seconds."""
        self._optimum = optimum
        print(f"{'':34} {'seconds':>8} {'x S/U':>6} {'wanted':>7}  {'CPU':>5} {'busy':>5}  uplink")

    def solo(self, nodes: int, seconds: float) -> None:
        """One that sends everything itself."""
        what = f"{nodes} nodes, bare CURVE to each"
        print(f"{what:34} {seconds:8.2f} {seconds / self._optimum:6.2f}", flush=True)

    def flock(self, what: str, run: Run, wanted: str) -> None:
        """A flock."""
        print(
            f"{what:34} {run.seconds:8.2f} {run.seconds / self._optimum:6.2f} {wanted:>7}"
            f"  {run.cpu / run.seconds:5.2f} {run.busy:5.2f}  {run.rate:.2f} MB/s",
            flush=True,
        )


def measure(nodes: int, options: argparse.Namespace, top: Path) -> None:
    """Print the lines for a flock of so many nodes."""
    size = options.mebibytes * MIB
    bits = int(options.uplink * 1e6)
    switch = switch_or_none(nodes)
    if switch is None:
        sys.exit("Nothing can be shaped here: no network namespaces.")
    flock: Spreading | None = None
    try:
        flock = Spreading(top / f"flock{nodes}", nodes, switch, bits, options.constant)
        payload = size / broadcast(switch, size, 1, plain=True)
        print(f"\n{nodes} nodes, {options.mebibytes} MiB, {bits / 1e6:g} Mbit/s a node:"
              f" U = {payload / 1e6:.3f} MB/s, S/U = {size / payload:.2f} s")  # fmt: skip
        table = Table(size / payload)
        solo = None
        if options.bare:
            solo = broadcast(switch, size, nodes - 1)
            table.solo(nodes, solo)
        flock.start()
        table.flock("the round to warm up", flock.spread([0], size), "")
        wanted = {3: "1.25", 8: "1.40"}.get(nodes, "")
        runs = []
        for _ in range(options.runs):
            runs.append(flock.spread([0], size))
            table.flock("one source", runs[-1], wanted)
        if nodes == 3:
            together = flock.spread(range(nodes), size)
            table.flock("all sources at once", together, "")
            if solo is not None:
                gain = nodes * solo / together.seconds
                print(f"{gain:.2f} times as fast as bare CURVE, one after another (wanted: 2.8)")
        if runs:
            middle = statistics.median(run.seconds for run in runs)
            print(f"median of {len(runs)}: {middle * payload / size:.2f} x S/U")
    finally:
        if flock is not None:
            flock.cluster.close()
        switch.close()


def unshaped(options: argparse.Namespace, top: Path) -> None:
    """Print the goodput of a flock on loopback, by that of a bare mesh."""
    nodes, size = 3, options.mebibytes * MIB
    bare = (nodes - 1) * bare_mesh(nodes, FRAME_SIZES[-1], 5.0)
    print(f"{nodes} nodes on loopback, {options.mebibytes} MiB:"
          f" each can send {bare:.0f} MB/s by bare CURVE alone")  # fmt: skip
    table = Table(size / 1e6 / bare)
    flock = Spreading(top / "unshaped", nodes, None, int(options.unshaped * 1e6))
    try:
        flock.start()
        table.flock("the round to warm up", flock.spread([0], size), "")
        for _ in range(options.runs):
            run = flock.spread([0], size)
            table.flock("one source", run, "1.67")
            print(f"{size / 1e6 / run.seconds:.0f} MB/s,"
                  f" {size / 1e6 / run.seconds / bare:.2f} of bare (wanted: 0.6)")  # fmt: skip
    finally:
        flock.cluster.close()


def main() -> None:
    """Print a table for each size of flock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--mebibytes", type=int, default=64, help="of each source")
    parser.add_argument("--uplink", type=float, default=50.0, help="Mbit/s of each node")
    parser.add_argument(
        "--unshaped", type=float, metavar="Mbit/s", help="on loopback, with this as uplink"
    )
    parser.add_argument(
        "--constant", action="store_true", help="under constant cover, not in rounds"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--no-bare", dest="bare", action="store_false", help="leave out who sends everything itself"
    )
    parser.add_argument("--folder", default=None, help="where to work")
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="fanout-", dir=options.folder))
    try:
        if options.unshaped:
            unshaped(options, top)
            return
        for nodes in options.nodes:
            measure(nodes, options, top)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
