# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The sockets of a member: one XPUB that binds all its endpoints, one SUB for each
peer.  On SUB nobody says who sent a message; a socket that can only reach the
holder of one key says it.

Nothing here looks at what is outstanding: options are set once, subscriptions
are made at connect, and a silent peer is connected anew at the same pace
whatever the flock does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import zmq
from twisted.internet.interfaces import IReactorTime
from txzmq import ZmqEndpoint, ZmqEndpointType

from flocknode.errors import WireError
from flocknode.flock.interfaces import MemberId
from flocknode.flock.messages import FRAME_SUBSCRIPTION, HEARTBEAT_SUBSCRIPTIONS, frame_topic
from flocknode.wire.connection import Context, FairConnection
from flocknode.wire.curve import Keys, ZapHandler
from flocknode.wire.endings import Endings
from flocknode.wire.locks import PathLock
from flocknode.wire.marks import LEAST, Mark
from flocknode.wire.peers import Peer

MAX_MESSAGE: Final = 70_000
"""Bytes; libzmq closes a connection that brings more.  The largest frame has 65 557."""

SEND_BUFFERS: Final = (16_384, 262_144)
"""Bytes of the operating system, per connection, at least and at most.  What lies
there can no longer be late."""

SEND_SECONDS: Final = 0.05
"""What a buffer holds of a link's share of the uplink; Linux doubles it.  Larger
ones hide for long that an uplink is too slow, and delay the frames of a slot by
more than a slot: at 12 Mbit/s and 7 links, 256 KiB each are 1.2 s."""

RECONNECT_MS: Final = (250, 2_000)
"""First and longest pause before a lost connection is tried again.  The same in
every state; short enough for a restarted node to be back within a round's time."""

UNACKNOWLEDGED_MS: Final = 10_000
"""A peer that vanished without a word still looks subscribed, and its full queue
would refuse the frames for its new connection: heartbeats that nobody
acknowledges for so long end the connection."""

HANDSHAKE_MS: Final = 5_000
"""In which a connection has to say who it is; strangers hold no descriptors longer."""

SILENCE: Final = 10.0
"""Seconds without a message from a peer until it is connected anew: a refused
client does not try again by itself, and a receiver does not notice that the
other host is gone."""

RECEIVE_QUEUE: Final = 64
"""Messages per peer before the kernel's buffers have to hold them: a turn's worth.
Heartbeats wait behind what is queued here."""

FIRST_FILE_MESSAGES: Final = b"2"
"""What 1.0.0 sends instead of frames; subscribed to in every state."""


class Receiver(Protocol):
    """Who gets what the sockets receive."""

    def heartbeat_received(self, member: MemberId, message: bytes) -> None:
        """The member published a heartbeat."""

    def frame_received(self, member: MemberId, message: bytes | memoryview) -> None:
        """The member published a frame for this node; it is not to be kept as it is."""


