# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box at scale: how long it takes to scan a folder, to scan it again without a
change, and to put received files in place, beside what plain programs need
for the same folder at the same time.

Run C{python -m benchmarks.scan [--folder FOLDER] [--scale N]}, on a real disk
(the folder decides which): everything is divided by N.  The folder is warm:
what is measured is the processor, not the disk, but for placing, which syncs.
Where other programs run, believe the lines "of the processor"; those "at
least" say what a bare loop needs for the same, see L{benchmarks.least}.
Naming parts (C{apply}, C{small}, C{large}, C{many}, C{join}) measures only
those; C{join}, a new node that needs 200 000 files at once, is not among them
by default.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import attrs

from benchmarks.least import least_scan
from benchmarks.trees import make_tree, walk_hash, walk_lstat

_MIB = 1 << 20


@attrs.frozen
class Line:
    """One line of the table: what was measured, and what is wanted of it."""

    what: str
    measured: str
    wanted: str = ""
    good: bool = True


def timed(work: Callable[[], object]) -> float:
    """Seconds, the best of three runs."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def least(folder: str) -> Line:
    """What no first scan in CPython can go below: seconds of the processor, the best of three."""
    taken = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as state:
            started = time.process_time()
            least_scan(folder, os.path.join(state, "index"))
            taken.append(time.process_time() - started)
    return Line("  at least, in CPython", f"{min(taken):.2f} s")


def box(*arguments: str) -> dict[str, float]:
    """What L{benchmarks.boxes} says."""
    command = [sys.executable, "-m", "benchmarks.boxes", *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    result: dict[str, float] = json.loads(output)
    return result


def rsync(source: str, target: str, *options: str) -> float | None:
    """Seconds of C{rsync -a}, or L{None} if it is not installed."""
    if shutil.which("rsync") is None:
        return None
    started = time.perf_counter()
    subprocess.run(
        ["rsync", "-a", "--exclude=.flocknode", *options, source + "/", target + "/"], check=True
    )
    return time.perf_counter() - started


def _seconds(what: str, taken: float, most: float | None = None) -> Line:
    if most is None:
        return Line(what, f"{taken:.2f} s")
    return Line(what, f"{taken:.2f} s", f"<= {most:.2f} s", taken <= most)


def _ratio(what: str, taken: float, beside: float, most: float) -> Line:
    ratio = taken / beside
    return Line(what, f"{taken:.2f} s ({ratio:.2f} x)", f"<= {most:.1f} x", ratio <= most)


def small(base: str, scale: int) -> list[Line]:
    """Many small files."""
    count = 50_000 // scale
    folder, copy = os.path.join(base, "small"), os.path.join(base, "copy")
    make_tree(folder, count, 4096, count // 10)
    lines = [
        _seconds("os.walk, lstat", timed(lambda: walk_lstat(folder))),
        _seconds("os.walk, read, hash", timed(lambda: walk_hash(folder))),
    ]
    for what, more in (("rsync -a to a new folder", []), ("and again --checksum", ["--checksum"])):
        taken = rsync(folder, copy, *more)
        if taken is not None:
            lines.append(_seconds(what, taken))
    result = box("scan", folder, os.path.join(base, "state"))
    lines += [
        _seconds("first scan", result["first"], 5 / scale),
        _seconds("  of the processor", result["first cpu"]),
        least(folder),
        _seconds("rescan", result["again"], 1 / scale),
        Line(
            "memory",
            f"{result['base'] / _MIB:.0f} + {result['memory'] / _MIB:.0f} MiB",
            "<= 150 MB",
            result["base"] + result["memory"] <= 150e6,
        ),
    ]
    return lines


def large(base: str, scale: int) -> list[Line]:
    """One GiB."""
    folder = os.path.join(base, "large")
    make_tree(folder, 5_000 // scale, (1 << 30) // 5_000, 500 // scale)
    plain = timed(lambda: walk_hash(folder))
    result = box("scan", folder, os.path.join(base, "state"))
    plain = min(plain, timed(lambda: walk_hash(folder)))
    return [
        _seconds("os.walk, read, hash", plain),
        _ratio("first scan", result["first"], plain, 1.5),
        _seconds("  of the processor", result["first cpu"]),
        least(folder),
        _seconds("stop in the middle", result["stop"], 2.0),
    ]


def many(base: str, scale: int) -> list[Line]:
    """Very many files."""
    count = 200_000 // scale
    folder = os.path.join(base, "many")
    make_tree(folder, count, 16, count // 10)
    result = box("scan", folder, os.path.join(base, "state"))
    each = result["memory"] / count
    return [
        _seconds("first scan", result["first"]),
        _seconds("  of the processor", result["first cpu"]),
        _seconds("os.walk, lstat", result["walk"]),
        _ratio("rescan", result["again"], result["walk"], 2.0),
        _seconds("  of the processor", result["again cpu"]),
        Line("memory for each file", f"{each:.0f} bytes", "<= 1000", each <= 1000),
        _seconds("stop in the middle", result["stop"], 2.0),
    ]


def applying(base: str, scale: int, count: int, size: int) -> list[Line]:
    """Received files, put in place."""
    count //= scale
    source, target = os.path.join(base, "source"), os.path.join(base, "target")
    make_tree(source, count, size, count // 10)
    result = box("apply", source, target, os.path.join(base, "state"))
    speed = count / result["all"]
    each = result["needs memory"] / count
    return [
        _seconds("entries joined", result["joined"]),
        _seconds("and looked for", result["sought"]),
        Line("memory for each needed", f"{each:.0f} bytes"),
        _seconds("all in place", result["all"]),
        _seconds("  of the processor", result["all cpu"]),
        Line("in a second", f"{speed:.0f} files", ">= 1500", speed >= 1500),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure boxes at scale.")
    parser.add_argument("--folder", help="where; a real disk")
    parser.add_argument("--scale", type=int, default=1, help="divide everything by this")
    parser.add_argument("only", nargs="*", help="small, large, many, apply, join")
    options = parser.parse_args()
    scale = options.scale
    # Placing comes first, and nothing is removed before the end: ext4 goes out of
    # its way for inodes that were removed in the last minute, and takes five
    # times as long to make a file.
    parts: dict[str, tuple[str, Callable[[str], list[Line]]]] = {
        "apply": (
            "5 000 received files of 4 KiB",
            lambda base: applying(base, scale, 5_000, 4096),
        ),
        "small": ("50 000 files of 4 KiB", lambda base: small(base, scale)),
        "large": ("1 GiB in 5 000 files", lambda base: large(base, scale)),
        "many": ("200 000 files in 20 000 directories", lambda base: many(base, scale)),
        "join": (
            "200 000 received files of 16 bytes",
            lambda base: applying(base, scale, 200_000, 16),
        ),
    }
    wanted = options.only or [name for name in parts if name != "join"]
    with tempfile.TemporaryDirectory(dir=options.folder) as base:
        for name, (title, measure) in parts.items():
            if name not in wanted:
                continue
            below = os.path.join(base, name)
            os.mkdir(below)
            lines = measure(below)
            print(title + (f" (all / {scale})" if scale > 1 else ""), flush=True)
            for line in lines:
                verdict = "" if not line.wanted else "ok" if line.good else "MISSED"
                print(f"  {line.what:<28} {line.measured:>20}   {line.wanted:<12} {verdict}")


if __name__ == "__main__":
    main()
