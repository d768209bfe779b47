# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The body of an answer, on its way from a transport to something that takes it in
a thread.  No more than L{PIECE} is kept while the thread is busy: then the
transport pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from flocknode.errors import NeighbourError
from flocknode.forban.fetch.pacing import Bucket, Pace

PIECE = 128 * 1024
"""Bytes that are handed over at once."""

CHECKED = 5.0
"""Seconds between two looks at whether anything comes."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

InThread = Callable[..., Deferred[Any]]
"""Calls what it is given, with the arguments after it, in a thread."""


class Sink(Protocol[T_co]):
    """What takes a body.  Everything is called in threads, one call at a time."""

    def write(self, data: bytes) -> bool:
        """
        The next bytes.

        @return: false: that is enough.
        """

    def finish(self, data: bytes, whole: bool) -> T_co:
        """
        The last bytes.

        @param whole: it was said how many there are, and these are all.
        """

    def abandon(self) -> None:
        """Nothing more comes."""


class Body(protocol.Protocol, Generic[T]):
    """
    Receives one body.

    @ivar done: what the sink's C{finish} returns; or fails with
        L{NeighbourError}, or with what the sink raised.
    """

    def __init__(
        self,
        sink: Sink[T],
        in_thread: InThread,
        clock: IReactorTime,
        most: int,
        bucket: Bucket,
    ) -> None:
        """
        @param most: bytes; a body with more fails, but for one whose sink has
            enough before.
        """
        self.done: Deferred[T] = Deferred()
        self._sink = sink
        self._in_thread = in_thread
        self._clock = clock
        self._most = most
        self._bucket = bucket
        self._pace = Pace(clock.seconds())
        self._check: IDelayedCall | None = None
        self._resume: IDelayedCall | None = None
        self._waiting: list[bytes] = []
        self._size = 0
        self._busy = False
        self._paused = False
        # None while more may come.
        self._whole: bool | None = None
        self._trouble: Failure | None = None
        self._ended = False

    def connectionMade(self) -> None:
        """Begin."""
        self._check = self._clock.callLater(CHECKED, self._look)

    def _look(self) -> None:
        self._check = None
        trouble = self._pace.late(self._clock.seconds())
        if trouble:
            self._fail(Failure(NeighbourError(trouble)))
        else:
            self._check = self._clock.callLater(CHECKED, self._look)

    def dataReceived(self, data: bytes) -> None:
        """More of it."""
        if self._ended or self._trouble is not None or self._whole is not None:
            return
        self._pace.heard(len(data), self._clock.seconds())
        self._bucket.spent(len(data))
        self._most -= len(data)
        if self._most < 0:
            self._fail(Failure(NeighbourError("It sends more than it said.")))
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            if self._busy:
                self._pause()
            else:
                self._hand_over()
        elif self._bucket.delay() > 0:
            self._pause()
            self._go_on()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """There is no more of it."""
        if self._whole is not None or self._trouble is not None or self._ended:
            return
        if reason.check(ResponseDone):
            self._whole = True
        elif reason.check(PotentialDataLoss):
            self._whole = False
        else:
            self._fail(Failure(NeighbourError("The connection was lost in the middle.")))
            return
        if not self._busy:
            self._hand_over()

    def _hand_over(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self._busy = True
        if self._whole is None:
            self._in_thread(self._sink.write, data).addCallbacks(self._written, self._fail_busy)
        else:
            self._stop_timers()
            finished = self._in_thread(self._sink.finish, data, self._whole)
            finished.addCallbacks(self._finished, self._fail_busy)

    def _written(self, more: bool) -> None:
        self._busy = False
        if self._trouble is not None:
            self._abandon()
        elif not more:
            self._whole = False
            self._waiting.clear()
            self._close()
            self._hand_over()
        elif self._whole is not None or self._size >= PIECE:
            self._hand_over()
            self._go_on()
        else:
            self._go_on()

    def _finished(self, result: T) -> None:
        self._busy = False
        if not self._ended:
            self._ended = True
            self.done.callback(result)

    def _fail_busy(self, failure: Failure) -> None:
        self._busy = False
        self._fail(self._trouble or failure)

    def _fail(self, failure: Failure) -> None:
        if self._trouble is None:
            self._trouble = failure
            self._waiting.clear()
            self._stop_timers()
            self._close()
        if not self._busy:
            self._abandon()

    def _abandon(self) -> None:
        if self._ended:
            return
        self._ended = True
        trouble = self._trouble

        def abandoned(_result: object) -> None:
            self.done.errback(trouble)

        # What goes wrong with giving up is of less interest than why.
        self._in_thread(self._sink.abandon).addBoth(abandoned)

    def stop(self) -> None:
        """Give it up; C{done} fails when the sink knows.  Idempotent."""
        if self._whole is None:
            self._fail(Failure(NeighbourError("It was stopped.")))

    # The transport

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._pace.pause(self._clock.seconds())
            self._producer("pauseProducing")

    def _go_on(self) -> None:
        """Read again, when the thread takes it and the rate allows it."""
        if not self._paused or self._whole is not None or self._trouble is not None:
            return
        if self._resume is not None or (self._busy and self._size >= PIECE):
            return
        delay = self._bucket.delay()
        if delay > 0:
            self._resume = self._clock.callLater(delay, self._resumed)
            return
        self._paused = False
        self._pace.resume(self._clock.seconds())
        self._producer("resumeProducing")

    def _resumed(self) -> None:
        self._resume = None
        self._go_on()

    def _producer(self, what: str) -> None:
        transport: Any = self.transport
        if transport is not None:
            getattr(transport, what)()

    def _stop_timers(self) -> None:
        for call in (self._check, self._resume):
            if call is not None and call.active():
                call.cancel()
        self._check = self._resume = None
