# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.sockets} and L{flocknode.wire.curve}, over real
sockets of this machine, and with strangers that speak ZeroMQ themselves.
"""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

import zmq
from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from zmq.utils.monitor import recv_monitor_message

from flocknode.errors import WireError
from flocknode.flock.interfaces import MemberId
from flocknode.flock.messages import frame_topic
from flocknode.wire.connection import Context
from flocknode.wire.curve import DOMAIN, Keys, ZapHandler
from flocknode.wire.peers import Peer
from flocknode.wire.sockets import MAX_MESSAGE, SEND_BUFFERS, Sockets, send_buffer
from tests.wire.support import Pair, free_endpoint, until

HEARTBEAT = b"100 " + bytes(252)
UPLINK = 12_500_000


class Ear:
    """Keeps what the sockets receive."""

    def __init__(self) -> None:
        self.heartbeats: list[tuple[MemberId, bytes]] = []
        self.frames: list[tuple[MemberId, bytes]] = []

    def heartbeat_received(self, member: MemberId, message: bytes) -> None:
        self.heartbeats.append((member, message))

    def frame_received(self, member: MemberId, message: bytes | memoryview) -> None:
        self.frames.append((member, bytes(message)))


class Node:
    """One member's sockets."""

    def __init__(self, test: TestCase, endpoint: str, silence: float = 10.0) -> None:
        self.pair = Pair.new()
        self.keys = Keys(self.pair.public, self.pair.secret)
        self.endpoint = endpoint
        self.ear = Ear()
        self.sockets = Sockets(reactor, silence)
        self.open = True
        test.addCleanup(self.close)

    def start(self, *peers: Node) -> list[str]:
        """Listen and connect; returns the bound endpoints."""
        known = tuple(peer.as_peer() for peer in peers)
        bound = self.sockets.listen((self.endpoint,), self.keys, known, UPLINK)
        self.sockets.connect(self.pair.id, self.keys, known, self.ear)
        return bound

    def as_peer(self) -> Peer:
        """How others configure this node."""
        return Peer(self.pair.id, self.pair.public, (self.endpoint,))

    def close(self) -> None:
        """Close, unless it was closed."""
        if self.open:
            self.open = False
            self.sockets.close()


class Stranger:
    """A raw SUB that knows how its handshake went."""

    def __init__(self, test: TestCase, endpoint: str, topic: bytes = b"") -> None:
        self.context = zmq.Context()
        test.addCleanup(self.context.destroy, 0)
        self.socket = self.context.socket(zmq.SUB)
        self.endpoint = endpoint
        self.monitor = self.socket.get_monitor_socket()
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)

    def connect(self) -> None:
        """Try, again and again."""
        self.socket.connect(self.endpoint)

    def refused(self) -> bool:
        """Has the other end hung up, or said no?"""
        events = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        events |= zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        while self.monitor.poll(0):
            if recv_monitor_message(self.monitor)["event"] & events:
                return True
        return False

    def received(self) -> list[bytes]:
        """Everything that came."""
        messages = []
        while self.socket.poll(0):
            messages.append(self.socket.recv())
        return messages


async def succeed_at(test: TestCase, old: Node, pair: Pair, *peers: Node) -> Node:
    """
    Close a node, and start another one at its address as soon as that is free.
    """
    old.close()
    started: list[Node] = []

    def start() -> bool:
        node = Node(test, old.endpoint)
        node.pair, node.keys = pair, Keys(pair.public, pair.secret)
        try:
            node.start(*peers)
        except WireError:
            node.close()
            return False
        started.append(node)
        return True

    await until(reactor, start)
    return started[0]


