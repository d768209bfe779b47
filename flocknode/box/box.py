# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box as the rest of the node sees it: a service in the reactor, which never
waits for a disk.  Three threads do: one for all decisions and writing, one
that reads blocks for others, one that surveys the folder.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from random import Random, SystemRandom
from typing import Any, TypeVar

from blake3 import blake3
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.core import Core, Told
from flocknode.box.describe import describe
from flocknode.box.disk.site import Site
from flocknode.box.engine import Snapshot
from flocknode.box.index.database import Index
from flocknode.box.lane import Lane, Stopped
from flocknode.box.needed import Needed
from flocknode.box.presence import Presence
from flocknode.box.reader import Reader
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.changes import Away
from flocknode.box.survey.observe import Sighting
from flocknode.box.survey.surveyor import Surveyor
from flocknode.box.survey.watch import Watcher
from flocknode.box.timers import Timers
from flocknode.box.values import BoxListener, Entry, Hash, Holder, Need, Path
from flocknode.errors import BoxError
from flocknode.status import BoxStatus

ID_CONTEXT = "flocknode 2026 box id"
"""BLAKE3 derive-key context of a box's id."""

CALM = 2.0
"""Seconds after the last entries from another until a rebuilt index is announced."""

AFTER_FAULT = 5.0
"""Seconds until something is tried again after the disk or the index failed."""

PRUNING = 3600.0
"""Seconds between looks for kept versions that are old enough to go."""

_PROOFS = frozenset(("open", "find_folder", "join", "step"))
"""When one of these has worked, disk and index do (again)."""

T = TypeVar("T")


def box_id(name: str) -> bytes:
    """16 bytes: the same wherever a box has this name."""
    digest: bytes = blake3(
        name.encode("utf-8", "surrogateescape"), derive_key_context=ID_CONTEXT
    ).digest(length=16)
    return digest


