# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Being on time.  What the wire process does on its schedule is visible to
everybody, so its lateness must not depend on what the machine does.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.selectreactor import SelectReactor

EARLY: Final = 0.005
"""Seconds.  Waking early and then again takes the wake-up from a long sleep
out of the lateness."""

WATCHING: Final = 0.0003
"""Seconds before the time in which the clock is watched instead of sleeping.  How long
a processor takes to wake up depends on whether it just had something to do, and so
on whether the node is busy: some 0.1 ms, more than all else."""

MODEST: Final = 125_000_000
"""Bytes per second (1 Gbit/s).  A process that sends no more, and receives as
much, needs less than half a core."""


def go_first(uplink: int) -> None:
    """
    Let this process, and the threads that it is going to have, run whenever
    they have something to do, if the system allows it (root, C{CAP_SYS_NICE},
    or C{RLIMIT_RTPRIO} of 1).  Measured with six busy processes on two cores: 1
    wake-up in 100 is late by 13 ms or more without this, by 0.4 ms with it.

    @param uplink: what the process may send, bytes per second.  One that may
        need whole cores for it is left among equals, or nobody would be left
        to fill its frames.
    """
    if uplink <= MODEST and hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


class PunctualReactor(SelectReactor):
    """
    A reactor whose timers are late by tens of microseconds: C{select} counts in
    microseconds where C{epoll} and C{poll} round up to the next millisecond.
    The wire process watches two dozen descriptors at most for each peer, far
    below where C{select} ends.

    Its clock is the monotonic one, so that setting the wall clock moves no
    timer.
    """

    seconds = staticmethod(time.monotonic)


class Alarm:
    """
    One wake-up, always the next one, at an exact time.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        due: Callable[[float], float],
        watching: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """
        @param reactor: its clock is the one that counts.
        @param due: called with the time when it has come; returns the next one.
        @param watching: asked after that for how long before it the clock is to
            be watched, see L{WATCHING}.
        """
        self._reactor = reactor
        self._due = due
        self._watching = watching
        self._watched = 0.0
        self._call: IDelayedCall | None = None
        self._at = 0.0
        self._on = False

    def start(self) -> None:
        """Call for the first time, at once."""
        self._on = True
        self._ring(self._reactor.seconds())

    def stop(self) -> None:
        """Do not call any more."""
        self._on = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def check(self, now: float) -> None:
        """
        Call now if it is time: for use in the middle of other work, that the
        call shall not wait for.
        """
        if now >= self._at:
            self.hurry(now)

    def hurry(self, now: float) -> None:
        """Call now, whether or not it is time: the next time may have moved."""
        if self._call is not None:
            if self._call.active():
                self._call.cancel()
            self._ring(now)

    def _ring(self, now: float) -> None:
        self._call = None
        self._at = self._due(now)
        self._watched = self._watching()
        if self._on:
            self._arm(self._reactor.seconds())

    def _arm(self, now: float) -> None:
        wait = max(self._at - now, 0.0)
        wait -= EARLY if wait > 2 * EARLY else min(wait, self._watched)
        self._call = self._reactor.callLater(wait, self._wake)

    def _wake(self) -> None:
        now = self._reactor.seconds()
        if now < self._at - self._watched:
            self._arm(now)
            return
        while now < self._at:
            now = self._reactor.seconds()
        self._ring(now)
