# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What of a box lives in its worker thread: the engine, and the folder and index
that it works on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

import attrs

from flocknode.box.disk.site import Site, open_site
from flocknode.box.engine import BoxEngine, Snapshot
from flocknode.box.events import Events
from flocknode.box.index.database import Index
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.observe import Sighting
from flocknode.box.values import Entry, Hash, Holder
from flocknode.errors import BoxError

T = TypeVar("T")


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
    Every method is called in the worker thread.

    @param cancelled: whether to stop as soon as possible; from any thread.
    """

    def __init__(
        self,
        root: str,
        index_path: str,
        settings: BoxSettings,
        random: Random,
        cancelled: Callable[[], bool],
    ) -> None:
        self._root = root
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
            raise BoxError("The index of the box is not open; the status says why.")
        return self._opened

    def do(self, work: Callable[..., T], *arguments: Any) -> tuple[T, Told]:
        """Do something, and say what came of it besides its result."""
        result = work(*arguments)
        engine = self._opened
        if engine is None:
            return result, Told(Events(), Snapshot(), None)
        return result, Told(engine.take_events(), engine.snapshot(), engine.delay())

    def open(self) -> None:
        """
        Open the index, if it is not open.

        @raise BoxError: it cannot be used.
        """
        if self._opened is None:
            self._index = Index(self._index_path)
            self._opened = BoxEngine(
                self._index, self._random, self._settings, cancelled=self._cancelled
            )

    def close(self) -> None:
        """Give up everything.  Idempotent."""
        self.leave()
        self.close_site()
        if self._index is not None:
            self._index.close()
        self._index = self._opened = None

    # The folder

    def find_folder(self) -> tuple[Site | None, str]:
        """@return: the folder, if it is there, or one sentence why it is not."""
        engine = self._engine
        is_new = engine.ledger.folder_id is None
        try:
            site, was_marked = open_site(self._root, engine.ledger.folder_id)
        except BoxError as error:
            return None, str(error)
        self._site = site
        # A folder that was a box before, and an index that knows nothing.
        engine.withheld = is_new and was_marked
        engine.attach(site)
        return site, ""

    def still_there(self) -> bool:
        """Is the folder where it was, and the same?"""
        return self._site is not None and self._site.in_place()

    def leave(self) -> None:
        """The folder is not there; whoever still reads in it may end that first."""
        if self._opened is not None:
            self._opened.detach()

    def close_site(self) -> None:
        """Nobody reads in the folder any more."""
        if self._site is not None:
            self._site.close()
            self._site = None

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

    # What the engine does

    def release(self) -> None:
        """Announce what a lost index had to be built of."""
        self._engine.withheld = False

    def step(self) -> None:
        """See L{BoxEngine.step}."""
        self._engine.step()

    def confirm(self) -> int:
        """See L{BoxEngine.confirm}."""
        return self._engine.confirm()

    def prune(self) -> None:
        """See L{BoxEngine.prune}."""
        self._engine.prune()

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
