# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box as the rest of the node sees it: a service in the reactor, which never
waits for a disk.  Three threads do: one for all decisions and writing, one
that reads blocks for others, one that surveys the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from random import Random, SystemRandom
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from flocknode.box.checking import Checking
from flocknode.box.core import Core, Told
from flocknode.box.describe import describe
from flocknode.box.desk import Desk
from flocknode.box.disk.site import Site
from flocknode.box.identity import ID_CONTEXT, box_id
from flocknode.box.index.damage import is_damage
from flocknode.box.lane import Lane, Stopped
from flocknode.box.lookout import Lookout
from flocknode.box.mirror import Mirror
from flocknode.box.presence import Presence
from flocknode.box.public import PublicBox
from flocknode.box.reader import Reader
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.observe import Sighting
from flocknode.box.survey.surveyor import Surveyor
from flocknode.box.survey.watching import Make, choose
from flocknode.box.timers import Timers
from flocknode.box.upkeep import Upkeep
from flocknode.box.values import BoxListener, Entry, Hash, Holder, Need
from flocknode.errors import BoxError
from flocknode.media.places import Fixed, Place
from flocknode.status import BoxStatus

CALM = 2.0
"""Seconds after the last entries from another until a rebuilt index is announced."""

_PROOFS = frozenset(("open", "find_folder", "join", "step"))
"""When one of these has worked, disk and index do (again)."""

T = TypeVar("T")

__all__ = ["ID_CONTEXT", "Box", "box_id"]


