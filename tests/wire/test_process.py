# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.process}, with the sockets and the engine in
between replaced by ones that keep what they are asked.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import WireError
from flocknode.flock.interfaces import MemberId, Priority
from flocknode.wire.messages import (
    Consumed,
    Data,
    Fault,
    Offer,
    Ready,
    Skip,
    Start,
    Stop,
    ToNode,
    ToWire,
)
from flocknode.wire.port import PortParser, encode, encode_data
from flocknode.wire.process import FAREWELL, LEAVING, QUEUE_LIMIT, Wire
from flocknode.wire.teller import GATHERING
from tests.wire.support import Pair

ME, ANNA, BERT = Pair.new(), Pair.new(), Pair.new()
START = Start(
    listen=("tcp://127.0.0.1:*",),
    public=ME.public,
    secret=ME.secret,
    peers=(("tcp://anna:1", ANNA.public), ("tcp://bert:1", BERT.public)),
    uplink=1_000,
    constant_cover=False,
    cover_rate=2_000,
    min_members=2,
)


class FakeSockets:
    """Binds anything but what it shall not."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.refuse = ""

    def listen(
        self, endpoints: tuple[str, ...], keys: Any, peers: Any, uplink: int
    ) -> list[str]:
        if self.refuse:
            raise WireError(self.refuse)
        self.calls.append("listen")
        return [endpoint.replace("*", "1234") for endpoint in endpoints]

    def connect(self, me: MemberId, keys: Any, peers: Any, to: Any) -> None:
        self.calls.append(("connect", me, tuple(peer.id for peer in peers)))

    def close(self) -> None:
        self.calls.append("close")


class FakeFlock:
    """Keeps what it is asked; due four times a second."""

    def __init__(
        self,
        settings: Any,
        transport: Any,
        observer: Any,
        *,
        now: float,
        wall_ms: int,
        random: Any,
        respite: float,
    ) -> None:
        self.settings, self.transport, self.observer = settings, transport, observer
        self.wall_ms = wall_ms
        self.calls: list[Any] = []
        self.advanced: list[float] = []
        self.failure: Exception | None = None
        self.seen = True

    def advance(self, now: float) -> float:
        if self.failure is not None:
            raise self.failure
        self.advanced.append(now)
        return now + 0.25

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        self.calls.append(("queue", member, priority, records))

    def offer(self, new_total: int, backlog: int, remaining: int, digest: bytes) -> None:
        self.calls.append(("offer", new_total, backlog, remaining, digest))

    def heartbeat_received(self, member: MemberId, message: bytes, now: float) -> None:
        self.calls.append(("heartbeat", member, message, now))

    def frame_received(self, member: MemberId, message: bytes, now: float) -> None:
        self.calls.append(("frame", member, message, now))

    def skip(self, member: MemberId) -> None:
        self.calls.append(("skip", member))

    def leave(self, now: float) -> None:
        self.calls.append(("leave", now))


class WireTests(SynchronousTestCase):
    """L{Wire}."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sockets = FakeSockets()
        self.engines: list[FakeFlock] = []
        self.ended: list[str] = []
        self.wire = Wire(
            self.clock,
            lambda: self.ended.append("ended"),
            engine=self._engine,  # type: ignore[arg-type]
            sockets=lambda reactor: self.sockets,  # type: ignore[arg-type, return-value]
            wall=lambda: 1_600_000_000.5,
            schedule=self.sockets.calls.append,
        )
        self.transport = StringTransport()
        self.wire.port.makeConnection(self.transport)

    def _engine(self, *arguments: Any, **options: Any) -> FakeFlock:
        self.engines.append(FakeFlock(*arguments, **options))
        return self.engines[-1]

    @property
    def engine(self) -> FakeFlock:
        (engine,) = self.engines
        return engine

    def _tell(self, *messages: ToWire | Data) -> None:
        for message in messages:
            encoded = encode_data(message) if isinstance(message, Data) else encode(message)
            self.wire.port.dataReceived(encoded)

    def _told(self) -> list[Any]:
        parser = PortParser(msgspec.msgpack.Decoder(ToNode))
        told = parser.feed(self.transport.value())
        self.transport.clear()
        return told

    def _close_port(self) -> None:
        self.wire.port.connectionLost(Failure(ConnectionDone()))

    def test_it_binds_connects_and_says_so(self) -> None:
        self._tell(START)
        self.assertEqual(
            self.sockets.calls,
            [START.uplink, "listen", ("connect", ME.id, tuple(sorted([ANNA.id, BERT.id])))],
        )
        self.assertEqual(self._told(), [Ready(("tcp://127.0.0.1:1234",))])

    def test_the_engine_gets_the_sockets_and_the_wall_clock(self) -> None:
        self._tell(START)
        self.assertIs(self.engine.transport, self.sockets)
        self.assertEqual(self.engine.wall_ms, 1_600_000_000_500)
        self.assertEqual(self.engine.settings.me, ME.id)

    def test_the_engine_is_woken_when_it_said(self) -> None:
        self._tell(START)
        for _ in range(200):
            self.clock.advance(0.005)
        self.assertEqual([round(now, 2) for now in self.engine.advanced], [0, 0.25, 0.5, 0.75, 1])

    def test_offers_and_records_reach_the_engine(self) -> None:
        self._tell(START, Offer(1, 2, 3, bytes(16)), Data(ANNA.id, 1, b"records"))
        self.assertEqual(
            self.engine.calls,
            [("offer", 1, 2, 3, bytes(16)), ("queue", ANNA.id, Priority.BULK, b"records")],
        )

    def test_a_stream_that_makes_no_sense_to_the_node_is_skipped(self) -> None:
        self._tell(START, Skip(ANNA.id))
        self.assertEqual(self.engine.calls, [("skip", ANNA.id)])

    def test_what_the_engine_observes_reaches_the_node(self) -> None:
        self._tell(START)
        self._told()
        self.engine.observer.received(ANNA.id, b"stream")
        self.clock.advance(GATHERING)
        self.assertEqual(self._told(), [Data(ANNA.id, 0, b"stream")])

    def test_messages_reach_the_engine_with_the_time(self) -> None:
        self._tell(START)
        self.clock.advance(0.125)
        self.wire.heartbeat_received(ANNA.id, b"100 ")
        self.wire.frame_received(ANNA.id, b"\0")
        self.assertEqual(
            self.engine.calls,
            [("heartbeat", ANNA.id, b"100 ", 0.125), ("frame", ANNA.id, b"\0", 0.125)],
        )

    def test_the_engine_is_not_kept_waiting_by_what_comes_in(self) -> None:
        self._tell(START)
        self.clock.rightNow = 0.3
        self.wire.frame_received(ANNA.id, b"\0")
        self.assertEqual(self.engine.advanced, [0.0, 0.3])

    def test_a_heartbeat_may_move_what_is_due_next(self) -> None:
        self._tell(START)
        self.clock.advance(0.1)
        self.wire.heartbeat_received(ANNA.id, b"100 ")
        self.assertEqual(self.engine.advanced, [0.0, 0.1])
        self.wire.frame_received(ANNA.id, b"\0")
        self.assertEqual(self.engine.advanced, [0.0, 0.1])

    def test_what_is_more_than_a_queue_may_hold_ends_it(self) -> None:
        self._tell(START)
        self._told()
        half = QUEUE_LIMIT // 32
        for _ in range(32):
            self._tell(Data(ANNA.id, 1, bytes(half)), Data(ANNA.id, 0, bytes(half)))
        self.assertEqual(self._told(), [])
        self._tell(Data(ANNA.id, 1, b"!"))
        (fault,) = self._told()
        self.assertEqual(fault, Fault("the node queued more than a link may hold."))
        self.assertEqual(self.sockets.calls[-1], "close")

    def test_consumed_bytes_make_room_in_a_queue(self) -> None:
        self._tell(START)
        part = QUEUE_LIMIT // 16
        for _ in range(64):
            self._tell(Data(ANNA.id, 1, bytes(part)))
            self.engine.observer.consumed(ANNA.id, Priority.BULK, part)
        self.clock.advance(GATHERING)
        self.assertEqual(self._told()[1:], [Consumed(((ANNA.id, 1, 64 * part),))])

    def test_records_for_somebody_who_is_no_peer_end_it(self) -> None:
        self._tell(START, Data(Pair.new().id, 1, b"records"))
        self.assertIsInstance(self._told()[-1], Fault)

    def test_an_endpoint_that_cannot_be_bound_is_a_fault(self) -> None:
        self.sockets.refuse = "cannot listen at tcp://192.0.2.1:5671: no such address."
        self._tell(START)
        self.assertEqual(self._told(), [Fault(self.sockets.refuse)])
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.sockets.calls, [START.uplink, "close"])

    def test_this_nodes_own_key_among_the_peers_is_a_fault(self) -> None:
        self._tell(replace(START, peers=(("tcp://me:1", ME.public),)))
        self.assertIsInstance(self._told()[0], Fault)

    def test_a_second_start_is_a_fault(self) -> None:
        self._tell(START, START)
        self.assertIsInstance(self._told()[-1], Fault)

    def test_an_engine_that_fails_is_a_fault_and_is_not_woken_again(self) -> None:
        self._tell(START)
        self._told()
        self.engine.failure = ZeroDivisionError()
        for _ in range(10):
            self.clock.advance(0.25)
        (fault,) = self._told()
        self.assertIsInstance(fault, Fault)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopping_says_so_in_the_heartbeats_first(self) -> None:
        self._tell(START, Stop())
        self.assertEqual(self.engine.calls, [("leave", 0.0)])
        self.clock.advance(LEAVING - 0.01)
        self.assertFalse(self.transport.disconnecting)
        self.assertNotIn("close", self.sockets.calls)
        self.clock.advance(0.02)
        self.assertIn("close", self.sockets.calls)
        self.assertTrue(self.transport.disconnecting)
        self._close_port()
        self.assertEqual(self.ended, ["ended"])

    def test_the_engine_is_woken_while_it_leaves(self) -> None:
        self._tell(START, Stop())
        for _ in range(6):
            self.clock.advance(0.05)
        self.assertEqual(len(self.engine.advanced), 2)

    def test_stopping_twice_does_not_wait(self) -> None:
        self._tell(START, Stop())
        self.wire.stop()
        self.assertTrue(self.transport.disconnecting)

    def test_stopping_before_the_start_ends_it(self) -> None:
        self._tell(Stop())
        self.assertTrue(self.transport.disconnecting)

    def test_a_node_that_does_not_read_its_last_messages_is_not_waited_for(self) -> None:
        self._tell(START, Stop())
        self.clock.advance(LEAVING)
        self.clock.advance(FAREWELL)
        self.assertTrue(self.transport.disconnected)

    def test_it_ends_when_the_node_is_gone(self) -> None:
        self._tell(START)
        self._close_port()
        self.assertEqual(self.ended, ["ended"])
        self.assertEqual(self.sockets.calls[-1], "close")
        self.clock.advance(10)
        self.assertEqual(self.engine.advanced, [0.0])

    def test_messages_that_come_after_the_end_are_nobodys(self) -> None:
        self._tell(START)
        self._close_port()
        self.wire.heartbeat_received(ANNA.id, b"100 ")
        self.wire.frame_received(ANNA.id, b"\0")
        self.assertEqual(self.engine.calls, [])