class MemberTests(TestCase):
    """Members hear each other."""

    timeout = 20

    def setUp(self) -> None:
        self.a = Node(self, free_endpoint())
        self.b = Node(self, free_endpoint())

    async def _hear(self, one: Node, other: Node) -> None:
        def heard() -> bool:
            one.sockets.heartbeat(HEARTBEAT)
            return bool(other.ear.heartbeats)

        await until(reactor, heard)

    async def test_heartbeats_go_both_ways(self) -> None:
        self.a.start(self.b)
        self.b.start(self.a)
        await self._hear(self.a, self.b)
        await self._hear(self.b, self.a)
        self.assertEqual(self.b.ear.heartbeats[0], (self.a.pair.id, HEARTBEAT))

    async def test_a_frame_reaches_its_receiver_and_nobody_else(self) -> None:
        c = Node(self, free_endpoint())
        self.a.start(self.b, c)
        self.b.start(self.a)
        c.start(self.a)
        await self._hear(self.a, self.b)
        await self._hear(self.a, c)
        frame = frame_topic(self.b.pair.id) + b"200 " + bytes(4096)
        self.assertTrue(self.a.sockets.frame(self.b.pair.id, frame))
        await until(reactor, lambda: self.b.ear.frames)
        c.ear.heartbeats.clear()
        await self._hear(self.a, c)
        self.assertEqual(self.b.ear.frames, [(self.a.pair.id, frame)])
        self.assertEqual(c.ear.frames, [])

    async def test_messages_keep_their_order(self) -> None:
        self.a.start(self.b)
        self.b.start(self.a)
        await self._hear(self.a, self.b)
        self.a.sockets.frame_queue(500)
        frames = [frame_topic(self.b.pair.id) + bytes([n]) for n in range(200)]
        for frame in frames:
            self.assertTrue(self.a.sockets.frame(self.b.pair.id, frame))
        await until(reactor, lambda: len(self.b.ear.frames) == 200)
        self.assertEqual([frame for _, frame in self.b.ear.frames], frames)

    async def test_the_length_of_queues_holds_for_later_connections_too(self) -> None:
        self.a.start(self.b)
        self.a.sockets.frame_queue(500)
        self.b.start(self.a)
        await self._hear(self.a, self.b)
        frame = frame_topic(self.b.pair.id) + bytes(64)
        taken = [self.a.sockets.frame(self.b.pair.id, frame) for _ in range(200)]
        self.assertEqual(taken, [True] * 200)
        await until(reactor, lambda: len(self.b.ear.frames) == 200)

    async def test_a_frame_for_somebody_who_is_not_connected_is_taken(self) -> None:
        self.a.start(self.b)
        self.assertTrue(self.a.sockets.frame(self.b.pair.id, frame_topic(self.b.pair.id)))

    async def test_a_full_queue_refuses_frames_but_not_heartbeats_for_others(self) -> None:
        pair = Pair.new()
        deaf = Stranger(self, self.a.endpoint, frame_topic(pair.id))
        c = Node(self, free_endpoint())
        deaf.socket.curve_publickey = pair.public.encode()
        deaf.socket.curve_secretkey = pair.secret.encode()
        deaf.socket.curve_serverkey = self.a.pair.public.encode()
        deaf.socket.rcvhwm = 1
        deaf.socket.rcvbuf = 4096
        member = Peer(pair.id, pair.public, ("tcp://127.0.0.1:9",))
        self.a.sockets.listen((self.a.endpoint,), self.a.keys, (member, c.as_peer()), UPLINK)
        c.start(self.a)
        await self._hear(self.a, c)
        deaf.connect()
        frame = frame_topic(pair.id) + bytes(60_000)

        def full() -> bool:
            return not all(self.a.sockets.frame(pair.id, frame) for _ in range(4))

        await until(reactor, full)
        c.ear.heartbeats.clear()
        for _ in range(20):
            c.ear.heartbeats.clear()
            await self._hear(self.a, c)
            self.assertTrue(self.a.sockets.frame(c.pair.id, frame_topic(c.pair.id)))

    async def test_what_is_neither_frame_nor_heartbeat_is_dropped(self) -> None:
        self.a.start(self.b)
        self.b.start(self.a)
        await self._hear(self.a, self.b)
        # A file message of 1.0.0, and one of several parts.
        self.a.sockets.heartbeat(b"210 " + bytes(4113))
        publisher = self.a.sockets._publisher
        assert publisher is not None
        publisher.send([b"130 " + bytes(252), b"more"])
        last = b"150 " + bytes(252)
        self.a.sockets.heartbeat(last)
        await until(reactor, lambda: (self.a.pair.id, last) in self.b.ear.heartbeats)
        heard = {message for _, message in self.b.ear.heartbeats}
        self.assertEqual(heard - {HEARTBEAT}, {last})
        self.assertEqual(self.b.ear.frames, [])

    async def test_a_member_that_comes_back_is_heard_again(self) -> None:
        self.a.start(self.b)
        self.b.start(self.a)
        await self._hear(self.b, self.a)
        again = await succeed_at(self, self.b, self.b.pair, self.a)
        self.a.ear.heartbeats.clear()
        await self._hear(again, self.a)

    async def test_a_member_that_is_admitted_later_need_not_be_restarted(self) -> None:
        patient = Node(self, free_endpoint(), silence=0.2)
        self.a.start()
        patient.start(self.a)
        stranger = Stranger(self, self.a.endpoint)
        for option in ("curve_publickey", "curve_secretkey"):
            setattr(stranger.socket, option, getattr(patient.pair, option[6:12]).encode())
        stranger.socket.curve_serverkey = self.a.pair.public.encode()
        stranger.connect()
        await until(reactor, stranger.refused)
        stranger.socket.close(0)
        admits = await succeed_at(self, self.a, self.a.pair, patient)
        await self._hear(admits, patient)

    async def test_a_queue_that_becomes_shorter_does_not_stand_still(self) -> None:
        self.a.start(self.b)
        self.b.start(self.a)
        await self._hear(self.a, self.b)
        frame = frame_topic(self.b.pair.id) + bytes(100)
        received = self.b.ear.frames
        for queue in (512, 8, 300, 40, 8):
            self.a.sockets.frame_queue(queue)
            received.clear()
            count = 200 if queue > 8 else 1
            for _ in range(count):
                await until(reactor, lambda: self.a.sockets.frame(self.b.pair.id, frame))
            await until(reactor, lambda count=count: len(received) == count)  # type: ignore[misc]

    async def test_a_peer_with_several_addresses_is_tried_at_each(self) -> None:
        patient = Node(self, free_endpoint(), silence=0.2)
        addresses = (free_endpoint(), self.a.endpoint)
        peer = Peer(self.a.pair.id, self.a.pair.public, addresses)
        self.a.start(patient)
        patient.sockets.listen((patient.endpoint,), patient.keys, (peer,), UPLINK)
        patient.sockets.connect(patient.pair.id, patient.keys, (peer,), patient.ear)
        await self._hear(self.a, patient)

    async def test_a_message_beyond_the_limit_ends_the_connection_and_is_not_received(
        self,
    ) -> None:
        self.a.start(self.b)
        self.b.start(self.a)
        await self._hear(self.a, self.b)
        self.a.sockets.frame(self.b.pair.id, frame_topic(self.b.pair.id) + bytes(MAX_MESSAGE))
        self.b.ear.heartbeats.clear()
        await self._hear(self.a, self.b)
        self.assertEqual(self.b.ear.frames, [])


