# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The indexes of the neighbours, as long as they are here: asked for when somebody
is new or announces another index.  In memory only, and bounded.

Of neighbours that have never answered at most three are asked at a time: who
announces a thousand nodes that do not answer shall not keep those waiting that
do.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.timers import Timers
from flocknode.errors import FlocknodeError
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.dialects import ask_better_index, ask_index
from flocknode.forban.near.neighbours import Neighbour, Neighbours
from flocknode.forban.protocol.remote import RemoteIndex, Tls

AT_A_TIME = 4
"""Neighbours that are asked at a time."""

NEWCOMERS = 3
"""Of them, those that have never answered."""

SOONEST = 10.0
"""Seconds between two questions to one neighbour, and after the first failure."""

SHARE = 20.0
"""Times what the last question took is the least time until the next one: who
has a large index and says each time that it is another one is asked seldom."""

LATEST = 1800.0
"""Seconds after many failures."""

UNSURE = 60.0
"""Seconds after which an index is asked for once more that is not what was
announced: it may have changed just then."""

HOURLY = 3600.0
"""Seconds after which an index is asked for in any case, and whoever had no
better index is asked for one again."""

MOST_INDEXES = 256
"""Neighbours whose index is kept."""

MOST_MEMORY = 256 << 20
"""Bytes that all indexes together take: about a million files."""

LOOK = 60.0
"""Seconds between two looks at who is gone."""


@attrs.frozen
class IndexStatus:
    """
    @ivar files: of its index; C{None}: there is none here.
    @ivar error: one sentence on why, or an empty string.
    @ivar tls: its files are fetched by TLS.
    @ivar age: seconds since it was asked for.
    """

    uuid: str
    files: int | None
    tampered: bool
    error: str
    age: float
    tls: bool = False


@attrs.define
class _Known:
    """
    What is known of a neighbour.

    @ivar announced: the hash it announced when it was asked last.
    @ivar due: when it is asked next.
    @ivar text_until: until then it is known to have no better index.
    @ivar tls: how its files are fetched, as its last better index said.
    """

    index: RemoteIndex | None = None
    announced: str = ""
    due: float = 0.0
    asked: float = float("-inf")
    took: float = 0.0
    failures: int = 0
    error: str = ""
    busy: bool = False
    answered: bool = False
    sure: bool = True
    text_until: float = float("-inf")
    tls: Tls | None = None


