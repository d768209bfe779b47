# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Verifying a box while it works, in a thread of its own that gives way to all
others; and what is done about what is found.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from flocknode.box.disk.site import Site
from flocknode.box.index.database import Index
from flocknode.box.lane import Lane
from flocknode.box.survey.surveyor import Surveyor
from flocknode.box.survey.verify import Verification, verify
from flocknode.errors import BoxError

NICE = 19
"""The priority of the thread: the lowest."""


@attrs.frozen
class Report:
    """
    What came of it.

    @ivar files: files and links that were read; C{size}: their bytes.
    @ivar kept: those of the version store.
    @ivar wrong: how many things are wrong.
    @ivar findings: (path as text, one sentence) of the first of them; the path
        is empty if it is about the index.
    @ivar repairing: how many files are fetched again.
    """

    files: int
    size: int
    kept: int
    wrong: int
    findings: tuple[tuple[str, str], ...]
    repairing: int = 0


class Checking:
    """
    Lives in the reactor.

    @param distrust: see L{flocknode.box.core.Core.distrust}; C{ask} has the
        worker call it and returns its result.
    @param surveyor: knows the folder while it is there, and looks at what has
        changed.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        open_index: Callable[[], Index],
        distrust: Callable[..., bool],
        ask: Callable[..., Awaitable[Any]],
        *,
        surveyor: Surveyor,
    ) -> None:
        self._lane = Lane(reactor, name)
        self._open_index = open_index
        self._distrust = distrust
        self._ask = ask
        self._surveyor = surveyor
        self._cancelled = Event()
        self._running: Deferred[None] | None = None
        self._verification: Verification | None = None

    def start(self) -> None:
        """Begin; nothing is checked yet."""
        self._lane.start()

    async def stop(self) -> None:
        """End the thread."""
        self._cancelled.set()
        await self._lane.stop(lambda: None)

    def progress(self, files: int) -> str:
        """
        What is being done, one sentence; empty if nothing is.

        @param files: how many there are.
        """
        if self._running is None:
            return ""
        at = self._verification
        if at is None:
            return "It is about to be checked."
        return f"It is being checked: {at.files} of {files} files, {at.kept} old versions."

    def cancel(self) -> None:
        """Whatever is being checked: enough."""
        self._cancelled.set()

    async def end(self) -> None:
        """The folder is going away: nobody reads in it any more after this."""
        self._cancelled.set()
        if self._running is not None:
            waiting: Deferred[None] = Deferred()
            self._running.chainDeferred(waiting)
            await waiting

    async def run(self, repair: bool) -> Report:
        """
        Verify all.

        @param repair: fetch again what is not what it was, if somebody has it.
        @raise BoxError: that is going on already, was broken off, or the folder
            is not there.
        """
        site = self._surveyor.site
        if site is None:
            raise BoxError("The folder of the box is not there; the status says why.")
        if self._running is not None:
            raise BoxError("The box is being checked already; its status says how far that is.")
        self._running = Deferred()
        self._cancelled.clear()
        try:
            found, finished = await self._lane.do(self._verify, site)
        finally:
            running, self._running, self._verification = self._running, None, None
            running.callback(None)
        self._surveyor.look(found.changed)
        if not finished:
            raise BoxError("The check was broken off.")
        repairing = 0
        for finding in found.findings if repair else ():
            if finding.rotten is not None:
                path, rotten = finding.path, finding.rotten
                repairing += await self._ask(self._distrust, site, path, rotten)
        return Report(
            found.files,
            found.size,
            found.kept,
            found.wrong,
            tuple((os.fsdecode(finding.path), finding.reason) for finding in found.findings),
            repairing,
        )

    # In the thread

    def _verify(self, site: Site) -> tuple[Verification, bool]:
        with contextlib.suppress(OSError):
            # On Linux that is of this thread alone.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)

        def cancelled() -> bool:
            return self._cancelled.is_set() or self._lane.cancelled()

        return verify(site, self._open_index, cancelled, self._begun)

    def _begun(self, verification: Verification) -> None:
        self._verification = verification
