# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Forban as a part of a node: builds the parts and wires them together; nothing
else.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import SystemRandom
from typing import Any

import attrs
from twisted.application.internet import TimerService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from flocknode.box.paths import check_path
from flocknode.box.patterns import Patterns
from flocknode.box.patterns import parse as parse_patterns
from flocknode.box.timers import Timers
from flocknode.box.values import Path
from flocknode.errors import NeighbourError, PathError
from flocknode.forban.announcement import Announcement, clean_name
from flocknode.forban.announcing import Announcing
from flocknode.forban.arrivals import Delivered
from flocknode.forban.asker import Asker
from flocknode.forban.body import InThread
from flocknode.forban.boxes import Boxes
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.certificates import served
from flocknode.forban.fetching import Fetching
from flocknode.forban.identity import own_uuid
from flocknode.forban.importing import Into
from flocknode.forban.indexes import Indexes
from flocknode.forban.interfaces import Interface, addresses, interfaces
from flocknode.forban.items import KEY, LARGEST
from flocknode.forban.listening import HOSTS, Listening
from flocknode.forban.neighbours import Neighbours
from flocknode.forban.pacing import Bucket
from flocknode.forban.pages import Own
from flocknode.forban.publishing import Publishing
from flocknode.forban.remote import Tls
from flocknode.forban.removable import RemovableMedia
from flocknode.forban.searching import search
from flocknode.forban.settings import ForbanSettings
from flocknode.forban.shelf import Shelf
from flocknode.forban.site import Site
from flocknode.forban.status import ForbanStatus, NeighbourStatus
from flocknode.forban.views import words_of
from flocknode.forban.wanting import Limits, Rules

THREADS = 16
"""At most, for reading files, making lists and taking bodies."""

ADDRESSES = 60.0
"""Seconds between two looks at which addresses this machine has."""


@attrs.frozen
class Hit:
    """
    What a search has found.

    @ivar uuid: of the node that has it, and its C{name}.
    @ivar path: in its index.
    @ivar size: bytes.
    """

    uuid: str
    name: str
    path: Path
    size: int


class Forban(Service):
    """
    Shows the public boxes to everybody, and fetches what others show.

    Lives in the reactor.
    """

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
        places: Mapping[str, str] | None = None,
        hosts: Sequence[str] = HOSTS,
        look: Callable[[], tuple[Interface, ...]] = interfaces,
    ) -> None:
        """
        @param shelves: the public boxes, by name; at least one.
        @param state: a folder of its own.
        @param shared: a flock shares the boxes: the node has peers.
        @param level: by the name of a box, see L{Publishing}.
        @param places: where endpoints were configured, for errors.
        @param hosts: IP addresses for announcements and the site, one of a family.
        @param look: which interfaces there are.
        @raise ConfigError: a key or a certificate cannot be used.
        """
        self._tls = served(settings.listen, places or {})
        self._hosts = tuple(hosts)
        self._look = look
        self._reactor = reactor
        self._settings = settings
        self._shelves = shelves
        self._state = state
        self._shared = shared
        self._level = level
        self._parts: _Parts | None = None

    def startService(self) -> None:
        """
        Begin.

        @raise ConfigError: the state folder cannot be used.
        """
        super().startService()
        self._parts = _Parts(
            self._reactor,
            self._settings,
            self._shelves,
            self._state,
            shared=self._shared,
            level=self._level,
            tls=self._tls,
            hosts=self._hosts,
            look=self._look,
        )
        self._parts.start()

    def stopService(self) -> Deferred[None]:
        """
        End.

        @return: fires when nothing is open any more.
        """
        super().stopService()
        parts, self._parts = self._parts, None
        return Deferred.fromCoroutine(parts.stop()) if parts else maybeDeferred(lambda: None)

    # What the node tells

    def round_started(self) -> None:
        """The flock begins to send what is new."""
        if self._parts is not None:
            self._parts.publishing.round_started()

    def round_stopped(self) -> None:
        """The round is over; the next one may start at once."""
        if self._parts is not None:
            self._parts.publishing.round_stopped()

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted."""
        if self._parts is not None:
            self._parts.media.mounts_changed()

    # What people ask

    @property
    def _running(self) -> _Parts:
        if self._parts is None:
            raise NeighbourError("Forban is not running.")
        return self._parts

    def status(self) -> ForbanStatus:
        """
        What it is doing.

        @raise NeighbourError: it is not running.
        """
        return self._running.status()

    def neighbours(self) -> list[NeighbourStatus]:
        """
        Who is there, those heard last first.

        @raise NeighbourError: it is not running.
        """
        return self._running.neighbour_statuses()

    async def search(self, term: str) -> tuple[list[Hit], bool]:
        """
        Look for files here and at all neighbours.

        @return: some, and whether there are more.
        @raise NeighbourError: it is not running.
        """
        return await self._running.search(term)

    async def get(self, uuid: str, path: bytes) -> Delivered:
        """
        Fetch a file, whatever the mode; see L{Fetching.get}.

        @param uuid: of a neighbour, or how it begins.
        @raise NeighbourError: there is none, or more than one, or it does not
            give the file.
        """
        parts = self._running
        found = [each.uuid for each in parts.neighbours.all() if each.uuid.startswith(uuid.lower())]
        if len(found) != 1 or not uuid:
            who = "several neighbours have" if len(found) > 1 else "no neighbour that is here has"
            raise NeighbourError(f"{who} a uuid that begins with {uuid or 'nothing'}")
        try:
            safe = check_path(path)
        except PathError as error:
            raise NeighbourError(str(error)) from None
        return await parts.fetching.get(found[0], safe)


class _Parts:
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
            sites=self._listening.sites,
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
