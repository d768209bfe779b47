# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Plain folders that play media with a directory C{FORBAN}, and a node that
exchanges files with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path as FolderPath

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from flocknode.box.listing import ListedFile, Offer
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.catalogue import Catalogue, compile
from flocknode.forban.media.importing import Into
from flocknode.forban.media.medium import MediumStatus
from flocknode.forban.media.removable import RemovableMedia
from flocknode.forban.protocol.items import LARGEST
from flocknode.forban.shelf import Shelf
from flocknode.media.devices import mount_of
from flocknode.media.mountinfo import Mount
from flocknode.testing.shelves import FolderShelf
from tests.media.tables import Tables, mount


def tree(top: FolderPath) -> dict[str, bytes | str]:
    """Path to content of all files, or to the target of links."""
    found: dict[str, bytes | str] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def only(results: list[Path | BoxError]) -> object:
    """What came of the only one that was offered."""
    (result,) = results
    return Failure(result) if isinstance(result, BoxError) else result


class StickCase(TestCase):
    """
    A medium at C{stick}, and boxes by name.

    @ivar top: the directory on the medium.
    @ivar delivered: (name of the box, path) of what the boxes were given.
    """

    def setUp(self) -> None:
        self.base = FolderPath(self.mktemp()).absolute()
        self.stick = self.base / "stick"
        self.top = self.stick / "FORBAN"
        self.top.mkdir(parents=True)
        self.copies = self.base / "state" / "copies"
        self.tables = Tables()
        self.shelves = {"papers": FolderShelf(self.base / "papers")}
        self.delivered: list[tuple[str, Path]] = []
        self.media: RemovableMedia | None = None
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        if self.media is not None and self.media.running:
            await self.media.stopService()

    @property
    def papers(self) -> FolderShelf:
        """The box that is always there."""
        return self.shelves["papers"]

    def mount(self, **changes: object) -> Mount:
        """The mount that shows the medium."""
        descriptor = os.open(self.stick, os.O_RDONLY)
        number = mount_of(descriptor) or 0
        os.close(descriptor)
        found = mount(bytes(self.stick), id=number, source=b"/dev/sdz1")
        return attrs.evolve(found, **changes)  # type: ignore[arg-type]

    def put(self, path: str | bytes, data: bytes, mtime: int = 1_700_000_000) -> None:
        """A file on the medium."""
        where = self.top / os.fsdecode(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
        os.utime(where, (mtime, mtime))

    def deliver(self, name: str, path: Path, source: str, mtime_ns: int) -> Deferred[object]:
        """See L{flocknode.forban.media.importing.Deliver}."""
        self.delivered.append((name, path))
        return self.shelves[name].adopt([Offer(path, source, mtime_ns)]).addCallback(only)

    def catalogue(self) -> Catalogue[Shelf] | None:
        """All that is in the boxes."""
        files: dict[str, tuple[Shelf, dict[Path, ListedFile]]] = {
            name: (shelf, dict(shelf.files)) for name, shelf in self.shelves.items()
        }
        return compile(files)

    def _catalogue_now(self) -> Catalogue[Shelf] | None:
        # A test may put another one in its place.
        return self.catalogue()

    def start(
        self, imports: bool = False, exports: bool = False, largest: int = LARGEST
    ) -> RemovableMedia:
        into = Into(self.shelves, "papers", self.deliver, str(self.copies), largest)
        self.media = RemovableMedia(
            reactor,
            into if imports else None,
            self._catalogue_now if exports else None,
            self.tables.table,
        )
        self.media.startService()
        return self.media

    def plug(self, *mounts: Mount) -> None:
        """These are mounted from now on."""
        assert self.media is not None
        self.tables.mounts = mounts
        self.media.mounts_changed()

    def status(self) -> MediumStatus | None:
        """Of the first medium."""
        assert self.media is not None
        return next(iter(self.media.statuses()), None)

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0.005)

    async def ended(self) -> MediumStatus:
        """Wait until it is done with the medium."""
        await self.until(lambda: (s := self.status()) and s.state in ("done", "stopped"))
        status = self.status()
        assert status is not None
        return status

    async def visited(self, imports: bool = False, exports: bool = False) -> MediumStatus:
        """Start, plug the medium in, and wait."""
        if self.media is not None:
            await self.stop()
        self.start(imports, exports)
        self.plug(self.mount())
        return await self.ended()

    def opened(self) -> list[str]:
        """What is open on the medium."""
        found = []
        for number in os.listdir("/proc/self/fd"):
            link = f"/proc/self/fd/{number}"
            if os.path.lexists(link):
                found.append(os.readlink(link))
        return [path for path in found if path.startswith(str(self.stick))]
