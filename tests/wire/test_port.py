# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.port}.
"""

from __future__ import annotations

import itertools
import struct
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.wire.messages import (
    Alive,
    Consumed,
    Data,
    Digest,
    Fault,
    Lost,
    Offer,
    Ready,
    Reset,
    RoundStarted,
    RoundStopped,
    Start,
    State,
    Stop,
    ToNode,
    ToWire,
)
from flocknode.wire.port import MAX_DATA, MAX_TYPED, Port, PortParser, encode, encode_data

ids = st.binary(min_size=16, max_size=16)
numbers = st.integers(0, 2**63 - 1)
texts = st.text(max_size=60)
data = st.builds(Data, ids, st.integers(0, 1), st.binary(max_size=300))

to_wire = st.one_of(
    st.builds(
        Start,
        listen=st.lists(texts, max_size=3).map(tuple),
        public=texts,
        secret=texts,
        peers=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
        uplink=numbers,
        constant_cover=st.booleans(),
        cover_rate=numbers,
        min_members=numbers,
    ),
    st.builds(Offer, numbers, numbers, numbers, ids),
    st.just(Stop()),
)
to_node = st.one_of(
    st.builds(Ready, st.lists(texts, max_size=3).map(tuple)),
    st.builds(Fault, texts),
    st.builds(Alive, ids, numbers),
    st.builds(Lost, ids),
    st.builds(Digest, ids, ids),
    st.builds(RoundStarted, numbers, numbers, numbers),
    st.builds(RoundStopped, numbers),
    st.builds(Reset, ids),
    st.builds(
        Consumed, st.lists(st.tuples(ids, st.integers(0, 1), numbers), max_size=4).map(tuple)
    ),
    st.builds(
        State,
        status=numbers,
        round_id=numbers,
        slot=numbers,
        step=numbers,
        narrowest=st.none() | ids,
        alive=st.lists(ids, max_size=3).map(tuple),
        rounds=numbers,
        unfinished=numbers,
        frames_sent=numbers,
        frames_filled=numbers,
        lateness_ms=st.tuples(*4 * [st.floats(0, 1e6)]),
    ),
)


def encoded(message: Any) -> bytes:
    """Either kind of message as it crosses the port."""
    return encode_data(message) if isinstance(message, Data) else encode(message)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in chunks, cut at places that may lie outside."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def parsed(decoder: Any, chunks: list[bytes]) -> list[Any]:
    """Everything that a fresh parser makes of the chunks."""
    parser: PortParser[Any] = PortParser(decoder)
    return [message for chunk in chunks for message in parser.feed(chunk)]


WIRE = msgspec.msgpack.Decoder(ToWire)
NODE = msgspec.msgpack.Decoder(ToNode)
places = st.lists(st.integers(0, 5_000), max_size=12)


class ParserTests(SynchronousTestCase):
    """L{PortParser}."""

    @settings(max_examples=80, deadline=None)
    @given(messages=st.lists(st.one_of(to_wire, data), max_size=6), places=places)
    def test_what_the_node_sends_arrives_however_it_is_cut(
        self, messages: list[Any], places: list[int]
    ) -> None:
        stream = b"".join(map(encoded, messages))
        self.assertEqual(parsed(WIRE, cut(stream, places)), messages)

    @settings(max_examples=80, deadline=None)
    @given(messages=st.lists(st.one_of(to_node, data), max_size=6), places=places)
    def test_what_the_wire_process_tells_arrives_however_it_is_cut(
        self, messages: list[Any], places: list[int]
    ) -> None:
        stream = b"".join(map(encoded, messages))
        self.assertEqual(parsed(NODE, cut(stream, places)), messages)

    def test_byte_by_byte_is_as_good_as_at_once(self) -> None:
        messages = [Data(bytes(16), 1, b"records"), Stop(), Offer(1, 2, 3, bytes(16))]
        stream = b"".join(map(encoded, messages))
        self.assertEqual(parsed(WIRE, [bytes([byte]) for byte in stream]), messages)

    def test_a_message_is_given_as_soon_as_it_is_whole(self) -> None:
        parser = PortParser(WIRE)
        stream = encode(Stop())
        self.assertEqual(parser.feed(stream[:-1]), [])
        self.assertEqual(parser.feed(stream[-1:]), [Stop()])

    @settings(max_examples=200, deadline=None)
    @given(garbage=st.binary(max_size=200), places=places)
    def test_garbage_ends_in_a_protocol_error_and_in_nothing_else(
        self, garbage: bytes, places: list[int]
    ) -> None:
        try:
            parsed(NODE, cut(garbage, places))
        except ProtocolError:
            return

    @settings(max_examples=200, deadline=None)
    @given(
        messages=st.lists(st.one_of(to_node, data), min_size=1, max_size=3),
        at=st.integers(0, 10_000),
        flip=st.integers(1, 255),
    )
    def test_a_flipped_byte_ends_in_a_protocol_error_or_other_messages(
        self, messages: list[Any], at: int, flip: int
    ) -> None:
        stream = bytearray(b"".join(map(encoded, messages)))
        stream[at % len(stream)] ^= flip
        try:
            read = parsed(NODE, [bytes(stream)])
        except ProtocolError:
            return
        self.assertNotEqual(
            b"".join(map(encoded, read)), b"".join(map(encoded, messages)), "not noticed"
        )

    @settings(max_examples=100, deadline=None)
    @given(body=st.binary(min_size=1, max_size=60))
    def test_a_typed_body_that_is_no_message_is_refused(self, body: bytes) -> None:
        stream = struct.pack(">IB", len(body) + 1, 0) + body
        try:
            (message,) = parsed(NODE, [stream])
        except ProtocolError:
            return
        self.assertIsInstance(message, msgspec.Struct)

    def test_a_length_beyond_the_limit_is_refused_before_its_body_came(self) -> None:
        for length, kind in [
            (1 + 17 + MAX_DATA + 1, 1),
            (1 + MAX_TYPED + 1, 0),
            (0xFFFFFFFF, 0),
            (0xFFFFFFFF, 1),
        ]:
            with self.assertRaises(ProtocolError):
                parsed(NODE, [struct.pack(">IB", length, kind)])

    def test_a_length_too_short_for_its_type_is_refused(self) -> None:
        for length, kind in [(0, 0), (1, 0), (0, 1), (17, 1)]:
            with self.assertRaises(ProtocolError):
                parsed(NODE, [struct.pack(">IB", length, kind) + bytes(20)])

    def test_an_unknown_type_is_refused(self) -> None:
        with self.assertRaises(ProtocolError):
            parsed(NODE, [struct.pack(">IB", 30, 2)])

    def test_an_unknown_priority_is_refused(self) -> None:
        with self.assertRaises(ProtocolError):
            parsed(WIRE, [encode_data(Data(bytes(16), 2, b""))])

    def test_a_member_id_of_another_length_is_refused(self) -> None:
        with self.assertRaises(ProtocolError):
            parsed(NODE, [encode(Lost(bytes(15)))])

    def test_a_message_of_the_other_direction_is_refused(self) -> None:
        with self.assertRaises(ProtocolError):
            parsed(NODE, [encode(Stop())])
        with self.assertRaises(ProtocolError):
            parsed(WIRE, [encode(Fault("?"))])

    def test_the_longest_record_fits_into_one_message(self) -> None:
        longest = Data(bytes(16), 0, bytes(MAX_DATA))
        stream = encode_data(longest)
        chunks = [stream[at : at + 65_536] for at in range(0, len(stream), 65_536)]
        self.assertEqual(parsed(WIRE, chunks), [longest])


class User:
    """Records what a port tells."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def port_told(self, message: Any) -> None:
        self.events.append(message)

    def port_data(self, member: bytes, priority: int, data: bytes) -> None:
        self.events.append(Data(member, priority, data))

    def port_drained(self) -> None:
        self.events.append("drained")

    def port_closed(self, reason: str) -> None:
        self.events.append(("closed", reason))


