# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The control socket: how the C{flocknode} command asks a node that is running.

A unix socket C{control} in the state folder, for its owner alone.  A client
sends one line of JSON, gets one, and is disconnected:

 - C{{"command": "status", "arguments": {…}}}; arguments may be left out
 - C{{"ok": true, "result": {…}}} or C{{"ok": false, "error": "<sentence>"}}

Which commands there are the node says (L{flocknode.node}); names of files in
arguments and results are text as L{os.fsdecode} makes it.
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import socket
import stat
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from flocknode.errors import ConfigError, FlocknodeError, ProtocolError
from flocknode.socketpath import ShortWays
from flocknode.status import NodeStatus

LONGEST_REQUEST = 65_536
"""Bytes of a line (the longest path, escaped, takes 24 KiB); a client that
sends more is disconnected."""

LONGEST_ANSWER = 64 << 20
"""Bytes of a line that the client reads before it gives up."""

CONNECTIONS = 16
"""Clients at a time; more are disconnected at once."""

PATIENCE = 30.0
"""Seconds after which a client is disconnected that has not asked or not read.
The answer itself may take as long as it takes."""

Command = Callable[..., Any]
"""Takes the arguments by their names; returns what C{json} takes, or a
L{Deferred} of it; raises FlocknodeError with a sentence for people."""


def text_argument(value: object) -> str:
    """
    For commands that take text.

    @raise FlocknodeError: it is none.
    """
    if not isinstance(value, str):
        raise FlocknodeError("the command takes other arguments")
    return value


def socket_path(state: str) -> str:
    """
    @param state: a state folder.
    @return: where the control socket of the node lies; perhaps too long to
        connect to: see L{flocknode.socketpath}.
    """
    return os.path.join(state, "control")


class ControlProtocol(LineOnlyReceiver, TimeoutMixin):
    """One client's connection."""

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_REQUEST

    def __init__(self, owner: ControlFactory, clock: IReactorTime) -> None:
        self._owner = owner
        self._clock = clock
        self._asked = self._gone = False

    def callLater(self, delay: float, function: Callable[[], object]) -> IDelayedCall:
        """What L{TimeoutMixin} goes by."""
        return self._clock.callLater(delay, function)

    def connectionMade(self) -> None:
        """A client that is slow to ask or to listen does not keep its place for ever."""
        self._owner.clients.add(self)
        self.setTimeout(PATIENCE)

    def lineReceived(self, line: bytes) -> None:
        """The request; there is one a connection, so that answers do not pile up."""
        if self._asked:
            return
        self._asked = True
        self.setTimeout(None)
        self._owner.answer(line).addCallback(self._answered)

    def _answered(self, line: bytes) -> None:
        if self._gone:
            return
        self.setTimeout(PATIENCE)
        self.sendLine(line)
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._gone = True
        self._owner.clients.discard(self)
        self.setTimeout(None)

    def timeoutConnection(self) -> None:
        """Make it go, also if it does not read."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


class ControlFactory(ServerFactory):
    """
    Answers requests with what the commands say.

    @ivar clients: who is connected now.
    """

    _log = Logger()
    noisy = False

    def __init__(self, clock: IReactorTime, commands: Mapping[str, Command]) -> None:
        """
        @param commands: by their names.
        """
        self._clock = clock
        self._commands = commands
        self.clients: set[ControlProtocol] = set()

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol | None:
        """One for each client, and none for too many of them."""
        if len(self.clients) >= CONNECTIONS:
            return None
        return ControlProtocol(self, self._clock)

    async def _result(self, line: bytes) -> object:
        known = ", ".join(self._commands)
        try:
            request = json.loads(line)
            command = self._commands[request["command"]]
            arguments = request.get("arguments", {})
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            raise FlocknodeError(f"expected one of the commands {known}") from None
        try:
            inspect.signature(command).bind(**arguments)
        except TypeError:  # also if they are no mapping
            raise FlocknodeError("the command takes other arguments") from None
        result = command(**arguments)
        return (await result) if isinstance(result, Deferred) else result

    def answer(self, line: bytes) -> Deferred[bytes]:
        """
        @param line: anything at all.
        @return: the line to answer with; it never fails.
        """
        answered = Deferred.fromCoroutine(self._result(line))
        return answered.addCallback(_right).addErrback(self._wrong)

    def _wrong(self, failure: Failure) -> bytes:
        reason = "the node failed to answer, see its log"
        if failure.check(FlocknodeError) is not None:
            reason = str(failure.value)
        else:
            self._log.failure("no answer to a control request", failure)
        return _line({"ok": False, "error": reason})


def _right(result: object) -> bytes:
    return _line({"ok": True, "result": result})


def _line(value: object) -> bytes:
    # ASCII: names of files that are not UTF-8 are escaped and survive
    return json.dumps(value, separators=(",", ":")).encode("ascii")


class ControlServer(Service):
    """
    The node's end of the socket.
    """

    def __init__(self, reactor: Any, state: str, commands: Mapping[str, Command]) -> None:
        """
        @param reactor: provides L{IReactorUNIX} and L{IReactorTime}.
        @param state: the state folder, which this node has locked.
        @param commands: what it answers, by name.
        """
        self._reactor = reactor
        self._path = socket_path(state)
        self._ways = ShortWays(os.path.join(state, "control.way"))
        self._port: Any = None
        self._factory = ControlFactory(reactor, commands)

    def startService(self) -> None:
        """
        Listen.

        @raise ConfigError: the socket cannot be made.
        """
        path = self._ways.path(self._path)
        try:
            _remove_stale(path)
            # from bind to chmod nobody can connect yet, and the folder is its owner's alone
            self._port = self._reactor.listenUNIX(path, self._factory, mode=0o600)
        except (OSError, CannotListenError) as error:
            self._ways.close()
            raise ConfigError(f"the control socket {self._path} cannot be made: {error}") from None
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        Disconnect the clients and remove the socket.

        @return: fires when nobody can connect any more.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        for client in list(self._factory.clients):
            client.timeoutConnection()
        if port is not None and os.path.lexists(self._ways.path(self._path)):
            await port.stopListening()
        elif port is not None:
            # with its path gone, the port would fail to remove it and never end
            port.stopReading()
        self._ways.close()


def _remove_stale(path: str) -> None:
    """
    Remove the socket of a node that was killed.

    @raise OSError: it is no socket, or somebody listens on it.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "there is something else at its place")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # somebody listens and is busy
    raise FileExistsError(errno.EADDRINUSE, "another node listens there")


