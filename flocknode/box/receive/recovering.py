# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Finding out what became of files that were being put in place when the disk, the
index or the process failed; if that cannot be found out now, later.
"""

from __future__ import annotations

from collections.abc import Callable

from flocknode.box.disk.placement import reason_for
from flocknode.box.events import Events
from flocknode.box.index.draft import Change
from flocknode.box.index.ledger import Ledger
from flocknode.box.receive.mover import Mover
from flocknode.box.receive.tasks import FIRST_DELAY, LONGEST_DELAY
from flocknode.box.values import Path


class Recovery:
    """
    @param now: seconds, monotonic.
    @param failed: told (path, one sentence) of what cannot be found out.
    """

    def __init__(
        self,
        ledger: Ledger,
        mover: Mover,
        *,
        now: Callable[[], float],
        failed: Callable[[Path, str], None],
    ) -> None:
        self._ledger = ledger
        self._mover = mover
        self._now = now
        self._failed = failed
        self._at = self._delay = 0.0
        self._postponed = False

    @property
    def due(self) -> float | None:
        """When it is tried (again); L{None}: there is nothing to find out."""
        return self._at if self._mover.unfinished else None

    def postpone(self) -> bool:
        """
        Whether what is seen in the folder must not be taken in now: of what
        was being placed, it is not known what became.  It is looked at again.
        """
        self._postponed |= self._mover.unfinished
        return self._mover.unfinished

    def attempt(self, events: Events) -> list[Change]:
        """
        Find out, if it is time for that.

        @param events: where is noted what has to be looked at thereafter.
        @return: what changed in the index.
        """
        mover, now = self._mover, self._now()
        if not mover.unfinished or now < self._at:
            return []
        self._delay = min(max(2 * self._delay, FIRST_DELAY), LONGEST_DELAY)
        self._at = now + self._delay
        try:
            changes = mover.recover(events)
        except OSError as error:
            for path, _ in self._ledger.index.placing():
                self._failed(path, reason_for(error))
            return []
        self._at = self._delay = 0.0
        if self._postponed:
            self._postponed = False
            events.rescan.add(Path(b""))
        return changes
