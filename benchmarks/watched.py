# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What L{benchmarks.anonymity} watches: a flock, and, as a control whose source
is to be found, the same machines with Syncthing.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.leaky import CHOICE
from benchmarks.passerby import PasserBy
from benchmarks.rivals import Syncthing
from benchmarks.switch import Switch, SwitchedCluster
from flocknode.flock.status import SENDING
from tests.integration.cluster import wait_until

ARCHIVE = "archive"
"""A folder that every node has for itself, with one large file to be hashed."""
FILM = "film"
PATIENCE = 40
"""Of L{wait_until}, which counts its own pauses only: six minutes, since news of a
node that was cut off may wait for five."""
QUIET = 6.0
"""Seconds for which nothing is changed once all have everything, where a program
does not say whether it is done."""
BURSTS = 3.0
"""Seconds of silence between two of Syncthing's exchanges."""
SYNCTHING_PORT = 22000

_pause = threading.Event()


def patiently(condition: Callable[[], object], what: str) -> None:
    """Wait for it, and ask seldom: who asks keeps the machine busy."""

    def seldom() -> bool:
        _pause.wait(0.25)
        return bool(condition())

    wait_until(seldom, what, patience=PATIENCE)


def pinned(node: int) -> list[str]:
    """
    What binds a command to the core of this node: if all nodes had all cores, the
    load of one would be the load of all.
    """
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[node % len(cores)])] if shutil.which("taskset") else []


class Watcher:
    """At most one L{PasserBy} at a time."""

    def __init__(self) -> None:
        self._passer_by: PasserBy | None = None

    def begin(self, capture: Path, switch: Switch | None, ports: Sequence[int]) -> None:
        """Let somebody watch; see L{PasserBy}."""
        self._passer_by = PasserBy(capture, switch, ports)

    def end(self) -> str:
        """Let him stop; what tcpdump has to say."""
        assert self._passer_by is not None
        passer_by, self._passer_by = self._passer_by, None
        return passer_by.stop()

    def close(self) -> None:
        """End it, whoever watches.  Idempotent."""
        if self._passer_by is not None:
            self._passer_by.close()


class WatchedCluster(SwitchedCluster):
    """
    A flock that somebody watches.

    @ivar capture: the file with the packets.
    @ivar leak: of L{benchmarks.leaky}, which then is in the place of the nodes;
        empty for none.
    """

    def __init__(
        self, top: str | Path, count: int, switch: Switch | None, uplink: str = "40 Mbit/s"
    ) -> None:
        self.leak = ""
        self.watcher = Watcher()
        super().__init__(top, count, switch, uplink)
        self.capture = self.top / "capture.pcap"

    def configure(self, node: int, uplink: str, *flock: str) -> None:
        """Also the archive."""
        super().configure(node, uplink, *flock)
        (self.folder(node) / ARCHIVE).mkdir(exist_ok=True)
        config = self.folder(node) / "config"
        config.write_text(f"box = {ARCHIVE}{node}@{ARCHIVE}\n" + config.read_text())

    def command(self, node: int) -> list[str]:
        """Also says on which core."""
        if not self.leak:
            return [*pinned(node), *super().command(node)]
        leaky = ["env", f"{CHOICE}={self.leak}", sys.executable, "-m", "benchmarks.leaky"]
        return [*pinned(node), *self.inside(node), *leaky]

    def address(self, node: int) -> str:
        """As the observer names it."""
        endpoint = self.endpoints[node].removeprefix("tcp://")
        return endpoint if self.switch is None else endpoint.rpartition(":")[0]

    def survey(self) -> None:
        """Let all nodes read their archives, of which no round shall speak."""
        self.start()
        patiently(self._surveyed, "all folders are read")
        for node in range(self.count):
            self.kill(node)

    def _surveyed(self) -> bool:
        states = [self.status(node) for node in range(self.count)]
        return all(
            state and all(box["files"] for box in state["boxes"] if box["name"] != "papers")
            for state in states
        )

    def hash_archive(self, node: int) -> None:
        """Give it something to do."""
        film = self.folder(node) / ARCHIVE / FILM
        # Another ctime: it is hashed anew, and found to be as it was.
        os.utime(film, ns=(film.stat().st_atime_ns, film.stat().st_mtime_ns))

    def busy(self) -> bool:
        """Whether a round is on."""
        return (self.status(0) or {}).get("code") in SENDING

    def settle(self) -> None:
        """Wait until nothing is going on."""
        patiently(self.settled, "in sync and idle")

    def watch(self) -> None:
        """Write down all packets from now on."""
        ports = {int(each.rpartition(":")[2]) for each in self.endpoints}
        self.watcher.begin(self.capture, self.switch, sorted(ports))

    def unwatch(self) -> str:
        """Stop that; what tcpdump has to say."""
        return self.watcher.end()

    def close(self) -> None:
        """Also the watching."""
        self.watcher.close()
        super().close()


class WatchedSyncthing(Syncthing):
    """
    Syncthing on each of the machines; it hears of changes after one second, the
    least that it can be told.

    @ivar capture: see L{WatchedCluster}, as for all of these.
    """

    def __init__(self, top: Path, switch: Switch) -> None:
        self.switch = switch
        self.count = switch.count
        self.watcher = Watcher()
        super().__init__(
            top, [(switch.address(node), SYNCTHING_PORT) for node in range(switch.count)], delay=1
        )
        self.capture = top / "capture.pcap"

    def command(self, node: int) -> list[str]:
        """Also says where, and on which core."""
        inside = ["ip", "netns", "exec", self.switch.namespace(node)]
        return [*pinned(node), *inside, *super().command(node)]

    def folders(self, node: int) -> Sequence[ET.Element]:
        """Also the archive, which it shares with nobody."""
        archive = self.folder(node) / ARCHIVE
        (archive / ".stfolder").mkdir(parents=True)
        return [*super().folders(node), self.element(f"{ARCHIVE}{node}", archive, [node])]

    def folder(self, node: int) -> Path:
        """Where everything of a node lies."""
        return self.home(node)

    def address(self, node: int) -> str:
        return self.switch.address(node)

    def hash_archive(self, node: int) -> None:
        # Of a file whose time is as it was it would not look at the content.
        (self.folder(node) / ARCHIVE / FILM).touch()

    def settle(self) -> None:
        _pause.wait(QUIET)

    def busy(self) -> bool:
        return False

    def watch(self) -> None:
        self.watcher.begin(self.capture, self.switch, [SYNCTHING_PORT])

    def unwatch(self) -> str:
        return self.watcher.end()

    def close(self) -> None:
        self.watcher.close()
        super().close()
        self.switch.close()
