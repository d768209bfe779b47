# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Forban as a part of a node: what the node tells it, and what people ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred

from flocknode.box.paths import check_path
from flocknode.errors import NeighbourError, PathError
from flocknode.forban.fetch.arrivals import Delivered
from flocknode.forban.near.interfaces import Interface, interfaces
from flocknode.forban.parts import Parts
from flocknode.forban.settings import ForbanSettings
from flocknode.forban.shelf import Shelf
from flocknode.forban.site.certificates import served
from flocknode.forban.site.listening import HOSTS
from flocknode.forban.status import ForbanStatus, Hit, NeighbourStatus


class Forban(Service):
    """
    Shows the public boxes to everybody, and fetches what others show.

    Lives in the reactor.
    """

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
        @param level: by the name of a box, see
            L{flocknode.forban.publishing.Publishing}.
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
        self._parts: Parts | None = None

    def startService(self) -> None:
        """
        Begin.

        @raise ConfigError: the state folder cannot be used.
        """
        super().startService()
        self._parts = Parts(
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
    def _running(self) -> Parts:
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
