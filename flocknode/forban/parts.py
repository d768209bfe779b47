# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The parts of Forban, built and wired together; nothing else.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import SystemRandom
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from flocknode.box.patterns import Patterns
from flocknode.box.patterns import parse as parse_patterns
from flocknode.box.timers import Timers
from flocknode.box.values import Path
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.body import InThread
from flocknode.forban.fetch.boxes import Boxes
from flocknode.forban.fetch.fetching import Fetching
from flocknode.forban.fetch.indexes import Indexes
from flocknode.forban.fetch.pacing import Bucket
from flocknode.forban.fetch.wanting import Limits, Rules
from flocknode.forban.media.importing import Into
from flocknode.forban.media.removable import RemovableMedia
from flocknode.forban.near.announcing import Announcing
from flocknode.forban.near.identity import own_uuid
from flocknode.forban.near.interfaces import Interface, addresses
from flocknode.forban.near.neighbours import Neighbours
from flocknode.forban.protocol.announcement import Announcement, clean_name
from flocknode.forban.protocol.items import KEY, LARGEST
from flocknode.forban.protocol.remote import Tls
from flocknode.forban.publishing import Publishing
from flocknode.forban.settings import ForbanSettings
from flocknode.forban.shelf import Shelf
from flocknode.forban.site.listening import Listening
from flocknode.forban.site.pages import Own
from flocknode.forban.site.searching import search
from flocknode.forban.site.site import Site
from flocknode.forban.site.views import words_of
from flocknode.forban.status import ForbanStatus, Hit, NeighbourStatus

THREADS = 16
"""At most, for reading files, making lists and taking bodies."""

ADDRESSES = 60.0
"""Seconds between two looks at which addresses this machine has."""


