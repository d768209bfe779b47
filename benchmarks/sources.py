# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Changes at nodes in a random order, one at a time, while a passer-by watches:
what L{benchmarks.anonymity} looks at afterwards.  Every node makes as many
changes of each kind as every other: else, naming the busiest would be right more
often than 1/N.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

from benchmarks.switch import WatchedCluster
from flocknode.flock.status import SENDING
from tests.integration.cluster import wait_until

KINDS = ("large file", "many files", "delete", "while hashing")
CUT = "cut off"
"""A large file, and while it spreads all packets of some node are lost."""
AWAY = 4.0
"""Seconds: longer than it takes to be given up."""
LARGE = 2 << 20
MANY = 60
ARCHIVE = "archive"
"""A box that every node has for itself, with one large file to be hashed."""

_pause = threading.Event()


def patiently(condition: Callable[[], object], what: str) -> None:
    """Wait for it, and ask seldom: who asks keeps the machine busy."""

    def seldom() -> bool:
        _pause.wait(0.25)
        return bool(condition())

    wait_until(seldom, what, patience=12)  # counts its own pauses only


class Sources:
    """
    @ivar labels: (seconds since 1970, address of the source, kind).
    """

    def __init__(
        self,
        cluster: WatchedCluster,
        seed: int,
        archive: int,
        kinds: Sequence[str] = KINDS,
    ) -> None:
        """
        @param archive: MiB of the file to be hashed.
        @param kinds: what happens, each equally often; C{CUT} needs a switch.
        """
        self._kinds = kinds
        self.labels: list[tuple[float, str, str]] = []
        self._cluster = cluster
        self._random = random.Random(seed)
        self._deck: list[tuple[int, str]] = []
        self._number = 0
        self._deletable: list[str] = []
        data = os.urandom(1 << 20)
        for node in range(cluster.count):
            folder = cluster.folder(node) / ARCHIVE
            folder.mkdir()
            with (folder / "film").open("wb") as file:
                for number in range(archive):
                    file.write(number.to_bytes(4, "big") + data[4:])
            config = cluster.folder(node) / "config"
            config.write_text(f"box = {ARCHIVE}{node}@{ARCHIVE}\n" + config.read_text())

    def address(self, node: int) -> str:
        """As the observer names it."""
        endpoint = self._cluster.endpoints[node].removeprefix("tcp://")
        return endpoint if self._cluster.switch is None else endpoint.rpartition(":")[0]

    def survey(self) -> None:
        """Let all nodes read their archives, of which no round shall speak."""
        self._cluster.start()
        patiently(self._surveyed, "all folders are read")
        for node in range(self._cluster.count):
            self._cluster.kill(node)

    def _surveyed(self) -> bool:
        states = [self._cluster.status(node) for node in range(self._cluster.count)]
        return all(
            state and all(box["files"] for box in state["boxes"] if box["name"] != "papers")
            for state in states
        )

    def settle(self) -> None:
        """Wait until nothing is going on."""
        patiently(self._cluster.settled, "in sync and idle")

    def change(self, kind: str = "") -> None:
        """One change, and until all have it; of any kind, if none is given."""
        if kind:
            node = self._random.randrange(self._cluster.count)
        else:
            node, kind = self._draw()
        _pause.wait(self._random.uniform(0.0, 1.0))
        box = self._cluster.box(node)
        name = f"{self._number:04}"
        self._number += 1
        if kind == "delete" and not self._deletable:
            kind = "many files"
        self.labels.append((time.time(), self.address(node), kind))
        if kind == "delete":
            gone = self._deletable.pop(self._random.randrange(len(self._deletable)))
            (box / gone).unlink()
            self._everywhere(lambda path: not (path / gone).exists())
            return
        if kind in ("large file", CUT):
            whole = self._cluster.folder(node) / name
            whole.write_bytes(os.urandom(LARGE))
            whole.rename(box / name)
        elif kind == "many files":
            (box / name).mkdir()
            for number in range(MANY):
                (box / name / f"{number}").write_bytes(os.urandom(1000))
        else:
            film = self._cluster.folder(node) / ARCHIVE / "film"
            # Another ctime: it is hashed anew, and found to be as it was.
            os.utime(film, ns=(time.time_ns(), film.stat().st_mtime_ns))
            (box / name).write_bytes(os.urandom(1000))
        if kind != "many files":
            self._deletable.append(name)
        if kind == CUT:
            self._cut_off()
        wanted = self._wanted(box / name)
        self._everywhere(lambda path: self._wanted(path / name) == wanted)

    def _cut_off(self) -> None:
        """Lose a node, whoever it is, in the middle of the round."""
        switch = self._cluster.switch
        assert switch is not None
        lost = self._random.randrange(self._cluster.count)
        patiently(self._in_round, "a round is on")
        switch.cut_off(lost)
        _pause.wait(AWAY)
        switch.cut_off(lost, False)

    def _in_round(self) -> bool:
        return (self._cluster.status(0) or {}).get("code") in SENDING

    def _draw(self) -> tuple[int, str]:
        """The next node and kind, out of a deck that holds each pair once."""
        if not self._deck:
            self._deck = list(product(range(self._cluster.count), self._kinds))
            self._random.shuffle(self._deck)
        return self._deck.pop()

    @staticmethod
    def _wanted(path: Path) -> int:
        try:
            return len(os.listdir(path)) if path.is_dir() else path.stat().st_size
        except FileNotFoundError:
            return -1

    def _everywhere(self, there: Callable[[Path], bool]) -> None:
        boxes = [self._cluster.box(node) for node in range(self._cluster.count)]
        patiently(lambda: all(there(box) for box in boxes), "the change is everywhere")

    def write(self, path: Path) -> None:
        """The labels, for the observer."""
        lines = (f"{at:.6f}\t{source}\t{kind}\n" for at, source, kind in self.labels)
        path.write_text("time\tsource\tkind\n" + "".join(lines))