class Box(Service):
    """
    A folder that is kept equal with those of others.

    Everything is called, and everything is told, in the reactor's thread.  Before
    L{ready} has fired, nothing is known: C{index_id} is 0.

    @param name: of the box; equal names are the same box.
    @param root: the folder, or where it is to be found.
    @param state: the node's state folder; the index is in C{boxes} below it,
        unless a removable medium carries it with the folder.
    @ivar listener: who exchanges this box; set before it is started.  It is
        told L{BoxListener.advanced} also when the index gets another id.
    @ivar id: L{box_id} of the name.
    @ivar desk: where people ask for kept versions, conflicts, and what else they
        may want of it.
    @ivar public: what Forban sees of it, if it is to.
    @ivar place: where its folder is to be found.
    @ivar ready: fires when the index is open, whether or not the folder is
        there; if a medium carries the index, when it was looked for.  Without
        that medium C{index_id} is 0, as before L{ready}.
    """

    listener: BoxListener | None = None
    name: str

    def __init__(
        self,
        reactor: Any,
        name: str,
        root: str | Place,
        state: str,
        settings: BoxSettings = BoxSettings(),  # noqa: B008
        *,
        random: Random | None = None,
        watcher: Make | None = None,
    ) -> None:
        self.name = name
        self.id = box_id(name)
        self._reactor = reactor
        self.place = Fixed(root) if isinstance(root, str) else root
        self._settings = settings
        self._mirror = Mirror()
        self._timers = Timers(reactor)
        self._worker = Lane(reactor, f"box {name}")
        self._core = Core(
            self.place,
            os.path.join(state, "boxes", self.id.hex() + ".sqlite"),
            settings,
            random or SystemRandom(),
            self._worker.cancelled,
            name=name,
        )
        self._scanning = Lane(reactor, f"scan {name}")
        reading = self._core.open_reading
        self._reader = Reader(reactor, f"read {name}", reading)
        self.public = PublicBox(reactor, name, reading, self._core, self._ask)
        surveyor = self._surveyor = Surveyor(reactor, self._scanning, reading, self._deliver)
        surveyor.rested = self._rested
        self._checking = Checking(
            reactor, f"check {name}", reading, self._core.distrust, self._ask, surveyor=surveyor
        )
        self._presence = Presence(
            reactor,
            self._core,
            self._ask,
            self._reader,
            surveyor,
            checking=self._checking,
            public=self.public,
            new_watcher=choose(settings.watch) if watcher is None else watcher,
            arrived=self._arrived,
        )
        self._lookout = Lookout(
            self._timers, settings, self._core, self._ask, self._presence, surveyor=surveyor
        )
        self._upkeep = Upkeep(self._timers, self._core, self._ask, self._lookout.failed)
        self.ready = self._lookout.ready
        self.desk = Desk(self._core, self._ask, self._presence, self._checking)

    # Life

    def startService(self) -> None:
        """Begin: open the index, look for the folder, scan it."""
        super().startService()
        self._worker.start()
        self._scanning.start()
        self._reader.start()
        self.public.start()
        self._checking.start()
        self._lookout.start()
        self._upkeep.start()

    async def _stop(self) -> None:
        self._lookout.stop()
        self._timers.stop()
        self._presence.close()
        ending = Deferred.fromCoroutine(self._surveyor.end())
        await self._scanning.stop(lambda: None)
        await ending
        await self._checking.stop()
        await self._reader.stop()
        await self.public.stop()
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
        return self._mirror.numbers.index_id

    @property
    def highest(self) -> int:
        """The highest number that may be announced; it is committed."""
        return self._mirror.numbers.highest

    @property
    def new_total(self) -> int:
        """Bytes of all local changes since the start, C{size + 256} each."""
        return self._mirror.new_total

    @property
    def surveying(self) -> bool:
        """May there be more local changes in a moment?"""
        return self._presence.surveying

    @property
    def digest(self) -> bytes:
        """16 bytes, equal in boxes that know and hold the same."""
        return self._mirror.numbers.digest

    @property
    def is_elsewhere(self) -> bool:
        """Has anybody else ever shown that he has it?"""
        return self._mirror.is_elsewhere

    @property
    def folder_id(self) -> bytes | None:
        """What the marker of its folder says, while that is there."""
        site = self._presence.site
        return None if site is None else site.folder_id

    @property
    def status(self) -> BoxStatus:
        """What it is doing, for people."""
        return describe(
            self.name,
            str(self.place),
            self._mirror.numbers,
            self._presence,
            fault=self._lookout.fault,
            note=self._checking.progress(self._mirror.numbers.files) or self._lookout.note,
            scanned=self._surveyor.scanned,
            known=self._lookout.scanned,
        )

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
        return self._mirror.stored(holder)

    def acknowledged(self, holder: Holder, index_id: int, number: int) -> None:
        """
        They have stored this box's index up to a number.  If that is more
        than there is, the index gets another id, and all is announced anew.
        """
        if index_id == self.index_id and number > self.acknowledged_by(holder):
            self._do(self._core.acknowledged, holder, index_id, number)

    def acknowledged_by(self, holder: Holder) -> int:
        """The number up to which they have stored this box's index."""
        return self._mirror.acknowledged_by(holder)

    def needs(self) -> list[Need]:
        """All blocks that are needed now."""
        return self._mirror.needed.needs()

    def sources(self, content: Hash) -> frozenset[Holder]:
        """Who holds this needed content whole."""
        return self._mirror.needed.sources(content)

    def read(self, hash: Hash) -> Deferred[bytes | None]:
        """A block or an encoded block list, hashed again; L{None}: it is not here."""
        return self.read_many([hash]).addCallback(lambda found: found[0])

    def read_many(self, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
        """The same for several, in one go."""
        return Deferred.fromCoroutine(self._read(hashes))

    async def _read(self, hashes: Sequence[Hash]) -> list[bytes | None]:
        try:
            found, suspects = await self._reader.read(hashes)
        except Stopped:
            return [None] * len(hashes)
        except Exception as error:
            if is_damage(error):
                self._lookout.failed(Failure(error))
                return [None] * len(hashes)
            raise
        if suspects:
            self._surveyor.look(suspects, True)
        return found

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
        return self._mirror.lacking(holder)

    def counted(self, total: int) -> None:
        """Local changes up to this C{new_total} have been in a round."""
        counted = self._mirror.total_in_index(total)
        if counted > 0:
            self._do(self._core.counted, counted)

    def rescan(self) -> Deferred[None]:
        """
        Look at the whole folder.

        @return: fires after that.
        """
        return Deferred.fromCoroutine(self._rescan_now())

    async def _rescan_now(self) -> None:
        if self._presence.site is None:
            await self._presence.take_back()
        if self._presence.site is None:
            raise BoxError(self._presence.absence or "The box has no folder yet; try again later.")
        await self._surveyor.scan()

    def eject(self) -> Deferred[None]:
        """
        Give up everything that is open in the folder, so that its medium can
        be unmounted.  The box is offline until that was away, or L{rescan}.

        @return: fires when nothing is open any more.
        """
        return Deferred.fromCoroutine(self._presence.eject())

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted: look at once whether it is there."""
        self._lookout.look()

    # Between the reactor and the worker

    def _ask(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Have the worker do something, then tell what came of it."""

        def tell(result: tuple[T, Told]) -> T:
            if work.__name__ in _PROOFS:
                self._lookout.fault = ""
            self._tell(result[1])
            return result[0]

        return self._worker.do(self._core.do, work, *arguments).addCallback(tell)

    def _do(self, work: Callable[..., Any], *arguments: Any) -> None:
        """The same for what nobody waits for."""
        self._ask(work, *arguments).addErrback(self._lookout.failed)

    def _tell(self, told: Told) -> None:
        if self._mirror.take(told, self, self.listener):
            self.public.changed()
        if told.events.look:
            self._surveyor.look(told.events.look)
        self._surveyor.recheck(told.events.afresh)
        for path in told.events.rescan:
            self._surveyor.rescan(path)
        if told.delay is not None:
            self._timers.later("step", told.delay, self._do, self._core.step)

    # The folder comes and goes

    def _arrived(self, site: Site) -> None:
        if self._mirror.numbers.withheld:
            self._timers.later("release", self._settings.alone, self._do, self._core.release)
        self._lookout.arrived(site)

    def _joined(self, joined: bool) -> bool:
        if self._mirror.numbers.withheld and joined:
            self._timers.later("release", CALM, self._do, self._core.release, again=True)
        return joined

    def _rested(self) -> None:
        if self.listener is not None and not self.surveying:
            self.listener.measured(self)

    def _deliver(self, site: Site, sighting: Sighting) -> Deferred[None]:
        taken = self._ask(self._core.observe, site, sighting)
        return taken.addErrback(self._lookout.not_taken, sighting)
