# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The process that L{benchmarks.site} measures: a site alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.python.threadpool import ThreadPool

from flocknode.box.listing import ListedFile
from flocknode.box.values import Path
from flocknode.forban.catalogue import Catalogue, compile
from flocknode.forban.near.neighbours import Neighbours
from flocknode.forban.protocol.remote import RemoteIndex
from flocknode.forban.shelf import Shelf
from flocknode.forban.site.pages import Own
from flocknode.forban.site.site import Site
from flocknode.testing.shelves import FolderShelf
from tests.certificates import write_certificate

LARGE = "large.bin"
"""The large file."""

OWN = Own("0b8f6c1e-3d53-4a5e-9c1b-6f0e8a7d4c21", "site")


class Shown:
    """What there is, once and for all."""

    def __init__(self, catalogue: Catalogue[Shelf]) -> None:
        self.catalogue = catalogue


class NoIndexes:
    """There are no neighbours."""

    def of(self, uuid: str) -> RemoteIndex | None:
        """Nobody's."""
        return None


def main() -> None:
    from twisted.internet import reactor as installed

    reactor: Any = installed
    box, port, encrypted, files = sys.argv[1:]
    shelf = FolderShelf(box)
    info = shelf.where(LARGE.encode()).stat()
    listed = [
        ListedFile(Path(LARGE.encode()), info.st_size, info.st_mtime_ns, bytes(32)),
        *(
            ListedFile(Path(b"folder %d/some file %d.txt" % (n % 500, n)), n, n, bytes(32))
            for n in range(int(files))
        ),
    ]
    shelf.files = {file.path: file for file in listed}
    began = time.perf_counter()
    shown: Shelf = shelf
    catalogue = compile({shelf.name: (shown, shelf.files)})
    took = (time.perf_counter() - began) * 1000
    if int(files):
        print(f"catalogue of {files} files: {took:.0f} ms", flush=True)
    threads = ThreadPool(0, 8)
    threads.start()
    reactor.addSystemEventTrigger("during", "shutdown", threads.stop)
    neighbours = Neighbours(OWN.uuid, reactor.seconds)
    site = Site(reactor, OWN, Shown(catalogue), neighbours, NoIndexes(), threads=threads)
    reactor.listenTCP(int(port), site, interface="127.0.0.1")
    with tempfile.NamedTemporaryFile() as pem:
        write_certificate(pem.name)
        endpoint = f"ssl:{encrypted}:interface=127.0.0.1:privateKey={pem.name}"
        listening = serverFromString(reactor, endpoint)
    listening.listen(site)
    reactor.run()


if __name__ == "__main__":
    main()
