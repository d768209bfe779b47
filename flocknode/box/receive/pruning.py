# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Removing from the version store what L{flocknode.box.retention} does not keep:
some seconds after something came in, and now and then all over; a little at a
time, since it is done between other things.

Whatever the policy says, this stays:

 - what is still to be looked at once more (L{flocknode.box.receive.mover});
 - content that is wanted: it may be a conflict's other side that is not yet
   placed under its own name, and the store the only place where it is;
 - for 30 days, what the index does not know, or knows otherwise: somebody
   wrote to it in the store, or it could not be read.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

from flocknode.box.calendar import Calendar
from flocknode.box.disk.site import Site
from flocknode.box.index.contents import KeptRow
from flocknode.box.index.ledger import Ledger
from flocknode.box.receive.secondlook import SECOND_LOOK
from flocknode.box.receive.wants import Wants
from flocknode.box.retention import DAY, HOUR, KeepFor, beyond
from flocknode.box.settings import BoxSettings
from flocknode.box.values import Hash, Path

SOON = SECOND_LOOK + 1.0
"""Seconds after something was kept until its path is looked at."""

EVERY = 3600.0
"""Seconds between looks at everything."""

AGAIN = 10.0
"""Seconds until what may not go yet is looked at again."""

PATIENCE = 0.02
"""Seconds that L{Pruner.step} works before it returns."""

MOST = 10_000
"""Paths that are remembered to be looked at; more wait for the next L{Pruner.begin}."""

UNKNOWN = 30 * DAY
"""Seconds for which is kept what the index does not know."""

_PAGE = 200
"""Rows or paths that are read at a time."""


class Pruner:
    """
    Prunes one site's store, while the folder is there.

    @param wants: what is wanted.
    @param watched: the names that are to be looked at once more.
    @param now: seconds; C{calendar}: how old something is.
    @param cancelled: whether to stop as soon as possible.
    """

    def __init__(
        self,
        ledger: Ledger,
        site: Site,
        wants: Wants,
        settings: BoxSettings,
        *,
        watched: Callable[[], frozenset[bytes]],
        now: Callable[[], float],
        calendar: Calendar,
        cancelled: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._contents = ledger.index.contents
        self._versions = site.versions
        self._wants = wants
        self._policy = settings.versions
        self._limit = settings.versions_size
        self._find_watched = watched
        self._watched: frozenset[bytes] = frozenset()
        self._now = now
        self._calendar = calendar
        self._cancelled = cancelled
        self._changed: set[Path] = set()
        self._at: float | None = None
        self._all_at: float | None = None
        self._work: Iterator[None] | None = None
        self._gone: list[bytes] = []

    def begin(self) -> None:
        """Look at everything, now and every hour."""
        self._save_date()
        self._all_at = self._now() + EVERY
        self._work = self._look_at_all()

    def add(self, paths: set[Path], delay: float = SOON) -> None:
        """Something was kept of these paths: look at them soon."""
        if not paths:
            return
        if len(self._changed) < MOST:
            self._changed |= paths
        if self._at is None:
            self._at = self._now() + delay

    def delay(self) -> float | None:
        """Seconds until L{step} has something to do; L{None}: nothing is waiting."""
        if self._work is not None:
            return 0.0
        times = [time for time in (self._at, self._all_at) if time is not None]
        return max(0.0, min(times) - self._now()) if times else None

    def step(self) -> None:
        """Do a piece of it."""
        enough = self._now() + PATIENCE
        if self._work is None:
            now = self._now()
            if self._all_at is not None and self._all_at <= now:
                self.begin()
            elif self._at is not None and self._at <= now:
                self._work = self._look_at_changed()
        if self._work is None:
            return
        self._watched = self._find_watched()
        for _ in self._work:
            if self._cancelled() or self._now() >= enough:
                break
        else:
            self._work = None
        self._forget()

    def _look_at_changed(self) -> Iterator[None]:
        changed, self._changed, self._at = self._changed, set(), None
        self._save_date()
        for path in changed:
            yield from self._look_at(path)
        yield from self._fit()

    def _look_at_all(self) -> Iterator[None]:
        last = b""
        while paths := self._contents.kept_paths(_PAGE, last):
            for last in paths:
                yield from self._look_at(last)
        yield from self._fit()
        yield from self._clear_unknown()
        self._forget()
        with self._ledger.index.transaction():
            self._contents.forget_block_lists([want.content for want in self._wants.all()])
        yield

    def _save_date(self) -> None:
        """Nodes that never run for an hour must grow older as well."""
        today = int(self._calendar.today())
        if today - (self._ledger.date() or 0) >= HOUR:
            # Where there is no room for it, another time will do.
            with contextlib.suppress(sqlite3.OperationalError):
                self._ledger.set_date(today)

    def _look_at(self, path: Path) -> Iterator[None]:
        for row in self._policy.drops(self._contents.kept_at(path), self._calendar.today()):
            self._drop(row)
            yield
        yield

    def _fit(self) -> Iterator[None]:
        """Keep to the size."""
        if self._limit is None:
            return
        self._forget()
        for row in beyond(self._oldest_first(), self._contents.kept_size(), self._limit):
            self._drop(row)
            yield

    def _oldest_first(self) -> Iterator[KeptRow]:
        last = (0.0, b"")
        while rows := self._contents.kept_oldest(_PAGE, last):
            yield from rows
            last = (rows[-1].kept, rows[-1].name)

    def _clear_unknown(self) -> Iterator[None]:
        seconds = self._policy.seconds if isinstance(self._policy, KeepFor) else 0.0
        names = self._versions.older(self._calendar.today() - max(seconds, UNKNOWN))
        known = self._contents.kept_names() if names else frozenset()
        for name in names:
            if name not in known:
                self._remove(name)
                yield

    def _drop(self, row: KeptRow) -> None:
        """This may go, if nothing else speaks for it."""
        if row.name in self._watched or self._wants.get(Hash(row.content)) is not None:
            self.add({row.path}, AGAIN)
            return
        stat = self._versions.stat(row.name)
        as_known = stat is None or (stat.size, stat.mtime_ns) == (row.size, row.mtime_ns)
        if not as_known or self._remove(row.name):
            self._gone.append(row.name)

    def _remove(self, name: bytes) -> bool:
        try:
            self._versions.remove(name)
        except OSError:
            # The disk refuses: the next time, perhaps.
            return False
        return True

    def _forget(self) -> None:
        """Tell the index what does not lie there any more."""
        gone, self._gone = self._gone, []
        if gone:
            with self._ledger.index.transaction():
                self._contents.forget_kept(gone)
