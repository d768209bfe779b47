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
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from benchmarks.switch import Switch
from benchmarks.watched import ARCHIVE, FILM, patiently
from flocknode.observe.labels import Cut, Label

KINDS = ("large file", "many files", "delete", "while hashing")
CUT = "cut off"
"""A large file, and while it spreads all packets of some node are lost."""
SPREADING: Final = 2.5
"""Seconds, in any moment of which that begins."""
AWAY: Final = (2.5, 7.0)
"""Seconds between which it lasts: longer than it takes to be given up."""
LARGE: Final = 2 << 20
MANY: Final = 60

_pause = threading.Event()


class Watched(Protocol):
    """
    Nodes that keep a folder equal; see L{benchmarks.watched}.

    @ivar count: how many.
    """

    count: int

    @property
    def switch(self) -> Switch | None:
        """Between them, if there is one."""

    def box(self, node: int) -> Path:
        """The folder that is kept equal."""

    def folder(self, node: int) -> Path:
        """Another one, on the same disk."""

    def address(self, node: int) -> str:
        """As the observer names it."""

    def hash_archive(self, node: int) -> None:
        """Give it something to do of which others hear nothing."""

    def busy(self) -> bool:
        """Whether something is being spread."""


class Job(NamedTuple):
    """
    @ivar lost: the node that is cut off meanwhile, if any.
    """

    node: int
    kind: str
    lost: int | None = None


def jobs(count: int, kinds: Sequence[str], chance: random.Random) -> Iterator[Job]:
    """
    Without end: out of a deck that holds each combination once.  Who is cut off
    is as often the source as each of the others is.
    """
    while True:
        deck = [
            Job(node, kind, lost)
            for node, kind in product(range(count), kinds)
            for lost in (range(count) if kind == CUT else (None,))
        ]
        chance.shuffle(deck)
        yield from deck


class Sources:
    """
    @ivar labels: who did what, in the order of time.
    """

    def __init__(
        self,
        watched: Watched,
        seed: int,
        archive: int,
        kinds: Sequence[str] = KINDS,
        skip: int = 0,
    ) -> None:
        """
        @param archive: MiB of the file to be hashed.
        @param kinds: what happens, each equally often; C{CUT} needs a switch.
        @param skip: so many of the changes of this seed were made in an earlier run.
        """
        self.labels: list[Label] = []
        self._watched = watched
        self._random = random.Random(f"{seed} after {skip}")
        self._jobs = jobs(watched.count, kinds, random.Random(seed))
        for _ in range(skip):
            next(self._jobs)
        self._number = 0
        self._deletable: list[str] = []
        data = os.urandom(1 << 20)
        for node in range(watched.count):
            with (watched.folder(node) / ARCHIVE / FILM).open("wb") as file:
                for number in range(archive):
                    file.write(number.to_bytes(4, "big") + data[4:])

    def change(self, kind: str = "") -> None:
        """One change, and until all have it; of any kind, if none is given."""
        chance, watched = self._random, self._watched
        job = Job(chance.randrange(watched.count), kind) if kind else next(self._jobs)
        kind = job.kind
        if kind == "delete" and not self._deletable:
            kind = "many files"
        _pause.wait(chance.uniform(0.0, 1.0))
        name = f"{self._number:04}"
        self._number += 1
        self.labels.append(Label(time.time(), watched.address(job.node), kind))
        if kind == "delete":
            gone = self._deletable.pop(chance.randrange(len(self._deletable)))
            (watched.box(job.node) / gone).unlink()
            self._everywhere(lambda path: not (path / gone).exists())
            return
        there = watched.box(job.node) / name
        self._make(there, job.node, kind)
        if kind != "many files":
            self._deletable.append(name)
        if job.lost is not None:
            self._cut_off(job.lost)
        wanted = _amount(there)
        self._everywhere(lambda path: _amount(path / name) == wanted)

    def _make(self, there: Path, node: int, kind: str) -> None:
        """What is new."""
        if kind in ("large file", CUT):
            whole = self._watched.folder(node) / there.name
            whole.write_bytes(os.urandom(LARGE))
            whole.rename(there)
        elif kind == "many files":
            there.mkdir()
            for number in range(MANY):
                (there / f"{number}").write_bytes(os.urandom(1000))
        else:
            self._watched.hash_archive(node)
            there.write_bytes(os.urandom(1000))

    def _cut_off(self, lost: int) -> None:
        """Lose a node, whoever it is, in the middle of the round."""
        switch = self._watched.switch
        assert switch is not None
        patiently(self._watched.busy, "a round is on")
        _pause.wait(self._random.uniform(0.0, SPREADING))
        begin = time.time()
        switch.cut_off(lost)
        _pause.wait(self._random.uniform(*AWAY))
        switch.cut_off(lost, False)
        label = self.labels[-1]
        cut = Cut(self._watched.address(lost), begin, time.time())
        self.labels[-1] = Label(label.time, label.source, label.kind, cut)

    def _everywhere(self, there: Callable[[Path], bool]) -> None:
        boxes = [self._watched.box(node) for node in range(self._watched.count)]
        patiently(lambda: all(there(box) for box in boxes), "the change is everywhere")

    def write(self, path: Path) -> None:
        """The labels, for the observer."""
        header = "time\tsource\tkind\tcut off\tfrom\tto\n"
        path.write_text(header + "".join(f"{label}\n" for label in self.labels))


def _amount(path: Path) -> int:
    """Files in a folder, bytes of a file; -1: there is none."""
    try:
        return len(os.listdir(path)) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return -1
