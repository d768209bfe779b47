# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Opportunistic mode: what the neighbours have and this node lacks is fetched, a
few neighbours at a time, in random order.  In shared mode nothing is, but what
a person asks for.

A visit that takes long ends when others wait, and is gone on with later.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.lane import Lane, Stopped
from flocknode.box.listing import ListedFile
from flocknode.box.timers import Timers
from flocknode.box.values import Path
from flocknode.errors import BoxError, FlocknodeError, NeighbourError
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.ended import end_of
from flocknode.forban.fetch import staging
from flocknode.forban.fetch.arrivals import Arrivals, Delivered
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.body import InThread
from flocknode.forban.fetch.boxes import Boxes
from flocknode.forban.fetch.fetched import Fetched
from flocknode.forban.fetch.indexes import Indexes
from flocknode.forban.fetch.pacing import Quota
from flocknode.forban.fetch.staging import Whole
from flocknode.forban.fetch.status import FetchStatus, TransferStatus
from flocknode.forban.fetch.transfers import Here, Transfers, look
from flocknode.forban.fetch.turns import Outcome, Turns
from flocknode.forban.fetch.visiting import Visit
from flocknode.forban.fetch.wanting import Limits, Wanted, candidates, is_same, placed
from flocknode.forban.near.neighbours import Neighbour, Neighbours
from flocknode.forban.protocol.remote import RemoteFile
from flocknode.forban.shelf import Shelf

NEIGHBOURS = 4
"""Neighbours that are visited at a time."""

TURN = 300.0
"""Seconds of a visit after which it ends if others wait."""

AFTER_TURN = 10.0
"""Seconds after which it is looked again whether others wait."""

READY = 2.0
"""Seconds between two looks at whether there is something to show yet."""

GETS = 32
"""Files that people ask for, at a time."""