class Box(Service):
    """
    A folder that is kept equal with those of others.

    Everything is called, and everything is told, in the reactor's thread.
    Before L{ready} has fired, nothing is known: C{index_id} is 0.

    @param name: of the box; equal names are the same box.
    @param root: the folder.
    @param state: the node's state folder; the index is in C{boxes} below it.
    @ivar listener: who exchanges this box; set before it is started.  It is
        told L{BoxListener.advanced} also when the index gets another id.
    @ivar id: L{box_id} of the name.
    @ivar ready: fires when the index is open, whether or not the folder is
        there.
    """

    _log = Logger()
    listener: BoxListener | None = None
    name: str

    def __init__(
        self,
        reactor: Any,
        name: str,
        root: str,
        state: str,
        settings: BoxSettings = BoxSettings(),  # noqa: B008
        *,
        random: Random | None = None,
        watcher: Callable[..., Watcher] = Watcher,
    ) -> None:
        self.name = name
        self.id = box_id(name)
        self.ready: Deferred[None] = Deferred()
        self._reactor = reactor
        self._root = root
        self._settings = settings
        self._index_path = os.path.join(state, "boxes", self.id.hex() + ".sqlite")
        self._numbers = Snapshot()
        self._needed = Needed()
        self._fault = ""
        self._scanned = self._polling = False
        self._timers = Timers(reactor)
        self._worker = Lane(reactor, f"box {name}")
        self._core = Core(
            root, self._index_path, settings, random or SystemRandom(), self._worker.cancelled
        )
        self._scanning = Lane(reactor, f"scan {name}")
        reading = partial(Index, self._index_path, reading=True)
        self._reader = Reader(reactor, f"read {name}", reading)
        self._surveyor = Surveyor(reactor, self._scanning, reading, self._deliver)
        self._presence = Presence(
            reactor,
            self._core,
            self._ask,
            self._reader,
            self._surveyor,
            new_watcher=watcher,
            arrived=self._arrived,
        )

    # Life

    def startService(self) -> None:
        """Begin: open the index, look for the folder, scan it."""
        super().startService()
        self._worker.start()
        self._scanning.start()
        self._reader.start()
        self._poll()
        self._timers.later("prune", PRUNING, self._prune)

    async def _stop(self) -> None:
        self._timers.stop()
        self._presence.close()
        ending = Deferred.fromCoroutine(self._surveyor.end())
        await self._scanning.stop(lambda: None)
        await ending
        await self._reader.stop()
        await self._worker.stop(self._core.close)

    def stopService(self) -> Deferred[None]:
        """
        End all threads; whatever takes long is broken off.

        @return: fires when nothing of the box is open any more.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # What the box is

    @property
    def index_id(self) -> int:
        """Names this box's index: 64 bits, random; 0 until L{ready}."""
        return self._numbers.index_id

    @property
    def highest(self) -> int:
        """The highest number that may be announced; it is committed."""
        return self._numbers.highest

    @property
    def new_total(self) -> int:
        """Bytes of all local changes since the start, C{size + 256} each."""
        return self._numbers.new_total

    @property
    def digest(self) -> bytes:
        """16 bytes, equal in boxes that know and hold the same."""
        return self._numbers.digest

    @property
    def status(self) -> BoxStatus:
        """What it is doing, for people."""
        return describe(
            self.name,
            self._root,
            self._numbers,
            fault=self._fault,
            absence=self._presence.absence,
            is_there=self._presence.site is not None,
            is_scanned=self._scanned,
            scanned=self._surveyor.scanned,
        )

    def confirm(self) -> Deferred[int]:
        """
        Deletions that wait (state C{"waiting"}) were meant.

        @return: how many files go on to be deleted.
        """
        return self._ask(self._core.confirm)

    # What is exchanged

    def entries_after(self, number: int, limit: int) -> Deferred[tuple[list[Entry], int]]:
        """
        What is announced after a number.

        @param limit: bytes, about, that the entries take as a record.
        @return: entries, ascending, and the number up to which this is
            complete.
        """
        return self._ask(self._core.entries_after, number, limit)

    def join(
        self, holder: Holder, index_id: int, start: int, to: int, entries: Sequence[Entry]
    ) -> Deferred[bool]:
        """
        Take in a part of another's index.

        @param start: the number of theirs that it continues from.
        @param to: the number up to which it is complete.
        @return: true: stored durably; false: it does not continue what is
            stored here, ask anew.
        """
        joined = self._ask(self._core.join, holder, index_id, start, to, entries)
        return joined.addCallback(self._joined)

    def stored(self, holder: Holder) -> tuple[int, int]:
        """Their index id, and the number up to which it is stored here; (0, 0): nothing."""
        return self._numbers.stored.get(holder, (0, 0))

    def acknowledged(self, holder: Holder, index_id: int, number: int) -> None:
        """
        They have stored this box's index up to a number.  If that is more
        than there is, the index gets another id, and all is announced anew.
        """
        if index_id == self.index_id and number > self.acknowledged_by(holder):
            self._do(self._core.acknowledged, holder, index_id, number)

    def acknowledged_by(self, holder: Holder) -> int:
        """The number up to which they have stored this box's index."""
        return self._numbers.acknowledged.get(holder, 0)

    def needs(self) -> list[Need]:
        """All blocks that are needed now."""
        return self._needed.needs()

    def sources(self, content: Hash) -> frozenset[Holder]:
        """Who holds this needed content whole."""
        return self._needed.sources(content)

    def read(self, hash: Hash) -> Deferred[bytes | None]:
        """A block or an encoded block list, hashed again; L{None}: it is not here."""
        return Deferred.fromCoroutine(self._read(hash))

    async def _read(self, hash: Hash) -> bytes | None:
        try:
            data, suspects = await self._reader.read(hash)
        except Stopped:
            return None
        if suspects:
            self._surveyor.look(suspects, True)
        return data

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> Deferred[list[bool]]:
        """
        Take in blocks and block lists.

        @return: for each, whether the bytes are what the hash names.
        """
        return self._ask(self._core.write, blocks)

    def lacking(self, holder: Holder) -> int:
        """
        Bytes (C{size + 256} an entry) that are complete here and that this
        holder does not show complete, without changes that are not counted.
        """
        return self._numbers.lacking.get(holder, self._numbers.lacking_all)

    def counted(self, total: int) -> None:
        """Local changes up to this C{new_total} have been in a round."""
        self._do(self._core.counted, total)

    def rescan(self) -> Deferred[None]:
        """
        Look at the whole folder.

        @return: fires after that.
        """
        if self._presence.site is None:
            reason = self._presence.absence or "The box has no folder yet; try again later."
            return fail(BoxError(reason))
        return self._surveyor.scan()

    # Between the reactor and the worker

    def _ask(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Have the worker do something, then tell what came of it."""

        def tell(result: tuple[T, Told]) -> T:
            if work.__name__ in _PROOFS:
                self._fault = ""
            self._tell(result[1])
            return result[0]

        return self._worker.do(self._core.do, work, *arguments).addCallback(tell)

    def _do(self, work: Callable[..., Any], *arguments: Any) -> None:
        """The same for what nobody waits for."""
        self._ask(work, *arguments).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(Stopped) is not None:
            return
        if failure.check(Away) is not None:
            # If it is there after all, something that was seen was not taken in.
            self._surveyor.rescan(Path(b""))
            self._poll()
            return
        if failure.check(BoxError) is not None:
            self._fault = str(failure.value)
        elif failure.check(sqlite3.Error, OSError) is not None:
            self._fault = f"The index or the disk fails: {failure.value}."
        else:
            self._fault = "It failed in a way that is a bug; the log says more."
            self._log.failure("A box failed", failure)
        self._timers.later("step", AFTER_FAULT, self._do, self._core.step)

    def _tell(self, told: Told) -> None:
        old, self._numbers = self._numbers, told.numbers
        self._needed.apply(told.events, self, self.listener)
        if told.events.look:
            self._surveyor.look(told.events.look)
        self._surveyor.recheck(told.events.afresh)
        for path in told.events.rescan:
            self._surveyor.rescan(path)
        listener, new = self.listener, told.numbers
        if listener is not None and (
            new.highest > old.highest or new.index_id != old.index_id
        ):
            listener.advanced(self)
        if listener is not None and new.measures != old.measures:
            listener.measured(self)
        if told.delay is not None:
            self._timers.later("step", told.delay, self._do, self._core.step)

    # The folder comes and goes

    def _poll(self) -> None:
        """Is the folder there, or still there?"""
        if self._polling or not self.running:
            return
        self._polling = True
        polled = Deferred.fromCoroutine(self._look_for_folder())
        polled.addErrback(self._failed).addCallback(self._polled)

    def _polled(self, _: None) -> None:
        self._polling = False
        self._timers.later("poll", self._settings.poll, self._poll, again=True)

    async def _look_for_folder(self) -> None:
        if not self.ready.called:
            await self._ask(self._core.open)
            self.ready.callback(None)
        await self._presence.look()
        self._scanned = self._scanned and self._presence.site is not None

    def _arrived(self, site: Site) -> None:
        if self._numbers.withheld:
            self._timers.later("release", self._settings.alone, self._do, self._core.release)
        self._surveyor.begin(site).addCallback(self._surveyed, site)

    def _surveyed(self, _: None, site: Site) -> None:
        if site is self._presence.site and self.running:
            self._scanned = True
            self._do(self._core.surveyed, site)
            self._timers.later("rescan", self._settings.rescan, self._rescan)

    def _rescan(self) -> None:
        self._timers.later("rescan", self._settings.rescan, self._rescan)
        self._surveyor.scan()

    def _prune(self) -> None:
        self._timers.later("prune", PRUNING, self._prune)
        self._do(self._core.prune)

    def _joined(self, joined: bool) -> bool:
        if self._numbers.withheld and joined:
            self._timers.later("release", CALM, self._do, self._core.release, again=True)
        return joined

    def _deliver(self, site: Site, sighting: Sighting) -> Deferred[None]:
        taken = self._ask(self._core.observe, site, sighting)
        return taken.addErrback(self._not_taken)

    def _not_taken(self, failure: Failure) -> None:
        self._failed(failure)
        # What was seen is forgotten, and nothing will tell of it again.
        self._timers.later("rescan", AFTER_FAULT, self._rescan)
