# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Two folders of one node that are the same box: what either announces is joined
into the other, and blocks are copied from disk to disk.  No link and no round
is needed for that.
"""

from __future__ import annotations

from typing import Any

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.box import Box
from flocknode.box.values import Holder

INTERVAL = 0.5
"""Seconds between two looks whether there is something to bring over."""

INDEX_SIZE = 1 << 18
"""Bytes of entries, about, that are joined at once."""

BLOCKS = 16
"""Blocks that are written at once; 16 MiB at most."""

HOLDER_CONTEXT = "flocknode 2026 folder of a node"
"""BLAKE3 derive-key context of what a folder is called as a holder."""


class Bridge:
    """
    Lives in the reactor.

    @param clock: provides C{callLater}.
    """

    _log = Logger()

    def __init__(self, clock: Any, one: Box, other: Box) -> None:
        self._clock = clock
        self._ways = ((one, other), (other, one))
        self._timer: IDelayedCall | None = None
        self._busy: Deferred[None] | None = None
        self._on = False

    def start(self) -> None:
        """Begin."""
        self._on = True
        self._timer = self._clock.callLater(0, self._turn)

    async def stop(self) -> None:
        """End, when what is being brought over has been."""
        self._on = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy is not None:
            waiting: Deferred[None] = Deferred()
            self._busy.addBoth(lambda _: waiting.callback(None))
            await waiting

    def _turn(self) -> None:
        self._timer = None
        self._busy = Deferred.fromCoroutine(self._bring())
        self._busy.addErrback(self._failed).addCallback(self._turned)

    def _turned(self, _: object) -> None:
        self._busy = None
        if self._on:
            self._timer = self._clock.callLater(INTERVAL, self._turn)

    def _failed(self, failure: Failure) -> None:
        # Mostly a medium that left; it is tried again, or ended.
        self._log.debug("nothing was brought over: {reason}", reason=failure.value)

    async def _bring(self) -> None:
        more = True
        while more and self._on:
            more = False
            for source, target in self._ways:
                more = await self._bring_entries(source, target) or more
                more = await self._bring_blocks(source, target) or more

    async def _bring_entries(self, source: Box, target: Box) -> bool:
        """@return: whether something was brought."""
        them, us = _holder(source), _holder(target)
        index_id = source.index_id
        if them is None or us is None or not index_id or not target.index_id:
            return False
        stored_id, number = target.stored(them)
        start = number if stored_id == index_id else 0
        source.acknowledged(us, index_id, start)
        if source.highest <= start:
            return False
        entries, to = await source.entries_after(start, INDEX_SIZE)
        if to <= start or source.index_id != index_id:
            return False
        return await target.join(them, index_id, start, to, entries)

    async def _bring_blocks(self, source: Box, target: Box) -> bool:
        them = _holder(source)
        if them is None:
            return False
        blocks = []
        for need in target.needs():
            if them in target.sources(need.content):
                data = await source.read(need.hash)
                if data is not None:
                    blocks.append((need.hash, data))
                if len(blocks) >= BLOCKS or not self._on:
                    break
        return bool(blocks) and any(await target.write(blocks))


def _holder(box: Box) -> Holder | None:
    """What a folder is called by the other; L{None} while it is not there."""
    if box.folder_id is None:
        return None
    digest: bytes = blake3(box.folder_id, derive_key_context=HOLDER_CONTEXT).digest(length=16)
    return Holder(digest)
