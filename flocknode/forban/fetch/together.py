# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What comes while something is being done is done together, after that.  Nobody
waits for company: what comes first is done alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")
R = TypeVar("R")

MOST = 256
"""Things in one go."""

MOST_BYTES = 64 << 20
"""Bytes of them; more only if one alone has more."""


class Together(Generic[T, R]):
    """
    Lives in the reactor.

    @param work: does it for several: returns what came of each, an exception if
        it failed, or raises one for all.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Awaitable[Sequence[R | Exception]]],
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._work = work
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[T, int, Deferred[R]]] = deque()
        self._working = False

    def do(self, thing: T, size: int = 0) -> Deferred[R]:
        """
        Do it, with others.

        @param size: bytes that it counts for.
        @return: what came of it.
        """
        done: Deferred[R] = Deferred()
        self._waiting.append((thing, size, done))
        if not self._working:
            self._working = True
            # It fails with nothing: all that goes wrong goes to who waits for it.
            Deferred.fromCoroutine(self._run())
        return done

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next()
            results: Sequence[R | Exception | Failure]
            try:
                results = await self._work([thing for thing, _, _ in batch])
            except Exception:
                results = [Failure()] * len(batch)
            for (_, _, done), result in zip(batch, results, strict=True):
                if isinstance(result, (Exception, Failure)):
                    done.errback(result)
                else:
                    done.callback(result)
        self._working = False

    def _next(self) -> list[tuple[T, int, Deferred[R]]]:
        batch = [self._waiting.popleft()]
        size = batch[0][1]
        while self._waiting and len(batch) < self._most:
            size += self._waiting[0][1]
            if size > self._most_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch
