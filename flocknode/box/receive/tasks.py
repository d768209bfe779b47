# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which paths are to be placed, and in which order.  Pure.

Directories come before what is in them.  Deletions come last, when nothing
that could be made of the deleted is still being looked for; what takes the
place of a directory comes after those.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable

import attrs

from flocknode.box.index.rows import Row, needs_content
from flocknode.box.values import Kind, Path

FIRST_DELAY = 1.0
"""Seconds until something that failed is tried again; doubled each time."""

LONGEST_DELAY = 300.0
"""Seconds."""

LARGER = 4
"""How many times as many files a batch may have if they are small: it waits for
the disk some ten times, however many files it has."""

SMALL = 16 << 20
"""Bytes of all files of such a batch together."""


class Action(enum.Enum):
    """What has to be done at a path."""

    DIRECTORY = "make it a directory, or set its mode"
    FILE = "put a file or a link there, or set its attributes"
    DELETE = "remove what is there"
    INSTEAD = "put a file or a link where a directory is"


class Step(enum.Enum):
    """How far a task is."""

    CONTENT = "its content is not here yet"
    READY = "can be placed"
    TAKEN = "is being placed"
    HELD = "could not be placed; is tried again later"


@attrs.define(eq=False)
class Task:
    """
    A path whose settled head is not what the folder holds.

    @ivar content: to be received first; empty if none is needed.
    @ivar source: a path with that content that is to be deleted: it is renamed.
    @ivar target: the reverse.
    @ivar delay: seconds that it was held the last time.
    @ivar deletes: it removes a file or link (and not a directory).
    @ivar patient: it is held until then, whatever is seen at its path.
    """

    path: Path
    action: Action
    content: bytes
    step: Step = Step.CONTENT
    source: Path | None = None
    target: Path | None = None
    delay: float = 0.0
    deletes: bool = False
    patient: bool = False


def action_for(row: Row) -> tuple[Action, bytes]:
    """What a pending row asks for, and the content that it needs for it."""
    head, placed = row.head, row.placed
    if head is None or head.value.deleted:
        return Action.DELETE, b""
    if head.value.kind is Kind.DIRECTORY:
        return Action.DIRECTORY, b""
    there = placed is not None and placed.disk is not None
    if there and placed is not None and placed.value.kind is Kind.DIRECTORY:
        action = Action.INSTEAD
    else:
        action = Action.FILE
    if not needs_content(head.value, head.size):
        return action, b""
    if (
        there
        and placed is not None
        and placed.value.kind is head.value.kind
        and placed.value.content == head.value.content
    ):
        return action, b""
    return action, head.value.content