MEMBER = bytes(range(16))


class PortTests(SynchronousTestCase):
    """L{Port}."""

    def setUp(self) -> None:
        self.user = User()
        self.port: Port[Any] = Port(WIRE, self.user, limit=100)
        self.transport = StringTransport()
        self.port.makeConnection(self.transport)

    def test_what_is_sent_is_written(self) -> None:
        self.port.send(Stop())
        self.assertTrue(self.port.send_data(MEMBER, 1, b"abc"))
        self.assertEqual(
            self.transport.value(), encode(Stop()) + encode_data(Data(MEMBER, 1, b"abc"))
        )

    def test_what_comes_is_told_in_order(self) -> None:
        messages = [Offer(1, 2, 3, MEMBER), Data(MEMBER, 0, b"x"), Stop()]
        self.port.dataReceived(b"".join(map(encoded, messages)))
        self.assertEqual(self.user.events, messages)

    def test_a_stream_that_does_not_parse_closes_the_port(self) -> None:
        self.port.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
        self.assertTrue(self.transport.disconnected)
        self.port.connectionLost(Failure(ConnectionDone()))
        ((closed, reason),) = self.user.events
        self.assertEqual(closed, "closed")
        self.assertIn("no message of the port", reason)
        self.flushLoggedErrors()

    def test_nothing_is_heard_after_closing(self) -> None:
        self.user.port_told = lambda message: self.port.close()  # type: ignore[method-assign]
        self.port.dataReceived(encode(Stop()) + encode_data(Data(MEMBER, 0, b"late")))
        self.assertEqual(self.user.events, [])

    def test_what_is_sent_while_the_other_end_does_not_read_waits(self) -> None:
        self.port.pauseProducing()
        self.port.send(Stop())
        self.assertEqual(self.transport.value(), b"")
        self.assertEqual(self.port.waiting, len(encode(Stop())))
        self.port.resumeProducing()
        self.assertEqual(self.transport.value(), encode(Stop()))
        self.assertEqual(self.port.waiting, 0)

    def test_bytes_of_links_are_refused_beyond_the_limit_and_messages_are_not(self) -> None:
        self.port.pauseProducing()
        self.assertTrue(self.port.send_data(MEMBER, 0, bytes(100)))
        self.assertTrue(self.port.full)
        self.assertFalse(self.port.send_data(MEMBER, 0, b"lost"))
        self.port.send(Stop())
        self.port.resumeProducing()
        self.assertEqual(
            parsed(WIRE, [self.transport.value()]), [Data(MEMBER, 0, bytes(100)), Stop()]
        )

    def test_bytes_of_links_are_taken_again_when_everything_was_written(self) -> None:
        self.port.pauseProducing()
        self.port.send_data(MEMBER, 0, bytes(100))
        self.assertEqual(self.user.events, [])
        self.port.resumeProducing()
        self.assertEqual(self.user.events, ["drained"])
        self.assertTrue(self.port.send_data(MEMBER, 0, b"kept"))

    def test_a_transport_that_takes_a_part_only_leaves_the_rest_waiting(self) -> None:
        self.port.pauseProducing()
        self.port.send_data(MEMBER, 0, bytes(100))
        write = self.transport.write

        def write_and_pause(part: bytes) -> None:
            write(part)
            self.port.pauseProducing()

        self.transport.write = write_and_pause  # type: ignore[method-assign]
        self.port.resumeProducing()
        self.assertEqual(self.port.waiting, 100)
        self.assertTrue(self.port.full)
        self.port.resumeProducing()
        self.assertEqual(self.port.waiting, 0)
        self.assertFalse(self.port.full)
        self.assertEqual(parsed(WIRE, [self.transport.value()]), [Data(MEMBER, 0, bytes(100))])

    def test_without_a_limit_nothing_is_refused(self) -> None:
        port: Port[Any] = Port(WIRE, self.user)
        port.makeConnection(StringTransport())
        port.pauseProducing()
        self.assertTrue(all(port.send_data(MEMBER, 0, bytes(1_000)) for _ in range(100)))

    def test_finishing_writes_what_waits_and_sends_nothing_more(self) -> None:
        self.port.pauseProducing()
        self.port.send(Stop())
        self.port.finish()
        self.port.send(Stop())
        self.assertEqual(self.transport.value(), encode(Stop()))
        self.assertTrue(self.transport.disconnecting)

    def test_closing_after_finishing_does_not_wait_for_the_other_end(self) -> None:
        self.port.finish()
        self.port.close()
        self.assertTrue(self.transport.disconnected)

    def test_the_end_of_the_connection_is_told_once(self) -> None:
        self.port.connectionLost(Failure(ConnectionDone()))
        self.port.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.user.events), 1)

    def test_sending_after_the_end_does_nothing(self) -> None:
        self.port.connectionLost(Failure(ConnectionDone()))
        self.port.send(Stop())
        self.assertEqual(self.transport.value(), b"")
