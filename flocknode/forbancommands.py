# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What people may ask of a running node's Forban through the control socket
(L{flocknode.control}), as in L{flocknode.boxcommands}.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from flocknode.control import Command, text_argument
from flocknode.errors import FlocknodeError
from flocknode.forban.service import Forban


class ForbanCommands:
    """
    The commands about Forban.

    @param forban: L{None}: no box is public.
    """

    def __init__(self, forban: Forban | None) -> None:
        self._forban = forban

    def commands(self) -> Mapping[str, Command]:
        """By their names."""
        return {
            "forban_status": self.status,
            "forban_neighbours": self.neighbours,
            "forban_search": self.search,
            "forban_get": self.get,
        }

    @property
    def _running(self) -> Forban:
        if self._forban is None:
            raise FlocknodeError(
                "no box is public: write 'forban = yes' below [box NAME], and let [forban] mode"
                " not be off"
            )
        return self._forban

    def status(self) -> dict[str, Any]:
        """A L{flocknode.forban.status.ForbanStatus}."""
        return attrs.asdict(self._running.status())

    def neighbours(self) -> list[dict[str, Any]]:
        """Of each, a L{flocknode.forban.status.NeighbourStatus}."""
        return [attrs.asdict(each) for each in self._running.neighbours()]

    def search(self, term: str) -> Deferred[dict[str, Any]]:
        """C{hits}: of each, a L{flocknode.forban.status.Hit}; C{more}: there are more."""
        return Deferred.fromCoroutine(self._search(text_argument(term)))

    async def _search(self, term: str) -> dict[str, Any]:
        hits, more = await self._running.search(term)
        found = [{**attrs.asdict(hit), "path": os.fsdecode(hit.path)} for hit in hits]
        return {"hits": found, "more": more}

    def get(self, uuid: str, path: str) -> Deferred[dict[str, Any]]:
        """C{path}: where it is in its box; if that is null, C{wait}: seconds until it is."""
        safe = os.fsencode(text_argument(path))
        return Deferred.fromCoroutine(self._get(text_argument(uuid), safe))

    async def _get(self, uuid: str, path: bytes) -> dict[str, Any]:
        done = await self._running.get(uuid, path)
        where = None if done.path is None else os.fsdecode(done.path)
        return {"path": where, "wait": done.wait}
