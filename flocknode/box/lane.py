# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""A thread that does one piece of work after another."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Stopped(Exception):
    """It was asked for when the lane was stopping already."""


class Lane:
    """
    One thread.  Everything is called in the reactor, but L{cancelled}.

    @param name: of the thread.
    """

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, 1, name)
        self._stopping = Event()
        self._halted = False
        self._trigger: Any = None

    def start(self) -> None:
        """Work can be given from now on."""
        self._pool.start()
        # A reactor that ends without this being stopped must not wait for
        # ever for the thread.
        self._trigger = self._reactor.addSystemEventTrigger("during", "shutdown", self._halt)

    def _halt(self) -> None:
        self._trigger = None
        self._halted = True
        self._stopping.set()
        self._pool.stop()

    def cancelled(self) -> bool:
        """Is it stopping?  What takes long asks this often, and returns early."""
        return self._stopping.is_set()

    def wait(self, seconds: float) -> bool:
        """In a thread: sleep, but not beyond the stop.  @return: L{cancelled}."""
        return self._stopping.wait(seconds)

    def do(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """
        Do this after all that was given before.

        @return: what it returns; fails with L{Stopped} if it was not begun.
        """
        if self._halted:
            # The pool would forget it without a word, and somebody wait for ever.
            return fail(Stopped())
        return deferToThreadPool(self._reactor, self._pool, self._run, work, arguments)

    def _run(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        if self._stopping.is_set():
            raise Stopped
        return work(*arguments)

    async def stop(self, last: Callable[[], None]) -> None:
        """
        Begin nothing new, do C{last} when the present work has returned, and
        end the thread.
        """
        self._stopping.set()
        if self._trigger is None:
            return
        try:
            await deferToThreadPool(self._reactor, self._pool, last)
        finally:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._halt()
