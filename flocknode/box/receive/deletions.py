# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whether what others have deleted is deleted here without asking.

Deletions that come with no more than L{PAUSE} between them are one wave.  If a
wave is more than a configured share of the files that were here when it began,
what is left of it waits until somebody says that it was meant.  What is
renamed is not deleted.
"""

from __future__ import annotations

import attrs

from flocknode.box.disk.folder import FileType
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Row
from flocknode.box.receive.tasks import Action, Tasks

PAUSE = 60.0
"""Seconds: a deletion that comes later than this after the last belongs to
another wave."""

GATHER = 2.0
"""Seconds that deletions wait for more of their wave, so that it is judged as
a whole: announcements come in parts."""

_ASKED = "deletions"
# In the index: a wave waits for an answer, also after a restart.


def is_too_much(deletions: int, files: int, share: float) -> bool:
    """
    Whether a wave has to wait.

    @param files: how many there were when it began.
    @param share: 0.0 to 1.0, of these.
    """
    return deletions > share * files


@attrs.define
class _Wave:
    """
    @ivar files: how many there were when it began.
    @ivar done: how many of it were deleted.
    @ivar last: when the last of it was heard of.
    """

    files: int
    last: float
    done: int = 0


class Deletions:
    """
    The deletions among the tasks of a box.

    @param share: L{None}: they never wait.
    """

    def __init__(self, ledger: Ledger, tasks: Tasks, share: float | None) -> None:
        self._ledger = ledger
        self._tasks = tasks
        self._share = share
        self._wave: _Wave | None = None
        self._confirmed = self._began = False
        self._asked = share is not None and bool(ledger.index.meta(_ASKED))

    @property
    def waiting(self) -> int:
        """How many files wait for an answer."""
        return self._tasks.deletions if self._asked else 0

    def started(self) -> None:
        """All that was pending is among the tasks again."""
        self._began = True
        if not self._tasks.deletions:
            self._remember(False)

    def heard(self, row: Row, now: float) -> None:
        """What a path holds is to be deleted."""
        if self._share is None or not _is_file(row):
            return
        if self._wave is None or now - self._wave.last > PAUSE:
            self._wave = _Wave(self._ledger.totals.files, now)
            self._confirmed = False
            if not self._tasks.deletions and self._began:
                self._remember(False)
        self._wave.last = now

    def done(self, files: int) -> None:
        """So many were deleted."""
        if self._wave is not None:
            self._wave.done += files

    def due(self, now: float) -> float | None:
        """When deletions may be made, or L{None}: not before somebody said so."""
        wave, pending = self._wave, self._tasks.deletions
        if self._share is None:
            return now
        if not pending:
            self._remember(False)
            return now
        if self._confirmed or wave is None:
            return None if self._asked else now
        if now < wave.last + GATHER and not self._asked:
            return wave.last + GATHER
        if is_too_much(wave.done + pending, wave.files, self._share):
            self._remember(True)
        return None if self._asked else now

    def confirm(self) -> int:
        """
        It was meant.

        @return: how many files go on to be deleted.
        """
        waiting = self.waiting
        self._confirmed = True
        self._remember(False)
        return waiting

    def _remember(self, asked: bool) -> None:
        if asked == self._asked:
            return
        self._asked = asked
        with self._ledger.index.transaction():
            self._ledger.index.set_meta(_ASKED, int(asked))


def is_deletion(action: Action, row: Row) -> bool:
    """Does this action delete a file or link?"""
    return action is Action.DELETE and _is_file(row)


def _is_file(row: Row) -> bool:
    disk = None if row.placed is None else row.placed.disk
    return disk is not None and disk.type in (FileType.FILE, FileType.SYMLINK)
