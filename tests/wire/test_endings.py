# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.endings}.
"""

from __future__ import annotations

import socket
from typing import Any

import zmq
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from flocknode.wire.endings import FREED_AFTER, Endings
from tests.wire.support import free_endpoint, until


class EndingsTests(TestCase):
    """Connections to a real socket."""

    timeout = 20

    def setUp(self) -> None:
        self.clock = Clock()
        self.context: zmq.Context[Any] = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        self.publisher = self.context.socket(zmq.XPUB)
        self.publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.endings = Endings(self.context, self.publisher, self.clock.seconds)
        self.addCleanup(self.endings.close)
        self.endpoint = free_endpoint()
        self.publisher.bind(self.endpoint)

    async def connect(self) -> Any:
        """A subscriber whose queue is there."""
        subscriber = self.context.socket(zmq.SUB)
        subscriber.connect(self.endpoint)
        subscriber.subscribe(b"")
        await until(reactor, lambda: self.publisher.poll(0))
        self.publisher.recv()
        return subscriber

    async def test_it_is_calm_while_connections_come(self) -> None:
        self.assertTrue(self.endings.calm())
        connected = [await self.connect(), await self.connect()]
        self.assertTrue(self.endings.calm())
        self.assertEqual(len(connected), 2)  # kept: one that is collected is closed

    async def test_it_is_not_for_a_while_after_one_has_ended(self) -> None:
        subscriber = await self.connect()
        subscriber.close(0)
        await until(reactor, lambda: not self.endings.calm())
        self.clock.advance(FREED_AFTER * 0.9)
        self.assertFalse(self.endings.calm())
        self.clock.advance(FREED_AFTER * 0.1)
        self.assertTrue(self.endings.calm())

    async def test_reports_that_nobody_reads_hold_up_nobody(self) -> None:
        host, _, port = self.endpoint.removeprefix("tcp://").rpartition(":")
        for _ in range(1_200):  # libzmq's default queue holds 1000
            socket.create_connection((host, int(port))).close()
        await self.connect()
        self.assertFalse(self.endings.calm())
