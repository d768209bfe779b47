# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The port: one byte stream between the node's process and its wire process.

Each message, big-endian::

    length   4   bytes that follow
    type     1   0: a typed message, 1: bytes of a link
    body         0: msgpack of one value of L{flocknode.wire.messages}
                 1: member id 16 | priority 1 | bytes

L{PortParser} knows the layout and does no I/O; L{Port} is the Twisted protocol
of either end.  The stream may be slow to take what is written: then messages
wait in L{Port}, and at C{limit} bytes the bytes of links are refused, typed
messages never.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flocknode.errors import ProtocolError
from flocknode.wire.messages import Data

MAX_DATA: Final = 1_048_576 + 4
"""Bytes of a link in one message: one record of the greatest size and its length."""

MAX_TYPED: Final = 262_144
"""Body of a typed message.  The largest, Start, takes 200 bytes a peer."""

BUFFER: Final = 524_288
"""Bytes that are read at once.  As much as is read of a peer's frames in a turn
(L{flocknode.wire.connection.TURN_BYTES}) and more: a wire process that has more to
do than it can would else hear eight times as much of its peers as of its node,
and send padding."""

_TYPED: Final = 0
_DATA: Final = 1
_FRAME: Final = struct.Struct(">IB")
_LINK: Final = struct.Struct(">IB16sB")
_LINK_OVERHEAD: Final = 1 + 16 + 1
_LENGTH_SIZE: Final = 4

_encoder: Final = msgspec.msgpack.Encoder()

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


def encode(message: msgspec.Struct) -> bytes:
    """A typed message as it crosses the port."""
    body = _encoder.encode(message)
    return _FRAME.pack(len(body) + 1, _TYPED) + body


def encode_data(data: Data) -> bytes:
    """Bytes of a link as they cross the port."""
    return data_header(data.member, data.priority, len(data.data)) + data.data


def data_header(member: bytes, priority: int, size: int) -> bytes:
    """What goes in front of C{size} bytes of a link."""
    return _LINK.pack(_LINK_OVERHEAD + size, _DATA, member, priority)


