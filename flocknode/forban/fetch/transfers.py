# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One file, from a neighbour into a box: copied from another box file if one is
known to have the same content, else fetched; and then delivered.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.defer import Deferred

from flocknode.box.listing import ListedFile, OpenFile
from flocknode.box.values import Path
from flocknode.errors import BoxError, NeighbourError
from flocknode.forban.catalogue import Catalogue, Shown
from flocknode.forban.fetch.arrivals import Arrivals, Delivered
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.body import PIECE, InThread
from flocknode.forban.fetch.dialects import ask_file
from flocknode.forban.fetch.heads import Head
from flocknode.forban.fetch.pacing import Quota
from flocknode.forban.fetch.staging import KEPT, Begun, Staged, Whole, begun, discard, free, name_of
from flocknode.forban.fetch.wanting import Wanted
from flocknode.forban.near.neighbours import Neighbour
from flocknode.forban.shelf import Shelf

RECENT = 100_000
"""Contents that were brought in last and are known for it."""

MEASURED = 30.0
"""Seconds after which it is looked again how much of the disk is free."""

RESERVE = 256 << 20
"""Bytes of the disk that stay free; or L{SHARE} of it, if that is more."""

SHARE = 0.05

_COPIES = 2
# The staged file, and the one in the box.


class NoRoom(BoxError):
    """The disk is too full, or too much waits already."""


@attrs.frozen
class Here:
    """
    What this node shows.

    @ivar files: by the name of the box, a slash and the path in it.
    @ivar contents: a file of each content.
    """

    files: Mapping[Path, ListedFile]
    contents: Mapping[bytes, Shown[Shelf]]


def look(catalogue: Catalogue[Shelf]) -> Here:
    """Takes long for many files: for a thread."""
    files: dict[Path, ListedFile] = {}
    contents: dict[bytes, Shown[Shelf]] = {}
    names: dict[int, bytes] = {}
    for shown in catalogue.files.values():
        name = names.get(id(shown.shelf))
        if name is None:
            name = names[id(shown.shelf)] = shown.shelf.name.encode() + b"/"
        files[Path(name + shown.file.path)] = shown.file
        contents.setdefault(shown.file.content, shown)
    return Here(files, contents)


@attrs.define(eq=False)
class Transfer:
    """
    A file that is being fetched.

    @ivar asked: by a person.
    @ivar staged: what takes it; L{None}: nothing has come yet.
    @ivar stopped: nothing more shall come.
    """

    neighbour: Neighbour
    wanted: Wanted
    asked: bool = False
    staged: Staged | None = None
    stopped: bool = False


@attrs.frozen
class Brought:
    """
    A file that is here, and has to be delivered.

    @ivar asked: by a person.
    """

    wanted: Wanted
    whole: Whole
    asked: bool = False


@attrs.frozen(eq=False)
class _Busy:
    """
    Something on its way.

    @ivar waiting: called when it is not on its way any more.
    """

    uuid: str
    waiting: list[Deferred[None]] = attrs.Factory(list)


