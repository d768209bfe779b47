# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A flock on a network of its own: each node in a network namespace with one
address, all of them on one bridge.  Needs root and C{ip}; where that is not
permitted, all nodes are on loopback, each with a port of its own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.integration.cluster import Cluster

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


def switch_or_none(count: int) -> Switch | None:
    """A switch, if it is permitted here."""
    try:
        return Switch(count)
    except (OSError, subprocess.CalledProcessError):
        return None
