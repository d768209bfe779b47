# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One visit to a neighbour: what of its index is wanted is fetched, small files
first, some at a time.  A file that does not come is left for a while and the
next is tried; after some of them in a row the visit is over.  Not after those
that the original never gives (L{flocknode.forban.protocol.names.is_given_by_all}).

Whoever fetches does not wait for a file to be in its box: some go there together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.lane import Lane
from flocknode.box.listing import Known
from flocknode.box.values import Path
from flocknode.errors import BoxError, FlocknodeError, NeighbourError
from flocknode.forban.ahead import Ahead
from flocknode.forban.fetch.asker import Unreachable
from flocknode.forban.fetch.fetched import Fetched
from flocknode.forban.fetch.transfers import Brought, Here, NoRoom, Transfers
from flocknode.forban.fetch.turns import Failed, Outcome
from flocknode.forban.fetch.wanting import Verdict, Wanted, judge
from flocknode.forban.near.neighbours import Neighbour
from flocknode.forban.protocol.names import is_given_by_all
from flocknode.forban.shelf import Shelf

AT_A_TIME = 4
"""Files of one neighbour that are fetched at a time."""

BATCH = 256
"""Files that boxes are asked about at once."""

IN_A_ROW = 3
"""Files that do not come, after which the neighbour is left alone."""


class Visit:
    """
    Lives in the reactor.  Made for one visit.

    @ivar neighbour: who is visited.
    """

    _log = Logger()

    def __init__(
        self,
        neighbour: Neighbour,
        transfers: Transfers,
        failed: Failed,
        shelves: Mapping[str, Shelf],
        *,
        notes: tuple[Lane, Fetched],
        is_shared: Callable[[str], bool],
    ) -> None:
        """
        @param failed: what did not come before.
        @param notes: what was brought in, and where it can be asked for that.
        """
        self.neighbour = neighbour
        self._transfers = transfers
        self._failed = failed
        self._shelves = shelves
        self._lane, self._fetched = notes
        self._is_shared = is_shared
        self._stopped = False
        self._deliveries = Ahead()
        self._left: deque[Wanted] = deque()
        self._ready: deque[Wanted] = deque()
        # Who waits while one asks the boxes; None: nobody asks.
        self._waiting: list[Deferred[None]] | None = None
        self._count = 0
        self._in_a_row = 0
        self._error = ""
        self._is_ours = False
        self._more = False

    def stop(self) -> None:
        """End soon; what is in the middle is gone on with at the next visit."""
        self._stopped = True
        self._transfers.stop(self.neighbour.uuid)

    async def run(self, wanted: Collection[Wanted], here: Here) -> Outcome:
        """
        Fetch.

        @param wanted: candidates, in the order in which they are looked at.
        """
        self._left.extend(wanted)
        workers = [Deferred.fromCoroutine(self._work(here)) for _ in range(AT_A_TIME)]
        await gatherResults(workers, consumeErrors=True)
        await self._deliveries.all()
        more = self._more or bool(self._left or self._ready)
        # Somebody else may have stopped it; then there is no error.
        cut = self._stopped and not self._error
        return Outcome(self._count, self._error, self._is_ours, more=more, cut=cut)

    async def _work(self, here: Here) -> None:
        try:
            while not self._stopped:
                wanted = await self._next()
                if wanted is None:
                    return
                await self._fetch(wanted, here)
        except FlocknodeError as error:
            self._end(str(error), ours=True)
        except OSError as error:
            self._cannot_write(error)
        except Exception:
            self._failed_in_us()

    def _cannot_write(self, error: OSError) -> None:
        self._end(f"What is fetched cannot be written: {error.strerror}.", ours=True)

    def _failed_in_us(self) -> None:
        self._log.failure("Fetching from a neighbour failed.", Failure())
        self._end("It failed.", ours=True)

    def _end(self, error: str, ours: bool = False) -> None:
        if not self._stopped:
            self._error, self._is_ours = error, ours
        self.stop()

    async def _fetch(self, wanted: Wanted, here: Here) -> None:
        if self._transfers.busy_with(wanted) == self.neighbour.uuid:
            # The same content under another name: it can be copied then.
            await self._transfers.until_free(wanted)
        if not self._transfers.quota.allows(wanted.file.size):
            self._more = True
            return
        try:
            brought = await self._transfers.bring(self.neighbour, wanted, here)
        except Unreachable as error:
            self._end(str(error))
        except NeighbourError as error:
            if self._stopped:
                return
            self._failed.add(wanted.file.path)
            self._more = True
            self._in_a_row += is_given_by_all(wanted.file.path)
            if self._in_a_row >= IN_A_ROW:
                self._end(str(error))
        except NoRoom as error:
            self._more = True
            self._end(str(error), ours=True)
        except BoxError:
            # It comes from another neighbour already, for which nobody waits: perhaps
            # that is slow.
            self._more = True
        else:
            self._in_a_row = 0
            self._failed.came(wanted.file.path)
            await self._deliveries.add(
                Deferred.fromCoroutine(self._deliver(brought)), wanted.file.size
            )

    async def _deliver(self, brought: Brought) -> None:
        try:
            await self._transfers.deliver(brought)
        except BoxError:
            # Its owner deleted it meanwhile, perhaps: that is seen at the next visit.
            self._more = True
        except OSError as error:
            self._cannot_write(error)
        except Exception:
            self._failed_in_us()
        else:
            self._count += 1

    # What comes next

    async def _next(self) -> Wanted | None:
        while not self._ready and not self._stopped:
            if self._waiting is None:
                if not self._left:
                    return None
                self._waiting = []
                try:
                    await self._fill()
                finally:
                    # In the order in which they came, and before this one.
                    waiting, self._waiting = self._waiting, None
                    for each in waiting:
                        each.callback(None)
            else:
                others: Deferred[None] = Deferred()
                self._waiting.append(others)
                await others
        return self._ready.popleft() if self._ready and not self._stopped else None

    async def _fill(self) -> None:
        """Judge some more of what is left."""
        by_shelf: dict[str, list[Wanted]] = {}
        for _ in range(min(BATCH, len(self._left))):
            wanted = self._left.popleft()
            if self._failed.waits(wanted.file.path):
                self._more = True
            else:
                by_shelf.setdefault(wanted.shelf, []).append(wanted)
        for shelf, each in by_shelf.items():
            try:
                await self._judge(self._shelves[shelf], each)
            except BoxError:
                # It is on a medium, perhaps, that is not there: the others go on.
                self._more = True

    async def _judge(self, shelf: Shelf, each: list[Wanted]) -> None:
        paths = [wanted.path for wanted in each]
        versions = await self._lane.do(self._fetched.versions, shelf.name, paths)
        known = await shelf.known(paths)
        unsettled: Collection[Path] = ()
        if self._is_shared(shelf.name) and any(
            wanted.shown is None and said in (Known.HELD, Known.DELETED)
            for wanted, said in zip(each, known, strict=True)
        ):
            # What was changed here and was in no round yet.
            unsettled = (await shelf.listing(await shelf.mark())).unsettled
        for wanted, said in zip(each, known, strict=True):
            verdict = judge(wanted, said, versions.get(wanted.path, ()), wanted.path in unsettled)
            if verdict is Verdict.FETCH:
                self._ready.append(wanted)
            elif verdict is Verdict.LATER:
                self._more = True