class StrangerTests(TestCase):
    """No stranger gets a byte (threat model, promise 5)."""

    timeout = 20

    async def _nothing_for(self, stranger: Stranger, node: Node, member: Node) -> None:
        stranger.connect()
        await until(reactor, stranger.refused)

        def published() -> bool:
            node.sockets.heartbeat(HEARTBEAT)
            node.sockets.frame(member.pair.id, frame_topic(member.pair.id) + bytes(64))
            return len(member.ear.frames) >= 20

        await until(reactor, published)
        self.assertEqual(stranger.received(), [])

    def _pair_of_nodes(self) -> tuple[Node, Node]:
        node, member = Node(self, free_endpoint()), Node(self, free_endpoint())
        node.start(member)
        member.start(node)
        return node, member

    def _curve(self, stranger: Stranger, own: Pair, server: str) -> None:
        stranger.socket.curve_publickey = own.public.encode()
        stranger.socket.curve_secretkey = own.secret.encode()
        stranger.socket.curve_serverkey = server.encode()

    async def test_a_random_key_gets_nothing(self) -> None:
        node, member = self._pair_of_nodes()
        stranger = Stranger(self, node.endpoint)
        self._curve(stranger, Pair.new(), node.pair.public)
        await self._nothing_for(stranger, node, member)

    async def test_a_key_that_another_node_allows_gets_nothing_here(self) -> None:
        node, member = self._pair_of_nodes()
        friend_of_member = Node(self, free_endpoint())
        friend_of_member.start(member)
        stranger = Stranger(self, node.endpoint)
        self._curve(stranger, friend_of_member.pair, node.pair.public)
        await self._nothing_for(stranger, node, member)

    async def test_the_null_mechanism_gets_nothing(self) -> None:
        node, member = self._pair_of_nodes()
        await self._nothing_for(Stranger(self, node.endpoint), node, member)

    async def test_the_plain_mechanism_gets_nothing(self) -> None:
        node, member = self._pair_of_nodes()
        stranger = Stranger(self, node.endpoint)
        stranger.socket.plain_username = b"node"
        stranger.socket.plain_password = node.pair.public.encode()
        await self._nothing_for(stranger, node, member)

    async def test_an_allowed_key_with_a_wrong_server_key_gets_nothing(self) -> None:
        node, member = self._pair_of_nodes()
        allowed = Pair.new()
        stranger = Stranger(self, node.endpoint)
        self._curve(stranger, allowed, Pair.new().public)
        await self._nothing_for(stranger, node, member)

    async def test_a_public_key_without_its_secret_gets_nothing(self) -> None:
        node, member = self._pair_of_nodes()
        stranger = Stranger(self, node.endpoint)
        stolen = Pair(member.pair.public, Pair.new().secret)
        self._curve(stranger, stolen, node.pair.public)
        await self._nothing_for(stranger, node, member)

    async def test_without_a_handler_everybody_is_refused(self) -> None:
        context = Context(reactor)
        self.addCleanup(context.close)
        from flocknode.wire.sockets import Publisher

        own = Pair.new()
        publisher = Publisher(context, Keys(own.public, own.secret), (), 65_536)
        endpoint = publisher.bind("tcp://127.0.0.1:*")
        stranger = Stranger(self, endpoint)
        self._curve(stranger, Pair.new(), own.public)
        stranger.connect()
        await until(reactor, stranger.refused)
        for _ in range(20):
            publisher.heartbeat(HEARTBEAT)
        self.assertEqual(stranger.received(), [])

    async def test_an_impostor_at_a_peers_address_is_not_heard(self) -> None:
        node, member = Node(self, free_endpoint()), Node(self, free_endpoint())
        impostor = Node(self, member.endpoint)
        impostor.start(node)
        node.start(member)
        stranger = Stranger(self, member.endpoint)
        self._curve(stranger, node.pair, member.pair.public)
        stranger.connect()
        await until(reactor, stranger.refused)
        for _ in range(20):
            impostor.sockets.heartbeat(HEARTBEAT)
        member = await succeed_at(self, impostor, member.pair, node)

        def heard() -> bool:
            member.sockets.heartbeat(b"101 " + bytes(252))
            return bool(node.ear.heartbeats)

        await until(reactor, heard)
        self.assertEqual({message[:4] for _, message in node.ear.heartbeats}, {b"101 "})

    async def test_what_is_no_zeromq_gets_a_greeting_and_nothing_else(self) -> None:
        node, member = self._pair_of_nodes()
        host, port = node.endpoint.removeprefix("tcp://").split(":")
        connection = socket.create_connection((host, int(port)))
        self.addCleanup(connection.close)
        connection.setblocking(False)
        got = bytearray()

        def read() -> None:
            try:
                got.extend(connection.recv(65_536))
            except BlockingIOError:
                return

        def published() -> bool:
            read()
            node.sockets.heartbeat(HEARTBEAT)
            return len(member.ear.heartbeats) >= 20

        await until(reactor, published)
        # ZMTP 3: signature, version, mechanism, server flag, filler.
        self.assertLessEqual(len(got), 64)


