# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.connection}: turns, without any socket.  Real sockets:
L{tests.wire.test_sockets}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import zmq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.wire.connection import TURN_BYTES, TURN_MESSAGES, FairConnection


class Flooded(FairConnection):
    """A connection that has so many messages of one size to read."""

    def __init__(self, clock: Clock, count: int, size: int) -> None:
        self.factory: Any = SimpleNamespace(reactor=clock)
        self.read_scheduled = None
        self.count, self.size = count, size
        self.taken = 0

    def _receive(self) -> list[memoryview]:
        if not self.count:
            raise zmq.Again
        self.count -= 1
        return [memoryview(bytes(self.size))]

    def messageReceived(self, message: list[bytes]) -> None:
        self.taken += 1


class TurnTests(SynchronousTestCase):
    """L{FairConnection.doRead}."""

    def setUp(self) -> None:
        self.clock = Clock()

    def test_a_flood_is_read_in_turns(self) -> None:
        connection = Flooded(self.clock, 3 * TURN_MESSAGES, 1)
        connection.doRead()
        self.assertEqual(connection.taken, TURN_MESSAGES)
        (turn,) = self.clock.getDelayedCalls()
        self.assertEqual(turn.getTime(), self.clock.seconds())
        self.clock.advance(0)
        self.assertEqual(connection.taken, 3 * TURN_MESSAGES)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_large_messages_make_short_turns(self) -> None:
        connection = Flooded(self.clock, TURN_MESSAGES, TURN_BYTES // 4)
        connection.doRead()
        self.assertEqual(connection.taken, 4)

    def test_a_turn_that_empties_the_socket_needs_no_other(self) -> None:
        connection = Flooded(self.clock, 3, 1)
        connection.doRead()
        self.assertEqual(connection.taken, 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_event_in_between_does_not_add_turns(self) -> None:
        connection = Flooded(self.clock, 10 * TURN_MESSAGES, 1)
        connection.doRead()
        connection.doRead()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_a_message_that_cannot_be_taken_does_not_end_the_turn(self) -> None:
        connection = Flooded(self.clock, 3, 1)

        def take(message: list[bytes]) -> None:
            connection.taken += 1
            raise ZeroDivisionError

        self.patch(connection, "messageReceived", take)
        connection.doRead()
        self.assertEqual(connection.taken, 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_closing_in_a_turn_ends_it(self) -> None:
        connection = Flooded(self.clock, 3, 1)

        def close(message: list[bytes]) -> None:
            connection.factory = None

        self.patch(connection, "messageReceived", close)
        connection.doRead()
        self.assertEqual(connection.count, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
