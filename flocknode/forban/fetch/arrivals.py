# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What was fetched goes into its box: at once, if nobody shares the box; into one
that a flock shares after a random 1 to 30 minutes.  Otherwise whoever sees what
a node fetches, and when its flock has a round, would know who started it.

What waits is noted on disk with the time it is due, so a restart changes
nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
from blake3 import blake3
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.lane import Lane, Stopped
from flocknode.box.listing import Deleted, Offer, Refused
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.fetch import together
from flocknode.forban.fetch.body import InThread
from flocknode.forban.fetch.fetched import Arrival, Arrived, Brought, Fetched, Note
from flocknode.forban.fetch.staging import Whole, discard
from flocknode.forban.fetch.together import Together
from flocknode.forban.fetch.wanting import Wanted
from flocknode.forban.shelf import Shelf

SOONEST = 60.0
"""Seconds until something is put into a box that a flock shares."""

LATEST = 1800.0
"""Seconds, at most; also between two attempts."""

AGAIN = 30.0
"""Seconds after which what could not be put into its box is tried again; then
twice that, and so on."""

MOST = 20_000
"""Files that wait; while there are so many, nothing more is fetched."""

SMALL = 4 << 20
"""Bytes of a file up to which it is put into its box with others."""


@attrs.frozen
class Delivered:
    """
    @ivar path: in its box; L{None}: it waits.
    @ivar wait: seconds until it is due.
    @ivar name: of the file that waits, see L{Arrivals.file_of}.
    """

    path: Path | None
    wait: float = 0.0
    name: str = ""


