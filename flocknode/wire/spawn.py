# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One wire process, from its start to its end, as its parent sees it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.flock.interfaces import MemberId
from flocknode.wire.log import LineForwarder
from flocknode.wire.messages import Stop, ToNode
from flocknode.wire.port import Port

PORT_DESCRIPTOR: Final = 3

TERMINATE: Final = 0.7
KILL: Final = 1.0
GIVE_UP: Final = 1.5
"""Seconds after L{Stop}.  The process needs 0.4 to say that it leaves."""


class Owner(Protocol):
    """Who is told about a process."""

    def child_told(self, message: ToNode) -> None:
        """A typed message came from it."""

    def child_data(self, member: MemberId, data: bytes) -> None:
        """Bytes of a link came from it."""

    def child_ended(self, reason: str) -> None:
        """It is gone.  Told once, and nothing after it."""


PORT_BUFFER: Final = 4_194_304
"""Bytes that the system may hold in each direction of the port (it often allows
less): what is read in one turn of a reactor that has a lot to do besides."""


class ChildProcess(ProcessProtocol):
    """
    @ivar port: this process's end of the port.
    """

    _log = Logger()

    def __init__(self, reactor: Any, owner: Owner) -> None:
        self.port: Port[ToNode] = Port(msgspec.msgpack.Decoder(ToNode), self)
        self._reactor = reactor
        self._owner = owner
        self._lines = {1: LineForwarder(self._log), 2: LineForwarder(self._log)}
        self._began = reactor.seconds()
        self._timers: list[Any] = []
        self._ended = False

    @property
    def lived(self) -> float:
        """Seconds since it was started."""
        return float(self._reactor.seconds() - self._began)

    def spawn(self, python: str) -> None:
        """
        @raise OSError: there is no such interpreter, or no room.
        """
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PORT_BUFFER)
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            self._reactor.spawnProcess(
                self,
                python,
                [python, "-m", "flocknode.wire"],
                env=_environment(),
                childFDs={0: nothing, 1: "r", 2: "r", PORT_DESCRIPTOR: theirs.fileno()},
            )
            self._reactor.adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: self.port)
            )
        finally:
            os.close(nothing)
            theirs.close()
            ours.close()

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        self.port.send(Stop())
        self._expect_end((TERMINATE, "TERM"), (KILL, "KILL"))

    def _expect_end(self, *signals: tuple[float, str]) -> None:
        self._cancel_timers()
        later = self._reactor.callLater
        self._timers = [later(delay, self._signal, signal) for delay, signal in signals]
        self._timers.append(later(GIVE_UP, self._end, "it does not end"))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()

    def _signal(self, signal: str) -> None:
        if self.transport is not None:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess(signal)

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._cancel_timers()
        self.port.close()
        self._owner.child_ended(reason)

    # L{flocknode.wire.port.PortUser}

    def port_told(self, message: ToNode) -> None:
        """Pass it on."""
        if not self._ended:
            self._owner.child_told(message)

    def port_data(self, member: bytes, priority: int, data: bytes) -> None:
        """Pass it on."""
        if not self._ended:
            self._owner.child_data(MemberId(member), data)

    def port_drained(self) -> None:
        """The node bounds what it sends by what was consumed: nothing is refused."""

    def port_closed(self, reason: str) -> None:
        """It has ended or is about to; if it is not, it is of no use any more."""
        if not self._ended and not self._timers:
            self._expect_end((TERMINATE, "KILL"))

    # L{ProcessProtocol}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Its log, or the last words of its interpreter."""
        self._lines[childFD].feed(data)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and everything that it wrote was read."""
        for lines in self._lines.values():
            lines.end()
        ended = reason.value
        if isinstance(ended, (ProcessDone, ProcessTerminated)) and ended.signal is None:
            self._end(f"it ended with status {ended.exitCode}")
        else:
            self._end(f"it was ended by signal {getattr(ended, 'signal', None)}")


def _environment() -> dict[str, str]:
    # The process finds this package wherever this process found it, and not in
    # the current folder unless this process looks there.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