class ZapHandlerTests(TestCase):
    """L{ZapHandler}, asked directly."""

    def setUp(self) -> None:
        self.context = Context(reactor)
        self.addCleanup(self.context.close)
        self.pair = Pair.new()
        self.handler = ZapHandler(self.context, frozenset([self.pair.public]))
        self.sent: list[Any] = []
        self.patch(self.handler, "send", self.sent.append)

    def _ask(self, *message: bytes) -> bytes:
        self.handler.messageReceived(list(message))
        status: bytes = self.sent[-1][2]
        return status

    def _request(self, **changed: bytes) -> list[bytes]:
        from flocknode import z85

        fields = {
            "version": b"1.0",
            "request": b"7",
            "domain": DOMAIN,
            "address": b"127.0.0.1",
            "identity": b"",
            "mechanism": b"CURVE",
            "key": z85.decode(self.pair.public),
        }
        return list({**fields, **changed}.values())

    def test_an_allowed_key_is_admitted(self) -> None:
        self.assertEqual(self._ask(*self._request()), b"200")
        self.assertEqual(self.sent[-1][1], b"7")

    def test_everything_else_is_refused(self) -> None:
        for changed in (
            {"key": bytes(32)},
            {"key": b""},
            {"mechanism": b"NULL"},
            {"domain": b""},
            {"version": b"2.0"},
        ):
            self.assertEqual(self._ask(*self._request(**changed)), b"400")

    def test_a_request_that_is_none_is_refused(self) -> None:
        self.assertEqual(self._ask(), b"400")
        self.assertEqual(self._ask(*self._request(), b"more"), b"400")