def ask(state: str, command: str, timeout: float | None = 5.0, **arguments: object) -> Any:
    """
    Ask the node that runs with this state folder.  Blocks: for commands, not
    for a reactor.

    @param timeout: seconds for each step; L{None}: as long as it takes.
    @param arguments: of the command.
    @return: the result, as JSON has it.
    @raise FlocknodeError: no such node is running, or it says no.
    @raise ProtocolError: what comes back is no answer.
    """
    ways = ShortWays()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(ways.path(socket_path(state)))
            request = {"command": command, "arguments": arguments}
            connection.sendall(json.dumps(request).encode("ascii") + b"\n")
            line = _read_line(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        raise FlocknodeError(f"no node is running with the state folder {state}") from None
    except TimeoutError:
        raise FlocknodeError(
            f"the node with the state folder {state} did not answer for {timeout:g} seconds"
        ) from None
    except OSError as error:
        raise FlocknodeError(
            f"the node with the state folder {state} cannot be asked: {error.strerror}"
        ) from None
    finally:
        ways.close()
    try:
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        reason = str(answer["error"])
    except (ValueError, RecursionError, LookupError, TypeError):
        raise ProtocolError("the node's answer is not what this version expects") from None
    raise FlocknodeError(f"the node says: {reason}")


def _read_line(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        received = connection.recv(1 << 16)
        if not received:
            raise ProtocolError("the node closed the connection before it had answered")
        data += received
        if len(data) > LONGEST_ANSWER:
            raise ProtocolError("the node's answer does not end")
    return bytes(data)


def ask_status(state: str, timeout: float = 5.0) -> NodeStatus:
    """
    What the node with this state folder is doing; as L{ask}.
    """
    result = ask(state, "status", timeout)
    try:
        return msgspec.convert(result, NodeStatus)
    except msgspec.ValidationError:
        raise ProtocolError("the node's status is not what this version expects") from None
