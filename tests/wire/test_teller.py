# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.teller}.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.interfaces import FlockState, MemberId, Priority
from flocknode.wire.messages import (
    Alive,
    Consumed,
    Data,
    Lost,
    Reset,
    RoundStarted,
    RoundStopped,
    State,
    ToNode,
    ToWire,
)
from flocknode.wire.port import MAX_DATA, Port, PortParser
from flocknode.wire.teller import GATHERED, GATHERING, MESSAGE, PATIENCE, Teller, in_messages

ANNA, BERT = MemberId(b"a" * 16), MemberId(b"b" * 16)


def _chunk(size: int) -> bytes:
    return bytes([size % 251]) * size


class Wire:
    """Stands in for the process behind the port."""

    teller: Teller

    def port_told(self, message: ToWire) -> None:
        """Nothing comes."""

    def port_data(self, member: bytes, priority: int, data: bytes) -> None:
        """Nothing comes."""

    def port_drained(self) -> None:
        self.teller.drained()

    def port_closed(self, reason: str) -> None:
        """Nothing is lost."""


class TellerTests(SynchronousTestCase):
    """L{Teller}."""

    def setUp(self) -> None:
        self.clock = Clock()
        wire = Wire()
        self.port: Port[ToWire] = Port(msgspec.msgpack.Decoder(ToWire), wire, 1_000)
        self.transport = StringTransport()
        self.port.makeConnection(self.transport)
        self.skipped: list[MemberId] = []
        self.teller = wire.teller = Teller(self.clock, self.port, self.skipped.append, lambda: None)

    def _told(self) -> list[Any]:
        self.clock.advance(GATHERING)
        parser = PortParser(msgspec.msgpack.Decoder(ToNode))
        return parser.feed(self.transport.value())

    def _fill(self) -> None:
        self.port.pauseProducing()
        self.teller.received(ANNA, bytes(1_000))
        self.clock.advance(GATHERING)
        self.assertTrue(self.port.full)

    def test_events_are_told_at_once(self) -> None:
        self.teller.alive(ANNA, 7)
        self.teller.round_started(3, 100, 200)
        self.teller.round_stopped(3)
        self.teller.reset(ANNA)
        self.teller.lost(ANNA)
        late = (0.5, 0.4, 1.0, 2.0)
        self.teller.state(FlockState(114, narrowest=ANNA, alive=(BERT,), lateness_ms=late))
        *events, state = self._told()
        self.assertEqual(
            events,
            [Alive(ANNA, 7), RoundStarted(3, 100, 200), RoundStopped(3), Reset(ANNA), Lost(ANNA)],
        )
        self.assertIsInstance(state, State)
        self.assertEqual((state.status, state.narrowest, state.alive), (114, ANNA, (BERT,)))
        self.assertEqual(state.lateness_ms, late)

    def test_the_bytes_of_a_turn_go_as_one_message_for_each_link(self) -> None:
        for data in (b"one ", b"two ", b"three"):
            self.teller.received(ANNA, data)
        self.teller.received(BERT, b"other")
        self.assertEqual(self.transport.value(), b"")
        self.assertEqual(self._told(), [Data(ANNA, 0, b"one two three"), Data(BERT, 0, b"other")])

    def test_they_wait_for_others_but_not_if_they_are_many(self) -> None:
        self.teller.received(ANNA, b"one ")
        self.clock.advance(0.9 * GATHERING)
        self.teller.received(ANNA, b"two")
        self.assertEqual(self.transport.value(), b"")
        self.clock.advance(0.2 * GATHERING)
        self.assertEqual(len(self._told()), 1)
        self.transport.clear()
        self.teller.received(ANNA, bytes(GATHERED - 1))
        self.clock.advance(0)
        self.assertEqual(self.transport.value(), b"")
        self.teller.received(ANNA, b"x")
        self.assertEqual(self.transport.value(), b"")
        self.clock.advance(0)
        self.assertGreater(len(self.transport.value()), GATHERED)

    def test_an_event_leaves_no_timer_behind(self) -> None:
        self.teller.received(ANNA, b"one")
        self.teller.reset(ANNA)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bytes_keep_their_place_among_events(self) -> None:
        self.teller.received(ANNA, b"before")
        self.teller.reset(ANNA)
        self.teller.received(ANNA, b"after")
        self.assertEqual(
            self._told(), [Data(ANNA, 0, b"before"), Reset(ANNA), Data(ANNA, 0, b"after")]
        )

    def test_more_bytes_than_fit_into_a_message_go_in_several(self) -> None:
        data = bytes(range(256)) * (3 * MAX_DATA // 256)
        self.teller.received(ANNA, data)
        parts = self._told()
        self.assertGreater(len(parts), 2)
        self.assertEqual(b"".join(part.data for part in parts), data)

    @given(st.lists(st.integers(1, 3 * MESSAGE).map(_chunk), max_size=6))
    def test_messages_are_bounded_and_nothing_is_lost_between_them(
        self, chunks: list[bytes]
    ) -> None:
        messages = list(in_messages(chunks))
        self.assertEqual(b"".join(map(b"".join, messages)), b"".join(chunks))
        for message in messages:
            self.assertLessEqual(sum(map(len, message)), MESSAGE)

    def test_what_was_consumed_in_a_turn_is_summed_up(self) -> None:
        self.teller.consumed(ANNA, Priority.BULK, 10)
        self.teller.consumed(ANNA, Priority.BULK, 5)
        self.teller.consumed(ANNA, Priority.CONTROL, 1)
        self.assertEqual(self._told(), [Consumed(((ANNA, 1, 15), (ANNA, 0, 1)))])

    def test_what_was_consumed_is_no_longer_outstanding(self) -> None:
        self.teller.outstanding[ANNA, Priority.BULK] = 20
        self.teller.consumed(ANNA, Priority.BULK, 15)
        self.assertEqual(self.teller.outstanding[ANNA, Priority.BULK], 5)

    def test_a_node_that_does_not_read_loses_bytes_and_is_told_of_the_gap(self) -> None:
        self._fill()
        self.teller.received(ANNA, b"lost")
        self.teller.reset(ANNA)
        self.teller.received(BERT, b"lost too")
        self.assertEqual(self.skipped, [ANNA, BERT])
        self.port.resumeProducing()
        self.teller.received(ANNA, b"next")
        self.assertEqual(
            self._told(),
            [Data(ANNA, 0, bytes(1_000)), Reset(ANNA), Reset(BERT), Data(ANNA, 0, b"next")],
        )

    def test_bytes_that_are_refused_on_their_way_are_skipped_too(self) -> None:
        self.port.pauseProducing()
        self.teller.received(ANNA, bytes(1_000))
        self.teller.received(BERT, b"too late")
        self.clock.advance(GATHERING)
        self.assertEqual(self.skipped, [BERT])
        self.port.resumeProducing()
        self.assertEqual(self._told(), [Data(ANNA, 0, bytes(1_000)), Reset(BERT)])

    def test_a_node_that_does_not_read_loses_no_event(self) -> None:
        self._fill()
        self.teller.alive(BERT, 1)
        self.teller.consumed(BERT, Priority.BULK, 9)
        self.teller.lost(BERT)
        self.port.resumeProducing()
        self.assertEqual(self._told()[1:], [Alive(BERT, 1), Consumed(((BERT, 1, 9),)), Lost(BERT)])

    def test_states_are_not_kept_for_a_node_that_does_not_read(self) -> None:
        self._fill()
        self.teller.state(FlockState())
        self.port.resumeProducing()
        self.assertEqual(len(self._told()), 1)

    def test_a_node_that_never_reads_is_given_up(self) -> None:
        port: Port[ToWire] = Port(msgspec.msgpack.Decoder(ToWire), Wire())
        port.makeConnection(StringTransport())
        port.pauseProducing()
        given_up: list[None] = []
        teller = Teller(self.clock, port, self.skipped.append, lambda: given_up.append(None))
        teller.lost(ANNA)
        self.clock.advance(0)
        self.assertEqual(given_up, [])
        for _ in range(PATIENCE // MAX_DATA + 1):
            # As much as events would need hours for.
            port.send_data(ANNA, 0, bytes(MAX_DATA))
        teller.lost(ANNA)
        self.clock.advance(0)
        self.assertEqual(given_up, [None])
