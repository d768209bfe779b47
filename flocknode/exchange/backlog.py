# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How much is lacking, and what is not worth a round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

_FRUITLESS: Final = 3
"""Rounds that changed nothing of what a member lacks, until that is written
off: a full disk or a name that its file system does not take must not keep the
flock in rounds for ever."""

_FIRST_PAUSE: Final = 60.0
_LAST_PAUSE: Final = 3600.0
"""Seconds for which it is written off; twice as long each time.  Nobody tells
when the disk has room again, or a folder is back."""

_TRIAL: Final = 65_536
"""Bytes that it counts for after that: a short round shows whether it helps now."""


@attrs.define
class _WrittenOff:
    """
    @ivar size: bytes; C{until}: then they count again; C{pause}: for how long
        they did not.
    """

    size: int
    until: float
    pause: float


class Backlog:
    """
    The most that anybody lacks, without what rounds do not help with.  What
    was written off counts again once its owner lacks less, or reappeared, or
    after a while.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        @param now: monotonic seconds.
        """
        self._now = now
        self._before: dict[bytes, int] = {}
        self._missing_before = 0
        self._fruitless: dict[bytes, int] = {}
        self._written_off: dict[bytes, _WrittenOff] = {}

    def forget(self, member: bytes) -> None:
        """It appeared, or left."""
        self._before.pop(member, None)
        self._fruitless.pop(member, None)
        self._written_off.pop(member, None)

    def most(self, lacking: Mapping[bytes, int]) -> int:
        """
        @param lacking: bytes, by member.
        """
        most = 0
        for member, size in lacking.items():
            written_off = self._written_off.get(member)
            if written_off is not None and size < written_off.size:
                self.forget(member)
                written_off = None
            if written_off is None:
                counts = size
            else:
                due = self._now() >= written_off.until
                counts = max(size - written_off.size, min(size, _TRIAL) if due else 0)
            most = max(most, counts)
        return most

    def round_started(self, lacking: Mapping[bytes, int], missing: int) -> None:
        """
        @param missing: bytes that this node itself lacks.
        """
        self._before = dict(lacking)
        self._missing_before = missing

    def round_stopped(self, lacking: Mapping[bytes, int], missing: int) -> None:
        """Write off what three rounds in a row have not changed."""
        for member, before in self._before.items():
            size = lacking.get(member, 0)
            # What arrived here may be what it lacks now.
            if not size or size < before or missing < self._missing_before:
                self._fruitless.pop(member, None)
                continue
            count = self._fruitless[member] = self._fruitless.get(member, 0) + 1
            if count >= _FRUITLESS:
                known = self._written_off.get(member)
                pause = _FIRST_PAUSE if known is None else min(2 * known.pause, _LAST_PAUSE)
                self._written_off[member] = _WrittenOff(size, self._now() + pause, pause)
        self._before = {}
