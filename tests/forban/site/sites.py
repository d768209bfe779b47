# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A site, and what it is made of, for the tests of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from email.message import Message
from email.parser import BytesParser
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from flocknode.box.values import Path
from flocknode.forban.catalogue import Catalogue, compile
from flocknode.forban.near.neighbours import Address, Neighbours
from flocknode.forban.protocol.announcement import Announcement
from flocknode.forban.protocol.remote import RemoteFile, RemoteIndex
from flocknode.forban.shelf import Shelf
from flocknode.forban.site.connections import Refused
from flocknode.forban.site.pages import Own
from flocknode.forban.site.site import Site
from flocknode.testing.shelves import FolderShelf

OWN = Own(
    "0b8f6c1e-3d53-4a5e-9c1b-6f0e8a7d4c21", "ada", hosts=lambda: ["fe80::1", "192.168.1.5"]
)

BETTY = "5e0c9a44-7d0f-4a43-8f64-0d6f3b3c6a10"
MALLORY = "66666666-6666-4666-8666-666666666666"

MARKUP = "<script>alert('x')</script>\"&amp;"
TURNED = "\u202egpj.exe\x07\u2028"


class AtOnce:
    """A thread pool that does all at once, in the thread of the caller."""

    def callInThreadWithCallback(
        self,
        done: Callable[[bool, object], object],
        function: Callable[..., object],
        *arguments: object,
    ) -> None:
        """As of L{twisted.python.threadpool.ThreadPool}."""
        try:
            result = function(*arguments)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)


class StillReactor(MemoryReactorClock):
    """A reactor whose clock is moved by hand."""

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """At once."""
        function(*arguments)


@attrs.frozen
class Answer:
    """
    What came back.

    @ivar headers: by their names, in any case.
    """

    code: int
    headers: Message
    body: bytes

    @classmethod
    def parse(cls, data: bytes, is_head: bool = False) -> tuple[Answer, bytes]:
        """
        The first answer in the data, and the data behind it.

        @raise ValueError: it is not whole.
        """
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not blank:
            raise ValueError(f"no whole answer: {data[:200]!r}")
        status, _, lines = head.partition(b"\r\n")
        headers = BytesParser().parsebytes(lines + b"\r\n\r\n")
        code = int(status.split(b" ")[1])
        length = 0 if is_head or code == 304 else int(headers["Content-Length"])
        if len(rest) < length:
            raise ValueError(f"{len(rest)} bytes of {length}")
        return cls(code, headers, rest[:length]), rest[length:]


class Connection:
    """
    A connection to a site, in memory.
    """

    def __init__(
        self, site: Any, host: str = "192.168.1.9", at: str = "192.168.1.5"
    ) -> None:
        """
        @param at: the site's own address.
        @raise ConnectionRefusedError: the site takes no more.
        """
        address = IPv4Address("TCP", host, 40000)
        self.channel = site.buildProtocol(address)
        if isinstance(self.channel, Refused):
            raise ConnectionRefusedError
        self.transport = Transport(
            hostAddress=IPv4Address("TCP", at, 12555), peerAddress=address
        )
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Bytes of requests."""
        self.channel.dataReceived(data)

    def lose(self) -> None:
        """The other side is gone."""
        self.channel.connectionLost(Failure(ConnectionLost()))

    def take(self) -> bytes:
        """All that came back, until there is no more."""
        taken = b""
        while data := self.transport.value():
            taken += data
            self.transport.clear()
            if self.transport.producer is not None:
                self.transport.producer.resumeProducing()
        return taken


class Transport(StringTransport):
    """
    Tells its producer to wait when there is much in it; knows that it was cut.
    """

    producer: Any
    aborting = False

    def unregisterProducer(self) -> None:
        """There need be none, as with a real one."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """Nobody has taken it yet."""
        super().write(data)
        if len(self.value()) > 1 << 16 and self.producer is not None:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        """It is lost at once."""
        self.aborting = True
        self.disconnected = True


def ask(site: TestSite, uri: str, method: str = "GET", **headers: str) -> Answer:
    """One request on a connection of its own; C{_} stands for C{-} in headers."""
    connection = Connection(site.site)
    lines = [f"{method} {uri} HTTP/1.1", "Host: anything"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    connection.send("\r\n".join([*lines, "", ""]).encode())
    answer, rest = Answer.parse(connection.take(), method == "HEAD")
    connection.lose()
    if rest:
        raise ValueError(f"more than one answer: {rest[:200]!r}")
    return answer


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
        self, reactor: Any, folder: str, threads: Any, own: Own = OWN, **more: Any
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
