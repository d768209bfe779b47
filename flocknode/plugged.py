# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Media that join a box by themselves (C{media = auto}): a medium is mounted, and
a folder on it carries the marker of a box of this node.  As long as it is
there, it is a second folder of that box, kept equal with the first.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.box import Box
from flocknode.box.bridge import Bridge
from flocknode.box.disk import marker
from flocknode.box.disk.folder import Folder
from flocknode.box.lane import Lane, Stopped
from flocknode.errors import BoxError
from flocknode.media.devices import Table, read_table
from flocknode.media.mountinfo import Mount
from flocknode.media.places import Found, Place
from flocknode.status import BoxStatus

FOLDERS = 1000
"""Folders at the top of a medium that are looked into, at most."""


@attrs.frozen
class Plugged:
    """
    A folder on a medium that was found by its marker, see
    L{flocknode.media.places.Place}.

    @ivar box: the name that the marker says.
    """

    box: str
    path: str
    mount: Mount
    table: Table = attrs.field(default=read_table, eq=False)
    removable: bool = attrs.field(default=True, init=False)

    def __str__(self) -> str:
        return self.path

    def find(self) -> Found:
        """See L{flocknode.media.places.Place.find}."""
        if self.mount not in self.table():
            raise BoxError("Its medium is not mounted any more; nothing is lost.")
        return Found(self.path, self.mount.id)

    def make(self, found: Found) -> None:
        """It is there, or it is not."""


def is_medium(mount: Mount) -> bool:
    """Can it be one?  What is no device is none, nor what cannot be written to."""
    return (
        mount.source.startswith(b"/dev/")
        and mount.root == b"/"
        and mount.point != b"/"
        and not mount.read_only
    )


def boxes_on(mount: Mount) -> list[tuple[str, str]]:
    """
    Look for boxes at the top of a medium, and in the folders there.  Waits for
    the disk.

    @return: (name of the box, path) of each that says a name.
    """
    found = []
    paths = [mount.point]
    try:
        with os.scandir(mount.point) as entries:
            folders = (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
            paths += itertools.islice(folders, FOLDERS)
    except OSError:
        return []
    for path in paths:
        if not os.path.lexists(os.path.join(path, b".flocknode", b"box")):
            continue
        try:
            folder = Folder(path)
        except BoxError:
            continue
        try:
            on_it = Found(os.fsdecode(path), mount.id).holds(folder.root_fd)
            name = marker.read_name(folder) if on_it else None
        except BoxError:
            continue
        finally:
            folder.close()
        if name is not None:
            found.append((name, os.fsdecode(path)))
    return found


class PluggedMedia(Service):
    """
    The media that are there and joined a box.  Lives in the reactor.

    @param boxes: all of the node; C{joined}: the names of those that media may
        join.
    @param make: (name, place) to a box that is not started.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        boxes: Sequence[Box],
        joined: frozenset[str],
        make: Callable[[str, Place], Box],
        table: Table = read_table,
    ) -> None:
        self._reactor = reactor
        self._homes = {box.name: box for box in boxes}
        self._joined = joined
        self._make = make
        self._table = table
        self._lane = Lane(reactor, "media")
        self._known: dict[Mount, list[Plugged]] = {}
        self._there: dict[Plugged, tuple[Box, Bridge]] = {}
        self._looking: Deferred[None] | None = None
        self._again = False

    def startService(self) -> None:
        """Look what is there already."""
        super().startService()
        self._lane.start()
        self.mounts_changed()

    def stopService(self) -> Deferred[None]:
        """
        Let go of all media.

        @return: fires when nothing on them is open any more.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._looking is not None:
            await self._looking
        for plugged in list(self._there):
            await self._leave(plugged)
        await self._lane.stop(lambda: None)

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted: look what there is."""
        if not self._joined or not self.running:
            return
        self._again = True
        if self._looking is None or self._looking.called:
            self._looking = Deferred.fromCoroutine(self._look())
            self._looking.addErrback(self._failed)

    def statuses(self) -> tuple[BoxStatus, ...]:
        """Of the boxes on media."""
        return tuple(box.status for box, _ in self._there.values())

    async def eject(self, name: str) -> bool:
        """
        Close all that is open of a box on media.

        @return: was there anything?
        """
        boxes = [box for plugged, (box, _) in self._there.items() if plugged.box == name]
        for box in boxes:
            await box.eject()
        return bool(boxes)

    async def _look(self) -> None:
        while self._again and self.running:
            self._again = False
            self._known = await self._lane.do(self._find, self._known)
            wanted = {each for found in self._known.values() for each in found}
            for plugged in [each for each in self._there if each not in wanted]:
                await self._leave(plugged)
            for plugged in wanted - self._there.keys():
                self._join(plugged)

    def _failed(self, failure: Failure) -> None:
        if failure.check(Stopped) is None:
            self._log.failure("Media cannot be looked for", failure)

    def _find(self, known: dict[Mount, list[Plugged]]) -> dict[Mount, list[Plugged]]:
        """In the thread: what is on media that were not known."""
        try:
            mounts = [mount for mount in self._table() if is_medium(mount)]
        except BoxError:
            return {}
        taken = {_where(box.place) for box in self._homes.values()}
        found = {}
        for mount in mounts:
            if mount in known:
                found[mount] = known[mount]
                continue
            found[mount] = [
                Plugged(name, path, mount, self._table)
                for name, path in boxes_on(mount)
                if name in self._joined and os.path.realpath(path) not in taken
            ]
        return found

    def _join(self, plugged: Plugged) -> None:
        if not self.running:
            return
        home = self._homes[plugged.box]
        box = self._make(plugged.box, plugged)
        bridge = Bridge(self._reactor, home, box)
        self._there[plugged] = box, bridge
        box.startService()
        bridge.start()
        self._log.info("a medium joins box {name}", name=plugged.box)

    async def _leave(self, plugged: Plugged) -> None:
        box, bridge = self._there.pop(plugged)
        await bridge.stop()
        await box.stopService()
        self._log.info("a medium leaves box {name}", name=plugged.box)


def _where(place: Place) -> str:
    try:
        return os.path.realpath(place.find().path)
    except BoxError:
        return ""
