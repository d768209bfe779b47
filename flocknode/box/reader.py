# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Serving blocks, in a thread of its own: never behind a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flocknode.box.disk.site import Site
from flocknode.box.index.database import Index
from flocknode.box.lane import Lane
from flocknode.box.receive.finder import Finder
from flocknode.box.values import Hash, Path


class Reader:
    """
    Reads blocks of a box while its folder is there.

    @param open_index: opens the box's index for reading.
    """

    def __init__(self, reactor: Any, name: str, open_index: Callable[[], Index]) -> None:
        self._lane = Lane(reactor, name)
        self._open_index = open_index
        self._site: Site | None = None
        self._index: Index | None = None
        self._finder: Finder | None = None

    def start(self) -> None:
        """Begin; nothing is there to be read yet."""
        self._lane.start()

    async def stop(self) -> None:
        """End the thread."""
        await self._lane.stop(self._close)

    def begin(self, site: Site) -> None:
        """The folder is there."""
        self._site = site

    async def end(self) -> None:
        """The folder is not there; nobody reads in it any more after this."""
        self._site = None
        await self._lane.do(self._close)

    async def read(self, hashes: Sequence[Hash]) -> tuple[list[bytes | None], frozenset[Path]]:
        """
        @return: the bytes that each hash names, or L{None}; and paths that do
            not hold what the index says.
        """
        site = self._site
        if site is None:
            return [None] * len(hashes), frozenset()
        return await self._lane.do(self._read, site, hashes)

    def _read(
        self, site: Site, hashes: Sequence[Hash]
    ) -> tuple[list[bytes | None], frozenset[Path]]:
        if site is not self._site:
            return [None] * len(hashes), frozenset()
        if self._index is None or self._finder is None:
            self._index = self._open_index()
            self._finder = Finder(self._index.contents, site)
        found = [self._finder.list_or_block(hash) for hash in hashes]
        suspects = frozenset(self._finder.suspects)
        self._finder.suspects.clear()
        return found, suspects

    def _close(self) -> None:
        if self._finder is not None:
            self._finder.close()
        if self._index is not None:
            self._index.close()
        self._finder = self._index = None