class Parts:
    """All parts, once it is known who this node is."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: ForbanSettings,
        shelves: Mapping[str, Shelf],
        state: str,
        *,
        shared: bool,
        level: Callable[[str], bool],
        tls: Tls | None,
        hosts: Sequence[str],
        look: Callable[[], tuple[Interface, ...]],
    ) -> None:
        now: Callable[[], float] = reactor.seconds
        random = SystemRandom()
        self._settings = settings
        self._reactor = reactor
        self._threads = ThreadPool(0, THREADS, "forban")
        in_thread: InThread = partial(deferToThreadPool, reactor, self._threads)
        self._in_thread = in_thread
        self._uuid = own_uuid(state)
        self._name = clean_name(settings.name or socket.gethostname())
        self._hosts: tuple[str, ...] = ()
        self._boxes = tuple(shelves)
        key = settings.key.encode() or None
        self.neighbours = Neighbours(self._uuid, now)
        self._announcing = Announcing(
            reactor,
            self._said,
            self.neighbours,
            settings.port,
            settings.destination,
            binds=hosts,
            look=look,
        )
        self._asker = Asker(reactor, in_thread, Bucket(settings.rate or 0, now))
        self._timers = Timers(reactor)
        self._indexes = Indexes(self.neighbours, self._asker, self._timers, now, random, key=key)
        default = settings.into if settings.into in shelves else self._boxes[0]
        self.fetching = Fetching(
            reactor,
            self.neighbours,
            self._indexes,
            self._asker,
            Boxes(shelves, default, lambda name: shared),
            folder=os.path.join(state, "fetched"),
            catalogue=self._catalogue,
            in_thread=in_thread,
            wall=time.time,
            random=random,
            opportunistic=settings.mode == "opportunistic",
            limits=Limits(
                Rules(
                    _patterns(settings.include),
                    _patterns(settings.exclude),
                    LARGEST if settings.largest is None else settings.largest,
                ),
                settings.quota or 0,
            ),
        )
        self.publishing = Publishing(
            reactor,
            in_thread,
            shelves,
            state,
            random,
            shared=shared,
            level=level,
            gone=self.fetching.gone,
            key=key or KEY,
        )
        imported = Into(shelves, default, self._deliver, os.path.join(state, "imported"))
        self.media = RemovableMedia(
            reactor,
            imported if settings.media in ("import", "both") else None,
            self._catalogue if settings.media in ("export", "both") else None,
        )
        self._site = Site(
            reactor,
            Own(self._uuid, self._name, tls, lambda: self._hosts),
            self.publishing,
            self.neighbours,
            self._indexes,
            threads=self._threads,
        )
        self._listening = Listening(
            reactor, self._site, settings.port, settings.listen, hosts
        )
        self._looking = TimerService(ADDRESSES, self._look)
        self._looking.clock = reactor
        self.publishing.tell(self._announcing.changed)
        self.publishing.tell(self.media.catalogue_changed)
        # In the order in which they start; they stop in the other.
        self._services: tuple[Service, ...] = (
            self.publishing,
            self._listening,
            self._announcing,
            self.fetching,
            self.media,
            self._looking,
        )

    def start(self) -> None:
        """All of them."""
        self._threads.start()
        self._indexes.start()
        for service in self._services:
            service.startService()

    async def stop(self) -> None:
        """All of them."""
        # Nothing may wait for a neighbour that does not answer, or does not read.
        await self._listening.stopService()
        self._site.drop()
        await self._asker.stop()
        await self._indexes.stop()
        self._timers.stop()
        for service in reversed(self._services):
            if service.running:
                await maybeDeferred(service.stopService)
        await self._site.here.sending.wait()
        self._threads.stop()

    def _said(self) -> Announcement:
        return Announcement(self._uuid, self._name, self.publishing.catalogue.hmac)

    def _catalogue(self) -> Catalogue[Shelf] | None:
        return self.publishing.catalogue if self.publishing.ready else None

    def _deliver(self, shelf: str, path: Path, source: str, mtime_ns: int) -> Deferred[object]:
        return self.fetching.deliver(shelf, path, source, mtime_ns).addCallback(lambda _: None)

    def _look(self) -> Deferred[None]:
        def found(hosts: tuple[str, ...]) -> None:
            self._hosts = hosts

        def failed(failure: Failure) -> None:
            self._log.failure("this machine's addresses are not known", failure)

        # A timer service whose call fails once never calls again.
        return self._in_thread(addresses).addCallbacks(found, failed)

    def status(self) -> ForbanStatus:
        """What they are doing."""
        catalogue = self.publishing.catalogue
        return ForbanStatus(
            uuid=self._uuid,
            name=self._name,
            mode=self._settings.mode,
            boxes=self._boxes,
            files=len(catalogue.files),
            size=catalogue.size,
            sites=self._listening.sites(self._hosts),
            problems=(
                *(
                    f"The site cannot listen on {place}: {reason}."
                    for place, reason in self._listening.problems.items()
                ),
                *self.publishing.problems,
            ),
            announcing=self._announcing.status,
            neighbours=len(self.neighbours.all()),
            fetching=self.fetching.status(),
            media=self.media.statuses(),
        )

    def neighbour_statuses(self) -> list[NeighbourStatus]:
        """Who is there."""
        known = {status.uuid: status for status in self._indexes.status()}
        visits = {status.uuid: status.error for status in self.fetching.status().visits}
        found = []
        for each in self.neighbours.all():
            index = known.get(each.uuid)
            found.append(
                NeighbourStatus(
                    each.uuid,
                    each.name,
                    str(each.address),
                    self.neighbours.silent(each),
                    None if index is None else index.files,
                    index is not None and index.tampered,
                    ("" if index is None else index.error) or visits.get(each.uuid, ""),
                    index is not None and index.tls,
                )
            )
        return found

    async def search(self, term: str) -> tuple[list[Hit], bool]:
        """Look for files."""
        words = words_of(term)
        views, whole = await self._site.here.views() if words else ([], True)
        results, all_looked = await self._in_thread(search, views, words, time.monotonic)
        names = {each.uuid: each.name for each in self.neighbours.all()}
        names[self._uuid] = self._name
        hits = [
            Hit(uuid, names.get(uuid, ""), Path(entry.path), entry.size)
            for uuid, found in results.items()
            for entry in found.files
        ]
        more = not (whole and all_looked) or any(found.more for found in results.values())
        return hits, more


def _patterns(lines: tuple[str, ...]) -> Patterns | None:
    return parse_patterns("\n".join(lines).encode())[0] if lines else None