class PortParser(Generic[M]):
    """
    Turns a byte stream, cut anywhere, into messages.  Bytes of links are copied
    once, out of the chunks that they came in.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        """
        @param decoder: of the union of typed messages that may come.
        """
        self._decoder = decoder
        # What came of a message that is not whole yet, and its size if known.
        self._held: list[memoryview] = []
        self._held_size = 0
        self._wanted: int | None = None

    def feed(self, data: bytes) -> list[M | Data]:
        """
        The messages that C{data} completes.

        @raise ProtocolError: the stream does not parse and never will.
        """
        messages: list[M | Data] = []
        start = 0
        if self._held:
            if self._wanted is None:
                data = b"".join((*self._held, data))
            else:
                start = self._wanted - self._held_size
                if start > len(data):
                    self._hold(memoryview(data), self._wanted)
                    return messages
                messages.append(self._joined([*self._held, memoryview(data)[:start]]))
            self._held.clear()
            self._held_size = 0
        size = len(data)
        wanted = None
        while size - start >= _FRAME.size:
            length, kind = _FRAME.unpack_from(data, start)
            wanted = _checked(length, kind) + _LENGTH_SIZE
            end = start + wanted
            if end > size:
                break
            if kind == _DATA:
                body = start + _LINK.size
                messages.append(_data(data, start, data[body:end]))
            else:
                messages.append(self._typed(data[start + _FRAME.size : end]))
            start = end
            wanted = None
        if start < size:
            self._hold(memoryview(data)[start:], wanted)
        return messages

    def _hold(self, rest: memoryview, wanted: int | None) -> None:
        self._held.append(rest)
        self._held_size += len(rest)
        self._wanted = wanted

    def _joined(self, parts: list[memoryview]) -> M | Data:
        first = parts[0]
        if first[_LENGTH_SIZE] == _TYPED:
            return self._typed(b"".join(parts)[_FRAME.size :])
        if len(first) < _LINK.size:
            first = parts[0] = memoryview(b"".join(parts))
            del parts[1:]
        parts[0] = first[_LINK.size :]
        return _data(first, 0, b"".join(parts))

    def _typed(self, body: bytes) -> M:
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"no message of the port: {error}") from None


def _data(stream: bytes | memoryview, start: int, data: bytes) -> Data:
    _length, _kind, member, priority = _LINK.unpack_from(stream, start)
    if priority > 1:
        raise ProtocolError("a link has no such priority")
    return Data(member, priority, data)


def _checked(length: int, kind: int) -> int:
    if kind == _DATA:
        if _LINK_OVERHEAD <= length <= _LINK_OVERHEAD + MAX_DATA:
            return length
    elif kind == _TYPED:
        if 1 < length <= 1 + MAX_TYPED:
            return length
    else:
        raise ProtocolError(f"no message of the port has type {kind}")
    raise ProtocolError(f"no message of the port measures {length} bytes")


class PortUser(Protocol[M_contra]):
    """Who sits at an end of the port."""

    def port_told(self, message: M_contra) -> None:
        """A typed message came."""

    def port_data(self, member: bytes, priority: int, data: bytes) -> None:
        """Bytes of a link came."""

    def port_drained(self) -> None:
        """Bytes of links had been refused; they are taken again."""

    def port_closed(self, reason: str) -> None:
        """Neither end can send any more.  Told once, for whatever reason."""


@implementer(IPushProducer)
class Port(TwistedProtocol, Generic[M]):
    """
    One end of the port.

    Its transport pauses it when the other end does not read; from then on,
    what is sent waits here.
    """

    _log = Logger()
    transport: Any

    def __init__(
        self,
        decoder: msgspec.msgpack.Decoder[M],
        user: PortUser[M],
        limit: int | None = None,
    ) -> None:
        """
        @param decoder: of what may come.
        @param limit: bytes that may wait before bytes of links are refused;
            None if whoever sends has its own bound.
        """
        self._parser = PortParser(decoder)
        self._user = user
        self._limit = limit
        self._paused = False
        self._full = False
        self._closed = False
        self._closing = False
        self._reason = ""
        self._waiting: deque[bytes] = deque()
        self._waiting_size = 0

    @property
    def full(self) -> bool:
        """Bytes of links are refused for the time being."""
        return self._full

    @property
    def waiting(self) -> int:
        """Bytes that the transport has not been given yet."""
        return self._waiting_size

    def send(self, message: msgspec.Struct) -> None:
        """Send a typed message; it is never refused."""
        self._write((encode(message),))

    def send_data(self, member: bytes, priority: int, *data: bytes) -> bool:
        """
        Send bytes of a link.

        @param data: at most L{MAX_DATA} bytes in all; they arrive as one.
        @return: false if they were refused and are lost.
        """
        if self._full:
            return False
        self._write((data_header(member, priority, sum(map(len, data))), *data))
        if self._limit is not None and self._waiting_size >= self._limit:
            self._full = True
        return True

    def close(self) -> None:
        """Close at once: what still waits is lost, what still comes unheard."""
        if self.transport is not None and not self._closed:
            self._stop_sending()
            self.transport.abortConnection()

    def finish(self) -> None:
        """Close as soon as the other end has read what was sent; send nothing more."""
        if self.transport is not None and not self._closing:
            self._stop_sending()
            self.transport.writeSequence(list(self._waiting))
            self.transport.loseConnection()

    def _stop_sending(self) -> None:
        if not self._closing:
            self._closing = True
            self.transport.unregisterProducer()

    def _write(self, parts: tuple[bytes, ...]) -> None:
        if self._closing or self.transport is None:
            return
        if self._paused:
            self._waiting.extend(parts)
            self._waiting_size += sum(map(len, parts))
        else:
            self.transport.writeSequence(parts)

    # L{twisted.internet.interfaces.IPushProducer}, called by the transport

    def pauseProducing(self) -> None:
        """The transport has enough for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._paused = False
        while self._waiting and not self._paused:
            part = self._waiting.popleft()
            self._waiting_size -= len(part)
            self.transport.write(part)
        # Only an empty queue ends the refusing: at its brim every other
        # message would be lost, and with it a record of each link.
        if self._full and not self._waiting:
            self._full = False
            self._user.port_drained()

    def stopProducing(self) -> None:
        """The connection is gone; L{connectionLost} says so too."""
        self._paused = True

    # L{twisted.internet.interfaces.IProtocol}

    def makeConnection(self, transport: ITransport) -> None:
        """Produce for this transport from now on."""
        self.transport = transport
        # How much is read at once, and waits for being written.
        self.transport.bufferSize = BUFFER
        self.transport.registerProducer(self, True)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """Parse, and tell the user."""
        try:
            messages = self._parser.feed(data)
        except ProtocolError as error:
            self._reason = str(error)
            self._log.error("the port is closed: {reason}", reason=self._reason)
            self.close()
            return
        told, came = self._user.port_told, self._user.port_data
        for message in messages:
            if self._closing:
                return
            if type(message) is Data:
                came(*message)
            else:
                told(message)  # type: ignore[arg-type]

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell the user, once."""
        if self._closed:
            return
        self._closed = self._closing = True
        self._waiting.clear()
        self._waiting_size = 0
        said = reason.getErrorMessage() if reason is not None else ""
        self._user.port_closed(self._reason or said)
