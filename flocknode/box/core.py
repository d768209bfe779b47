# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What of a box lives in its worker thread: the engine, and the folder and index
that it works on.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar

import attrs

from flocknode.box import carried
from flocknode.box.disk.site import Site, open_site
from flocknode.box.engine import BoxEngine, Snapshot
from flocknode.box.events import Events
from flocknode.box.index.damage import Damaged, is_damage, put_aside
from flocknode.box.index.database import Index
from flocknode.box.listing import Mark
from flocknode.box.requests import Requests
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.hashing import Hashed
from flocknode.box.survey.observe import Sighting
from flocknode.box.values import Entry, Hash, Holder, Path
from flocknode.errors import BoxError
from flocknode.media.devices import mount_of
from flocknode.media.places import Found, Place

T = TypeVar("T")


class NotHere(BoxError):
    """The index went away with its medium."""


@attrs.frozen
class Told:
    """
    What is to be told in the reactor after something was done.

    @ivar delay: seconds until L{Core.step} has something to do, or L{None}.
    """

    events: Events
    numbers: Snapshot
    delay: float | None


class Core:
    """
    Every method is called in the worker thread, but L{open_reading} and
    L{removable}.

    @param index_path: of the index, unless the medium carries it.
    @param cancelled: whether to stop as soon as possible; from any thread.
    @param name: of the box.
    """

    def __init__(
        self,
        place: Place,
        index_path: str,
        settings: BoxSettings,
        random: Random,
        cancelled: Callable[[], bool],
        *,
        name: str,
    ) -> None:
        self._name = name
        self._place = place
        self._found: Found | None = None
        self._ejected: int | None = None
        self._index_path = index_path
        self._settings = settings
        self._random = random
        self._cancelled = cancelled
        self._index: Index | None = None
        self._opened: BoxEngine | None = None
        self._site: Site | None = None

    @property
    def _engine(self) -> BoxEngine:
        if self._opened is None:
            if self._place.removable:
                raise NotHere("The medium of the box is not here; the status says more.")
            raise BoxError("The index of the box is not open; the status says why.")
        return self._opened

    @property
    def removable(self) -> bool:
        """Does a medium carry the index with the folder?  In any thread."""
        return self._place.removable

    def do(self, work: Callable[..., T], *arguments: Any) -> tuple[T, Told]:
        """Do something, and say what came of it besides its result."""
        try:
            result = work(*arguments)
        except Exception as error:
            if is_damage(error):
                raise Damaged("The index is damaged; it is built anew.") from error
            raise
        engine = self._opened
        if engine is None:
            return result, Told(Events(), Snapshot(), None)
        return result, Told(engine.take_events(), engine.snapshot(), engine.delay())

    def open(self) -> str:
        """
        Open the index, if it is not open, and no medium carries it.  If it is
        damaged it is put aside, and a new one is made.

        @return: one sentence on that, or nothing.
        @raise BoxError: it cannot be used.
        """
        if self._opened is None and not self._place.removable:
            return self._open_index()
        return ""

    def _open_index(self) -> str:
        try:
            self._open()
        except Exception as error:
            if not is_damage(error):
                raise
            self._close_index()
            aside = self._put_aside()
            self._open()
            return aside
        return ""

    def _open(self) -> None:
        self._index = Index(self._index_path, carried=self._place.removable)
        self._opened = BoxEngine(
            self._index, self._random, self._settings, cancelled=self._cancelled
        )

    def open_reading(self) -> Index:
        """The index again, for reading; in whatever thread, while the folder is there."""
        return Index(self._index_path, reading=True, carried=self._place.removable)

    def start_anew(self) -> str:
        """
        The index is damaged: put it aside, and make a new one.  Nobody may read
        it any more.

        @return: one sentence.
        """
        self.close()
        aside = self._put_aside()
        if not self._place.removable:
            self._open()
        return aside

    def _put_aside(self) -> str:
        try:
            aside = put_aside(self._index_path, time.time())
        except OSError as error:
            raise BoxError(
                f"The index {self._index_path} is damaged and cannot be moved away"
                f" ({os.strerror(error.errno or 0)}); move it away yourself."
            ) from error
        return f"The index was damaged ({aside}); it was built anew from the folder."

    def close(self) -> None:
        """Give up everything.  Idempotent."""
        self.leave()
        self.close_site()
        self._close_index()

    def _close_index(self) -> None:
        index, self._index, self._opened = self._index, None, None
        if index is not None:
            # A medium that was pulled out fails to the last.
            with contextlib.suppress(sqlite3.Error):
                index.close()

    # The folder

    def find_folder(self) -> tuple[Site | None, str]:
        """@return: the folder, if it is there, or one sentence why it is not."""
        self.close_site()
        if self._is_ejected():
            return None, (
                "It was ejected: its medium can be unmounted. To go on with it as it is, rescan it."
            )
        try:
            found = self._place.find()
            return self._arrive(found), ""
        except BoxError as error:
            self.close_site()
            return None, str(error)
        except BaseException:
            # It is tried again: nothing may stay open.
            self.leave()
            self.close_site()
            raise

    def _arrive(self, found: Found) -> Site:
        was_marked, check = False, None
        if self._place.removable:
            self._index_path, was_marked = carried.prepare(self._place, found, self._name)
            check = partial(carried.check, found=found)
            self._open_index()
        engine = self._engine
        is_new = engine.ledger.folder_id is None
        site, marked = open_site(
            found.path, engine.ledger.folder_id, symlinks=self._settings.symlinks, check=check
        )
        self._site, self._found = site, found
        # A folder that was a box before, and an index that knows nothing.
        rebuilt = is_new and (was_marked if self._place.removable else marked)
        engine.withheld = engine.withheld or rebuilt
        engine.attach(site)
        return site

    def still_there(self) -> bool:
        """Is the folder where it was, and the same?"""
        if self._site is None or not self._site.in_place():
            return False
        if not self._place.removable:
            return True
        try:
            return self._place.find() == self._found
        except BoxError:
            return False

    def eject(self) -> None:
        """Find the folder no more before its medium was away, or L{take_back}."""
        if self._site is not None:
            self._ejected = mount_of(self._site.folder.root_fd)

    def take_back(self) -> None:
        """It may be found again."""
        self._ejected = None

    def _is_ejected(self) -> bool:
        if self._ejected is not None and self._mount_now() != self._ejected:
            self._ejected = None
        return self._ejected is not None

    def _mount_now(self) -> int | None:
        """The mount on which the folder would be found now."""
        try:
            found = self._place.find()
            if found.mount is not None:
                return found.mount
            descriptor = os.open(found.path, os.O_PATH | os.O_CLOEXEC)
        except (BoxError, OSError):
            return None
        try:
            return mount_of(descriptor)
        finally:
            os.close(descriptor)

    def leave(self) -> None:
        """The folder is not there; whoever still reads in it may end that first."""
        if self._opened is not None:
            self._opened.detach()

    def close_site(self) -> None:
        """Nobody reads in the folder any more: give up all that lies in it."""
        site, self._site = self._site, None
        if site is not None:
            with contextlib.suppress(OSError):
                site.close()
        if self._place.removable:
            self._close_index()

    def observe(self, site: Site, sighting: Sighting) -> None:
        """Take in what was seen, if it was seen in the present folder."""
        planner = self._engine.planner
        if planner is not None and planner.site is site:
            self._engine.observe(sighting)

    def surveyed(self, site: Site) -> None:
        """All that is in this folder is known."""
        planner = self._engine.planner
        if planner is not None and planner.site is site:
            self._engine.surveyed()
            self._engine.prune()

    # What people ask

    def request(self, work: Callable[..., T], *arguments: Any) -> T:
        """
        @param work: a method of L{Requests}.
        @raise BoxError: one sentence for whoever asked.
        """
        return work(Requests(self._engine), *arguments)

    def distrust(self, site: Site, path: Path, rotten: Hashed) -> bool:
        """See L{BoxEngine.distrust}; nothing is done if it is another folder."""
        planner = self._engine.planner
        if planner is None or planner.site is not site:
            return False
        return self._engine.distrust(path, rotten)

    def mark(self) -> Mark:
        """What is settled now."""
        ledger = self._engine.ledger
        return Mark(ledger.totals.counted, ledger.highest)

    # What the engine does

    def release(self) -> None:
        """Announce what a lost index had to be built of."""
        self._engine.withheld = False

    def step(self) -> None:
        """See L{BoxEngine.step}."""
        self._engine.step()

    def forget(self) -> bool:
        """See L{BoxEngine.forget}."""
        return self._engine.forget()

    def confirm(self) -> int:
        """See L{BoxEngine.confirm}."""
        return self._engine.confirm()

    def entries_after(self, number: int, limit: int) -> tuple[list[Entry], int]:
        """See L{BoxEngine.entries_after}."""
        return self._engine.entries_after(number, limit)

    def join(
        self, holder: Holder, index_id: int, start: int, to: int, entries: Sequence[Entry]
    ) -> bool:
        """See L{BoxEngine.join}."""
        return self._engine.join(holder, index_id, start, to, entries)

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> list[bool]:
        """See L{BoxEngine.write}."""
        return self._engine.write(blocks)

    def acknowledged(self, holder: Holder, index_id: int, number: int) -> None:
        """See L{BoxEngine.acknowledged}."""
        self._engine.acknowledged(holder, index_id, number)

    def counted(self, total: int) -> None:
        """See L{BoxEngine.counted}."""
        self._engine.counted(total)
