# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Getting wanted content into the staging directory: first from what is here
(a file that is to be deleted is renamed instead), then by saying which blocks
are needed, and by taking those in as they arrive.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from flocknode.box.content import BlockList, decode_list, verify
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.placement import reason_for
from flocknode.box.disk.site import Site
from flocknode.box.events import Events
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Row
from flocknode.box.receive.assemble import Assembly, Base
from flocknode.box.receive.finder import Finder
from flocknode.box.receive.tasks import Action, Step, Tasks
from flocknode.box.receive.wants import Stage, Want, Wants
from flocknode.box.values import Hash, Kind, Path
from flocknode.errors import ProtocolError

ROOM = 1 << 20
"""Bytes: of content larger than this it is checked first that there is room for
all of it, beside what is promised to others.  What began of smaller content is
removed if there was none: it is soon here again, and must not be in the way of
what would fit."""

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))

_MANY = 64
"""Contents from which on the staging directory is listed rather than asked for each."""


class Seeker:
    """
    Looks for wanted content, while the folder is there.

    @param failed: told (path, one sentence) of what cannot be received now.
    @param mended: told the path when some of it could be after all.
    """

    def __init__(
        self,
        ledger: Ledger,
        wants: Wants,
        tasks: Tasks,
        site: Site,
        *,
        failed: Callable[[Path, str], None],
        mended: Callable[[Path], None],
    ) -> None:
        self._ledger = ledger
        self._contents = ledger.index.contents
        self._wants = wants
        self._tasks = tasks
        self._site = site
        self._failed = failed
        self._mended = mended
        self.finder = Finder(self._contents, site)
        self._queue: deque[Want] = deque()
        self._running: tuple[Want, Iterator[None]] | None = None
        self._staged = set(site.staging.contents())
        # Contents that may have a staging file, and those nobody may want.
        self._leftover = set(self._staged)
        self._events = Events()
        self._lists: dict[Hash, tuple[bytes, BlockList]] = {}
        # Arrived, and not in the index yet.

    def close(self) -> None:
        """Give up all descriptors."""
        self.finder.close()

    @property
    def seeking(self) -> bool:
        """Is anything still to be looked for?"""
        return bool(self._queue) or self._running is not None

    def seek(self, want: Want) -> None:
        """Look for it, in its turn."""
        want.stage = Stage.SEEK
        self._queue.append(want)

    def run(self, events: Events, enough: Callable[[], bool]) -> None:
        """Look for what is in the queue until C{enough}."""
        # What is being looked for may have begun with the events of before.
        self._events = events
        while self._advance(events):
            # Only now: whatever else takes time, something is done each time.
            if enough():
                return

    def _advance(self, events: Events) -> bool:
        """One piece of work.  @return: whether there was any."""
        if self._running is None:
            if not self._queue:
                return False
            want = self._queue.popleft()
            self._running = (want, self._look_for(want))
        want, steps = self._running
        try:
            if self._wants.get(want.content) is want and want.stage is Stage.SEEK:
                next(steps)
                return True
        except StopIteration:
            pass
        except OSError as error:
            self._stall(want, events, error)
        except Exception:
            self._running = None
            self._queue.append(want)
            raise
        self._running = None
        return True

    def _look_for(self, want: Want) -> Iterator[None]:
        """One piece of work at a time."""
        self._pair(want)
        if all(self._is_paired(path) for path in want.paths):
            want.stage = Stage.WHOLE
            return
        if want.single:
            self._look_for_block(want)
            return
        want.blocks = self._list_of(want)
        if want.blocks is None:
            self._tell_sources(want, self._events)
            self._events.want(self._wants.need_list(want))
            return
        if want.size > ROOM and not self._is_room(want):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._staged.add(want.content)
        assembly = Assembly(
            self._site, self.finder, want.content, want.blocks, self._base(want)
        )
        for _ in assembly.run():
            yield
        if assembly.missing:
            self._tell_sources(want, self._events)
            self._events.want(self._wants.need_blocks(want, sorted(assembly.missing)))
        else:
            self._whole(want)

    def _is_room(self, want: Want) -> bool:
        staging = self._site.staging
        room = staging.free() - self._wants.promised
        return want.size <= room + staging.allocated(want.content)

    def _list_of(self, want: Want) -> BlockList | None:
        arrived = self._lists.get(want.content)
        if arrived is not None:
            return arrived[1]
        data = self._contents.block_list(want.content)
        return None if data is None else decode_list(data)

    def _look_for_block(self, want: Want) -> None:
        staging = self._site.staging
        staged = want.content in self._staged
        if staged and staging.whole(want.content, want.size):
            self._whole(want)
            return
        data = self.finder.block(want.content, None if staged else want.content)
        if data is None:
            self._tell_sources(want, self._events)
            self._events.want(self._wants.need_blocks(want, [0]))
            return
        staging.write_whole(want.content, data)
        self._whole(want)

    def _tell_sources(self, want: Want, events: Events) -> None:
        events.sources[want.content] = want.holders

    def _whole(self, want: Want) -> None:
        self._staged.add(want.content)
        want.stage = Stage.WHOLE
        for path in want.paths:
            task = self._tasks.get(path)
            if task is not None and task.step is Step.CONTENT:
                self._tasks.set_ready(task)

    def _stall(self, want: Want, events: Events, error: OSError) -> None:
        events.unwant(self._wants.stop(want, Stage.STALLED))
        want.stalled = True
        if error.errno in _FULL and want.size <= ROOM:
            self._discard(want.content)
        for path in want.paths:
            self._failed(path, reason_for(error))

    def _discard(self, content: Hash) -> None:
        """Remove what is staged of it; later, if it cannot be now."""
        try:
            self._site.staging.discard(content)
            self._staged.discard(content)
        except OSError:
            self._leftover.add(content)

    # What is here

    def _is_paired(self, path: Path) -> bool:
        task = self._tasks.get(path)
        return task is not None and task.source is not None

    def _pair(self, want: Want) -> None:
        """Rename what is to be deleted and has this content."""
        sources = [
            path
            for path, disk in self._contents.holding(want.content)
            if disk[0] == int(FileType.FILE) and self._can_leave(path)
        ]
        for path in want.paths:
            if not sources:
                return
            target = self._tasks.get(path)
            if target is None or target.action is not Action.FILE:
                continue
            row = self._ledger.index.row(path)
            if row is None or row.head is None or row.head.value.kind is not Kind.FILE:
                continue
            if row.placed is not None and row.placed.disk is not None:
                continue
            source = self._tasks.get(sources.pop())
            if source is not None:
                self._tasks.pair(target, source)

    def _can_leave(self, path: Path) -> bool:
        task = self._tasks.get(path)
        return (
            task is not None
            and task.action is Action.DELETE
            and task.step is Step.READY
            and task.target is None
        )

    def _base(self, want: Want) -> Base | None:
        for path in want.paths:
            row: Row | None = self._ledger.index.row(path)
            placed = None if row is None else row.placed
            disk = None if placed is None else placed.disk
            if disk is not None and disk.type is FileType.FILE and disk.size:
                return Base(path, disk.size)
        return None

    # What arrives

    def write(self, blocks: Sequence[tuple[Hash, bytes]], events: Events) -> list[bool]:
        """
        Take in blocks and block lists.

        @return: for each, whether the bytes are what the hash names.
        """
        return [self._write(hash, data, events) for hash, data in blocks]

    def _write(self, hash: Hash, data: bytes, events: Events) -> bool:
        listed = self._wants.asks_for_list(hash)
        if listed is not None:
            if not verify(hash, data, listing=True):
                return False
            self._take_list(listed, data, events)
            return True
        if not verify(hash, data):
            return verify(hash, data, listing=True)
        if hash not in self._wants.needs:
            return True
        events.unwant([hash])
        for want, positions in self._wants.arrived(hash):
            try:
                self._store(want, positions, data)
            except OSError as error:
                self._stall(want, events, error)
                continue
            if want.stalled:
                want.stalled = False
                for path in want.paths:
                    self._mended(path)
            events.want(self._wants.refill(want))
            if not want.missing and not want.later and want.stage is Stage.BLOCKS:
                self._whole(want)
        return True

    def _store(self, want: Want, positions: Sequence[int], data: bytes) -> None:
        staging = self._site.staging
        self._staged.add(want.content)
        if want.blocks is None:
            staging.write_whole(want.content, data)
            return
        for position in positions:
            staging.write_block(want.content, position * want.blocks.block_size, data)

    def _take_list(self, want: Want, data: bytes, events: Events) -> None:
        events.unwant(self._wants.stop(want, Stage.SEEK))
        try:
            blocks = decode_list(data)
        except ProtocolError:
            blocks = None
        if blocks is None or blocks.size != want.size:
            # Whoever announced it lied about the size; the list can not.
            for path in want.paths:
                self._failed(path, "Its announced size is not that of its content.")
            want.stage = Stage.STALLED
            return
        self._lists[want.content] = (data, blocks)
        self.seek(want)

    @property
    def unsaved(self) -> int:
        """Block lists that have arrived and are not in the index yet."""
        return len(self._lists)

    def save(self) -> None:
        """
        Write down block lists that have arrived: from now on their blocks can
        be served, and need not be fetched again after a crash.
        """
        if not self._lists:
            return
        with self._ledger.index.transaction():
            self._contents.add_block_lists(
                (content, data, blocks) for content, (data, blocks) in self._lists.items()
            )
        self._lists.clear()

    # What is not needed any more

    def leave(self, content: Hash) -> None:
        """Nobody wants this content any more.  What came of it may still be of use."""
        self._leftover.add(content)

    def tidy(self) -> None:
        """
        Once nothing is looked for: hold no files open, and remove what is
        staged and not wanted.
        """
        if self.seeking:
            return
        self.finder.close()
        staging, leftover = self._site.staging, self._leftover
        unwanted = {content for content in leftover if self._wants.get(content) is None}
        self._leftover = set()
        try:
            # Most of it is in place by now: one look, not a refusal for each.
            there = unwanted & staging.contents() if len(unwanted) >= _MANY else unwanted
        except OSError:
            self._leftover = unwanted
            return
        self._staged -= unwanted - there
        for content in there:
            self._discard(content)
