# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whether a box's folder is there, and what begins and ends with that: watching,
surveying, reading for others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import DeferredLock

from flocknode.box.checking import Checking
from flocknode.box.core import Core
from flocknode.box.disk.site import Site
from flocknode.box.public import PublicBox
from flocknode.box.reader import Reader
from flocknode.box.survey.settler import Settler
from flocknode.box.survey.surveyor import Surveyor
from flocknode.box.survey.watching import Hearer, Make, Watcher, ground_of
from flocknode.box.values import Path

_GONE = "The folder is not there any more, or is another one; put it back."


class Presence:
    """
    Lives in the reactor, but L{entering}.

    @param ask: has the worker call something and returns its result.
    @param arrived: told the folder when it has come.
    @ivar site: the folder, while it is there.
    @ivar absence: why it is not, one sentence; empty if it was never looked for.
    """

    def __init__(
        self,
        reactor: Any,
        core: Core,
        ask: Callable[..., Awaitable[Any]],
        reader: Reader,
        surveyor: Surveyor,
        *,
        checking: Checking,
        public: PublicBox,
        new_watcher: Make,
        arrived: Callable[[Site], None],
    ) -> None:
        self.site: Site | None = None
        self.absence = ""
        self._reactor = reactor
        self._core = core
        self._ask = ask
        self._reader = reader
        self._surveyor = surveyor
        self._checking = checking
        self._public = public
        surveyor.entering = self.entering
        self._settler = Settler(reactor, surveyor.look)
        self._new_watcher = new_watcher
        self._arrived = arrived
        self._watcher: Watcher | None = None
        self._closed = False
        self._one = DeferredLock()

    async def look(self) -> None:
        """Look whether it is there."""
        await self._one.acquire()
        try:
            if self.site is None:
                await self._find()
            elif not await self._ask(self._core.still_there):
                await self._end(_GONE)
        finally:
            self._one.release()

    async def end(self, reason: str) -> None:
        """
        Give up the folder, until it is looked for again.

        @param reason: why, one sentence.
        """
        await self._one.acquire()
        try:
            await self._end(reason)
        finally:
            self._one.release()

    async def eject(self) -> None:
        """Give up all that is open, and leave the folder alone until its medium was away."""
        await self._one.acquire()
        try:
            if self.site is not None:
                await self._ask(self._core.eject)
                await self._end(_GONE)
                await self._find()
        finally:
            self._one.release()

    async def take_back(self) -> None:
        """If it was ejected, look for it again."""
        await self._ask(self._core.take_back)
        await self.look()

    async def _find(self) -> None:
        site, self.absence = await self._ask(self._core.find_folder)
        if site is not None and not self._closed:
            self._begin(site)

    @property
    def surveying(self) -> bool:
        """Is something being looked at in it, or soon to be?"""
        return self._surveyor.busy or self._settler.waiting

    @property
    def watching(self) -> tuple[str, str]:
        """How it is watched, and why not better; empty while it is not."""
        watcher = self._watcher
        return ("", "") if watcher is None else (watcher.name, watcher.reason)

    def close(self) -> None:
        """It does not matter any more."""
        self._closed = True
        self._hear_nothing()

    def _hear_nothing(self) -> None:
        self._settler.stop()
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def entering(self, path: Path, descriptor: int) -> None:
        """
        Watch a directory that is about to be listed.  Called in the thread
        that surveys.
        """
        watcher = self._watcher
        if watcher is not None:
            watcher.add(path, descriptor)

    def _begin(self, site: Site) -> None:
        self.site = site
        hearer = Hearer(self._settler.event, self._surveyor.rescan, self._surveyor.scan)
        ground = ground_of(site.folder.root, site.folder.root_fd)
        self._watcher = self._new_watcher(self._reactor, ground, hearer)
        self._watcher.start()
        self._reader.begin(site)
        self._public.begin(site)
        self._arrived(site)

    async def _end(self, reason: str) -> None:
        self.site = None
        self.absence = reason
        self._hear_nothing()
        try:
            await self._ask(self._core.leave)
        finally:
            # Whoever reads in it must have ended before its descriptors are
            # given up: the next file opened would have the same.
            await self._surveyor.end()
            await self._checking.end()
            await self._reader.end()
            await self._public.end()
            await self._ask(self._core.close_site)
