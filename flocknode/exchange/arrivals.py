# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Blocks that have come and are on their way into a box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.values import Hash
from flocknode.exchange.interfaces import SharedBox

BATCH: Final = 4 * 1_048_576
"""Bytes that are written in one go, about."""

AT_ONCE: Final = 2
"""Batches that are written at the same time, so that the box never waits."""


@attrs.frozen
class Arrival:
    """
    A block that is whole and not verified yet.

    @ivar sender: the bit of who sent it.
    @ivar holders: the bits of those who have it.
    """

    hash: Hash
    data: bytes
    sender: int
    holders: int


class Arrivals:
    """
    Writes blocks into a box: few large batches rather than many small ones.

    @ivar size: bytes of blocks that are held.
    """

    _log = Logger()

    def __init__(
        self,
        box: SharedBox,
        done: Callable[[Sequence[Arrival], Sequence[bool]], None],
        failed: Callable[[Sequence[Arrival]], None],
    ) -> None:
        """
        @param done: told which blocks of a batch were right.
        @param failed: told of a batch that could not be written.
        """
        self.size = 0
        self._box = box
        self._done = done
        self._failed = failed
        self._waiting: list[Arrival] = []
        self._writing = 0

    def add(self, arrival: Arrival) -> None:
        """Hold this until L{flush}."""
        self._waiting.append(arrival)
        self.size += len(arrival.data)

    def flush(self) -> None:
        """Write what is held, as far as the box is ready for it."""
        while self._waiting and self._writing < AT_ONCE:
            size = count = 0
            while count < len(self._waiting) and size < BATCH:
                size += len(self._waiting[count].data)
                count += 1
            batch = self._waiting[:count]
            del self._waiting[:count]
            self._writing += 1
            written = self._box.write([(arrival.hash, arrival.data) for arrival in batch])
            written.addCallbacks(self._written, self._lost, (batch, size), {}, (batch, size), {})
            written.addErrback(self._broken)

    def _written(self, good: list[bool], batch: list[Arrival], size: int) -> None:
        self._writing -= 1
        self.size -= size
        self._done(batch, good)
        self.flush()

    def _lost(self, failure: Failure, batch: list[Arrival], size: int) -> None:
        self._log.debug("blocks cannot be written: {reason}", reason=failure.value)
        self._writing -= 1
        self.size -= size
        self._failed(batch)
        self.flush()

    def _broken(self, failure: Failure) -> None:
        self._log.failure("blocks cannot be taken in", failure)
