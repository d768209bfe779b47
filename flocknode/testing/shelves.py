# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A shelf in a plain folder: what L{flocknode.box.public.PublicBox} is to Forban,
without an index, a watcher or a thread.  Change it with L{FolderShelf.put} and
L{FolderShelf.remove}, look at it with L{FolderShelf.files}.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path as FolderPath

from blake3 import blake3
from twisted.internet.defer import Deferred, fail, succeed

from flocknode.box import content
from flocknode.box.listing import (
    Deleted,
    Known,
    ListedFile,
    Listing,
    Mark,
    Offer,
    OpenFile,
    Refused,
)
from flocknode.box.paths import check_path, split
from flocknode.box.values import Path
from flocknode.errors import BoxError

_BEGINNING = 1_700_000_000_000_000_000
# A time that files get which were put here without one, in nanoseconds.


class FolderShelf:
    """
    A L{flocknode.forban.shelf.Shelf} for tests.  All is done at once, in the
    thread of the caller.

    @ivar files: what it holds, by path.
    @ivar known_as: what L{known} says of paths that are not held; the others are
        L{Known.UNKNOWN}.
    @ivar unsettled: as in L{Listing}.
    @ivar opened: all that L{open} has opened, the closed ones too.
    @ivar error: raised by everything that answers with a L{Deferred}, while it
        is set.
    @ivar batches: the paths of what L{adopt} was offered, together.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str = "papers") -> None:
        """
        @param folder: where its files lie; made if it is not there.
        """
        self.folder = FolderPath(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files: dict[Path, ListedFile] = {}
        self.known_as: dict[Path, Known] = {}
        self.unsettled: set[Path] = set()
        self.opened: list[OpenFile] = []
        self.error: BoxError | None = None
        self.batches: list[list[Path]] = []
        self._name = name
        self._told: list[Callable[[], object]] = []

    @property
    def name(self) -> str:
        """Of the box."""
        return self._name

    def tell(self, changed: Callable[[], object]) -> None:
        """As in L{flocknode.forban.shelf.Shelf.tell}."""
        self._told.append(changed)

    def changed(self) -> None:
        """Tell everybody that L{listing} may say something else."""
        for told in self._told:
            told()

    # What a test does to it

    def where(self, path: bytes) -> FolderPath:
        """Where the file lies on the disk."""
        return self.folder / os.fsdecode(path)

    def put(self, path: bytes, data: bytes, mtime_ns: int = _BEGINNING) -> ListedFile:
        """Put a file there, or other content into one, and tell."""
        where = self.where(check_path(path))
        where.parent.mkdir(parents=True, exist_ok=True)
        # A new file each time: who reads in the old one goes on reading it.
        where.unlink(missing_ok=True)
        where.write_bytes(data)
        os.utime(where, ns=(mtime_ns, mtime_ns))
        return self.take(path)

    def take(self, path: bytes) -> ListedFile:
        """List a file that lies in the folder already, and tell."""
        safe = check_path(path)
        where = self.where(safe)
        info = where.stat()
        self.files[safe] = ListedFile(safe, info.st_size, info.st_mtime_ns, content_of(where))
        self.known_as.pop(safe, None)
        self.changed()
        return self.files[safe]

    def remove(self, path: bytes) -> None:
        """Delete a file, and tell."""
        safe = Path(path)
        del self.files[safe]
        self.where(path).unlink()
        self.known_as[safe] = Known.DELETED
        self.changed()

    # What Forban does with it

    def mark(self) -> Deferred[Mark]:
        """As in L{flocknode.forban.shelf.Shelf.mark}."""
        return succeed(Mark(0, 0)) if self.error is None else fail(self.error)

    def listing(self, mark: Mark | None = None) -> Deferred[Listing]:
        """As in L{flocknode.forban.shelf.Shelf.listing}."""
        if self.error is not None:
            return fail(self.error)
        unsettled = frozenset() if mark is None else frozenset(self.unsettled)
        return succeed(Listing(dict(self.files), unsettled))

    def open(self, file: ListedFile) -> Deferred[OpenFile]:
        """As in L{flocknode.forban.shelf.Shelf.open}."""
        if self.error is not None:
            return fail(self.error)
        try:
            descriptor = os.open(self.where(file.path), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            return fail(BoxError(f"It cannot be opened: {error.strerror}."))
        info = os.fstat(descriptor)
        if (info.st_size, info.st_mtime_ns) != (file.size, file.mtime_ns):
            os.close(descriptor)
            return fail(BoxError("It is not as it was listed any more."))
        opened = OpenFile(file, descriptor)
        self.opened.append(opened)
        return succeed(opened)

    def known(self, paths: Sequence[Path]) -> Deferred[list[Known]]:
        """As in L{flocknode.forban.shelf.Shelf.known}."""
        if self.error is not None:
            return fail(self.error)
        return succeed([self._known(path) for path in paths])

    def _known(self, path: Path) -> Known:
        if path in self.files:
            return Known.HELD
        return self.known_as.get(path, Known.UNKNOWN)

    def find(self, content: bytes) -> Deferred[ListedFile | None]:
        """As in L{flocknode.forban.shelf.Shelf.find}."""
        if self.error is not None:
            return fail(self.error)
        return succeed(next((f for f in self.files.values() if f.content == content), None))

    def adopt(self, offers: Sequence[Offer]) -> Deferred[list[Path | BoxError]]:
        """As in L{flocknode.forban.shelf.Shelf.adopt}."""
        if self.error is not None:
            return fail(self.error)
        self.batches.append([offer.path for offer in offers])
        taken: list[Path | BoxError] = []
        for offer in offers:
            try:
                taken.append(self._adopt(offer))
            except BoxError as error:
                taken.append(error)
        return succeed(taken)

    def _adopt(self, offer: Offer) -> Path:
        if self._known(offer.path) is Known.REFUSED:
            raise Refused("It cannot be in this box.")
        place = offer.path
        try:
            fresh = content_of(offer.source)
            while place in self.files:
                if self.files[place].content == fresh:
                    return place
                place = _beside(place)
            if self._known(place) is Known.DELETED and not offer.asked:
                raise Deleted("It was deleted here.")
            where = self.where(place)
            where.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(offer.source, where)
        except OSError as error:
            raise BoxError(f"It cannot be taken: {error.strerror}.") from error
        if offer.mtime_ns is not None:
            os.utime(where, ns=(offer.mtime_ns, offer.mtime_ns))
        self.take(place)
        return place


def content_of(file: str | os.PathLike[str]) -> bytes:
    """The name of a file's content, see L{flocknode.box.content}."""
    size = os.stat(file).st_size
    block_size = content.block_size_for(size)
    hashes = []
    with open(file, "rb") as stream:
        while block := stream.read(block_size):
            hashes.append(content.block_hash(block))
    return content.content_hash(size, block_size, hashes)


def _beside(path: Path) -> Path:
    """A name of a conflict: not the one that boxes give, but one as good."""
    parent, name = split(path)
    stem, dot, extension = name.rpartition(b".")
    mark = b".conflict-" + blake3(path).hexdigest()[:8].encode()
    fresh = stem + mark + dot + extension if stem else name + mark
    return Path(parent + b"/" + fresh if parent else fresh)
