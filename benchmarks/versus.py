# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The same jobs on flocknode (with full cover traffic), on Syncthing and on an
rsync daemon, side by side in one run: C{python -m benchmarks.versus}.

Prints seconds and ratios; nothing here decides a test.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.rivals import Flocknode, Rsync, Syncthing
from tests.integration.cluster import wait_until

Program = Flocknode | Syncthing | Rsync
_pause = threading.Event()


def arrival(program: Program, change: Callable[[], object], there: Callable[[int], bool]) -> float:
    """Seconds from the start of the change until both others show it."""
    begin = time.perf_counter()
    change()
    if isinstance(program, Rsync):
        program.pull()
    for node in (1, 2):
        wait_until(there, f"{program.name} brings it to the others", node, patience=300)
    return time.perf_counter() - begin


def size_is(program: Program, name: str, size: int) -> Callable[[int], bool]:
    """Whether node n holds that file with that size."""

    def check(node: int) -> bool:
        try:
            return os.stat(program.box(node) / name).st_size == size
        except FileNotFoundError:
            return False

    return check


def small_changes(program: Program, runs: int) -> list[float]:
    """Seconds until 1 KB is on both others, of so many changes; the least first."""
    times = []
    for run in range(runs):
        program_settle(program)
        _pause.wait(0.1 * (run % 7))  # anywhere in a slot
        path = program.box(0) / f"small{run}"
        times.append(
            arrival(
                program,
                partial(path.write_bytes, os.urandom(1024)),
                size_is(program, path.name, 1024),
            )
        )
    return sorted(times)


def percentile_99(times: list[float]) -> float:
    """What 99 of 100 do not exceed; of fewer than 100 the longest."""
    return times[math.ceil(0.99 * len(times)) - 1]


def program_settle(program: Program) -> None:
    """Wait until it is idle, where it can say so."""
    if isinstance(program, Flocknode):
        program.settle()


def many_files(program: Program, count: int) -> float:
    """Seconds until so many files of 4 KiB in 50 folders are on both others."""
    program_settle(program)
    source = program.box(0).parent / "many"
    for number in range(count):
        path = source / f"folder{number % 50}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(4096))

    def there(node: int) -> bool:
        folder = program.box(node) / "many"
        return (
            sum(
                1
                for _, _, names in os.walk(folder)
                for name in names
                if not name.startswith(".syncthing")
            )
            >= count
        )

    return arrival(program, lambda: source.rename(program.box(0) / "many"), there)


def large_file(program: Program, mebibytes: int) -> float:
    """Seconds until one large file is on both others."""
    program_settle(program)
    source = program.box(0).parent / "large"
    with source.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
    return arrival(
        program,
        lambda: source.rename(program.box(0) / "large"),
        size_is(program, "large", mebibytes << 20),
    )


def one_byte(program: Program, mebibytes: int) -> float:
    """Seconds until one changed byte in that large file is on both others."""
    program_settle(program)
    offset = (mebibytes << 20) // 2 + 5
    name = "large"
    new = b"\x00"
    with (program.box(0) / name).open("rb") as file:
        file.seek(offset)
        new = bytes([file.read(1)[0] ^ 0xFF])

    def change() -> None:
        with (program.box(0) / name).open("r+b") as file:
            file.seek(offset)
            file.write(new)

    def there(node: int) -> bool:
        try:
            with (program.box(node) / name).open("rb") as file:
                file.seek(offset)
                return file.read(1) == new
        except FileNotFoundError:  # not every program replaces files at one stroke
            return False

    return arrival(program, change, there)


def idle(program: Flocknode | Syncthing, seconds: float) -> tuple[float, float]:
    """Share of a core and MiB resident of one node's processes, doing nothing."""

    def ticks() -> int:
        total = 0
        for pid in program.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total

    program_settle(program)
    _pause.wait(10)  # rounds that follow the start are none of an idle node
    before = ticks()
    _pause.wait(seconds)
    share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds
    resident = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in program.pids())
    return share, resident * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="small changes")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--mebibytes", type=int, default=256)
    parser.add_argument("--edit-mebibytes", type=int, default=512)
    parser.add_argument("--uplink", default="1 Gbit/s", help="of the flocknodes")
    parser.add_argument("--only", choices=("flocknode", "Syncthing", "rsync"))
    parser.add_argument("--folder", default=None, help="where to work (on a real disk)")
    parser.add_argument("--cover", choices=("rounds", "constant"), default="rounds")
    parser.add_argument("--cover-rate", default="64 KiB/s")
    parser.add_argument("--small", action="store_true", help="idleness and small changes only")
    arguments = parser.parse_args()
    flock = (f"cover = {arguments.cover}", f"cover_rate = {arguments.cover_rate}")
    top = Path(tempfile.mkdtemp(prefix="versus-", dir=arguments.folder))
    rows: dict[str, dict[str, float]] = {}
    extra: list[str] = []

    def note(job: str, program: Program, seconds: float) -> None:
        rows.setdefault(job, {})[program.name] = seconds
        print(f"  {program.name}: {job}: {seconds:.2f} s", flush=True)

    makers: list[Callable[[], Program]] = [
        lambda: Flocknode(top / "flock", arguments.uplink, *flock)
    ]
    if shutil.which("syncthing"):
        makers.append(lambda: Syncthing(top / "syncthing"))
    if shutil.which("rsync"):
        makers.append(lambda: Rsync(top / "rsync"))
    names = ["flocknode", "Syncthing", "rsync"]
    for name, make in zip(names, makers, strict=False):
        if arguments.only and name != arguments.only:
            continue
        program = make()
        try:
            program.start()
            if not isinstance(program, Rsync):
                share, resident = idle(program, 10)
                extra.append(f"{program.name}: idle {share:.2%} of a core, {resident:.0f} MiB")
                runs = arguments.runs if isinstance(program, Flocknode) else 3
                times = small_changes(program, runs)
                note("1 KB to two, median", program, statistics.median(times))
                note("1 KB to two, 99 %", program, percentile_99(times))
            if arguments.small:
                continue
            note(f"{arguments.files} x 4 KiB", program, many_files(program, arguments.files))
            note(f"{arguments.mebibytes} MiB", program, large_file(program, arguments.mebibytes))
            (program.box(0) / "large").unlink()
            if not isinstance(program, Rsync):
                gone = program.box(2) / "large"
                wait_until(lambda path: not path.exists(), "delete", gone, patience=300)
            large_file(program, arguments.edit_mebibytes)
            program_settle(program)
            before = program.sent() if isinstance(program, Flocknode) else 0
            note(
                f"1 byte in {arguments.edit_mebibytes} MiB",
                program,
                one_byte(program, arguments.edit_mebibytes),
            )
            if isinstance(program, Flocknode):
                program_settle(program)
                extra.append(f"flocknode: content sent for that byte: {program.sent() - before} B")
        finally:
            program.close()
    shutil.rmtree(top, ignore_errors=True)
    shown = [n for n in names if any(n in row for row in rows.values())]
    print("\n" + f"{'job':24}" + "".join(f"{n:>12}" for n in shown) + f"{'to Syncthing':>14}")
    for job, row in rows.items():
        cells = "".join(f"{row[n]:>11.2f}s" if n in row else "-".rjust(12) for n in shown)
        ratio = (
            f"{row['flocknode'] / row['Syncthing']:>13.2f}x"
            if {"flocknode", "Syncthing"} <= set(row)
            else ""
        )
        print(f"{job:24}{cells}{ratio}")
    print(*extra, sep="\n")


if __name__ == "__main__":
    main()
