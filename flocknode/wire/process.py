# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The wire process: one port, one flock engine, the sockets.  It hands over what
comes from one to the other, and wakes the engine when the engine said.

Its life: it waits for L{Start}; binds; runs; at L{Stop} it shows in its
heartbeats that it leaves, and ends.  It ends at once when the port closes, since
then the node is gone.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from flocknode.errors import WireError
from flocknode.flock.core import Flock
from flocknode.flock.interfaces import MemberId, Priority
from flocknode.flock.streams import RandomStreams
from flocknode.wire.curve import Keys
from flocknode.wire.messages import Fault, Offer, Ready, Skip, Start, Stop, ToWire
from flocknode.wire.peers import peers_of, settings_of
from flocknode.wire.port import Port
from flocknode.wire.sockets import Sockets
from flocknode.wire.teller import BACKLOG, Teller
from flocknode.wire.timer import Alarm

QUEUE_LIMIT: Final = 16_777_216
"""Bytes that may be outstanding in one queue of a link.  The node keeps within
half of that; beyond it, the node is broken."""

RESPITE: Final = 0.001
"""Seconds: packets leave by threads of their own, perhaps on this very core.  If the
next frames were built at once, they would leave later the more payload there is."""

LEAVING: Final = 0.35
"""Seconds between L{Stop} and the end: at least one heartbeat says so."""

FAREWELL: Final = 1.0
"""Seconds in which the last messages reach a node that reads."""


class Wire:
    """
    Everything that the process does, but the signals.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        ended: Callable[[], None],
        *,
        engine: type[Flock] = Flock,
        sockets: Callable[[IReactorTime], Sockets] = Sockets,
        wall: Callable[[], float] = time.time,
        schedule: Callable[[int], None] = lambda uplink: None,
        watching: float = 0.0,
    ) -> None:
        """
        @param reactor: also an C{IReactorFDSet}; its clock is monotonic.
        @param ended: called once, when nothing is left to do.
        @param wall: seconds since 1970.
        @param schedule: told the uplink before any thread or socket is made, see
            L{flocknode.wire.timer.go_first}.
        @param watching: see L{flocknode.wire.timer.WATCHING}.
        """
        self.port: Port[ToWire] = Port(msgspec.msgpack.Decoder(ToWire), self, BACKLOG)
        self._reactor = reactor
        self._ended: Callable[[], None] | None = ended
        self._engine = engine
        self._make_sockets = sockets
        self._wall = wall
        self._schedule = schedule
        self._sockets: Sockets | None = None
        self._flock: Flock | None = None
        self._watching = watching
        self._alarm = Alarm(reactor, self._advance, self._watch)
        self._peers: frozenset[MemberId] = frozenset()
        self._going = False
        self._closed = False
        self._teller = Teller(reactor, self.port, self._skip, self._give_up)

    def stop(self) -> None:
        """Say that this node leaves, then end; called again, end at once."""
        if self._going or self._flock is None:
            self._finish()
        else:
            self._going = True
            self._flock.leave(self._reactor.seconds())
            self._reactor.callLater(LEAVING, self._finish)

    # L{flocknode.wire.port.PortUser}

    def port_told(self, message: ToWire) -> None:
        """The node says what to do."""
        try:
            if isinstance(message, Offer):
                if self._flock is not None:
                    self._flock.offer(
                        message.new_total, message.backlog, message.remaining, message.digest
                    )
            elif isinstance(message, Skip):
                self._skip(MemberId(message.member))
            elif isinstance(message, Start):
                self._start(message)
            elif isinstance(message, Stop):
                self.stop()
        except WireError as error:
            self._fail(str(error))

    def port_data(self, member: bytes, priority: int, data: bytes) -> None:
        """The node queues records."""
        to = MemberId(member)
        if self._flock is None or to not in self._peers:
            self._fail("the node queued bytes for somebody who is no peer.")
            return
        link = (to, Priority(priority))
        self._teller.outstanding[link] += len(data)
        if self._teller.outstanding[link] > QUEUE_LIMIT:
            self._fail("the node queued more than a link may hold.")
            return
        self._flock.queue(*link, data)

    def port_drained(self) -> None:
        """The node reads again."""
        self._teller.drained()

    def port_closed(self, reason: str) -> None:
        """The node is gone, or was told everything."""
        self._close()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()

    # L{flocknode.wire.sockets.Receiver}

    def heartbeat_received(self, member: MemberId, message: bytes) -> None:
        """A peer's heartbeat came."""
        if self._flock is not None:
            now = self._reactor.seconds()
            self._flock.heartbeat_received(member, message, now)
            self._alarm.hurry(now)

    def frame_received(self, member: MemberId, message: bytes | memoryview) -> None:
        """A peer's frame for this node came."""
        if self._flock is not None:
            now = self._reactor.seconds()
            self._flock.frame_received(member, message, now)
            # Emission does not wait for the rest of what came in.
            self._alarm.check(now)

    def _start(self, start: Start) -> None:
        if self._sockets is not None:
            raise WireError("the node started its wire process twice.")
        peers = peers_of(start)
        keys = Keys(start.public, start.secret)
        settings = settings_of(start, peers)
        self._schedule(start.uplink)
        self._sockets = self._make_sockets(self._reactor)
        bound = self._sockets.listen(start.listen, keys, peers, start.uplink)
        self._flock = self._engine(
            settings,
            self._sockets,
            self._teller,
            now=self._reactor.seconds(),
            wall_ms=int(self._wall() * 1000),
            random=RandomStreams(),
            respite=RESPITE,
        )
        self._peers = frozenset(settings.peers)
        self._sockets.connect(settings.me, keys, peers, self)
        self.port.send(Ready(tuple(bound)))
        self._alarm.start()
        # What is there now stays.  Garbage collection that need not look at it
        # takes less than 0.1 ms instead of 30.
        gc.collect()
        gc.freeze()

    def _advance(self, now: float) -> float:
        if self._flock is None:
            return now + 1.0
        try:
            return self._flock.advance(now)
        except Exception:
            self._log.failure("the flock engine failed")
            self._fail("the flock engine failed; its log says how.")
        return now + FAREWELL

    def _watch(self) -> float:
        # What nobody sees may be late, and watching takes a core.
        return self._watching if self._flock is not None and self._flock.seen else 0.0

    def _skip(self, member: MemberId) -> None:
        if self._flock is not None:
            self._flock.skip(member)

    def _give_up(self) -> None:
        self._fail("the node has stopped listening to its wire process.")

    def _fail(self, reason: str) -> None:
        self.port.send(Fault(reason))
        self._finish()

    def _finish(self) -> None:
        self._going = True
        self._close()
        self.port.finish()
        self._reactor.callLater(FAREWELL, self.port.close)

    def _close(self) -> None:
        self._alarm.stop()
        self._flock = None
        if self._sockets is not None and not self._closed:
            self._closed = True
            self._sockets.close()