class Publisher(FairConnection):
    """
    The XPUB: what it sends goes to whoever subscribed.
    """

    socketType = zmq.XPUB
    highWaterMark = LEAST

    def __init__(
        self, factory: Context, keys: Keys, links: tuple[MemberId, ...], send_buffer: int
    ) -> None:
        """
        @param links: who may connect.
        @param send_buffer: bytes, per connection.
        """
        super().__init__(factory)
        self._mark = Mark(links)
        # What all queues have been told.
        self._told = LEAST
        self._endings = Endings(factory.context, self.socket, factory.reactor.seconds)
        self.socket.affinity = 1
        self.socket.sndbuf = send_buffer
        self.socket.maxmsgsize = MAX_MESSAGE
        self.socket.setsockopt(zmq.TCP_MAXRT, UNACKNOWLEDGED_MS)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self.socket.setsockopt(zmq.XPUB_NODROP, 1)
        # Says every subscription of every connection, not only what is new.
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        keys.serve(self.socket)

    def bind(self, endpoint: str) -> str:
        """
        @return: the endpoint, with C{*} filled in.
        @raise WireError: it cannot be bound.
        """
        self.socket.ipv6 = _is_v6(endpoint)
        try:
            self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, endpoint)])
        except zmq.ZMQError as error:
            raise WireError(f"cannot listen at {endpoint}: {_said(error)}.") from None
        bound: bytes = self.socket.getsockopt(zmq.LAST_ENDPOINT)
        return bound.rstrip(b"\0").decode("utf-8", "replace")

    def shutdown(self) -> None:
        """Close."""
        self._endings.close()
        super().shutdown()

    def set_frame_queue(self, frames: int) -> None:
        """See L{flocknode.flock.interfaces.Transport.frame_queue}."""
        self._mark.want(frames)
        self._resize()

    def _resize(self) -> bool:
        """
        Make all queues as long as they should be, if that is safe now.

        @return: whether it is.
        """
        calm = self._endings.calm()
        if calm and self._mark.step() != self._told:
            self._told = self._mark.value
            self.socket.setsockopt(zmq.SNDHWM, self._told)
        return calm

    def heartbeat(self, message: bytes) -> None:
        """
        To all.  A queue that is full of frames has room for it all the same
        (but in the second after some connection has ended); who takes not even
        that misses it, and nobody else.
        """
        calm = self._resize()
        if self._offer(message):
            return
        if calm:
            self.socket.setsockopt(zmq.SNDHWM, self._mark.raised())
        self.socket.setsockopt(zmq.XPUB_NODROP, 0)
        with contextlib.suppress(zmq.Again):
            self.send(message)
        self.socket.setsockopt(zmq.XPUB_NODROP, 1)
        if calm:
            self.socket.setsockopt(zmq.SNDHWM, self._mark.value)

    def frame(self, to: MemberId, message: bytes) -> bool:
        """
        @return: false if the queue of the one whose topic this is is full.
        """
        taken = self._offer(message)
        self._mark.offered(to, taken)
        return taken

    def _offer(self, message: bytes) -> bool:
        try:
            self.send(message)
        except zmq.Again:
            return False
        return True

    def messageReceived(self, message: list[bytes]) -> None:
        """
        A subscription, so perhaps a new connection.  Its queue has the length
        that was set when the endpoint was bound; give it today's.
        """
        self._told = 0
        self._resize()


class Subscriber(FairConnection):
    """
    The SUB that hears one peer.
    """

    socketType = zmq.SUB
    highWaterMark = RECEIVE_QUEUE
    reconnectInterval, reconnectIntervalMax = RECONNECT_MS

    def __init__(
        self, factory: Context, keys: Keys, peer: Peer, topics: tuple[bytes, ...], to: Receiver
    ) -> None:
        self._peer = peer
        self._to = to
        self._endpoints = list(peer.endpoints)
        self.heard = False
        super().__init__(factory)
        self.socket.affinity = 2
        self.socket.maxmsgsize = MAX_MESSAGE
        keys.trust(self.socket, peer.public)
        for topic in topics:
            self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._connect()

    def renew(self) -> None:
        """
        Connect anew, to the next endpoint if there are several, unless the peer
        was heard since this was called last.
        """
        if not self.heard:
            with contextlib.suppress(zmq.ZMQError):
                self.socket.disconnect(self._endpoints[0])
            self._endpoints.append(self._endpoints.pop(0))
            self._connect()
        self.heard = False

    def views_received(self, message: list[memoryview]) -> None:
        """
        Tell frames from heartbeats; drop what is neither.  Of frames only what is
        no padding will be copied.
        """
        self.heard = True
        if len(message) != 1:
            return
        content = message[0]
        first = bytes(content[:1])
        if first == FRAME_SUBSCRIPTION:
            self._to.frame_received(self._peer.id, content)
        elif first in HEARTBEAT_SUBSCRIPTIONS:
            self._to.heartbeat_received(self._peer.id, bytes(content))

    def _connect(self) -> None:
        endpoint = self._endpoints[0]
        self.socket.ipv6 = _is_v6(endpoint)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise WireError(f"cannot connect to {endpoint}: {_said(error)}.") from None


