# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How much the members lack of what is here, and what is not worth a round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FRUITLESS: Final = 3
"""Rounds in which a member got nothing of what it lacks, until that is written
off: a full disk or a name that its file system does not take must not keep the
flock in rounds for ever."""


class Backlog:
    """
    The most that any member lacks, without what rounds do not help with.  What
    was written off counts again once the member lacks less, or reappeared.
    """

    def __init__(self) -> None:
        self._before: dict[bytes, int] = {}
        self._missing_before = 0
        self._fruitless: dict[bytes, int] = {}
        self._written_off: dict[bytes, int] = {}

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
            written_off = self._written_off.get(member, 0)
            if size < written_off:
                self.forget(member)
                written_off = 0
            most = max(most, size - written_off)
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
                self._written_off[member] = size
        self._before = {}
