# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How long it takes to fetch what a neighbour has: 5 000 files of 4 KiB into a
box, through Forban's index and through the better one of another flocknode.

Run C{python -m benchmarks.fetching [--folder FOLDER] [--scale N]}; the files are
divided by N.  The neighbour is a process of its own on loopback (twisted.web,
about as fast as the site of a node).  Beside it stands what a plain program
needs in the same minute that fetches one file after the other over one
connection and syncs each and its directory: on a busy machine believe the ratio.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThreadPool

from benchmarks.boxes import until
from flocknode.box.box import Box
from flocknode.box.timers import Timers
from flocknode.box.values import Path
from flocknode.forban import catalogue
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.boxes import Boxes
from flocknode.forban.fetch.fetching import Fetching
from flocknode.forban.fetch.indexes import Indexes
from flocknode.forban.fetch.wanting import Limits
from flocknode.forban.near.neighbours import Address, Neighbours
from flocknode.forban.protocol import items, jsonl, names
from flocknode.forban.protocol.announcement import Announcement
from flocknode.forban.protocol.items import Item
from flocknode.forban.protocol.remote import RemoteFile
from flocknode.forban.shelf import Shelf

FILES = 5_000
SIZE = 4096
MOST = 30.0
"""Seconds that it may take."""

OWN = "00000000-0000-4000-8000-000000000000"
UUID = "11111111-0000-4000-8000-000000000000"


def file_of(number: int) -> tuple[Path, bytes]:
    """A file of the neighbour: its path and content."""
    data = random.Random(number).randbytes(SIZE)
    return Path(b"%02d/%04d.bin" % (number % 50, number)), data


def serve(count: int, better: bool) -> None:
    """Be the neighbour; says the port."""
    from twisted.internet import reactor as running
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    reactor: Any = running
    files = dict(file_of(number) for number in range(count))
    index = items.encode(Item(path, len(data)) for path, data in files.items())
    remote = (
        RemoteFile(path, len(data), blake3(data).digest(), 10**18) for path, data in files.items()
    )
    lines = b"".join(jsonl.encode(jsonl.Header(UUID), remote))

    class Answers(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            """As a node does."""
            name = request.args[b"g"][0]
            if b"f" in request.args:
                request.setHeader(b"Content-Disposition", b"attachment")
                return files[Path(names.decode(name))]
            if name == jsonl.NAME and better:
                return lines
            if name == b"forban/index":
                request.setHeader(b"Content-Type", b"text/plain;charset=utf-8")
                return index
            request.setResponseCode(404)
            return b""

    site: Any = Site(Answers())
    site.log = lambda _request: None
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


def fetch_plainly(folder: str, port: int, count: int) -> float:
    """@return: seconds that it took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    started = time.perf_counter()
    for number in range(count):
        path, _ = file_of(number)
        connection.request("GET", f"/s/?g={names.encode_for_any(path)}&f=b64e")
        data = connection.getresponse().read()
        where = os.path.join(folder, os.fsdecode(path))
        above = os.path.dirname(where)
        os.makedirs(above, exist_ok=True)
        with open(where, "wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        directory = os.open(above, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    connection.close()
    return time.perf_counter() - started


async def fetch(reactor: Any, folder: str, port: int, count: int) -> tuple[float, float]:
    """@return: seconds that it took, and those of the processor."""
    os.mkdir(os.path.join(folder, "papers"))
    box = Box(reactor, "papers", os.path.join(folder, "papers"), os.path.join(folder, "state"))
    box.startService()
    await until(reactor, lambda: box.status.state == "in sync")
    shown: Catalogue[Shelf] = catalogue.compile({})

    def in_thread(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)

    neighbours = Neighbours(OWN, reactor.seconds)
    asker = Asker(reactor, in_thread)
    timers = Timers(reactor)
    chance = random.Random()
    indexes = Indexes(neighbours, asker, timers, reactor.seconds, chance)
    fetching = Fetching(
        reactor,
        neighbours,
        indexes,
        asker,
        Boxes({"papers": box.public}, "papers", lambda _name: False),
        folder=os.path.join(folder, "state"),
        catalogue=lambda: shown,
        in_thread=in_thread,
        wall=time.time,
        random=chance,
        limits=Limits(reserve=lambda _whole: 0),
    )
    fetching.startService()
    indexes.start()
    started, processor = time.perf_counter(), time.process_time()
    neighbours.heard(Announcement(UUID, "peer", "0" * 40), Address("127.0.0.1", port))
    await until(reactor, lambda: box.status.files == count)
    taken = time.perf_counter() - started, time.process_time() - processor
    timers.stop()
    await asker.stop()
    await indexes.stop()
    await fetching.stopService()
    await box.stopService()
    return taken


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure fetching from a neighbour.")
    parser.add_argument("--folder", help="where; a real disk")
    parser.add_argument("--scale", type=int, default=1, help="divide the files by this")
    parser.add_argument("--serve", choices=["text", "better"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = FILES // options.scale
    if options.serve:
        serve(count, options.serve == "better")
        return

    async def run(reactor: Any) -> None:
        for kind in ("text", "better"):
            command = [sys.executable, "-m", "benchmarks.fetching", f"--scale={options.scale}"]
            peer = subprocess.Popen([*command, f"--serve={kind}"], stdout=subprocess.PIPE)
            try:
                assert peer.stdout is not None
                port = int(peer.stdout.readline())
                with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                    taken, processor = await fetch(reactor, folder, port, count)
                with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                    plain = fetch_plainly(folder, port, count)
            finally:
                peer.kill()
                peer.wait()
            most = MOST / options.scale
            verdict = "ok" if taken <= most else "MISSED"
            print(
                f"{count} files of {SIZE} bytes, index in {kind:<6} {taken:6.2f} s"
                f"  (of the processor {processor:.2f} s; {taken / plain:.1f} x a plain"
                f" program)   <= {most:.1f} s {verdict}"
            )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"memory at its greatest {memory / 1024:.0f} MiB")

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