class Transfers:
    """
    Lives in the reactor.

    @ivar running: those that are on.
    @ivar quota: what may be brought in.
    """

    def __init__(
        self,
        asker: Asker,
        arrivals: Arrivals,
        shelves: Mapping[str, Shelf],
        folder: str,
        in_thread: InThread,
        *,
        now: Callable[[], float],
        quota: Quota,
        reserve: Callable[[int], int] | None = None,
    ) -> None:
        """
        @param folder: where files are staged.
        @param now: the clock, in seconds.
        @param reserve: bytes of a disk to bytes of it that stay free.
        """
        self.running: list[Transfer] = []
        self._stopped = False
        self.quota = quota
        self._asker = asker
        self._arrivals = arrivals
        self._shelves = shelves
        self._folder = folder
        self._in_thread = in_thread
        self._now = now
        self._reserve = reserve or _reserve
        self._free = 0
        self._measured = float("-inf")
        # Content to (box, name of the file that waits to get there), newest last.
        self._recent: OrderedDict[bytes, tuple[str, str]] = OrderedDict()
        # (box, path) that is brought in now, or its content.
        self._busy: dict[object, _Busy] = {}

    def busy_with(self, wanted: Wanted) -> str | None:
        """
        Is something with this name or content on its way already?

        @return: the uuid of the neighbour that it comes from.
        """
        for key in _keys(wanted):
            if key in self._busy:
                return self._busy[key].uuid
        return None

    async def until_free(self, wanted: Wanted) -> None:
        """Wait until nothing with this name or content is on its way."""
        for key in _keys(wanted):
            while key in self._busy:
                waiting: Deferred[None] = Deferred()
                self._busy[key].waiting.append(waiting)
                await waiting

    def stop(self, uuid: str | None = None) -> None:
        """
        Give up what is on its way, and keep its beginning.

        @param uuid: only what comes from this neighbour, and what no person asked
            for; L{None}: everything, and for good.
        """
        self._stopped = self._stopped or uuid is None
        for transfer in self.running:
            if uuid is None or (transfer.neighbour.uuid == uuid and not transfer.asked):
                transfer.stopped = True
                if transfer.staged is not None:
                    self._asker.give_up(transfer.staged)

    async def fetch(
        self, neighbour: Neighbour, wanted: Wanted, here: Here, asked: bool = False
    ) -> Delivered:
        """
        Bring it in: L{bring}, and then L{deliver}.

        @raise NeighbourError: the neighbour does not give it.
        @raise NoRoom: there is no room for it.
        @raise BoxError: it cannot be brought in.
        @raise OSError: from the disk.
        """
        return await self.deliver(await self.bring(neighbour, wanted, here, asked))

    async def bring(
        self, neighbour: Neighbour, wanted: Wanted, here: Here, asked: bool = False
    ) -> Brought:
        """
        Bring it to this machine; L{deliver} has to follow, and it is on its way
        until then.

        @raise NeighbourError, NoRoom, BoxError, OSError: as L{fetch}.
        """
        if self.busy_with(wanted) is not None:
            raise BoxError("It is on its way already.")
        busy = _Busy(neighbour.uuid)
        self._busy.update(dict.fromkeys(_keys(wanted), busy))
        self.quota.take(wanted.file.size)
        try:
            await self._make_sure_of_room(wanted.file.size)
            transfer = Transfer(neighbour, wanted, asked)
            whole = await self._copy(wanted, here) or await self._ask(transfer)
        except BaseException:
            self.quota.take(-wanted.file.size)
            self._end(wanted)
            raise
        return Brought(wanted, whole, asked)

    async def deliver(self, brought: Brought) -> Delivered:
        """
        Put it into its box, now or later.

        @raise BoxError, OSError: as L{Arrivals.deliver}.
        """
        wanted, whole = brought.wanted, brought.whole
        mtime_ns = wanted.file.mtime_ns
        if mtime_ns is None and whole.modified is not None:
            mtime_ns = whole.modified * 10**9
        try:
            delivered = await self._arrivals.deliver(
                wanted, whole, mtime_ns, asked=brought.asked
            )
            self._remember(wanted, delivered)
        except BaseException:
            self.quota.take(-wanted.file.size)
            raise
        finally:
            self._end(wanted)
        return delivered

    def _remember(self, wanted: Wanted, delivered: Delivered) -> None:
        content = wanted.file.content
        if content is not None:
            self._recent[content] = (wanted.shelf, delivered.name)
            self._recent.move_to_end(content)
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)

    def _end(self, wanted: Wanted) -> None:
        """It is not on its way any more."""
        (busy,) = {self._busy.pop(key) for key in _keys(wanted)}
        for waiting in busy.waiting:
            waiting.callback(None)

    async def _make_sure_of_room(self, size: int) -> None:
        if self._arrivals.is_full:
            raise NoRoom("Too much waits to be put into its box.")
        needed = size * _COPIES
        if self._free < needed or self._now() - self._measured > MEASURED:
            found, whole = await self._in_thread(free, self._folder)
            self._free = found - self._reserve(whole)
            self._measured = self._now()
        if self._free < needed:
            raise NoRoom("The disk is too full for what could be fetched.")
        self._free -= needed

    # From here

    async def _copy(self, wanted: Wanted, here: Here) -> Whole | None:
        """A copy of what is here with this content, if there is something."""
        content = wanted.file.content
        if content is None:
            return None
        path = self._staged_path("", wanted)
        shelf, name = self._recent.get(content, ("", ""))
        waiting = self._arrivals.file_of(name)
        try:
            if waiting is not None:
                with open(waiting, "rb") as stream:
                    found = os.fstat(stream.fileno())
                    file = ListedFile(wanted.path, found.st_size, found.st_mtime_ns, content)
                    opened = OpenFile(file, os.dup(stream.fileno()))
            else:
                other = await self._find(content, shelf, here)
                if other is None:
                    return None
                opened = await other[0].open(other[1])
        except (BoxError, OSError):
            return None
        try:
            return await self._in_thread(  # type: ignore[no-any-return]
                _copy, opened, path, wanted, lambda: self._stopped
            )
        except (BoxError, NeighbourError):
            # It changed in the meantime: fetch it, then.
            if self._stopped:
                raise
            return None

    async def _find(
        self, content: bytes, shelf: str, here: Here
    ) -> tuple[Shelf, ListedFile] | None:
        shown = here.contents.get(content)
        if shown is not None:
            return shown.shelf, shown.file
        if shelf in self._shelves:
            # Only what came this way: what else the box holds, and does not show
            # yet, must not show in what is fetched.
            file = await self._shelves[shelf].find(content)
            return None if file is None else (self._shelves[shelf], file)
        return None

    # From the neighbour

    def _staged_path(self, uuid: str, wanted: Wanted) -> str:
        return os.path.join(self._folder, name_of(uuid, wanted.file))

    async def _ask(self, transfer: Transfer) -> Whole:
        neighbour, wanted = transfer.neighbour, transfer.wanted
        path = self._staged_path(neighbour.uuid, wanted)
        self.running.append(transfer)
        try:
            before = Begun()
            if wanted.file.size > KEPT:
                before = await self._in_thread(begun, path, wanted.file)

            def begin(head: Head, first: int) -> Staged | None:
                if not transfer.stopped:
                    transfer.staged = Staged(
                        path, wanted.file, head, first, lambda: transfer.stopped
                    )
                return transfer.staged

            return await ask_file(
                self._asker,
                neighbour,
                wanted.file,
                begin,
                offset=before.offset,
                validator=before.validator,
            )
        finally:
            self.running.remove(transfer)


def _keys(wanted: Wanted) -> set[object]:
    keys: set[object] = {(wanted.shelf, wanted.path)}
    if wanted.file.content is not None:
        keys.add(wanted.file.content)
    return keys


def _reserve(whole: int) -> int:
    return max(RESERVE, int(whole * SHARE))


def _copy(
    opened: OpenFile, path: str, wanted: Wanted, cancelled: Callable[[], bool]
) -> Whole:
    """Waits for the disk."""
    discard(path)
    staged = Staged(path, wanted.file, Head(200), 0, cancelled)
    try:
        offset = 0
        while data := opened.read(offset, PIECE):
            if cancelled():
                raise NeighbourError("It was stopped.")
            staged.write(data)
            offset += len(data)
    except BaseException:
        staged.abandon()
        raise
    finally:
        opened.close()
    return staged.finish(b"", True)