class Fetching(Service):
    """
    The service.

    @param folder: for staged files and notes; its own.
    @param catalogue: what is shown now; L{None}: nothing yet, so nothing is
        fetched either.
    @param in_thread: for what waits for the disk.
    @param wall: seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        neighbours: Neighbours,
        indexes: Indexes,
        asker: Asker,
        boxes: Boxes,
        *,
        folder: str,
        catalogue: Callable[[], Catalogue[Shelf] | None],
        in_thread: InThread,
        wall: Callable[[], float],
        random: random.Random,
        opportunistic: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.opportunistic = opportunistic
        self._now: Callable[[], float] = reactor.seconds
        self._neighbours = neighbours
        self._indexes = indexes
        self._boxes = boxes
        self._folder = folder
        self._catalogue = catalogue
        self._in_thread = in_thread
        self._wall = wall
        self._random = random
        self._limits = limits = limits or Limits()
        self._timers = Timers(reactor)
        self._lane = Lane(reactor, "forban")
        self._fetched: Fetched | None = None
        self._arrivals = Arrivals(
            boxes.shelves,
            boxes.is_shared,
            os.path.join(folder, "arrived"),
            self._lane,
            in_thread,
            clock=reactor,
            wall=wall,
            random=random,
        )
        self._transfers = Transfers(
            asker,
            self._arrivals,
            boxes.shelves,
            os.path.join(folder, "incoming"),
            in_thread,
            now=self._now,
            quota=Quota(limits.quota, wall),
            reserve=limits.reserve,
        )
        self._starting: Deferred[None] | None = None
        self._turns = Turns(self._now, random)
        self._visits: dict[str, Visit] = {}
        self._ends: dict[str, Deferred[None]] = {}
        self._gets: set[Deferred[Any]] = set()
        self._here: tuple[object, Here] | None = None
        self._count = 0
        self._error = ""
        indexes.tell(self._has_index)

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._lane.start()

        def failed(failure: Failure) -> None:
            error = failure.value
            if isinstance(error, OSError):
                self._error = f"Nothing can be fetched: {error.filename}: {error.strerror}."
            elif isinstance(error, FlocknodeError):
                self._error = str(error)
            else:
                self._error = "Nothing can be fetched."
                self._log.failure("Fetching did not start.", failure)
                return
            self._log.error("{problem}", problem=self._error)

        self._starting = Deferred.fromCoroutine(self._start()).addErrback(failed)

    async def _start(self) -> None:
        await self._in_thread(staging.prepare, os.path.join(self._folder, "incoming"))
        fetched = await self._lane.do(Fetched, os.path.join(self._folder, "fetched.sqlite"))
        self._fetched = fetched
        await self._lane.do(fetched.trim)
        self._transfers.quota.take(await self._lane.do(fetched.today, self._wall()))
        await self._arrivals.start(fetched)
        for uuid in self._indexes.all():
            self._has_index(uuid)

    def stopService(self) -> Deferred[None]:
        """
        End.  The asker is to be stopped before, so that nothing waits for a
        neighbour that does not answer.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._timers.stop()
        if self._starting is not None:
            await self._starting
        for visit in self._visits.values():
            visit.stop()
        self._transfers.stop()
        for end in [*self._ends.values(), *self._gets]:
            await end_of(end)
        await self._arrivals.stop()
        await self._lane.stop(self._close)

    def _close(self) -> None:
        if self._fetched is not None:
            self._fetched.close()

    # Visits

    def _has_index(self, uuid: str) -> None:
        if self.opportunistic:
            self._turns.add(uuid)
            self._begin()

    def _is_here(self, uuid: str) -> bool:
        return uuid in self._visits or self._neighbours.get(uuid) is not None

    def _begin(self) -> None:
        if not self.running or not self.opportunistic or self._fetched is None:
            return
        if self._catalogue() is None:
            self._timers.later("next visit", READY, self._begin)
            return
        self._turns.keep(self._is_here)
        while len(self._visits) < NEIGHBOURS:
            uuid = self._turns.draw(self._visits)
            neighbour = None if uuid is None else self._neighbours.get(uuid)
            if neighbour is None:
                break
            self._visit(neighbour, self._fetched)
        wait = self._turns.next(self._visits)
        if wait is not None and len(self._visits) < NEIGHBOURS:
            self._timers.later("next visit", max(wait, 0.1), self._begin, again=True)

    def _visit(self, neighbour: Neighbour, fetched: Fetched) -> None:
        uuid = neighbour.uuid
        visit = self._visits[uuid] = Visit(
            neighbour,
            self._transfers,
            self._turns.failed(uuid),
            self._boxes.shelves,
            notes=(self._lane, fetched),
            is_shared=self._boxes.is_shared,
        )
        self._timers.later(f"turn of {uuid}", TURN, self._end_turn, uuid, visit)
        # Not in this call: it may end at once, and somebody else be visited.
        self._timers.later(f"visit {uuid}", 0.0, self._run, uuid, visit)

    def _end_turn(self, uuid: str, visit: Visit) -> None:
        if self._visits.get(uuid) is not visit:
            return
        if len(self._visits) >= NEIGHBOURS and self._turns.waiting(self._visits):
            visit.stop()
        else:
            self._timers.later(f"turn of {uuid}", AFTER_TURN, self._end_turn, uuid, visit)

    def _run(self, uuid: str, visit: Visit) -> None:
        def failed(failure: Failure) -> Outcome:
            error = failure.value
            if isinstance(error, FlocknodeError):
                return Outcome(error=str(error), is_ours=True, more=True)
            self._log.failure("Visiting a neighbour failed.", failure)
            return Outcome(error="Visiting a neighbour failed.", is_ours=True, more=True)

        def done(outcome: Outcome) -> None:
            del self._ends[uuid], self._visits[uuid]
            self._count += outcome.fetched
            self._error = outcome.error if outcome.is_ours else ""
            if outcome.error and not outcome.is_ours:
                # Perhaps it has other files by now.
                self._indexes.refresh(uuid)
            self._turns.came_of(uuid, outcome)
            self._begin()

        end: Deferred[Any] = Deferred.fromCoroutine(self._look_and_fetch(uuid, visit))
        self._ends[uuid] = end
        end.addErrback(failed).addCallback(done)

    async def _look_and_fetch(self, uuid: str, visit: Visit) -> Outcome:
        index = self._indexes.of(uuid)
        if index is None or index.tampered:
            return Outcome()
        here = await self._look()
        if here is None:
            return Outcome(more=True)
        visit.neighbour = visit.neighbour.by(index.tls)
        boxes = self._boxes
        wanted = await self._in_thread(
            candidates, index.files, boxes.tops, boxes.default, here.files, self._limits.rules
        )
        return await visit.run(wanted, here)

    async def _look(self) -> Here | None:
        """What this node shows now."""
        catalogue = self._catalogue()
        if catalogue is None:
            return None
        if self._here is None or self._here[0] is not catalogue:
            self._here = (catalogue, await self._in_thread(look, catalogue))
        return self._here[1]

    # What a person asks for

    def get(self, uuid: str, path: Path) -> Deferred[Delivered]:
        """
        Fetch a file because a person asks for it, whatever the rules and the
        quota say, and also if it was deleted here.

        @return: where it is, or when it will be there.
        @raise NeighbourError: there is no such neighbour or file, or it does not
            come.
        @raise BoxError: it cannot be brought in.
        """
        got = Deferred.fromCoroutine(self._get(uuid, path))
        self._gets.add(got)

        def done(result: Any) -> Any:
            self._gets.discard(got)
            return result

        return got.addBoth(done)

    async def _get(self, uuid: str, path: Path) -> Delivered:
        if self.running and self._starting is not None:
            await end_of(self._starting)
        if not self.running or self._fetched is None:
            raise BoxError(self._error or "Forban is not running.")
        if len(self._gets) >= GETS:
            raise BoxError("Too much is asked for already: wait for some of it.")
        neighbour = self._neighbour(uuid)
        index = self._indexes.of(uuid)
        if index is None:
            raise NeighbourError(f"The index of {uuid} is not here (yet): try it again later.")
        if index.tampered:
            raise NeighbourError(f"The index of {uuid} was not made with the key agreed upon.")
        file = index.files.get(path)
        if file is None:
            raise NeighbourError(f"{uuid} has no such file in its index.")
        here = await self._look()
        if here is None:
            raise BoxError("The public boxes are not ready yet: try it again later.")
        wanted = placed(file, self._boxes.tops, self._boxes.default, here.files)
        if wanted.shown is not None and is_same(file, wanted.shown):
            return Delivered(wanted.shown.path)
        try:
            neighbour = neighbour.by(index.tls)
            delivered = await self._transfers.fetch(neighbour, wanted, here, asked=True)
        except OSError as error:
            raise BoxError(f"It cannot be written: {error.strerror}.") from error
        self._count += 1
        return delivered

    def deliver(
        self, shelf: str, path: Path, source: str, mtime_ns: int | None
    ) -> Deferred[Delivered]:
        """
        Put into a box what came another way, as a medium; now or later, as with
        what is fetched.  It is not counted to the quota.

        @param shelf: name of the box; C{path}: in it.
        @param source: path of the file, on the disk of C{folder}; it is taken away.
        @raise BoxError: it cannot be taken.
        """
        return Deferred.fromCoroutine(self._deliver(shelf, path, source, mtime_ns))

    async def _deliver(
        self, shelf: str, path: Path, source: str, mtime_ns: int | None
    ) -> Delivered:
        if self.running and self._starting is not None:
            await end_of(self._starting)
        try:
            size = await self._in_thread(os.path.getsize, source)
            wanted = Wanted(RemoteFile(path, size), shelf, path)
            return await self._arrivals.deliver(
                wanted, Whole(source, None), mtime_ns, counted=False
            )
        except OSError as error:
            raise BoxError(f"It cannot be taken: {error.strerror}.") from error

    async def gone(self, shelf: str, files: Sequence[ListedFile]) -> None:
        """Note that these files were shown, and are gone.  @raise Stopped: too late."""
        if not self.running or self._starting is None:
            raise Stopped
        await end_of(self._starting)
        if self._fetched is not None:
            await self._lane.do(self._fetched.gone, shelf, files, self._wall())

    def _neighbour(self, uuid: str) -> Neighbour:
        neighbour = self._neighbours.get(uuid)
        if neighbour is None:
            raise NeighbourError(f"There is no neighbour {uuid}.")
        return neighbour

    # What is seen of it

    def status(self) -> FetchStatus:
        """What is being done."""
        transfers = tuple(
            TransferStatus(
                transfer.neighbour.uuid,
                os.fsdecode(transfer.wanted.file.path),
                transfer.wanted.file.size,
                0 if transfer.staged is None else transfer.staged.received,
            )
            for transfer in self._transfers.running
        )
        quota = self._transfers.quota
        return FetchStatus(
            self.opportunistic,
            transfers,
            tuple(self._turns.status(self._visits)),
            self._count,
            quota.spent,
            quota.most,
            self._arrivals.waiting,
            self._error or self._arrivals.error,
        )