class Indexes:
    """
    Lives in the reactor.

    @param now: the clock, in seconds; that of C{timers}.
    @param key: that was agreed upon, if one was.
    """

    _log = Logger()

    def __init__(
        self,
        neighbours: Neighbours,
        asker: Asker,
        timers: Timers,
        now: Callable[[], float],
        random: random.Random,
        *,
        key: bytes | None = None,
    ) -> None:
        self._neighbours = neighbours
        self._asker = asker
        self._timers = timers
        self._now = now
        self._random = random
        self._key = key
        self._known: dict[str, _Known] = {}
        self._told: list[Callable[[str], object]] = []
        self._asking: dict[str, Deferred[None]] = {}
        self._running = False
        neighbours.tell(self._changed)

    def tell(self, changed: Callable[[str], object]) -> None:
        """Call this with the uuid of everybody whose index is new."""
        self._told.append(changed)

    def of(self, uuid: str) -> RemoteIndex | None:
        """
        The index of a neighbour, if it is here.  One that was tampered with is
        not for fetching by.
        """
        known = self._known.get(uuid)
        return None if known is None else known.index

    def all(self) -> dict[str, RemoteIndex]:
        """All that are here, by uuid."""
        return {
            uuid: known.index for uuid, known in self._known.items() if known.index is not None
        }

    def status(self) -> list[IndexStatus]:
        """Of everybody who was asked."""
        now = self._now()
        return [
            IndexStatus(
                uuid,
                None if known.index is None else len(known.index.files),
                known.index is not None and known.index.tampered,
                known.error,
                now - known.asked,
                known.index is not None and known.index.tls is not None,
            )
            for uuid, known in self._known.items()
        ]

    def start(self) -> None:
        """Begin; it ends with the timers."""
        self._running = True
        self._look()

    async def stop(self) -> None:
        """Nobody is asked any more.  The asker is to be stopped before."""
        self._running = False
        for asking in list(self._asking.values()):
            await asking

    def refresh(self, uuid: str) -> None:
        """Ask once more, as soon as may be: what was fetched by it was not there."""
        known = self._known.get(uuid)
        if known is not None and not known.failures:
            known.due = min(known.due, known.asked + UNSURE)
            self._schedule()

    def _look(self) -> None:
        """Forget who is gone."""
        for uuid in [uuid for uuid in self._known if self._neighbours.get(uuid) is None]:
            if uuid not in self._asking:
                del self._known[uuid]
        for neighbour in self._neighbours.all():
            if neighbour.uuid not in self._known:
                self._changed(neighbour)
        self._timers.later("indexes of those who are gone", LOOK, self._look)
        self._begin()

    def _changed(self, neighbour: Neighbour) -> None:
        known = self._known.setdefault(neighbour.uuid, _Known())
        if known.failures == 0 and (known.index is None or neighbour.hmac != known.announced):
            known.due = min(known.due, known.asked + max(SOONEST, SHARE * known.took))
        if self._running:
            self._begin()

    # Asking

    def _begin(self) -> None:
        now = self._now()
        due = [uuid for uuid, known in self._known.items() if known.due <= now and not known.busy]
        self._random.shuffle(due)
        # Those who answer go first.
        due.sort(key=lambda uuid: not self._known[uuid].answered)
        for uuid in due:
            if not self._running or len(self._asking) >= AT_A_TIME:
                break
            known = self._known[uuid]
            if known.busy or known.due > now:
                continue
            newcomers = sum(not self._known[each].answered for each in self._asking)
            if not known.answered and newcomers >= NEWCOMERS:
                break
            neighbour = self._neighbours.get(uuid)
            if neighbour is None:
                del self._known[uuid]
            else:
                self._ask(neighbour)
        self._schedule()

    def _schedule(self) -> None:
        times = [known.due for known in self._known.values() if not known.busy]
        if self._running and times and len(self._asking) < AT_A_TIME:
            # Whoever could be asked now and was not waits for somebody to end.
            wait = max(min(times) - self._now(), 1.0)
            self._timers.later("next index", wait, self._begin, again=True)

    def _ask(self, neighbour: Neighbour) -> None:
        known = self._known[neighbour.uuid]
        known.busy = True
        known.asked = self._now()
        known.announced = neighbour.hmac
        asking = self._asking[neighbour.uuid] = Deferred.fromCoroutine(
            self._answer(neighbour, known)
        )

        def failed(failure: Failure) -> None:
            if not failure.check(FlocknodeError):
                self._log.failure("Reading the index of a neighbour failed.", failure)
            error = failure.value
            known.error = str(error) if isinstance(error, FlocknodeError) else "It failed."
            wait = SOONEST * 2.0 ** min(known.failures, 20)
            known.failures += 1
            known.due = self._now() + min(wait, LATEST)

        def done(_result: object) -> None:
            known.busy = False
            self._asking.pop(neighbour.uuid, None)
            if self._running:
                self._begin()

        asking.addErrback(failed).addCallback(done)

    async def _answer(self, neighbour: Neighbour, known: _Known) -> None:
        index = None
        if self._now() >= known.text_until:
            index = await ask_better_index(self._asker, neighbour, self._key)
            if index is None:
                known.text_until = self._now() + HOURLY
        if index is None:
            index = await ask_index(self._asker, neighbour, self._key)
            # Which does not speak of TLS: that is no reason to do without.
            index = attrs.evolve(index, tls=known.tls)
        elif not index.tampered:
            self._note(neighbour, known, index.tls)
        known.index = index
        known.took = self._now() - known.asked
        known.failures, known.error, known.answered = 0, "", True
        # With an announcement that never fits, as of a node with another key, one
        # more question is enough.
        is_sure = not known.announced or index.hmac in ("", known.announced)
        known.due = known.asked + (HOURLY if is_sure or not known.sure else UNSURE)
        known.sure = is_sure
        now = self._neighbours.get(neighbour.uuid)
        if now is not None and now.hmac != known.announced:
            known.due = known.asked + max(SOONEST, SHARE * known.took)
        self._make_room()
        for told in self._told:
            told(neighbour.uuid)

    def _note(self, neighbour: Neighbour, known: _Known, tls: Tls | None) -> None:
        if known.tls is not None and known.tls != tls:
            self._log.warn(
                "{uuid} at {address} {now}",
                uuid=neighbour.uuid,
                address=neighbour.address,
                now="has another certificate now" if tls else "is not asked by TLS any more",
            )
        known.tls = tls

    def _make_room(self) -> None:
        """The largest go first; of as large ones those asked for longest ago."""
        held = {
            uuid: known.index for uuid, known in self._known.items() if known.index is not None
        }
        total = sum(index.cost for index in held.values())
        while held and (len(held) > MOST_INDEXES or total > MOST_MEMORY):
            uuid = max(held, key=lambda each: (held[each].cost, -self._known[each].asked))
            total -= held.pop(uuid).cost
            self._known[uuid].index = None
            self._known[uuid].error = "Its index is too much beside those of the others."