class Arrivals:
    """
    Lives in the reactor.

    @ivar error: one sentence on one of the last that could not be put into its
        box; empty when they could.
    """

    _log = Logger()

    def __init__(
        self,
        shelves: Mapping[str, Shelf],
        is_shared: Callable[[str], bool],
        folder: str,
        lane: Lane,
        in_thread: InThread,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        random: random.Random,
    ) -> None:
        """
        @param shelves: by name.
        @param is_shared: does a flock share the box of this name?
        @param folder: where files wait.
        @param lane: of the notes; C{in_thread}: for what else waits for the disk.
        @param wall: seconds since the epoch.
        """
        self.error = ""
        self._shelves = shelves
        self._is_shared = is_shared
        self._folder = folder
        self._lane = lane
        self._in_thread = in_thread
        self._clock = clock
        self._wall = wall
        self._random = random
        self._fetched: Fetched | None = None
        self._waiting: dict[str, Arrival] = {}
        self._failures: dict[str, int] = {}
        self._timer: IDelayedCall | None = None
        self._delivering: Deferred[None] | None = None
        self._stopped = False
        self._adopting: dict[str, Together[Offer, Path]] = {}
        self._noting = Together(self._note_all)
        self._keeping = Together(self._keep)

    async def start(self, fetched: Fetched) -> None:
        """Go on with what waits on disk."""
        arrivals = await self._lane.do(fetched.arrivals)
        names = {arrival.name for arrival in arrivals}
        here = await self._in_thread(_prepare, self._folder, names)
        self._fetched = fetched
        forgotten = []
        for arrival in arrivals:
            if arrival.name not in here:
                forgotten.append(Arrived(arrival.name))
                continue
            # A clock that was put back must not make it wait for years.
            is_far = arrival.due > self._wall() + LATEST
            due = self._wall() + self._draw() if is_far else arrival.due
            self._waiting[arrival.name] = attrs.evolve(arrival, due=due)
        await self._lane.do(fetched.note, forgotten)
        self._schedule()

    async def stop(self) -> None:
        """End what is being done; what waits stays on disk."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delivering is not None:
            await self._delivering

    @property
    def waiting(self) -> int:
        """Files that wait."""
        return len(self._waiting)

    def file_of(self, name: str) -> str | None:
        """Where a file that waits lies, if it does."""
        arrival = self._waiting.get(name)
        return None if arrival is None else self._where(arrival)

    @property
    def is_full(self) -> bool:
        """Is there no room for more?"""
        return len(self._waiting) >= MOST

    def _draw(self) -> float:
        return self._random.uniform(SOONEST, LATEST)

    async def deliver(
        self,
        wanted: Wanted,
        whole: Whole,
        mtime_ns: int | None,
        *,
        asked: bool = False,
        counted: bool = True,
    ) -> Delivered:
        """
        Put a file into its box, now or later.  The file is taken away from where
        it is, and it is noted as brought in.

        @param whole: the file.
        @param asked: a person asked for it.
        @param counted: among the bytes of the day.
        @raise Refused: it is not taken; it is taken away all the same.
        @raise BoxError: Forban does not run.
        @raise OSError: it cannot be kept until it is due.
        """
        if self._fetched is None or self._stopped:
            raise BoxError("Forban is not running.")
        size = wanted.file.size
        brought = Brought(wanted.shelf, wanted.path, wanted.version, self._wall(), counted)
        wait = self._draw()
        if not self._is_shared(wanted.shelf):
            wait = AGAIN
            offer = Offer(wanted.path, whole.path, mtime_ns, asked)
            try:
                place = await self._adopt(wanted.shelf, offer, size)
            except Refused as error:
                # It is noted that it was here, or it would be fetched again.
                was_here = attrs.evolve(brought, counted=False)
                notes = [was_here] if isinstance(error, Deleted) else []
                await self._note(notes, whole.path)
                raise
            except BoxError as error:
                self.error = str(error)
            else:
                self.error = ""
                await self._note([brought], whole.path)
                return Delivered(place)
        arrival = Arrival(
            _name_of(wanted),
            wanted.shelf,
            wanted.path,
            size,
            mtime_ns,
            self._wall() + wait,
            asked,
        )
        await self._keeping.do((whole.path, self._where(arrival)), size)
        await self._note([attrs.evolve(brought, arrival=arrival)])
        self._waiting[arrival.name] = arrival
        self._schedule()
        return Delivered(None, wait, arrival.name)

    def _where(self, arrival: Arrival) -> str:
        return os.path.join(self._folder, arrival.name)

    # What is done for several together

    def _adopt(self, shelf: str, offer: Offer, size: int) -> Deferred[Path]:
        found = self._shelves.get(shelf)
        if found is None:
            return fail(BoxError(f"The box {shelf} is not public."))
        if size > SMALL:
            # Others need not wait while it is copied.
            return found.adopt([offer]).addCallback(_only)
        if shelf not in self._adopting:
            self._adopting[shelf] = Together(found.adopt)
        return self._adopting[shelf].do(offer, size)

    def _note(self, notes: Sequence[Note], path: str = "") -> Deferred[None]:
        """Note this, and then remove the file that it is about, if that is named."""
        return self._noting.do((notes, path))

    async def _note_all(self, things: list[tuple[Sequence[Note], str]]) -> list[None]:
        assert self._fetched is not None
        notes = [note for notes, _ in things for note in notes]
        await self._lane.do(_note, self._fetched, notes, [path for _, path in things if path])
        return [None] * len(things)

    def _keep(self, files: list[tuple[str, str]]) -> Deferred[list[OSError | None]]:
        return self._in_thread(_keep, files)

    # Those that wait

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped or self._delivering is not None or not self._waiting:
            return
        due = min(arrival.due for arrival in self._waiting.values())
        self._timer = self._clock.callLater(max(0.0, due - self._wall()), self._due)

    def _due(self) -> None:
        self._timer = None

        def done(_result: object) -> None:
            self._delivering = None
            self._schedule()

        def failed(failure: Failure) -> None:
            self._log.failure("Putting what was fetched into its box failed.", failure)

        self._delivering = Deferred.fromCoroutine(self._deliver_due())
        self._delivering.addErrback(failed).addCallback(done)

    async def _deliver_due(self) -> None:
        now = self._wall()
        due = sorted(
            (arrival for arrival in self._waiting.values() if arrival.due <= now),
            key=lambda arrival: arrival.due,
        )
        while due and not self._stopped:
            some, due = due[:together.MOST], due[together.MOST:]
            errors: list[str] = await gatherResults(
                [Deferred.fromCoroutine(self._try(arrival)) for arrival in some],
                consumeErrors=True,
            )
            self.error = next(filter(None, errors), "")

    async def _try(self, arrival: Arrival) -> str:
        """@return: one sentence on why it is tried again later, or nothing."""
        try:
            await self._put(arrival)
        except Stopped:
            # It is still noted as waiting.
            return ""
        except BoxError as error:
            failures = self._failures.get(arrival.name, 0)
            self._failures[arrival.name] = failures + 1
            wait = min(AGAIN * 2.0 ** min(failures, 10), LATEST)
            self._waiting[arrival.name] = attrs.evolve(arrival, due=self._wall() + wait)
            return str(error)
        return ""

    async def _put(self, arrival: Arrival) -> None:
        if arrival.shelf in self._shelves:
            offer = Offer(arrival.path, self._where(arrival), arrival.mtime_ns, arrival.asked)
            # Deleted while this waited: then it stays deleted.
            with contextlib.suppress(Refused):
                await self._adopt(arrival.shelf, offer, arrival.size)
        await self._note([Arrived(arrival.name)], self._where(arrival))
        del self._waiting[arrival.name]
        self._failures.pop(arrival.name, None)


def _only(results: list[Path | BoxError]) -> Path:
    (result,) = results
    if isinstance(result, BoxError):
        raise result
    return result


def _note(fetched: Fetched, notes: Sequence[Note], paths: Iterable[str]) -> None:
    """Note that, and then remove the files that it is about."""
    fetched.note(notes)
    for path in paths:
        discard(path)


def _name_of(wanted: Wanted) -> str:
    """Of the file that waits: another one for each path, and each version of it."""
    version = wanted.version
    said = b"%d\0%s\0%s\0%s" % (
        version.size,
        version.content.hex().encode(),
        wanted.shelf.encode(),
        wanted.path,
    )
    return str(blake3(said).hexdigest(length=20))


def _prepare(folder: str, names: set[str]) -> set[str]:
    """
    Make the folder, and remove what is not noted.

    @return: the names of what is there.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    here = set(os.listdir(folder))
    for name in here - names:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))
    return here & names


def _keep(files: Iterable[tuple[str, str]]) -> list[OSError | None]:
    """
    Move files, so that each is there with its bytes when it is noted.

    @param files: from where, and to where.
    @return: for each, why it cannot be moved.
    """
    problems: list[OSError | None] = []
    for source, target in files:
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(source, target)
            discard(source)
        except OSError as error:
            problems.append(error)
        else:
            problems.append(None)
    return problems
