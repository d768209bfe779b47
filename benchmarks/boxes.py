# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What L{benchmarks.scan} measures of boxes, each in a process of its own (so
that its memory is its own): C{python -m benchmarks.boxes scan|apply ...}
prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from blake3 import blake3
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from benchmarks.trees import contents, walk_lstat
from flocknode import ownprocess
from flocknode.box.box import Box
from flocknode.box.values import Hash, Holder

AT_ONCE = 64
"""Blocks that are given to the box together: what a frame of the exchange
brings is of that order."""

ENTRIES = 60_000
"""Bytes of a record of entries, as the exchange makes them."""

PAUSE = 0.005
"""Seconds between looks whether something is done."""

LOOKS = 3
"""How often a rescan is measured; the best counts."""


def memory(field: str = "VmRSS") -> int:
    """Bytes of this process; C{VmHWM}: at their most."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


async def until(reactor: Any, condition: Callable[[], object]) -> None:
    """Let the reactor run until this is so."""
    while not condition():
        await task.deferLater(reactor, PAUSE)


async def scan(reactor: Any, folder: str, state: str) -> dict[str, float]:
    """Scan a folder for the first time, then again without a change."""
    base = memory()
    box = Box(reactor, "box", folder, state)
    started, spent = time.perf_counter(), time.process_time()
    box.startService()
    await until(reactor, lambda: box.status.state == "in sync")
    result = {
        "first": time.perf_counter() - started,
        "first cpu": time.process_time() - spent,
        "first memory": memory("VmHWM") - base,
        "base": base,
        "files": box.status.files,
    }
    again, walk, again_cpu = [], [], []
    for _ in range(LOOKS):
        started = time.perf_counter()
        walk_lstat(folder)
        walk.append(time.perf_counter() - started)
        started, spent = time.perf_counter(), time.process_time()
        await box.rescan()
        again.append(time.perf_counter() - started)
        again_cpu.append(time.process_time() - spent)
    result.update(
        {
            "again": min(again),
            "again cpu": min(again_cpu),
            "walk": min(walk),
            "memory": memory("VmHWM") - base,
        }
    )
    started = time.perf_counter()
    scanning = box.rescan()
    await task.deferLater(reactor, result["again"] / 3)
    stopped = time.perf_counter()
    await box.stopService()
    await scanning
    result["stop"] = time.perf_counter() - stopped
    return result


async def apply(reactor: Any, source: str, folder: str, state: str) -> dict[str, float]:
    """Receive all that is in a folder, whose content comes from memory."""
    data = {Hash(blake3(each).digest()): each for each in contents(source)}
    giver = Box(reactor, "source", source, os.path.join(state, "source"))
    giver.startService()
    await until(reactor, lambda: giver.status.state == "in sync")
    box = Box(reactor, "target", folder, os.path.join(state, "target"))
    box.startService()
    await until(reactor, lambda: box.status.state == "in sync")
    base = memory()
    holder, number = Holder(bytes(16)), 0
    started, spent = time.perf_counter(), time.process_time()
    while number < giver.highest:
        entries, to = await giver.entries_after(number, ENTRIES)
        await box.join(holder, giver.index_id, number, to, entries)
        number = to
    joined = time.perf_counter() - started
    await until(reactor, lambda: len(box.needs()) >= len(data))
    result = {"joined": joined, "sought": time.perf_counter() - started}
    result["needs memory"] = memory() - base
    needs = [need.hash for need in box.needs()]
    for start in range(0, len(needs), AT_ONCE):
        batch = [(hash, data[hash]) for hash in needs[start : start + AT_ONCE]]
        await box.write(batch)
    await until(reactor, lambda: box.status.state == "in sync")
    result["all"] = time.perf_counter() - started
    result["all cpu"] = time.process_time() - spent
    result["memory"] = memory("VmHWM") - base
    result["files"] = box.status.files
    await giver.stopService()
    await box.stopService()
    return result


def main() -> None:
    """Measure one thing."""
    name, *arguments = sys.argv[1:]
    work: dict[str, Callable[..., Coroutine[Any, Any, dict[str, float]]]] = {
        "scan": scan,
        "apply": apply,
    }

    def run(reactor: IReactorTime) -> Deferred[None]:
        measured = Deferred.fromCoroutine(work[name](reactor, *arguments))
        return measured.addCallback(lambda result: print(json.dumps(result)))

    ownprocess.prepare()
    task.react(run)


if __name__ == "__main__":
    main()
