# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When files are put in place and block lists written down: a few together, since
each alone would wait for the disk.
"""

from __future__ import annotations

from flocknode.box.receive.deletions import Deletions
from flocknode.box.receive.seeker import Seeker
from flocknode.box.receive.tasks import Tasks
from flocknode.box.receive.wants import Wants
from flocknode.box.settings import BoxSettings


class Gathering:
    """
    Says when; whoever asks does it.
    """

    def __init__(
        self,
        tasks: Tasks,
        wants: Wants,
        seeker: Seeker,
        deletions: Deletions,
        settings: BoxSettings,
    ) -> None:
        self._tasks = tasks
        self._wants = wants
        self._seeker = seeker
        self._deletions = deletions
        self._settings = settings
        self._ready_since: float | None = None
        self._unsaved_since: float | None = None
        self._fruitless = False

    def place_at(self, now: float) -> float | None:
        """
        When to place what is ready: at once if the batch is full or nothing
        more can be expected to join it.
        """
        if not self._tasks.ready:
            self._ready_since = None
            return None
        if self._ready_since is None:
            self._ready_since = now
        due = self._deletions.due(now)
        if self._tasks.only_last and due != now:
            return due
        full = self._tasks.ready >= self._settings.batch
        alone = not self._wants.needs and not self._seeker.seeking
        if (full or alone) and not self._fruitless:
            return now
        return self._ready_since + self._settings.gather

    def placing(self) -> None:
        """It is being done: what is ready thereafter waits anew."""
        self._ready_since = None

    def placed(self, anything: bool) -> None:
        """
        It was done.

        @param anything: if nothing was, what is ready waits for something else,
            and must not be tried without a pause.
        """
        self._fruitless = not anything

    def save_at(self, now: float) -> float | None:
        """When to write down block lists."""
        if not self._seeker.unsaved:
            self._unsaved_since = None
            return None
        if self._unsaved_since is None:
            self._unsaved_since = now
        return self._unsaved_since + self._settings.gather