class Tasks:
    """
    All pending paths.

    @ivar ready: how many can be placed right now.
    @ivar unpaired: those that were to be made by renaming and can not, since
        somebody last looked: their content has to be found.
    """

    def __init__(self) -> None:
        self.ready = 0
        self.unpaired: list[Task] = []
        self._tasks: dict[Path, Task] = {}
        self._files: deque[Task] = deque()
        self._heaps: dict[Action, list[tuple[int, Path, int, Task]]] = {
            action: [] for action in Action
        }
        self._held: list[tuple[float, int, Task]] = []
        self._count = 0
        # Makes heap items comparable.
        self._files_ready = self._directories_ready = 0
        self._deletions: int | None = 0
        # Counted anew when somebody asks.

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, path: Path) -> Task | None:
        """The task of a path, or L{None}."""
        return self._tasks.get(path)

    @property
    def deletions(self) -> int:
        """Files and links that are to be removed, and not to be renamed."""
        if self._deletions is None:
            self._deletions = sum(
                task.deletes and task.target is None for task in self._tasks.values()
            )
        return self._deletions

    @property
    def only_last(self) -> bool:
        """Whether all that is L{ready} has to be done last: deletions."""
        return self.ready > 0 and not self._files_ready and not self._directories_ready

    def add(self, path: Path, action: Action, content: bytes, deletes: bool = False) -> Task:
        """A new task in place of any other for the path."""
        self.drop(path)
        self._deletions = None
        task = self._tasks[path] = Task(path, action, content, deletes=deletes)
        if not content:
            self.set_ready(task)
        return task

    def drop(self, path: Path) -> Task | None:
        """There is nothing to do at this path (any more)."""
        task = self._tasks.pop(path, None)
        if task is not None:
            self._deletions = None
            self._leave(task, Step.TAKEN)
            self.unpair(task)
        return task

    def set_ready(self, task: Task) -> None:
        """It can be placed."""
        if task.step is Step.READY:
            return
        task.step = Step.READY
        self.ready += 1
        if task.action is Action.FILE:
            self._files_ready += 1
            self._files.append(task)
        else:
            self._directories_ready += task.action is Action.DIRECTORY
            self._push(task)

    def _push(self, task: Task) -> None:
        depth = task.path.count(b"/")
        if task.action is not Action.DIRECTORY:
            depth = -depth
        self._count += 1
        heapq.heappush(self._heaps[task.action], (depth, task.path, self._count, task))

    def wait(self, task: Task) -> None:
        """Its content has to be found (again)."""
        self._leave(task, Step.CONTENT)

    def hold(self, task: Task, now: float, longer: bool = True) -> None:
        """It could not be placed: try again later."""
        self._leave(task, Step.HELD)
        self.unpair(task)
        if longer or not task.delay:
            task.delay = min(max(2 * task.delay, FIRST_DELAY), LONGEST_DELAY)
        self._count += 1
        heapq.heappush(self._held, (now + task.delay, self._count, task))

    def pair(self, target: Task, source: Task) -> None:
        """C{source} is to be renamed to C{target}."""
        self._deletions = None
        target.source, source.target = source.path, target.path
        self.set_ready(target)

    def unpair(self, task: Task) -> None:
        """It is not renamed after all."""
        self._deletions = None
        source = None if task.source is None else self._tasks.get(task.source)
        target = None if task.target is None else self._tasks.get(task.target)
        task.source = task.target = None
        if target is not None and target.source == task.path:
            target.source = None
            self.wait(target)
            self.unpaired.append(target)
        if source is not None and source.target == task.path:
            source.target = None
            if source.step is Step.READY:
                self._push(source)

    def due(self, now: float) -> list[Task]:
        """What was held long enough."""
        found = []
        while self._held and self._held[0][0] <= now:
            _, _, task = heapq.heappop(self._held)
            if self._is_current(task, Step.HELD):
                found.append(task)
        return found

    def next_due(self) -> float | None:
        """When something is next due, or L{None}."""
        while self._held and not self._is_current(self._held[0][2], Step.HELD):
            heapq.heappop(self._held)
        return self._held[0][0] if self._held else None

    def take(
        self,
        limit: int,
        keeping: bool,
        has_parent: Callable[[Path], bool],
        size: Callable[[Task], int] | None = None,
    ) -> tuple[list[Task], list[Task]]:
        """
        The next batch.

        @param limit: tasks; of small files L{LARGER} times as many.
        @param keeping: nothing must be deleted now: content is still being
            looked for in what is here, or somebody has to be asked.
        @param has_parent: whether the folder has the directory of a path.
        @param size: bytes that are to be synced for it; L{None}: not known, so
            that nothing is taken for small.
        @return: what can be placed together, and what has no directory to be
            placed in.
        """
        batch: list[Task] = []
        orphans: list[Task] = []
        made: set[Path] = set()

        def accept(task: Task) -> None:
            self._leave(task, Step.TAKEN)
            parent = Path(task.path.rpartition(b"/")[0])
            if task.action is Action.DELETE or parent in made or has_parent(task.path):
                batch.append(task)
                if task.action is Action.DIRECTORY:
                    made.add(task.path)
            else:
                orphans.append(task)

        self._pop(self._heaps[Action.DIRECTORY], limit, batch, accept)
        most, room = (limit, 0) if size is None else (LARGER * limit, SMALL)
        while self._files and (len(batch) < limit or (len(batch) < most and room > 0)):
            task = self._files.popleft()
            if self._is_current(task, Step.READY):
                room -= 0 if size is None else size(task)
                accept(task)
        if keeping or self._files_ready:
            return batch, orphans
        self._pop(self._heaps[Action.DELETE], limit, batch, accept)
        if not self._heaps[Action.DELETE]:
            self._pop(self._heaps[Action.INSTEAD], limit, batch, accept)
        return batch, orphans

    def _pop(
        self,
        heap: list[tuple[int, Path, int, Task]],
        limit: int,
        batch: list[Task],
        accept: Callable[[Task], None],
    ) -> None:
        while heap and len(batch) < limit:
            task = heapq.heappop(heap)[3]
            # What is paired with a target leaves with that.
            if self._is_current(task, Step.READY) and task.target is None:
                accept(task)

    def _is_current(self, task: Task, step: Step) -> bool:
        return task.step is step and self._tasks.get(task.path) is task

    def _leave(self, task: Task, step: Step) -> None:
        if task.step is Step.READY:
            self.ready -= 1
            if task.action is Action.FILE:
                self._files_ready -= 1
            self._directories_ready -= task.action is Action.DIRECTORY
        task.step = step
