# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whose turn it is to be visited: anybody who has something new, by chance; who
failed is left alone for a while, and then for twice that.  Pure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

import attrs

from flocknode.box.values import Path
from flocknode.forban.fetch.status import VisitStatus

SOONEST = 10.0
"""Seconds until a neighbour is visited again that failed; then twice that."""

LATEST = 1800.0
"""Seconds, at most."""

AGAIN = 600.0
"""Seconds until a neighbour is visited again of whose files some were left."""

OURS = 60.0
"""Seconds, after what was no fault of the neighbour."""

FILES = 10_000
"""Files of a neighbour that did not come and are remembered."""

FIRST_WAIT = 60.0
"""Seconds until a file that did not come is tried again; then twice that."""

LAST_WAIT = 86_400.0
"""Seconds, at most."""


class Failed:
    """
    Files of one neighbour that did not come.

    @param now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # To (when to try again, how often it failed).
        self._files: dict[Path, tuple[float, int]] = {}

    def add(self, path: Path) -> None:
        """This one did not come."""
        _, times = self._files.pop(path, (0.0, 0))
        wait = min(FIRST_WAIT * 2.0 ** min(times, 20), LAST_WAIT)
        self._files[path] = (self._now() + wait, times + 1)
        if len(self._files) > FILES:
            del self._files[next(iter(self._files))]

    def waits(self, path: Path) -> bool:
        """Is it too early to try it again?"""
        found = self._files.get(path)
        return found is not None and found[0] > self._now()

    def came(self, path: Path) -> None:
        """It came after all."""
        self._files.pop(path, None)

    def __len__(self) -> int:
        return len(self._files)


@attrs.frozen
class Outcome:
    """
    What came of a visit.

    @ivar fetched: files.
    @ivar error: one sentence on what ended it, or an empty string.
    @ivar is_ours: that was no fault of the neighbour.
    @ivar more: something is left that may be fetched later.
    @ivar cut: not all was looked at: others waited for their turn.
    """

    fetched: int = 0
    error: str = ""
    is_ours: bool = False
    more: bool = False
    cut: bool = False


@attrs.define
class _Turn:
    """
    When a neighbour is visited.

    @ivar due: seconds of the clock; L{None}: not before its index is another one.
    @ivar until: before that it is not visited, whatever it has.
    """

    failed: Failed
    due: float | None = None
    failures: int = 0
    until: float = float("-inf")
    error: str = ""


class Turns:
    """
    The turns of all neighbours whose index is here.

    @param now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float], random: random.Random) -> None:
        self._now = now
        self._random = random
        self._turns: dict[str, _Turn] = {}

    def add(self, uuid: str) -> None:
        """This one has something new."""
        turn = self._turns.get(uuid)
        if turn is None:
            turn = self._turns[uuid] = _Turn(Failed(self._now))
        turn.due = max(self._now(), turn.until)

    def keep(self, is_here: Callable[[str], bool]) -> None:
        """Forget all others."""
        for uuid in [uuid for uuid in self._turns if not is_here(uuid)]:
            del self._turns[uuid]

    def failed(self, uuid: str) -> Failed:
        """The files of a neighbour that did not come."""
        return self._turns[uuid].failed

    def waiting(self, visited: Collection[str]) -> list[str]:
        """
        Whose turn it is.

        @param visited: who is being visited, and waits for nothing.
        """
        now = self._now()
        return [
            uuid
            for uuid, turn in self._turns.items()
            if turn.due is not None and turn.due <= now and uuid not in visited
        ]

    def draw(self, visited: Collection[str]) -> str | None:
        """One of L{waiting}, who waits no more; L{None}: there is nobody."""
        waiting = self.waiting(visited)
        if not waiting:
            return None
        uuid = self._random.choice(waiting)
        self._turns[uuid].due = None
        return uuid

    def next(self, visited: Collection[str]) -> float | None:
        """Seconds until it is somebody's turn; L{None}: nobody has anything new."""
        times = [
            turn.due
            for uuid, turn in self._turns.items()
            if turn.due is not None and uuid not in visited
        ]
        return max(0.0, min(times) - self._now()) if times else None

    def came_of(self, uuid: str, outcome: Outcome) -> None:
        """A visit is over."""
        turn = self._turns.get(uuid)
        if turn is None:
            return
        now = self._now()
        wait = 0.0
        if outcome.error and not outcome.is_ours:
            wait = min(SOONEST * 2.0 ** min(turn.failures, 20), LATEST)
            turn.failures += 1
            turn.error = outcome.error
            turn.until = now + wait
        elif outcome.error:
            wait = OURS
        else:
            turn.failures, turn.error, turn.until = 0, "", float("-inf")
            if outcome.cut:
                wait = SOONEST
            elif outcome.more:
                wait = AGAIN
        if turn.due is not None:
            # Its index is another one since.
            turn.due = max(turn.due, turn.until)
        elif wait:
            turn.due = now + wait

    def status(self, visited: Collection[str]) -> list[VisitStatus]:
        """Of everybody who is visited, waits, or is left alone."""
        now = self._now()
        found = []
        for uuid, turn in self._turns.items():
            wait = 0.0 if turn.due is None else max(0.0, turn.due - now)
            if uuid in visited:
                found.append(VisitStatus(uuid, "visited", 0.0, turn.error))
            elif turn.error:
                found.append(VisitStatus(uuid, "left alone", wait, turn.error))
            elif turn.due is not None:
                found.append(VisitStatus(uuid, "waiting", wait))
        return found