class Sockets:
    """
    All sockets of this process; the L{flocknode.flock.interfaces.Transport} of
    its flock engine.
    """

    def __init__(self, reactor: IReactorTime, silence: float = SILENCE) -> None:
        """
        @param silence: seconds, see L{SILENCE}.
        """
        self._reactor = reactor
        self._silence = silence
        self._context = Context(reactor)
        self._locks: list[PathLock] = []
        self._subscribers: list[Subscriber] = []
        self._publisher: Publisher | None = None
        self._again: Callable[[], object] = lambda: None

    def listen(
        self, endpoints: tuple[str, ...], keys: Keys, peers: tuple[Peer, ...], uplink: int
    ) -> list[str]:
        """
        Bind, with the peers' keys as the allow-list.

        @param uplink: what may be sent in all, bytes per second.
        @return: the bound endpoints.
        @raise WireError: one of them cannot be bound; call L{close}.
        """
        ZapHandler(self._context, frozenset(peer.public for peer in peers))
        self._publisher = Publisher(
            self._context,
            keys,
            tuple(peer.id for peer in peers),
            send_buffer(uplink, len(peers)),
        )
        bound = []
        for endpoint in endpoints:
            scheme, _separator, path = endpoint.partition("://")
            if scheme not in ("tcp", "ipc"):
                raise WireError(f"cannot listen at {endpoint}: expected tcp:// or ipc://.")
            if scheme == "ipc" and not path.startswith("@"):
                self._locks.append(PathLock(path))
            bound.append(self._publisher.bind(endpoint))
        return bound

    def connect(self, me: MemberId, keys: Keys, peers: tuple[Peer, ...], to: Receiver) -> None:
        """
        Subscribe to each peer.

        @raise WireError: an endpoint is none; call L{close}.
        """
        topics = (*HEARTBEAT_SUBSCRIPTIONS, frame_topic(me), FIRST_FILE_MESSAGES)
        for peer in peers:
            self._subscribers.append(Subscriber(self._context, keys, peer, topics, to))
        self._later()

    def close(self) -> None:
        """
        Close all sockets at once and remove what they left on the disk.  Keep
        this object until the process ends, see L{Context.close}.
        """
        self._again()
        self._subscribers.clear()
        self._publisher = None
        self._context.close()
        for lock in self._locks:
            lock.release()
        self._locks.clear()

    def heartbeat(self, message: bytes) -> None:
        """See L{flocknode.flock.interfaces.Transport.heartbeat}."""
        if self._publisher is not None:
            self._publisher.heartbeat(message)

    def frame(self, to: MemberId, message: bytes) -> bool:
        """See L{flocknode.flock.interfaces.Transport.frame}."""
        return self._publisher is not None and self._publisher.frame(to, message)

    def frame_queue(self, frames: int) -> None:
        """See L{flocknode.flock.interfaces.Transport.frame_queue}."""
        if self._publisher is not None:
            self._publisher.set_frame_queue(frames)

    def _later(self) -> None:
        self._again = self._reactor.callLater(self._silence, self._renew).cancel

    def _renew(self) -> None:
        self._later()
        for subscriber in self._subscribers:
            subscriber.renew()


def send_buffer(uplink: int, peers: int) -> int:
    """
    @param uplink: what may be sent in all, bytes per second.
    @param peers: that share it.
    @return: bytes, for each connection.
    """
    least, most = SEND_BUFFERS
    return max(least, min(most, int(SEND_SECONDS * uplink / max(1, peers))))


def _is_v6(endpoint: str) -> bool:
    return endpoint.startswith("tcp://[")


def _said(error: zmq.ZMQError) -> str:
    # Without the address, which pyzmq appends.
    return zmq.strerror(error.errno or 0)
