# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Looking again and again whether a box's folder is there, and what follows when it
has come: it is surveyed, and from then on surveyed anew from time to time.  Here
comes, too, what fails of all that the box does, since the next thing to do is to
look again: at the folder, or at the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.core import Core, NotHere
from flocknode.box.describe import fault_of
from flocknode.box.disk.site import Site
from flocknode.box.index.damage import is_damage
from flocknode.box.lane import Stopped
from flocknode.box.presence import Presence
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.changes import Away
from flocknode.box.survey.observe import Sighting
from flocknode.box.survey.surveyor import Surveyor
from flocknode.box.timers import Timers
from flocknode.box.values import Path

AFTER_FAULT = 5.0
"""Seconds until something is tried again after the disk or the index failed."""


class Lookout:
    """
    Lives in the reactor.

    @param ask: has the worker call something and returns its result.
    @param surveyor: becomes one whose failures come here.
    @ivar ready: fires when the index is open, or the medium with it was looked
        for.
    @ivar scanned: all that is in the folder has been seen.
    @ivar fault: what fails, one sentence; empty while nothing does.
    @ivar note: what people should know of the index, one sentence; may be empty.
    """

    _log = Logger()

    def __init__(
        self,
        timers: Timers,
        settings: BoxSettings,
        core: Core,
        ask: Callable[..., Deferred[Any]],
        presence: Presence,
        *,
        surveyor: Surveyor,
    ) -> None:
        self.ready: Deferred[None] = Deferred()
        self.scanned = False
        self.fault = self.note = ""
        self._timers = timers
        self._settings = settings
        self._core = core
        self._ask = ask
        self._presence = presence
        self._surveyor = surveyor
        surveyor.failed = self.failed
        self._running = self._looking = self._again = self._is_damaged = False

    def start(self) -> None:
        """Look from now on."""
        self._running = True
        self.look()

    def stop(self) -> None:
        """Look no more.  Idempotent."""
        self._running = False

    def look(self) -> None:
        """Is the folder there, or still there?"""
        self._again = self._looking
        if self._looking or not self._running:
            return
        self._looking = True
        looked = Deferred.fromCoroutine(self._look())
        looked.addErrback(self.failed).addCallback(self._looked)

    def _looked(self, _: None) -> None:
        self._looking = False
        wait = 0.0 if self._again else self._settings.poll
        self._timers.later("poll", wait, self.look, again=True)

    async def _look(self) -> None:
        if self._is_damaged:
            await self._presence.end("The index is damaged; it is built anew.")
            self.note = await self._ask(self._core.start_anew)
            self._is_damaged = self.scanned = False
        if not self.ready.called:
            self.note = await self._ask(self._core.open)
            if not self._core.removable:
                self.ready.callback(None)
        await self._presence.look()
        if not self.ready.called:
            self.ready.callback(None)
        self.scanned = self.scanned and self._presence.site is not None

    def arrived(self, site: Site) -> None:
        """The folder has come: survey it."""
        self._surveyor.begin(site).addCallback(self._surveyed, site)

    def _surveyed(self, _: None, site: Site) -> None:
        if site is self._presence.site and self._running:
            self.scanned = True
            self._ask(self._core.surveyed, site).addErrback(self.failed)
            self._timers.later("rescan", self._settings.rescan, self._rescan)

    def _rescan(self) -> None:
        self._timers.later("rescan", self._settings.rescan, self._rescan)
        self._surveyor.scan()

    # What fails

    def failed(self, failure: Failure) -> None:
        """Something that the box does has failed."""
        if failure.check(Stopped) is not None:
            return
        if failure.check(NotHere) is not None:
            return
        if failure.check(Away) is not None:
            # If it is there after all, something that was seen was not taken in.
            self._surveyor.rescan(Path(b""))
            self.look()
            return
        if is_damage(failure.value):
            self._is_damaged = True
            self.look()
            return
        self.fault, is_bug = fault_of(failure.value)
        if is_bug:
            self._log.failure("A box failed", failure)
        self._timers.later("step", AFTER_FAULT, self._step)
        if self._core.removable:
            # Most likely because it was pulled out.
            self.look()

    def _step(self) -> None:
        self._ask(self._core.step).addErrback(self.failed)

    def not_taken(self, failure: Failure, sighting: Sighting) -> None:
        """The index failed: what was seen must be seen again."""
        if failure.check(Stopped, Away) is None:
            paths = {seen.path for seen in sighting.observations}
            self._surveyor.look_later(AFTER_FAULT, paths)
        self.failed(failure)
