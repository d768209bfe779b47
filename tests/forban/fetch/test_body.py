# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.body}, in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from flocknode.errors import NeighbourError
from flocknode.forban.fetch.body import PIECE, Body
from flocknode.forban.fetch.pacing import STALLED, WINDOW, Bucket


class Kept:
    """
    A sink.

    @ivar calls: what was done with it.
    @ivar enough: bytes after which it has enough.
    """

    def __init__(self, enough: int = 1 << 40) -> None:
        self.data = b""
        self.calls: list[object] = []
        self.enough = enough
        self.error: Exception | None = None

    def write(self, data: bytes) -> bool:
        """See L{flocknode.forban.fetch.body.Sink.write}."""
        if self.error is not None:
            raise self.error
        self.calls.append("write")
        self.data += data
        return len(self.data) < self.enough

    def finish(self, data: bytes, whole: bool) -> int:
        """See L{flocknode.forban.fetch.body.Sink.finish}."""
        self.data += data
        self.calls.append(("finish", whole))
        return len(self.data)

    def abandon(self) -> None:
        """See L{flocknode.forban.fetch.body.Sink.abandon}."""
        self.calls.append("abandon")


class BodyTests(SynchronousTestCase):
    """
    @ivar pending: what threads were given and have not done yet, if C{slow}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = StringTransport()
        self.slow = False
        self.pending: list[Callable[[], None]] = []
        self.sink = Kept()

    def body(self, most: int = 1 << 40, rate: int = 0) -> Body[int]:
        """One that is on."""
        bucket = Bucket(rate, self.clock.seconds)
        body = Body(self.sink, self.in_thread, self.clock, most, bucket)
        body.makeConnection(self.transport)
        return body

    def in_thread(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """At once; or when L{catch_up} is called."""
        done: Deferred[Any] = Deferred()

        def run() -> None:
            maybeDeferred(work, *arguments).chainDeferred(done)

        if self.slow:
            self.pending.append(run)
        else:
            run()
        return done

    def catch_up(self) -> None:
        """Threads do what they were given so far."""
        pending, self.pending = self.pending, []
        for run in pending:
            run()

    def lose(self, body: Body[int], reason: Exception) -> None:
        """The body is over."""
        body.connectionLost(Failure(reason))

    def test_a_small_body_is_handed_over_in_one_go(self) -> None:
        body = self.body()
        body.dataReceived(b"some")
        body.dataReceived(b"thing")
        self.lose(body, ResponseDone())
        self.assertEqual(self.successResultOf(body.done), 9)
        self.assertEqual(self.sink.calls, [("finish", True)])
        self.assertEqual(self.sink.data, b"something")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_large_body_is_handed_over_in_pieces(self) -> None:
        body = self.body()
        data = bytes(range(256)) * (PIECE // 64)
        for at in range(0, len(data), 50_000):
            body.dataReceived(data[at : at + 50_000])
        self.lose(body, ResponseDone())
        self.assertEqual(self.successResultOf(body.done), len(data))
        self.assertEqual(self.sink.data, data)
        self.assertGreater(self.sink.calls.count("write"), 2)

    def test_a_body_whose_length_was_not_said_may_not_be_whole(self) -> None:
        body = self.body()
        body.dataReceived(b"some")
        self.lose(body, PotentialDataLoss())
        self.successResultOf(body.done)
        self.assertEqual(self.sink.calls, [("finish", False)])

    def test_a_body_that_breaks_off_fails(self) -> None:
        body = self.body()
        body.dataReceived(b"some")
        self.lose(body, ConnectionLost())
        self.failureResultOf(body.done, NeighbourError)
        self.assertEqual(self.sink.calls, ["abandon"])

    def test_the_transport_waits_for_the_thread(self) -> None:
        self.slow = True
        body = self.body()
        piece = b"x" * PIECE
        body.dataReceived(piece)
        self.assertEqual(self.transport.producerState, "producing")
        body.dataReceived(piece)
        self.assertEqual(self.transport.producerState, "paused")
        self.catch_up()
        self.assertEqual(self.transport.producerState, "producing")
        self.lose(body, ResponseDone())
        self.assertNoResult(body.done)
        self.catch_up()
        self.catch_up()
        self.assertEqual(self.successResultOf(body.done), 2 * PIECE)

    def test_nothing_stalls_while_the_thread_is_busy(self) -> None:
        self.slow = True
        body = self.body()
        body.dataReceived(b"x" * PIECE)
        body.dataReceived(b"x" * PIECE)
        self.clock.pump([5.0] * 100)
        self.assertNoResult(body.done)

    def test_a_stalled_body_fails(self) -> None:
        body = self.body()
        body.dataReceived(b"some")
        self.clock.pump([1.0] * int(STALLED + 6))
        self.failureResultOf(body.done, NeighbourError)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_slow_drip_fails(self) -> None:
        body = self.body()
        for _ in range(int(WINDOW + 6)):
            body.dataReceived(b"x")
            self.clock.advance(1.0)
        self.failureResultOf(body.done, NeighbourError)

    def test_more_than_was_said_fails(self) -> None:
        body = self.body(most=3)
        body.dataReceived(b"some")
        self.failureResultOf(body.done, NeighbourError)
        self.assertEqual(self.sink.calls, ["abandon"])
        self.assertTrue(self.transport.disconnecting)

    def test_a_sink_with_enough_ends_it(self) -> None:
        self.sink.enough = PIECE
        body = self.body()
        body.dataReceived(b"x" * PIECE)
        self.assertEqual(self.successResultOf(body.done), PIECE)
        self.assertEqual(self.sink.calls, ["write", ("finish", False)])
        self.assertTrue(self.transport.disconnecting)
        body.dataReceived(b"more")
        self.lose(body, ConnectionLost())
        self.assertEqual(self.sink.data, b"x" * PIECE)

    def test_an_error_of_the_sink_is_told(self) -> None:
        self.sink.error = OSError("full")
        body = self.body()
        body.dataReceived(b"x" * PIECE)
        self.failureResultOf(body.done, OSError)
        self.assertEqual(self.sink.calls, ["abandon"])

    def test_what_is_stopped_is_given_up_when_the_thread_is_done(self) -> None:
        self.slow = True
        body = self.body()
        body.dataReceived(b"x" * PIECE)
        body.stop()
        body.stop()
        self.assertNoResult(body.done)
        self.catch_up()
        self.catch_up()
        self.failureResultOf(body.done, NeighbourError)
        self.assertEqual(self.sink.calls, ["write", "abandon"])

    def test_what_is_finished_is_not_stopped(self) -> None:
        self.slow = True
        body = self.body()
        self.lose(body, ResponseDone())
        body.stop()
        self.catch_up()
        self.assertEqual(self.successResultOf(body.done), 0)

    def test_the_rate_is_kept(self) -> None:
        body = self.body(rate=1000)
        body.dataReceived(b"x" * 3000)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(1.9)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0.2)
        self.assertEqual(self.transport.producerState, "producing")
