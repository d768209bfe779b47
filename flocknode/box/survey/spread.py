# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Work that can be done in several threads at once, shared out between the one
that asks and some more.

Hashing is such work where there is much of it in one go: reading and BLAKE3
release the interpreter lock.  For small files opening and closing is most of
the work, and threads only get into each other's way (measured on two cores:
20 000 files of 4 KiB take as long with two threads as with one, 5 000 of 210
KiB two thirds), so those are not shared out.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def spare_threads(cores: int | None = None) -> int:
    """
    How many threads beside the asking one: all cores but one are used, at
    least two.

    @param cores: by default those that this process may run on.
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    return max(1, cores - 2)


class Spread:
    """
    Some threads, made when they are first needed.  Belongs to the thread that
    asks.

    @param threads: how many beside the asking one; 0: none.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads.  Idempotent."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def map(self, work: Callable[[T], R], things: Sequence[T]) -> list[R]:
        """
        Do this with each of them.  C{work} must not itself come here.

        @return: the results, in the order of the things.
        @raise Exception: what C{work} raised first; the rest is not begun.
        """
        results: dict[int, R] = {}
        left = deque(enumerate(things))

        def share() -> None:
            while left:
                try:
                    index, thing = left.popleft()
                except IndexError:
                    return
                try:
                    results[index] = work(thing)
                except BaseException:
                    left.clear()
                    raise

        helpers = min(self._threads, len(things) - 1)
        if helpers < 1:
            share()
        else:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, "flocknode-hash")
            helping = [self._executor.submit(share) for _ in range(helpers)]
            try:
                share()
            finally:
                # Nobody works on in what the caller may be about to close.
                errors = [each.exception() for each in helping]
            for error in errors:
                if error is not None:
                    raise error
        return [results[index] for index in range(len(things))]
