# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.control}.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import threading
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocknode import control
from flocknode.control import Command, ControlFactory, ControlServer
from flocknode.errors import ConfigError, FlocknodeError, ProtocolError
from flocknode.status import BoxStatus, MemberStatus, NodeStatus

STATUS = NodeStatus(
    version="1.2",
    members=(MemberStatus("tcp://192.0.2.1:5671", "ab" * 16, True, 17),),
    boxes=(
        BoxStatus(
            "papers",
            "/srv/\udcff",
            conflicts=("a\x1b[31m", "é\n"),
            problems=(("\udc80", "The file cannot be read."),),
        ),
    ),
    crowd=2,
    filled=0.5,
    lateness_ms=(0.1, 0.1, 0.5, 2.5),
)


COMMANDS: dict[str, Command] = {
    "status": lambda: attrs.asdict(STATUS),
    "process": os.getpid,
    "echo": lambda path: path,
}


class Transport(StringTransport):
    """Remembers that it was aborted, as TCP connections do."""

    aborted = False

    def abortConnection(self) -> None:
        """Called when a client was too slow."""
        self.aborted = True


def _half(of: int) -> int:
    if of % 2:
        raise FlocknodeError(f"{of} is odd")
    return of // 2


class Answering(SynchronousTestCase):
    """One connection, without a socket."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.slow: Deferred[object] = Deferred()
        self.factory = ControlFactory(
            self.clock,
            {
                "status": lambda: {"crowd": 2},
                "broken": lambda: 1 // 0,
                "half": _half,
                "slow": lambda: self.slow,
            },
        )

    def connect(self) -> tuple[Any, Transport]:
        """A client's connection as the server has it."""
        protocol: Any = self.factory.buildProtocol(None)
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def answer(self, request: bytes) -> Any:
        """The answer to C{request}."""
        protocol, transport = self.connect()
        protocol.dataReceived(request)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value().count(b"\n"), 1)
        protocol.connectionLost()
        return json.loads(transport.value())

    def test_a_command_is_answered_with_its_result(self) -> None:
        answer = self.answer(b'{"command": "status"}\n')
        self.assertEqual(answer, {"ok": True, "result": {"crowd": 2}})

    def test_an_unknown_command_is_answered_with_the_known_ones(self) -> None:
        answer = self.answer(b'{"command": "stop"}\n')
        self.assertFalse(answer["ok"])
        self.assertIn("status", answer["error"])

    def test_a_command_that_fails_is_logged_and_answered(self) -> None:
        self.assertFalse(self.answer(b'{"command": "broken"}\n')["ok"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_arguments_are_given_by_name(self) -> None:
        self.assertEqual(
            self.answer(b'{"command": "half", "arguments": {"of": 8}}\n'), {"ok": True, "result": 4}
        )

    def test_wrong_arguments_are_refused(self) -> None:
        for arguments in (b"{}", b'{"of": 1, "more": 2}', b'[1]', b'"of"', b"3", b"null"):
            request = b'{"command": "half", "arguments": ' + arguments + b"}\n"
            self.assertFalse(self.answer(request)["ok"], request)

    def test_what_a_command_cannot_do_is_one_sentence(self) -> None:
        answer = self.answer(b'{"command": "half", "arguments": {"of": 7}}\n')
        self.assertEqual(answer, {"ok": False, "error": "7 is odd"})

    def test_an_answer_may_take_long(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b'{"command": "slow"}\n' * 2)
        self.clock.advance(10 * control.PATIENCE)
        self.assertFalse(transport.aborted)
        self.slow.callback("done")
        self.assertEqual(json.loads(transport.value()), {"ok": True, "result": "done"})
        self.assertTrue(transport.disconnecting)

    def test_a_client_that_left_misses_its_answer(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b'{"command": "slow"}\n')
        protocol.connectionLost()
        self.slow.callback("done")
        self.assertEqual(transport.value(), b"")

    def test_only_the_first_request_is_answered(self) -> None:
        self.answer(b'{"command": "status"}\n' * 3)

    @given(st.binary(max_size=100).filter(lambda data: b"\n" not in data))
    def test_any_line_is_answered(self, line: bytes) -> None:
        self.assertFalse(self.answer(line + b"\n")["ok"])

    def test_lines_of_json_that_are_no_requests_are_answered(self) -> None:
        for line in [b"1", b"[]", b"{}", b'{"command": []}', b"[" * 4000]:
            self.assertFalse(self.answer(line + b"\n")["ok"])

    def test_a_line_that_does_not_end_is_cut_off(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b"x" * (control.LONGEST_REQUEST + 1))
        self.assertTrue(transport.disconnecting)

    def test_a_client_that_says_nothing_is_disconnected(self) -> None:
        transport = self.connect()[1]
        self.clock.advance(control.PATIENCE - 1)
        self.assertFalse(transport.aborted)
        self.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_a_client_that_does_not_read_is_disconnected(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b'{"command": "status"}\n')
        self.clock.advance(control.PATIENCE)
        self.assertTrue(transport.aborted)

    def test_clients_beyond_the_limit_are_refused_until_one_goes(self) -> None:
        clients = [self.connect()[0] for _ in range(control.CONNECTIONS)]
        self.assertIsNone(self.factory.buildProtocol(None))
        clients[0].connectionLost()
        self.assertIsNotNone(self.factory.buildProtocol(None))

    def test_no_timer_is_left_when_a_client_goes(self) -> None:
        protocol, _ = self.connect()
        protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Running(TestCase):
    """A server on a real socket, and the client in a thread."""

    def setUp(self) -> None:
        self.state = os.path.abspath(self.mktemp())
        os.makedirs(self.state, 0o700)

    def start(self) -> ControlServer:
        """A server that runs until the test ends."""
        server = ControlServer(reactor, self.state, COMMANDS)
        server.startService()
        self.addCleanup(server.stopService)
        return server

    async def ask(self, command: str) -> Any:
        """The client's result."""
        return await deferToThread(control.ask, self.state, command)

    async def test_the_status_arrives_as_it_was(self) -> None:
        self.start()
        self.assertEqual(await deferToThread(control.ask_status, self.state), STATUS)

    async def test_the_process_is_told(self) -> None:
        self.start()
        self.assertEqual(await self.ask("process"), os.getpid())

    async def test_what_the_node_refuses_is_one_sentence(self) -> None:
        self.start()
        error = await self.assertFailure(Deferred.fromCoroutine(self.ask("x")), FlocknodeError)
        self.assertIn("status", str(error))

    async def test_names_that_are_not_utf8_arrive(self) -> None:
        self.start()
        path = "/srv/\udcff\n"
        echo = await deferToThread(control.ask, self.state, "echo", None, path=path)
        self.assertEqual(echo, path)

    async def test_only_the_owner_can_connect(self) -> None:
        self.start()
        mode = os.stat(control.socket_path(self.state)).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    async def test_it_works_in_a_state_folder_that_lies_deep(self) -> None:
        self.state = os.path.join(self.state, "d" * 120)
        os.makedirs(self.state)
        server = self.start()
        self.assertEqual(await deferToThread(control.ask_status, self.state), STATUS)
        await server.stopService()
        self.assertEqual(os.listdir(self.state), [])

    async def test_the_socket_of_a_killed_node_is_replaced(self) -> None:
        with socket.socket(socket.AF_UNIX) as killed:
            here = os.getcwd()
            os.chdir(self.state)
            killed.bind("control")
            os.chdir(here)
        self.start()
        self.assertEqual(await self.ask("process"), os.getpid())

    async def test_the_socket_of_a_running_node_is_left_alone(self) -> None:
        self.start()
        second = ControlServer(reactor, self.state, COMMANDS)
        self.assertRaises(ConfigError, second.startService)
        self.assertEqual(await self.ask("process"), os.getpid())

    async def test_something_else_at_its_place_is_left_alone(self) -> None:
        with open(control.socket_path(self.state), "w"):
            pass
        server = ControlServer(reactor, self.state, COMMANDS)
        self.assertRaises(ConfigError, server.startService)
        self.assertEqual(os.listdir(self.state), ["control"])

    async def test_nothing_is_left_when_it_is_stopped(self) -> None:
        await self.start().stopService()
        self.assertEqual(os.listdir(self.state), [])
        await self.assertFailure(Deferred.fromCoroutine(self.ask("status")), FlocknodeError)

    async def test_it_stops_with_a_client_connected(self) -> None:
        server = self.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.path.relpath(control.socket_path(self.state)))
            await self.ask("process")  # by now the first one is accepted too
            await server.stopService()

    async def test_it_stops_although_its_folder_is_gone(self) -> None:
        server = self.start()
        shutil.rmtree(self.state)
        await server.stopService()


class Asking(SynchronousTestCase):
    """The client, with servers that misbehave."""

    def setUp(self) -> None:
        self.state = os.path.abspath(self.mktemp())
        os.makedirs(self.state)

    def serve(self, answer: bytes) -> None:
        """A server that gives one client C{answer}, whatever it asks."""
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(os.path.relpath(control.socket_path(self.state)))
        server.listen()

        def run() -> None:
            client = server.accept()[0]
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)

    def test_a_node_that_is_not_running(self) -> None:
        error = self.assertRaises(FlocknodeError, control.ask, self.state, "status")
        self.assertIn("no node is running", str(error))

    def test_a_node_that_was_killed(self) -> None:
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(os.path.relpath(control.socket_path(self.state)))
        error = self.assertRaises(FlocknodeError, control.ask, self.state, "status")
        self.assertIn("no node is running", str(error))

    def test_a_node_that_does_not_answer(self) -> None:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(os.path.relpath(control.socket_path(self.state)))
            silent.listen()
            error = self.assertRaises(FlocknodeError, control.ask, self.state, "status", 0.05)
        self.assertIn("did not answer", str(error))

    def test_answers_that_are_none(self) -> None:
        for answer in [b"", b"x", b"\n", b"{}\n", b"[]\n", b'{"ok": false}\n', b'{"ok": true}\n']:
            self.setUp()
            self.serve(answer)
            self.assertRaises(ProtocolError, control.ask, self.state, "status")

    def test_an_answer_that_does_not_end(self) -> None:
        self.patch(control, "LONGEST_ANSWER", 1000)
        self.serve(b"x" * 2000)
        self.assertRaises(ProtocolError, control.ask, self.state, "status")

    def test_a_status_of_another_version(self) -> None:
        self.serve(b'{"ok": true, "result": {"members": 3}}\n')
        self.assertRaises(ProtocolError, control.ask_status, self.state)
