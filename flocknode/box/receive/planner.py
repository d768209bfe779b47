# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Making the folder hold what the index says: which content has to be found,
what is placed when, what is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flocknode.box.calendar import Calendar
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.placement import Placed, Surprise
from flocknode.box.disk.site import Site
from flocknode.box.events import Events
from flocknode.box.index.draft import Change
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Row
from flocknode.box.paths import split
from flocknode.box.patterns import FILE_NAME
from flocknode.box.receive.deletions import Deletions, is_deletion
from flocknode.box.receive.differences import is_rewritten, keep_link, same_task
from flocknode.box.receive.gathering import Gathering
from flocknode.box.receive.leftout import LeftOut
from flocknode.box.receive.mover import Mover
from flocknode.box.receive.pruning import Pruner
from flocknode.box.receive.recovering import Recovery
from flocknode.box.receive.remaining import Remaining
from flocknode.box.receive.seeker import Seeker
from flocknode.box.receive.tasks import Step, Task, Tasks, action_for
from flocknode.box.receive.wants import Stage, Wants
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.changes import LocalChanges
from flocknode.box.values import Hash, Path

PATIENCE = 0.03
"""Seconds that L{Planner.step} looks for content before it returns."""

PROBLEMS = 100
"""Problems that are remembered, at most."""


