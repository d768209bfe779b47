# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node that fetches, without the rest of it: neighbours, their indexes, shelves
in folders, and the service.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

from flocknode.box.timers import Timers
from flocknode.forban import catalogue
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.boxes import Boxes
from flocknode.forban.fetch.fetching import Fetching
from flocknode.forban.fetch.indexes import Indexes
from flocknode.forban.fetch.wanting import Limits
from flocknode.forban.near.neighbours import Neighbours
from flocknode.forban.shelf import Shelf
from flocknode.testing.shelves import FolderShelf
from tests.forban.fetch.peers import Peer, in_thread, reactor, uuid_of


class Fetcher:
    """
    The node.

    @ivar shown: what it shows; by itself all of its shelves, as they are now.
    """

    def __init__(
        self,
        folder: str,
        names: Sequence[str] = ("papers",),
        *,
        shared: Sequence[str] = (),
        opportunistic: bool = True,
        limits: Limits | None = None,
        key: bytes | None = None,
        seed: int = 1,
    ) -> None:
        self.folder = folder
        self.shelves = {name: FolderShelf(os.path.join(folder, name), name) for name in names}
        self.shown: Catalogue[Shelf] | None = None
        self._shown_of: object = None
        self.neighbours = Neighbours(uuid_of(0), reactor.seconds)
        self.asker = Asker(reactor, in_thread)
        self.timers = Timers(reactor)
        chance = random.Random(seed)
        self.indexes = Indexes(
            self.neighbours, self.asker, self.timers, reactor.seconds, chance, key=key
        )
        self.wall = 1_700_000_000.0
        self.fetching = Fetching(
            reactor,
            self.neighbours,
            self.indexes,
            self.asker,
            Boxes(dict(self.shelves), names[0], lambda name: name in shared),
            folder=os.path.join(folder, "state"),
            catalogue=self.catalogue,
            in_thread=in_thread,
            wall=lambda: self.wall + reactor.seconds(),
            random=chance,
            opportunistic=opportunistic,
            limits=limits or Limits(reserve=lambda _whole: 0),
        )

    def catalogue(self) -> Catalogue[Shelf]:
        """What is shown."""
        if self.shown is not None:
            return self.shown
        shelves: dict[str, Any] = {
            name: (shelf, dict(shelf.files)) for name, shelf in self.shelves.items()
        }
        return catalogue.compile(shelves)

    def start(self, *peers: Peer) -> None:
        """Begin, and hear of these."""
        self.fetching.startService()
        self.indexes.start()
        for peer in peers:
            peer.announce(self.neighbours)

    async def stop(self) -> None:
        """End."""
        self.timers.stop()
        await self.asker.stop()
        await self.indexes.stop()
        stopping: Any = self.fetching.stopService()
        await stopping

    def held(self, name: str = "papers") -> dict[bytes, bytes]:
        """What is in a box."""
        shelf = self.shelves[name]
        return {path: shelf.where(path).read_bytes() for path in shelf.files}
