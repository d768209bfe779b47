# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When a node shows what.

A box of one's own is shown as it is.  Of a box that a flock shares, the first
node whose index changes would be the one that made the change.  So a node shows
what its box held at the stop of the last round after which no member lacked
anything, without what was changed here and was in no round yet.  It begins with
that 0 to 60 seconds later, at random, as every node of the flock does.  What is
shown outlives a restart, or the first thing that a node does after one would be
to show what is new.

Before a file is shown no more, that is noted: others have fetched it, and it
shall not come back from them.  The box does not always know: what no member of a
flock was told of leaves nothing there when it is deleted
(L{flocknode.box.merge.history.local_change}).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.lane import Stopped
from flocknode.box.listing import ListedFile, Listing
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.catalogue import Catalogue, compile
from flocknode.forban.protocol.items import KEY
from flocknode.forban.shelf import Shelf

LONGEST_WAIT = 60.0
"""Seconds after the stop of a round, at most, until it shows: promise 6 of
C{docs/threat-model.md}."""

SETTLE = 1.0
"""Seconds after a change until a box is looked at: changes come in crowds."""

SHARE = 0.1
"""Of the time, at most, may go into looking: what takes long is done seldom."""

Files = Mapping[Path, ListedFile]

InThread = Callable[..., Deferred[Any]]
"""(work, arguments) to what it returns: done in another thread."""

Gone = Callable[[str, Sequence[ListedFile]], Awaitable[object]]
"""Notes that these files of a box will not be shown any more; may raise L{Stopped},
and does not do it then."""


def settled(listing: Listing, before: Files) -> Files:
    """
    What a flock's box may show: where the listing is not settled, what was
    shown before.
    """
    files = {
        path: file for path, file in listing.files.items() if path not in listing.unsettled
    }
    for path in listing.unsettled & before.keys():
        files[path] = before[path]
    return files


def _without(before: Files, files: Files) -> list[ListedFile]:
    """What is not there any more."""
    return [file for path, file in before.items() if path not in files]


def _news(listing: Listing, before: Files, shared: bool) -> Files | None:
    """What to show; L{None}: the same as before."""
    files = settled(listing, before) if shared else listing.files
    return None if files == before else files


