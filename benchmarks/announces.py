# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What it costs to hear many neighbours: C{python -m benchmarks.announces}.

500 neighbours announce themselves every ten seconds, each by its own address on
loopback; then somebody floods.  Printed is the CPU time of the listener's
process as a share of a core.  To be done soon, time is pressed together: what
comes in ten seconds is sent in one, and counts for ten.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import socket
import time
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

from flocknode.forban.near.announcing import INTERVAL
from flocknode.forban.protocol.announcement import Announcement, encode

LISTENER = "127.77.0.1"


def listener(port: int, ends: Connection) -> None:
    """The process that is measured: says its CPU seconds and memory when asked."""
    from twisted.internet import reactor as installed

    from flocknode.forban.near.announcing import Announcing
    from flocknode.forban.near.interfaces import Interface
    from flocknode.forban.near.neighbours import Neighbours

    reactor: Any = installed
    table = Neighbours(str(UUID(int=0)), reactor.seconds)
    service = Announcing(
        reactor,
        lambda: Announcement(str(UUID(int=0))),
        table,
        port,
        binds=[LISTENER],
        look=lambda: (Interface("lo", 1, (LISTENER,)),),
    )
    service.startService()

    class Asked:
        """Whoever asks."""

        def fileno(self) -> int:
            return ends.fileno()

        def logPrefix(self) -> str:
            return "asked"

        def doRead(self) -> None:
            try:
                ends.recv()
            except EOFError:
                reactor.stop()
                return
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            ends.send((time.process_time(), service.status.heard, len(table.all()), most))

        def connectionLost(self, reason: object) -> None:
            """The end."""

    reactor.addReader(Asked())
    ends.send(None)
    reactor.run()


class Measure:
    """What the listener did between two looks."""

    def __init__(self, ends: Connection) -> None:
        self._ends = ends
        self.cpu = self.heard = 0.0
        self.look()

    def look(self) -> tuple[float, int, int, int]:
        """CPU seconds and announcements since the last time; neighbours, KiB."""
        self._ends.send(None)
        cpu, heard, neighbours, memory = self._ends.recv()
        found = cpu - self.cpu, heard - self.heard, neighbours, memory
        self.cpu, self.heard = cpu, heard
        return found


def announce(measure: Measure, port: int, count: int, intervals: int) -> None:
    """Neighbours, each at its own address."""
    said = []
    for number in range(count):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.77.{1 + number // 250}.{1 + number % 250}", 0))
        said.append((sender, encode(Announcement(str(UUID(int=number + 1)), "kit", "a" * 40))))
    measure.look()
    for _ in range(intervals):
        for sender, datagram in said:
            sender.sendto(datagram, (LISTENER, port))
            time.sleep(1.0 / count)
    cpu, heard, neighbours, memory = measure.look()
    share = cpu / (intervals * INTERVAL)
    print(
        f"{count} neighbours every {INTERVAL:.0f} s: {share:.2%} of a core,"
        f" {cpu / heard * 1e6:.0f} us each; heard {heard} of {count * intervals},"
        f" {neighbours} known, {memory / 1024:.0f} MiB"
    )


def flood(measure: Measure, port: int, seconds: float, hosts: int) -> None:
    """As fast as can be, with ever new uuids, from so many addresses."""
    senders = []
    for number in range(hosts):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.78.{number // 250}.{1 + number % 250}", 0))
        senders.append(sender)
    measure.look()
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        said = encode(Announcement(str(UUID(int=(1 << 64) + sent))))
        senders[sent % hosts].sendto(said, (LISTENER, port))
        sent += 1
    cpu, heard, neighbours, memory = measure.look()
    print(
        f"{sent / seconds:.0f} a second from {hosts} addresses: {cpu / seconds:.1%} of a core;"
        f" told of {heard / seconds:.0f} a second, {neighbours} known, {memory / 1024:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neighbours", type=int, default=500)
    parser.add_argument("--intervals", type=int, default=10)
    parser.add_argument("--flood", type=float, default=5.0, help="seconds")
    options = parser.parse_args()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((LISTENER, 0))
        port = free.getsockname()[1]
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=listener, args=(port, there))
    process.start()
    there.close()
    here.recv()
    measure = Measure(here)
    announce(measure, port, options.neighbours, options.intervals)
    flood(measure, port, options.flood, 1)
    flood(measure, port, options.flood, 500)
    here.close()
    process.join()


if __name__ == "__main__":
    main()
