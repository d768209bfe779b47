# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A flock on a network of its own: each node in a network namespace with one
address, all of them on one bridge, and a passer-by who writes down every packet
that crosses it (tcpdump).  Needs root and C{ip}; where that is not permitted,
all nodes are on loopback, each with a port of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.leaky import CHOICE
from tests.integration.cluster import Cluster, wait_until

PORT = 5671

BUCKET = "64kb"
"""What may leave at once: no less than the largest segment that TCP hands over."""

QUEUE = "100ms"
"""What waits longer at a shaped uplink is dropped."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Switch:
    """
    A bridge in a namespace of its own.

    @ivar name: of that namespace.
    """

    def __init__(self, count: int) -> None:
        """
        @raise OSError: there is no C{ip}.
        @raise subprocess.CalledProcessError: it is not permitted.
        """
        self.name = f"flock{os.getpid()}"
        self.count = count
        self._made: list[str] = []
        try:
            self._add(self.name)
            _ip("-n", self.name, "link", "add", "switch", "type", "bridge")
            _ip("-n", self.name, "link", "set", "switch", "up")
            for node in range(count):
                self._plug(node)
        except BaseException:
            self.close()
            raise

    def _add(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        self._made.append(namespace)

    def _plug(self, node: int) -> None:
        self._add(self.namespace(node))
        self.connect(node)

    def connect(self, node: int) -> None:
        """Give a node an interface; a new one, if it was disconnected."""
        there = self.namespace(node)
        _ip("-n", self.name, "link", "add", f"port{node}", "type", "veth",
            "peer", "name", "eth0", "netns", there)  # fmt: skip
        _ip("-n", self.name, "link", "set", f"port{node}", "master", "switch", "up")
        _ip("-n", there, "address", "add", f"{self.address(node)}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", there, "link", "set", device, "up")

    def disconnect(self, node: int) -> None:
        """Take its interface away."""
        _ip("-n", self.name, "link", "delete", f"port{node}")

    def set_link(self, node: int, state: str) -> None:
        """Set its interface C{up} or C{down}."""
        _ip("-n", self.namespace(node), "link", "set", "eth0", state)

    def namespace(self, node: int) -> str:
        """Where a node lives."""
        return f"{self.name}n{node}"

    def address(self, node: int) -> str:
        """Its address."""
        return f"10.77.0.{node + 1}"

    def shape(self, node: int, bits: int) -> None:
        """
        Let this node send so many bits a second, headers of packets included,
        and no more (a token bucket on its own interface).

        @raise subprocess.CalledProcessError: this kernel has no such thing.
        """
        bucket = ["rate", f"{bits}bit", "burst", BUCKET, "latency", QUEUE]
        device = ["-n", self.namespace(node), "qdisc", "replace", "dev", "eth0"]
        subprocess.run(["tc", *device, "root", "tbf", *bucket], check=True, capture_output=True)

    def cut_off(self, node: int, cut: bool = True) -> None:
        """
        Lose every packet from and to this node, or let them through again.  Its
        own end of the cable stays up, so nobody is told.
        """
        words = ["nomaster"] if cut else ["master", "switch"]
        _ip("-n", self.name, "link", "set", f"port{node}", *words)

    def close(self) -> None:
        """Remove everything."""
        for namespace in self._made:
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        self._made.clear()


class SwitchedCluster(Cluster):
    """
    A flock whose nodes have a network of their own.

    @ivar switch: None on loopback.
    """

    def __init__(
        self, top: str | Path, count: int, switch: Switch | None, uplink: str = "40 Mbit/s"
    ) -> None:
        self.switch = switch
        endpoints = (
            [f"tcp://{switch.address(node)}:{PORT}" for node in range(count)] if switch else ()
        )
        super().__init__(top, count, uplink, endpoints)

    def inside(self, node: int) -> list[str]:
        """What runs a command where a node lives."""
        return ["ip", "netns", "exec", self.switch.namespace(node)] if self.switch else []

    def command(self, node: int) -> list[str]:
        """Also says where."""
        return [*self.inside(node), *super().command(node)]

    def close(self) -> None:
        """Also the switch."""
        super().close()
        if self.switch is not None:
            self.switch.close()


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
        self._passer_by: subprocess.Popen[bytes] | None = None
        super().__init__(top, count, switch, uplink)
        self.capture = self.top / "capture.pcap"

    def command(self, node: int) -> list[str]:
        """
        Also says on which core: if all nodes had all cores, the load of one
        would be the load of all.
        """
        cores = sorted(os.sched_getaffinity(0))
        pinned = ["taskset", "-c", str(cores[node % len(cores)])] if shutil.which("taskset") else []
        if not self.leak:
            return [*pinned, *super().command(node)]
        leaky = ["env", f"{CHOICE}={self.leak}", sys.executable, "-m", "benchmarks.leaky"]
        return [*pinned, *self.inside(node), *leaky]

    def watch(self) -> None:
        """Write down all packets from now on."""
        where = ["ip", "netns", "exec", self.switch.name] if self.switch else []
        ports = " or ".join(f"port {each.rpartition(':')[2]}" for each in self.endpoints)
        self._passer_by = subprocess.Popen(
            [*where, "tcpdump", "-i", "switch" if self.switch else "lo", "-w", str(self.capture),
             "-s", "128", "-B", "65536", "-U", "--time-stamp-precision=nano", "-Z", "root",
             f"tcp and ({ports})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.top / "tcpdump.log").open("wb"),
        )  # fmt: skip
        wait_until(self.capture.exists, "tcpdump listens")

    def unwatch(self) -> str:
        """Stop that; what tcpdump has to say."""
        if self._passer_by is not None:
            # What the kernel has not handed over yet would be lost.
            time.sleep(2.0)
            self._passer_by.send_signal(signal.SIGINT)
            self._passer_by.wait(20)
            self._passer_by = None
        return (self.top / "tcpdump.log").read_text()

    def close(self) -> None:
        """Also the watching."""
        if self._passer_by is not None:
            self._passer_by.kill()
            self._passer_by.wait()
        super().close()


def why_not() -> str:
    """A sentence, if nothing can be watched here; else empty."""
    if shutil.which("tcpdump") is None:
        return "tcpdump is not installed"
    if os.geteuid() != 0:
        return "watching a network needs root"
    return ""


def switch_or_none(count: int) -> Switch | None:
    """A switch, if it is permitted here."""
    try:
        return Switch(count)
    except (OSError, subprocess.CalledProcessError):
        return None