class Edition:
    """
    What is shown of one box, and will be.

    @param in_thread: writes it down, and reads it.
    @param path: of the file in which it outlives the node.
    @param shared: a flock shares the box.
    @param level: is what rounds have brought here with others, and does nobody
        lack anything, as far as is known?
    @param gone: called before files are shown no more.
    @param changed: called when L{files} is another.
    @ivar files: what is shown now.
    @ivar ready: that is known.
    @ivar problem: a sentence on why it would not outlive the node, or an empty
        string.
    """

    _log = Logger()
    ready = False
    problem = ""

    def __init__(
        self,
        clock: IReactorTime,
        in_thread: InThread,
        shelf: Shelf,
        path: str,
        random: Random,
        *,
        shared: bool,
        level: Callable[[], bool],
        gone: Gone,
        changed: Callable[[], object],
    ) -> None:
        self.shelf = shelf
        self.files: Files = {}
        self._clock = clock
        self._in_thread = in_thread
        self._path = path
        self._random = random
        self._shared = shared
        self._changed = changed
        self._gone = gone
        # What is shown later is shown after it.
        self._showing = DeferredLock()
        self._next: Files | None = None
        self._switch: IDelayedCall | None = None
        self._look: IDelayedCall | None = None
        self._looking = self._again = False
        self._running = False
        self._pause = SETTLE
        self._level = level
        # Until a round was seen to stop, what is settled is not known.
        self._in_round = True
        shelf.tell(self.look)

    async def start(self) -> None:
        """Show what was shown when the node stopped."""
        self._running = True
        self.files = await self._in_thread(load, self._path)
        self.ready = self._shared
        self._changed()
        self.look()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._running = False
        for call in (self._switch, self._look):
            if call is not None and call.active():
                call.cancel()

    def round_started(self) -> None:
        """From now on the box may take in what one member has changed."""
        self._in_round = True

    def round_stopped(self) -> None:
        """What the box holds now may be what all members have."""
        self._in_round = False
        self._take()

    @property
    def _may_take(self) -> bool:
        return not self._shared or (not self._in_round and self._level())

    def look(self) -> None:
        """The box may hold something else."""
        self._again = True
        if self._running and not self._looking and self._look is None:
            self._look = self._clock.callLater(self._pause, self._take)

    def _take(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None
        self._again = True
        if self._running and not self._looking and self._may_take:
            self._looking = True
            Deferred.fromCoroutine(self._taken()).addErrback(self._failed).addCallback(self._done)

    async def _taken(self) -> None:
        self._again = False
        began = self._clock.seconds()
        # The next round may start at once: what comes in it is after the mark.
        listing = await self.shelf.listing(await self.shelf.mark() if self._shared else None)
        before = self.files if self._next is None else self._next
        files = await self._in_thread(_news, listing, before, self._shared)
        self._pause = max(SETTLE, (self._clock.seconds() - began) / SHARE)
        if not self.ready:
            self.ready = True
            self._changed()
        if files is None:
            return
        self._next = files
        if not self._shared:
            self._turn()
        elif self._switch is None or not self._switch.active():
            wait = self._random.uniform(0, LONGEST_WAIT)
            self._switch = self._clock.callLater(wait, self._turn)

    def _turn(self) -> None:
        if self._next is not None and self._running:
            showing: Deferred[None] = self._showing.run(self._shown, self._next)
            showing.addErrback(self._failed)

    def _shown(self, files: Files) -> Deferred[None]:
        return Deferred.fromCoroutine(self._show(files))

    async def _show(self, files: Files) -> None:
        try:
            gone = await self._in_thread(_without, self.files, files)
            if gone:
                await self._gone(self.shelf.name, gone)
        except Stopped:
            # Next time, from what was shown until now.
            return
        except Exception:
            self._log.failure("what is gone from {box} cannot be noted", box=self.shelf.name)
        if self._next is files:
            self._next = None
        self.files = files
        self._changed()
        try:
            await self._in_thread(save, self._path, files)
        except OSError as error:
            # After a restart something older would be shown.
            self.problem = (
                f"What is shown of {self.shelf.name} cannot be written down: {error.strerror}."
            )
            self._log.warn("{problem}", problem=self.problem)
        else:
            self.problem = ""

    def _failed(self, failure: Failure) -> None:
        # A folder that is not there is shown as it was.
        if failure.check(BoxError, OSError) is None:
            self._log.failure("what is public of a box cannot be looked at", failure)

    def _done(self, _: object) -> None:
        self._looking = False
        if self._again:
            self.look()


class Publishing(Service):
    """
    What the node shows of all its public boxes.

    @ivar catalogue: of this moment.  Its index has been made already.
    @ivar ready: it is of all boxes.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        in_thread: InThread,
        shelves: Mapping[str, Shelf],
        state: str,
        random: Random,
        *,
        shared: bool,
        level: Callable[[str], bool],
        gone: Gone,
        key: bytes = KEY,
    ) -> None:
        """
        @param in_thread: does what takes long.
        @param shelves: the public boxes, by name.
        @param state: a folder, where what is shown outlives the node.
        @param shared: a flock shares them: the node has peers.
        @param level: by name: is what rounds have brought of that box with other
            members, and does none lack anything, as far as is known?
        @param gone: called before files are shown no more.
        @param key: of the hash of the index.
        """
        self._in_thread = in_thread
        self._key = key
        self._told: list[Callable[[], object]] = []
        self._compiling = self._again = False
        self.ready = False
        self.catalogue: Catalogue[Shelf] = Catalogue({}, key)
        self._editions = {
            name: Edition(
                clock,
                in_thread,
                shelf,
                os.path.join(state, f"shown-{sha256(name.encode()).hexdigest()[:32]}"),
                random,
                shared=shared,
                level=partial(level, name),
                gone=gone,
                changed=self._changed,
            )
            for name, shelf in shelves.items()
        }

    def tell(self, changed: Callable[[], object]) -> None:
        """Call this when L{catalogue} is another one."""
        self._told.append(changed)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence each."""
        return tuple(each.problem for each in self._editions.values() if each.problem)

    def startService(self) -> None:
        """Show what was shown when the node stopped."""
        super().startService()
        for edition in self._editions.values():
            Deferred.fromCoroutine(edition.start()).addErrback(self._failed)

    def stopService(self) -> None:
        """Change nothing any more."""
        super().stopService()
        for edition in self._editions.values():
            edition.stop()

    def round_started(self) -> None:
        """The flock begins to send what is new."""
        for edition in self._editions.values():
            edition.round_started()

    def round_stopped(self) -> None:
        """The round is over; the next one may start at once."""
        for edition in self._editions.values():
            edition.round_stopped()

    def _changed(self) -> None:
        self._again = True
        if not self._compiling and self.running:
            self._compiling = True
            compiled = Deferred.fromCoroutine(self._compile())
            compiled.addErrback(self._failed).addCallback(self._compiled)

    async def _compile(self) -> None:
        while self._again and self.running:
            self._again = False
            editions = self._editions
            shelves = {name: (edition.shelf, edition.files) for name, edition in editions.items()}
            ready = all(edition.ready for edition in editions.values())
            self.catalogue = await self._in_thread(_compiled, shelves, self._key)
            self.ready = self.ready or ready
            for told in self._told:
                told()

    def _compiled(self, _: object) -> None:
        self._compiling = False

    def _failed(self, failure: Failure) -> None:
        self._log.failure("what is public cannot be put together", failure)


def _compiled(shelves: Mapping[str, tuple[Shelf, Files]], key: bytes) -> Catalogue[Shelf]:
    catalogue = compile(shelves, key)
    _ = catalogue.hmac, catalogue.size  # which takes long, and is kept
    return catalogue


_decode = msgspec.msgpack.Decoder(list[tuple[bytes, int, int, bytes]])


def save(path: str, files: Files) -> None:
    """
    Write down what is shown.

    @raise OSError: from the disk.
    """
    rows = [(file.path, file.size, file.mtime_ns, file.content) for file in files.values()]
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = path + ".new"
    with open(temporary, "wb") as file:
        file.write(msgspec.msgpack.encode(rows))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path: str) -> Files:
    """
    @return: what L{save} wrote; nothing if that is not there or is damaged.
    """
    try:
        with open(path, "rb") as file:
            rows = _decode.decode(file.read())
    except (OSError, msgspec.DecodeError):
        return {}
    return {
        Path(each): ListedFile(Path(each), size, mtime, content)
        for each, size, mtime, content in rows
    }
