# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A UDP socket that anybody may flood.

Twisted's own port takes the scope away from an address of one link, so that
nobody there could be answered; and it reads on as long as there is something to
read, until it has so many bytes, which empty datagrams never make.  This one
reads a few datagrams in a turn, and a bounded number of them in a second, and
tells of few of each sender.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from flocknode.forban.near.interfaces import ALL_NODES
from flocknode.forban.protocol.announcement import LONGEST_HEARD

IN_A_TURN = 32
"""Datagrams that are read before others have their turn: about a tenth of a
millisecond, or half a one if all are told of."""

IN_A_SECOND = 10_000
"""Datagrams that are read.  What comes beyond that stays with the kernel, which
drops it."""

TOLD_IN_A_SECOND = 1000
"""Of them are told of: a full table of neighbours that are heard in four ways
each makes 400."""

FROM_ONE_HOST = 50
"""Of these from one address, so that who floods is not heard instead of the
others."""

Heard = Callable[[bytes, str, int], object]
"""(datagram, cut off at L{LONGEST_HEARD} and one more; IP address; scope: the
index of the interface for an address of one link, else 0)."""


class Port(Protocol):
    """A socket of one family, as the announcing service needs it."""

    def send(self, datagram: bytes, host: str, port: int, scope: int) -> None:
        """
        @raise OSError: it was not sent.
        """

    def join(self, scope: int) -> None:
        """
        Hear what is sent to all nodes on that interface.

        @raise OSError: it cannot.
        """

    def close(self) -> None:
        """Hear nothing any more.  Idempotent."""


Listen = Callable[[Any, str, int, Heard], Port]
"""(reactor, IP address to listen on, port, whom to tell).  @raise OSError."""


class Datagrams(FileDescriptor):
    """
    Lives in the reactor.

    @param bound: a socket that does not block, which is this object's from now
        on.
    """

    _log = Logger()

    def __init__(self, reactor: Any, bound: socket.socket, heard: Heard) -> None:
        super().__init__(reactor)
        self._clock = reactor
        self._socket = bound
        self._heard = heard
        self._ipv6 = bound.family == socket.AF_INET6
        self._since = reactor.seconds()
        self._left = IN_A_SECOND
        self._untold = TOLD_IN_A_SECOND
        self._from: dict[str, int] = {}
        self._resting: IDelayedCall | None = None
        self.connected = True
        self._writeDisconnected = True
        self.startReading()

    def fileno(self) -> int:
        """What the reactor waits for."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """There is something."""
        now = self._clock.seconds()
        if not 0 <= now - self._since < 1.0:
            self._since, self._left, self._untold = now, IN_A_SECOND, TOLD_IN_A_SECOND
            self._from.clear()
        for _ in range(min(IN_A_TURN, self._left)):
            self._left -= 1
            try:
                datagram, address = self._socket.recvfrom(LONGEST_HEARD + 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # The kernel tells of what became of a datagram that was sent, or
                # of an interface; if it does so all the time, that is no reason
                # to be busy.
                continue
            self._tell(datagram, address)
            if self._socket.fileno() < 0:
                return
        if self._left <= 0:
            self.stopReading()
            self._resting = self._clock.callLater(self._since + 1.0 - now, self._rested)

    def _tell(self, datagram: bytes, address: Any) -> None:
        host = address[0]
        count = self._from.get(host, 0)
        if count < FROM_ONE_HOST and self._untold > 0:
            self._from[host] = count + 1
            self._untold -= 1
            try:
                self._heard(datagram, host, address[3] if self._ipv6 else 0)
            except Exception:
                # The reactor would close the socket for that.
                self._log.failure("somebody does not take what was heard")

    def _rested(self) -> None:
        self._resting = None
        self.startReading()

    def send(self, datagram: bytes, host: str, port: int, scope: int) -> None:
        """See L{Port.send}."""
        self._socket.sendto(datagram, (host, port, 0, scope) if self._ipv6 else (host, port))

    def join(self, scope: int) -> None:
        """See L{Port.join}."""
        group = socket.inet_pton(socket.AF_INET6, ALL_NODES) + struct.pack("@I", scope)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)

    def connectionLost(self, reason: Any) -> None:
        """The reactor stops."""
        super().connectionLost(reason)
        self.close()

    def close(self) -> None:
        """See L{Port.close}."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._socket.fileno() >= 0:
            self.stopReading()
            self.connected = False
            self._socket.close()


def listen(reactor: Any, host: str, port: int, heard: Heard) -> Datagrams:
    """
    @param host: an IP address of this machine, or C{0.0.0.0}, or C{::}, which
        is for IPv6 alone.
    @raise OSError: it is taken, or there is no such address or family.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        bound.setblocking(False)
        # So that another program that speaks Forban may listen beside this one.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not sys.platform.startswith("linux") and hasattr(socket, "SO_REUSEPORT"):
            # BSD and macOS want this; Linux would divide the senders among them.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        bound.bind((host, port))
        stack.pop_all()
    return Datagrams(reactor, bound, heard)