class Planner:
    """
    The work on one site, as long as it is there.

    @param now: seconds, monotonic; C{calendar}: how old something is.
    @param cancelled: whether to stop as soon as possible.
    @ivar events: what is to be told; whoever takes it puts another in place.
    @ivar problems: why paths cannot be read, received or placed.
    @ivar left: what is pending and not to be placed here.
    @ivar remaining: directories that cannot go for what is in them.
    @ivar surveyed: all that is in the folder is known; nothing is looked for
        or placed before that.
    """

    def __init__(
        self,
        ledger: Ledger,
        changes: LocalChanges,
        site: Site,
        settings: BoxSettings,
        *,
        now: Callable[[], float],
        calendar: Calendar,
        cancelled: Callable[[], bool],
    ) -> None:
        self.events = Events()
        self.problems: dict[Path, str] = {}
        self.surveyed = False
        self.site = site
        site.versions.clock = calendar.stamp
        self.left = LeftOut(site, ledger.index)
        self.wants = Wants()
        self.tasks = Tasks()
        self._deletions = Deletions(ledger, self.tasks, settings.confirm_deletes)
        self._ledger = ledger
        self._settings = settings
        self._now = now
        self._cancelled = cancelled
        self._seeker = Seeker(
            ledger, self.wants, self.tasks, site, failed=self.fail, mended=self._mended
        )
        self._mover = Mover(
            ledger, changes, site,
            now=now, wall=calendar.stamp, failed=self.fail, cancelled=cancelled,
        )
        self._pruner = Pruner(
            ledger,
            site,
            self.wants,
            settings,
            watched=self._mover.out.watched,
            now=now,
            calendar=calendar,
            cancelled=cancelled,
        )
        self._gathering = Gathering(
            self.tasks, self.wants, self._seeker, self._deletions, settings
        )
        self.remaining = Remaining(ledger.index, self.tasks, site, self._retry)
        self._recovery = Recovery(ledger, self._mover, now=now, failed=self.fail)

    def start(self) -> None:
        """Find out what was being placed before, and what is to be placed."""
        self._recover()
        if self.site.following is not None:
            self.site.following.keep |= self._ledger.index.foreign_links()
        for row in self._ledger.index.pending():
            self._plan(row)
        self._deletions.started()

    def close(self) -> None:
        """Give up all descriptors; nothing is needed any more."""
        self._seeker.close()
        self.events.unwant(list(self.wants.needs))

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> list[bool]:
        """See L{Seeker.write}."""
        return self._seeker.write(blocks, self.events)

    def follow(self, changes: Iterable[Change]) -> None:
        """Rows changed: what is to be done now?"""
        changes = list(changes)
        for change in changes:
            new = change.new
            if self.site.following is not None:
                keep_link(self.site.following.keep, change)
            if new is None or not new.pending:
                self._settle(change.path)
            elif change.old is not None and same_task(change.old, new):
                self._update_sources(new)
            else:
                self._plan(new)
            if split(change.path)[1] == FILE_NAME and is_rewritten(change):
                self._follow_patterns(Path(split(change.path)[0]))
            for path in self.left.affected(change):
                self._plan_below(path)
        self.remaining.follow(changes)

    def _plan_below(self, path: Path) -> None:
        """What is left out there and below may have changed."""
        row = self._ledger.index.row(path) if path else None
        rows = self._ledger.index.pending_below(path)
        if row is not None and row.pending:
            rows.insert(0, row)
        for row in rows:
            if (row.path in self.left) != self.left.leaves(row):
                self._plan(row)

    def _follow_patterns(self, directory: Path) -> None:
        """What is ignored there and below may be something else now."""
        self.site.ignored.refresh(directory)
        self._plan_below(directory)
        if self.surveyed:
            self.events.rescan.add(directory)

    def _plan(self, row: Row) -> None:
        """The folder does not hold the settled head: see to it."""
        self._settle(row.path)
        head = row.head
        if head is None or self.left.leaves(row):
            return
        action, content = action_for(row)
        deletes = is_deletion(action, row)
        if deletes:
            self._deletions.heard(row, self._now())
        task = self.tasks.add(row.path, action, content, deletes)
        if content:
            holders = self._ledger.showing(row, head)
            self.wants.add(Hash(content), head.size, row.path, holders)
            self._find(task)

    def _find(self, task: Task) -> None:
        """Its content has to be found, unless that is under way."""
        want = self.wants.get(task.content)
        if want is None:
            return
        if want.stage in (Stage.SEEK, Stage.WHOLE, Stage.STALLED):
            self._seeker.seek(want)
        elif len(want.paths) > 1:
            self.events.sources[want.content] = want.holders

    def _settle(self, path: Path) -> None:
        """There is nothing to do at this path (any more)."""
        self.problems.pop(path, None)
        self.left.forget(path)
        task = self.tasks.drop(path)
        want = None if task is None else self.wants.get(task.content)
        if want is None:
            return
        self.events.unwant(self.wants.remove(path, want))
        if not want.paths:
            self._seeker.leave(want.content)
        elif want.stage is Stage.WHOLE:
            # What was staged may just have been put in place.
            for other in want.paths:
                waiting = self.tasks.get(other)
                if waiting is not None and waiting.source is None:
                    self.tasks.wait(waiting)
            self._seeker.seek(want)

    def _update_sources(self, row: Row) -> None:
        """Only what others show of it changed."""
        task, head = self.tasks.get(row.path), row.head
        want = None if task is None else self.wants.get(task.content)
        if want is None or head is None:
            return
        before = want.holders
        want.paths[row.path] = self._ledger.showing(row, head)
        if want.holders != before and want.stage in (Stage.LIST, Stage.BLOCKS):
            self.events.sources[want.content] = want.holders

    def _retry(self, task: Task) -> None:
        """
        What was held may go on.  Why it was held stays true until something
        comes of that.
        """
        task.patient = False
        if task.content:
            self.tasks.wait(task)
            self._find(task)
        else:
            self.tasks.set_ready(task)

    def looked_at(self, path: Path) -> None:
        """What is at this path is known again: what was held there may go on."""
        for behind in self.left.behind_links(path):
            self._plan_below(behind)
        task = self.tasks.get(path)
        if task is not None and task.patient:
            return
        self.problems.pop(path, None)
        if task is not None and task.step is Step.HELD:
            task.delay = 0.0
            self._retry(task)

    def fail(self, path: Path, reason: str, patient: bool = False) -> None:
        """
        For this reason (one sentence) nothing can be done at a path now.

        @param patient: nor after somebody has looked there; only after a while.
        """
        if len(self.problems) < PROBLEMS or path in self.problems:
            self.problems[path] = reason
        task = self.tasks.get(path)
        if task is not None and task.step is not Step.HELD:
            self.tasks.hold(task, self._now())
            task.patient = patient

    def _mended(self, path: Path) -> None:
        """What could not be received can be now."""
        self.problems.pop(path, None)

    @property
    def unconfirmed(self) -> int:
        """How many deletions wait until somebody says that they were meant."""
        return self._deletions.waiting

    def confirm(self) -> int:
        """They were meant.  @return: how many go on."""
        return self._deletions.confirm()

    def all_problems(self) -> dict[Path, str]:
        """What people should know: L{problems}, names, and patterns that do not count."""
        found = self.left.problems | self.problems
        for path, reason in self.site.ignored.problems.items():
            found.setdefault(Path(path), reason)
        return found

    # Work that nobody waits for

    def prune(self) -> None:
        """Look for kept versions that may go, and lists that nobody needs, from now on."""
        self._pruner.begin()

    def displaced(self, outcome: Placed | Surprise) -> None:
        """See L{Mover.displaced}; and the folder is looked at there."""
        self.events.look.add(outcome.path)
        self.follow(self._mover.out.displaced(outcome))

    def step(self) -> None:
        """Do a piece of the work that is waiting."""
        self._recover()
        if not self.surveyed:
            return
        seeker, mover = self._seeker, self._mover
        enough = self._now() + PATIENCE
        for task in self.tasks.due(self._now()):
            self._retry(task)
        while self.tasks.unpaired:
            self._find(self.tasks.unpaired.pop())
        self.follow(mover.out.look())
        seeker.run(self.events, lambda: self._cancelled() or self._now() >= enough)
        suspects, seeker.finder.suspects = seeker.finder.suspects, set()
        self.events.afresh |= suspects
        self._save_if_due()
        self._place_if_due()
        seeker.tidy()
        kept, mover.out.kept = mover.out.kept, set()
        self._pruner.add(kept)
        self._pruner.step()

    def delay(self) -> float | None:
        """Seconds until L{step} has something to do; L{None}: nothing is waiting."""
        now, recovery = self._now(), self._recovery.due
        if recovery is not None:
            return max(0.0, recovery - now)
        if not self.surveyed:
            return None
        if self._seeker.seeking or self.tasks.unpaired:
            return 0.0
        due = [
            self.tasks.next_due(),
            self._mover.out.next_due(),
            self._gathering.place_at(now),
            self._gathering.save_at(now),
        ]
        delays = [max(0.0, time - now) for time in due if time is not None]
        pruning = self._pruner.delay()
        return min(delays if pruning is None else [*delays, pruning], default=None)

    def _save_if_due(self) -> None:
        now = self._now()
        at = self._gathering.save_at(now)
        if at is not None and at <= now:
            self._seeker.save()

    def _place_if_due(self) -> None:
        now = self._now()
        at = self._gathering.place_at(now)
        if at is None or at > now or self._recovery.due is not None:
            return
        self._gathering.placing()
        # What is placed must be known by its blocks, too.
        self._seeker.save()
        parents: dict[bytes, bool] = {}
        batch, orphans = self.tasks.take(
            self._settings.batch,
            self._seeker.seeking or self._deletions.due(now) != now,
            lambda path: self._has_parent(path, parents),
            self._size,
        )
        for task in orphans:
            self.tasks.hold(task, self._now(), longer=False)
        if batch:
            try:
                changes, held_back = self._mover.place(batch, self.events)
            except Exception:
                # The index failed: what is in it is not known to be so any more.
                self._hold(task.path for task in batch)
                raise
            self._deletions.done(
                sum(task.deletes and task.path not in held_back for task in batch)
            )
            self.follow(changes)
            self._hold(held_back)
            for task in batch:
                # Nothing came of it, and nothing else is to be done.
                if task.step is Step.TAKEN and self.tasks.get(task.path) is task:
                    self._settle(task.path)
            self._recover()
        self._gathering.placed(bool(batch or orphans))

    def _size(self, task: Task) -> int:
        want = self.wants.get(task.content) if task.content else None
        return 0 if want is None else want.size

    def _hold(self, paths: Iterable[Path]) -> None:
        """What was taken and is not placed is tried again later."""
        for path in paths:
            held = self.tasks.get(path)
            if held is not None and held.step is Step.TAKEN:
                self.tasks.hold(held, self._now())

    # What was interrupted

    def postpone(self) -> bool:
        """See L{Recovery.postpone}."""
        self._recover()
        return self._recovery.postpone()

    def _recover(self) -> None:
        self.follow(self._recovery.attempt(self.events))

    def _has_parent(self, path: Path, known: dict[bytes, bool]) -> bool:
        parent = path.rpartition(b"/")[0]
        if not parent:
            return True
        if parent not in known:
            disk = self._ledger.index.disk(parent)
            known[parent] = disk is not None and disk[0] == int(FileType.DIRECTORY)
        return known[parent]