class ListenTests(TestCase):
    """L{Sockets.listen}."""

    timeout = 20

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "node")

    def test_a_port_may_be_left_open(self) -> None:
        (bound,) = Node(self, "tcp://127.0.0.1:*").start()
        self.assertRegex(bound, r"^tcp://127\.0\.0\.1:[1-9][0-9]*$")

    def test_every_address_may_be_meant(self) -> None:
        (bound,) = Node(self, "tcp://*:*").start()
        self.assertRegex(bound, r"^tcp://0\.0\.0\.0:[1-9][0-9]*$")

    def test_an_address_in_use_is_said_in_one_sentence(self) -> None:
        (bound,) = Node(self, "tcp://127.0.0.1:*").start()
        with self.assertRaises(WireError) as caught:
            Node(self, bound).start()
        self.assertEqual(
            str(caught.exception), f"cannot listen at {bound}: Address already in use."
        )

    def test_other_transports_are_refused(self) -> None:
        with self.assertRaises(WireError):
            Node(self, "inproc://here").start()

    def test_a_second_node_at_one_path_is_refused(self) -> None:
        Node(self, f"ipc://{self.path}").start()
        with self.assertRaises(WireError) as caught:
            Node(self, f"ipc://{self.path}").start()
        self.assertIn("another node listens at", str(caught.exception))

    def test_nothing_is_left_of_a_path_after_closing(self) -> None:
        node = Node(self, f"ipc://{self.path}")
        node.start()
        self.assertEqual(sorted(os.listdir(os.path.dirname(self.path))), ["node", "node.lock"])
        node.close()
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [])

    async def test_what_a_killed_node_left_at_its_path_is_no_hindrance(self) -> None:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.path)
        open(self.path + ".lock", "w").close()
        a, b = Node(self, f"ipc://{self.path}"), Node(self, f"ipc://{self.path}2")
        a.start(b)
        b.start(a)

        def heard() -> bool:
            a.sockets.heartbeat(HEARTBEAT)
            return bool(b.ear.heartbeats)

        await until(reactor, heard)

    async def test_members_may_use_version_six_addresses(self) -> None:
        try:
            a, b = Node(self, free_endpoint("::1")), Node(self, free_endpoint("::1"))
        except OSError as error:
            raise SkipTest("this machine has no IPv6") from error
        a.start(b)
        b.start(a)

        def heard() -> bool:
            a.sockets.heartbeat(HEARTBEAT)
            return bool(b.ear.heartbeats)

        await until(reactor, heard)


class SendBufferTests(SynchronousTestCase):
    """L{send_buffer}."""

    def test_it_is_worth_a_fraction_of_a_second_of_a_links_share(self) -> None:
        self.assertEqual(send_buffer(6_250_000, 2), 156_250)

    def test_it_is_never_too_small_or_too_large(self) -> None:
        least, most = SEND_BUFFERS
        self.assertEqual(send_buffer(100_000, 7), least)
        self.assertEqual(send_buffer(125_000_000, 0), most)
