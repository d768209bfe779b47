# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Directories that have to go and cannot for what is in them.

One that is deleted stays as long as something ignored lies in it; one with
anything else in it is tried again after a while.  Both can go as soon as they
are empty, and what is not in them any more tells that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.index.database import Index
from flocknode.box.index.draft import Change
from flocknode.box.index.rows import Row
from flocknode.box.paths import split
from flocknode.box.receive.tasks import Action, Step, Task, Tasks
from flocknode.box.survey.observe import Observation
from flocknode.box.values import Path


class Remaining:
    """
    Of one site.

    @param retry: has a task that was held tried again.
    """

    def __init__(
        self, index: Index, tasks: Tasks, site: Site, retry: Callable[[Task], None]
    ) -> None:
        self._index = index
        self._tasks = tasks
        self._site = site
        self._retry = retry

    def follow(self, changes: Iterable[Change]) -> None:
        """Rows changed, and may have left a directory empty."""
        stayed: set[bytes] = set()
        left: set[bytes] = set()
        for change in changes:
            if change.new is not None and change.new.stays:
                stayed.add(change.path)
            if _is_there(change.old) and not _is_there(change.new):
                left.add(split(change.path)[0])
        self._look(stayed, left)

    def seen(self, observations: Iterable[Observation]) -> None:
        """
        Something was looked at, and nothing came of that: it may be such a
        directory, or what was ignored in one and is not there any more.
        """
        stayed: set[bytes] = set()
        left: set[bytes] = set()
        for each in observations:
            if each.stat is None:
                left.add(split(each.path)[0])
            elif each.stat.type is FileType.DIRECTORY:
                stayed.add(each.path)
        self._look(stayed, left)

    def _look(self, stayed: set[bytes], left: set[bytes]) -> None:
        """
        @param stayed: what may have stayed.
        @param left: what something has left.
        """
        paths = (stayed | left) - {b""}
        for row in list(self._index.known_rows(map(Path, paths))):
            task = self._tasks.get(row.path)
            if task is None:
                if row.stays and not row.pending and self._is_empty(row.path):
                    self._tasks.add(row.path, Action.DELETE, b"")
            elif (
                # Not merely since it was seen: a disk may refuse for ever.
                row.path in left
                and task.patient
                and task.step is Step.HELD
                and self._is_empty(row.path)
            ):
                self._retry(task)

    def _is_empty(self, path: Path) -> bool:
        """Is it an empty directory, and none that is left alone?"""
        if self._site.ignored(path, FileType.DIRECTORY):
            return False
        try:
            directory = self._site.folder.open_directory(path)
        except OSError:
            return False
        try:
            with os.scandir(directory) as entries:
                return next(entries, None) is None
        except OSError:
            return False
        finally:
            os.close(directory)


def _is_there(row: Row | None) -> bool:
    return row is not None and row.placed is not None and row.placed.disk is not None
