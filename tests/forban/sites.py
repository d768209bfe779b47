# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A site, and what it is made of, for the tests of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.python.threadpool import ThreadPool

from flocknode.box.values import Path
from flocknode.forban.announcement import Announcement
from flocknode.forban.catalogue import Catalogue, compile
from flocknode.forban.neighbours import Address, Neighbours
from flocknode.forban.pages import Own
from flocknode.forban.remote import RemoteFile, RemoteIndex
from flocknode.forban.shelf import Shelf
from flocknode.forban.site import Site
from flocknode.testing.shelves import FolderShelf

OWN = Own(
    "0b8f6c1e-3d53-4a5e-9c1b-6f0e8a7d4c21", "ada", hosts=lambda: ["fe80::1", "192.168.1.5"]
)

BETTY = "5e0c9a44-7d0f-4a43-8f64-0d6f3b3c6a10"
MALLORY = "66666666-6666-4666-8666-666666666666"

MARKUP = "<script>alert('x')</script>\"&amp;"
TURNED = "\u202egpj.exe\x07\u2028"


class Shown:
    """
    What a node would publish: what is on a shelf, since L{show} was called last.
    """

    def __init__(self, *shelves: FolderShelf) -> None:
        self.shelves = shelves
        self.catalogue: Catalogue[Shelf] = compile({})
        self.show()

    def show(self) -> None:
        """Publish what there is now."""
        self.catalogue = compile({s.name: (s, dict(s.files)) for s in self.shelves})


class Read(dict[str, RemoteIndex]):
    """Indexes that were read."""

    def of(self, uuid: str) -> RemoteIndex | None:
        """As the site asks for them."""
        return self.get(uuid)

    def put(self, uuid: str, files: Iterable[tuple[bytes, int]], **more: Any) -> RemoteIndex:
        """An index of these paths and sizes."""
        listed = {Path(path): RemoteFile(Path(path), size) for path, size in files}
        self[uuid] = RemoteIndex(uuid, listed, **more)
        return self[uuid]


class TestSite:
    """
    A site with its fakes.

    @ivar time: of the clock by which neighbours are heard.
    """

    def __init__(
        self, reactor: Any, folder: str, threads: ThreadPool, own: Own = OWN, **more: Any
    ) -> None:
        self.time = 1000.0
        self.shelf = FolderShelf(folder)
        self.shown = Shown(self.shelf)
        self.neighbours = Neighbours(own.uuid, lambda: self.time)
        self.indexes = Read()
        self.site = Site(
            reactor, own, self.shown, self.neighbours, self.indexes, threads=threads, **more
        )

    def put(self, path: bytes, data: bytes) -> None:
        """Put a file on the shelf, and show it."""
        self.shelf.put(path, data)
        self.shown.show()

    def hear(self, uuid: str, name: str, host: str, port: int = 12555) -> None:
        """An announcement."""
        self.neighbours.heard(Announcement(uuid, name, "0" * 40), Address(host, port))


def furnish(site: TestSite) -> None:
    """Something of everything, for the eye and for whoever looks for holes."""
    for path, size in (
        (b"Minutes/2026-03 spring meeting.pdf", 81_200),
        (b"Minutes/2026-06 summer meeting.pdf", 64_000),
        (b"Photos/roof/north side, before.jpg", 240_000),
        (b"Photos/roof/north side, after.jpg", 310_000),
        ("Photos/Übersicht äöü.png".encode(), 120_000),
        (b"read me first.txt", 812),
        ("שלום עולם.txt".encode(), 40),
        (MARKUP.replace("/", "_").encode() + b".html", 31),
        (TURNED.replace("\u2028", "").encode(), 5),
        (b"a-very-long-name-" + b"without-any-blank" * 12 + b".tar.gz", 1_500_000),
    ):
        site.shelf.put(path, bytes(size))
    site.shown.show()
    site.hear(BETTY, "betty's laptop", "192.168.1.23")
    site.indexes.put(
        BETTY,
        [
            *((b"Music/%02d Prelude.ogg" % n, 3_400_000 + n * 77_777) for n in range(1, 25)),
            *((b"Maps/sheet %04d.tif" % n, 9_000_000 + n) for n in range(1234)),
            (b"read me first.txt", 812),
            (b"Minutes/2026-03 spring meeting.pdf", 80_000),
            ("Fotos/Straße & Brücke.jpg".encode(), 2_000_000),
        ],
        cut=True,
    )
    site.time += 42
    site.hear(MALLORY, MARKUP + TURNED, "fe80::1%eth0")
    site.indexes.put(MALLORY, [(MARKUP.replace("/", "_").encode(), 1), (TURNED.encode(), 2)])
    site.time += 3
    site.hear("77777777-7777-4777-8777-777777777777", "", "2001:db8::17", 80)
    site.hear("88888888-8888-4888-8888-888888888888", "rooftop", "10.0.0.8")
    site.indexes.put("88888888-8888-4888-8888-888888888888", [(b"a", 1)], tampered=True)
    site.time += 1
