# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Media with a directory C{FORBAN}, as they come and go: each is imported from,
exported to, or both, once, when it is plugged in (or there at the start).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.lane import Lane, Stopped
from flocknode.errors import BoxError
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.ended import end_of
from flocknode.forban.media.exporting import Exporting
from flocknode.forban.media.importing import Importing, Into, clear
from flocknode.forban.media.medium import Left, Medium, MediumStatus, Tally, is_carrier
from flocknode.forban.shelf import Shelf
from flocknode.media.devices import Table, read_table
from flocknode.media.mountinfo import Mount

CatalogueNow = Callable[[], "Catalogue[Shelf] | None"]
"""What this node shows; C{None}: that is not known yet."""


class Visit:
    """
    One medium, from when it was plugged in until nothing on it is open any more.

    @ivar status: what became of it; C{None}: it has no directory C{FORBAN}.
    @ivar ended: fires at the end, never with an error.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        mount: Mount,
        into: Into | None,
        catalogue: CatalogueNow | None,
    ) -> None:
        self._mount = mount
        self._into = into
        self._catalogue = catalogue
        self._left = Event()
        self._lane = Lane(reactor, "medium")
        self._tally: Tally | None = None
        self._shown: Deferred[None] | None = None
        self.ended: Deferred[None] = Deferred.fromCoroutine(self._run())
        self.ended.addErrback(self._failed)

    @property
    def status(self) -> MediumStatus | None:
        """See above."""
        return None if self._tally is None else self._tally.status

    def leave(self) -> None:
        """End it soon."""
        self._left.set()
        self.catalogue_changed()

    def catalogue_changed(self) -> None:
        """There may be a catalogue now."""
        if self._shown is not None:
            shown, self._shown = self._shown, None
            shown.callback(None)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("A medium cannot be exchanged with", failure)

    async def _run(self) -> None:
        medium: Medium | None = None
        self._lane.start()
        state = "stopped"
        try:
            medium = await self._lane.do(Medium.open, self._mount, self._left.is_set)
            if medium is not None:
                self._tally = Tally(MediumStatus(medium.path))
                await self._exchange(medium, self._tally)
                state = "done"
        except (Left, Stopped):
            pass
        except BoxError as error:
            if self._tally is None:
                self._tally = Tally(MediumStatus(self._mount.point.decode("utf-8", "replace")))
            self._tally.problem(b"", error)
        finally:
            await self._lane.stop(medium.close if medium is not None else lambda: None)
            # Whoever reads that may unmount it.
            if self._tally is not None:
                self._tally.set(state=state)

    async def _exchange(self, medium: Medium, tally: Tally) -> None:
        if self._into is not None:
            await Importing(medium, self._lane, self._into, tally).run()
        if self._catalogue is None:
            return
        tally.set(state="exporting")
        if self._mount.read_only:
            tally.problem(b"", BoxError("It is mounted read-only, so nothing is written to it."))
            return
        while (catalogue := self._catalogue()) is None:
            self._shown = Deferred()
            await self._shown
            medium.go_on()
        await Exporting(medium, self._lane, catalogue, tally).run()


class RemovableMedia(Service):
    """
    All of them.  Lives in the reactor.

    @param into: where what they bring goes; C{None}: nothing is taken.
    @param catalogue: what they are given; C{None}: nothing.
    @param table: reads the mounts.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        into: Into | None,
        catalogue: CatalogueNow | None,
        table: Table = read_table,
    ) -> None:
        self._reactor = reactor
        self._into = into
        self._catalogue = catalogue
        self._table = table
        self._lane = Lane(reactor, "media")
        self._visits: dict[Mount, Visit] = {}
        self._looking: Deferred[None] | None = None
        self._again = False

    def startService(self) -> None:
        """Look what is there already."""
        super().startService()
        self._lane.start()
        if self._into is not None:
            self._lane.do(clear, self._into.folder).addErrback(self._failed)
        self.mounts_changed()

    def stopService(self) -> Deferred[None]:
        """
        Let go of all media.

        @return: fires when nothing on them is open any more.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for visit in self._visits.values():
            visit.leave()
        if self._looking is not None:
            await self._looking
        for mount in list(self._visits):
            await self._leave(mount)
        await self._lane.stop(lambda: None)

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted: look what there is."""
        if not self.running or (self._into is None and self._catalogue is None):
            return
        self._again = True
        if self._looking is None or self._looking.called:
            self._looking = Deferred.fromCoroutine(self._look())
            self._looking.addErrback(self._failed)

    def catalogue_changed(self) -> None:
        """There may be a catalogue now."""
        for visit in self._visits.values():
            visit.catalogue_changed()

    def statuses(self) -> tuple[MediumStatus, ...]:
        """Of all that are there and have a directory C{FORBAN}."""
        statuses = (visit.status for visit in self._visits.values())
        return tuple(status for status in statuses if status is not None)

    async def eject(self) -> None:
        """Close all that is open on media; they stay left until they come again."""
        for visit in list(self._visits.values()):
            await _end(visit)

    async def _look(self) -> None:
        while self._again and self.running:
            self._again = False
            there = await self._lane.do(_carriers, self._table)
            for mount in [each for each in self._visits if each not in there]:
                await self._leave(mount)
            for mount in there:
                if self.running and mount not in self._visits:
                    self._visits[mount] = Visit(
                        self._reactor, mount, self._into, self._catalogue
                    )

    def _failed(self, failure: Failure) -> None:
        if failure.check(Stopped) is None:
            self._log.failure("Media cannot be looked for", failure)

    async def _leave(self, mount: Mount) -> None:
        await _end(self._visits[mount])
        self._visits.pop(mount, None)


async def _end(visit: Visit) -> None:
    visit.leave()
    await end_of(visit.ended)


def _carriers(table: Table) -> list[Mount]:
    """
    Those that can be media, without what is hidden by a later mount; in the
    thread.
    """
    try:
        mounts = {mount.point: mount for mount in table()}
    except BoxError:
        return []
    return [mount for mount in mounts.values() if is_carrier(mount)]
