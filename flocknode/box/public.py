# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box as somebody sees it who only reads its files, or brings new ones: the
Forban half of a node.  Nothing of it says who made what.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred

from flocknode.box.core import Core
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.index.database import Index
from flocknode.box.lane import Lane, Stopped
from flocknode.box.listing import Known, ListedFile, Listing, Mark, Offer, OpenFile
from flocknode.box.receive.taking import Taken, drop, refusal, take
from flocknode.box.requests import Requests
from flocknode.box.stepping import last_of
from flocknode.box.values import Path
from flocknode.errors import BoxError

_AWAY = "The folder of the box is not there."


class PublicBox:
    """
    A L{flocknode.forban.shelf.Shelf}, which says what its methods do.  Lives in
    the reactor; a thread of its own reads.

    @param open_index: opens the box's index for reading.
    @param ask: has the box's worker do something.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        open_index: Callable[[], Index],
        core: Core,
        ask: Callable[..., Deferred[Any]],
    ) -> None:
        self.name = name
        self._lane = Lane(reactor, f"public {name}")
        self._open_index = open_index
        self._core = core
        self._ask = ask
        self._site: Site | None = None
        self._index: Index | None = None
        self._open: WeakSet[OpenFile] = WeakSet()
        self._told: list[Callable[[], object]] = []

    # Life, as the box's

    def start(self) -> None:
        """Begin; no folder is there yet."""
        self._lane.start()

    async def stop(self) -> None:
        """End the thread."""
        await self._lane.stop(self._close)

    def begin(self, site: Site) -> None:
        """The folder is there."""
        self._site = site
        self.changed()

    async def end(self) -> None:
        """The folder is not there; nobody reads in it any more after this."""
        self._site = None
        await self._lane.do(self._close)

    def changed(self) -> None:
        """The box holds something else, or others know more of it."""
        for told in self._told:
            told()

    def _close(self) -> None:
        for opened in list(self._open):
            opened.close()
        if self._index is not None:
            self._index.close()
            self._index = None

    # What a shelf does

    def tell(self, changed: Callable[[], object]) -> None:
        """See L{Shelf<flocknode.forban.shelf.Shelf>}, as for all below."""
        self._told.append(changed)

    def mark(self) -> Deferred[Mark]:
        """This moment."""
        return Deferred.fromCoroutine(self._asked(self._core.mark))

    def listing(self, mark: Mark | None = None) -> Deferred[Listing]:
        """What the box holds."""
        return Deferred.fromCoroutine(self._read(self._listing, mark))

    def open(self, file: ListedFile) -> Deferred[OpenFile]:
        """A file as it was listed."""
        return Deferred.fromCoroutine(self._read(self._opened, file))

    def known(self, paths: Sequence[Path]) -> Deferred[list[Known]]:
        """What is known of paths."""
        return Deferred.fromCoroutine(self._read(self._known, paths))

    def find(self, content: bytes) -> Deferred[ListedFile | None]:
        """A file with this content."""
        return Deferred.fromCoroutine(self._read(self._find, content))

    def adopt(self, offers: Sequence[Offer]) -> Deferred[list[Path | BoxError]]:
        """Take files in."""
        return Deferred.fromCoroutine(self._adopt(offers))

    async def _adopt(self, offers: Sequence[Offer]) -> list[Path | BoxError]:
        def go_on(next: Callable[..., Any], steps: Any) -> Deferred[Any]:
            return Deferred.fromCoroutine(self._read(lambda _site: next(steps)))

        copying = await self._read(take, offers, self._lane.cancelled)
        taken: list[Taken | BoxError] = await last_of(copying, go_on)
        try:
            placing = await self._asked(self._core.request, Requests.adopt, taken)
            return await last_of(placing, self._ask)
        except Stopped:
            raise BoxError(_AWAY) from None
        finally:
            with contextlib.suppress(BoxError):
                await self._read(drop, taken)

    async def _asked(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self._ask(work, *arguments)
        except Stopped:
            raise BoxError(_AWAY) from None

    # In the thread

    async def _read(self, work: Callable[..., Any], *arguments: Any) -> Any:
        site = self._site
        if site is None:
            raise BoxError(_AWAY)
        try:
            return await self._lane.do(self._in_site, work, site, arguments)
        except Stopped:
            raise BoxError(_AWAY) from None

    def _in_site(self, work: Callable[..., Any], site: Site, arguments: tuple[Any, ...]) -> Any:
        if site is not self._site:
            raise BoxError(_AWAY)
        return work(site, *arguments)

    def _reading(self) -> Index:
        if self._index is None:
            self._index = self._open_index()
        return self._index

    def _listing(self, site: Site, mark: Mark | None) -> Listing:
        index = self._reading()
        with index.moment():
            files = {
                path: ListedFile(path, size, mtime, content)
                for path, size, mtime, content in index.files()
            }
            changed = [] if mark is None else index.changed(mark.settled, mark.highest)
            return Listing(files, frozenset(changed))

    def _opened(self, site: Site, file: ListedFile) -> OpenFile:
        try:
            descriptor, found = site.view.open_file(file.path)
        except OSError as error:
            raise BoxError(f"It cannot be read: {os.strerror(error.errno or 0)}.") from None
        if (found.st_size, found.st_mtime_ns) != (file.size, file.mtime_ns):
            os.close(descriptor)
            raise BoxError("It is not there any more as it was listed.")
        opened = OpenFile(file, descriptor)
        self._open.add(opened)
        return opened

    def _known(self, site: Site, paths: Sequence[Path]) -> list[Known]:
        index = self._reading()
        rows = {row.path: row for row in index.known_rows(paths)}
        found = []
        for path in paths:
            row = rows.get(path)
            if row is None or row.head is None:
                found.append(Known.REFUSED if refusal(site, path) else Known.UNKNOWN)
            elif row.placed is not None and row.placed.disk is not None:
                found.append(Known.HELD)
            else:
                found.append(Known.DELETED if row.head.value.deleted else Known.COMING)
        return found

    def _find(self, site: Site, content: bytes) -> ListedFile | None:
        for path, disk in self._reading().contents.holding(content):
            type, size, mtime, *_ = disk
            if type == FileType.FILE:
                return ListedFile(path, size, mtime, content)
        return None
