# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Real wire processes, each driven by a L{WireProcess}, over loopback and over
sockets in a folder.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from typing import Any

import zmq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from flocknode.errors import WireError
from flocknode.flock.interfaces import Priority
from flocknode.wire.child import WireProcess
from flocknode.wire.messages import Start
from tests.wire.support import Pair, Witness, free_endpoint, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def record(content: bytes) -> bytes:
    """A record with its length."""
    return len(content).to_bytes(4, "big") + content


def gone(pid: int) -> bool:
    """Is there no such process, or only its shell?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Node:
    """A wire process and what it told."""

    def __init__(self, endpoint: str) -> None:
        self.pair = Pair.new()
        self.endpoint = endpoint
        self.witness = Witness()
        self.faults: list[str] = []

    def build(self, *peers: Node, python: str = sys.executable) -> WireProcess:
        """Everything but the start."""
        start = Start(
            listen=(self.endpoint,),
            public=self.pair.public,
            secret=self.pair.secret,
            peers=tuple((peer.endpoint, peer.pair.public) for peer in peers),
            uplink=12_500_000,
            constant_cover=False,
            cover_rate=65_536,
            min_members=2,
        )
        self.process = WireProcess(reactor, start, self.witness, python, self.faults.append)
        return self.process

    @property
    def pid(self) -> int:
        """Of the process that is running now."""
        child = self.process._child
        assert child is not None
        assert child.transport is not None
        pid = child.transport.pid
        assert pid is not None
        return int(pid)


def counted(node: Node) -> list[int]:
    """What the rounds that started counted."""
    return [event[2] for event in node.witness.events if event[0] == "round started"]


class ProcessesTestCase(TestCase):
    """What the tests below have in common."""

    timeout = 30

    def _endpoint(self) -> str:
        return free_endpoint()

    def start(self, *nodes: Node, **options: Any) -> Deferred[Any]:
        """Start them as each other's peers; fires when all have bound."""
        for node in nodes:
            peers = [peer for peer in nodes if peer is not node]
            node.build(*peers, **options).startService()
        self.addCleanup(lambda: gatherResults([self._stop(node) for node in nodes]))
        return gatherResults([node.process.ready for node in nodes], consumeErrors=True)

    def _stop(self, node: Node) -> Deferred[None]:
        return node.process.stopService() or succeed(None)

    async def all_alive(self, *nodes: Node) -> None:
        """Until everybody hears everybody."""
        count = len(nodes) - 1
        await until(reactor, lambda: all(len(node.witness.members) == count for node in nodes))


class FlockTests(ProcessesTestCase):
    """A flock of three."""

    async def test_a_round_carries_the_records_of_all_to_all(self) -> None:
        nodes = [Node(self._endpoint()) for _ in range(3)]
        await self.start(*nodes)
        await self.all_alive(*nodes)
        # A flock that has just met has one round, needed or not.
        await until(
            reactor,
            lambda: all(
                all(node.witness.members.values()) and "round stopped" in node.witness.kinds()
                for node in nodes
            ),
        )
        sent = {}
        for node in nodes:
            records = record(node.pair.public.encode()) + record(os.urandom(20_000))
            sent[node.pair.id] = records
            for peer in nodes:
                if peer is not node:
                    node.process.send(peer.pair.id, Priority.CONTROL, records)
            node.process.offer(20_000, 0, 40_000, bytes(16))
        size = 2 * len(records)
        await until(reactor, lambda: all(node.witness.size >= size for node in nodes))
        await until(reactor, lambda: all(node.witness.counted >= size for node in nodes))
        for node in nodes:
            others = {id: records for id, records in sent.items() if id != node.pair.id}
            self.assertEqual(
                {id: bytes(stream) for id, stream in node.witness.streams.items()}, others
            )
            # In whichever round they went, one counted what was offered.
            await until(reactor, lambda node=node: 20_000 in counted(node))  # type: ignore[misc]
        self.assertEqual([node.faults for node in nodes], [[], [], []])


class LoopbackTests(ProcessesTestCase):
    """Two nodes."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.a, self.b = Node(self._endpoint()), Node(self._endpoint())
        await self.start(self.a, self.b)
        await self.all_alive(self.a, self.b)

    async def test_a_process_that_is_killed_comes_back(self) -> None:
        killed = set()
        for _ in range(2):
            # Twice, so that it is away for longer than the others' patience.
            killed.add(self.a.pid)
            os.kill(self.a.pid, signal.SIGKILL)
            await until(reactor, lambda: self.a.process._child is None)
            self.assertEqual(self.a.witness.members, {})
            await until(reactor, lambda: self.a.process._child is not None)
        self.assertNotIn(self.a.pid, killed)
        await until(reactor, lambda: self.a.pair.id not in self.b.witness.members)
        await self.all_alive(self.a, self.b)

    async def test_it_ends_within_a_second_and_the_others_know(self) -> None:
        pid = self.a.pid
        began = reactor.seconds()
        stopped = self.a.process.stopService()
        assert stopped is not None
        await until(reactor, lambda: self.a.pair.id not in self.b.witness.members)
        await stopped
        self.assertLess(reactor.seconds() - began, 1.0)
        self.assertTrue(gone(pid))

    async def test_terminating_it_ends_it_in_good_order(self) -> None:
        pid = self.a.pid
        os.kill(pid, signal.SIGTERM)
        # Long before it would count as silent.
        began = reactor.seconds()
        await until(reactor, lambda: self.a.pair.id not in self.b.witness.members)
        self.assertLess(reactor.seconds() - began, 1.5)
        await until(reactor, lambda: gone(pid))

    async def test_a_stranger_gets_nothing(self) -> None:
        context = zmq.Context()
        self.addCleanup(context.destroy, 0)
        sockets = []
        own = Pair.new()
        for curve in (True, False):
            stranger = context.socket(zmq.SUB)
            stranger.setsockopt(zmq.SUBSCRIBE, b"")
            if curve:
                stranger.curve_publickey = own.public.encode()
                stranger.curve_secretkey = own.secret.encode()
                stranger.curve_serverkey = self.a.pair.public.encode()
            stranger.connect(self.a.endpoint)
            sockets.append(stranger)
        # Its members meanwhile hear enough to stay: four heartbeats each second.
        seen = len(self.b.witness.states)
        await until(reactor, lambda: len(self.b.witness.states) > seen + 4)
        self.assertIn(self.a.pair.id, self.b.witness.members)
        self.assertEqual([stranger.poll(0) for stranger in sockets], [0, 0])


class LonelyTests(ProcessesTestCase):
    """One node."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.a = Node(self._endpoint())
        await self.start(self.a)

    async def test_ctrl_c_is_the_nodes_business(self) -> None:
        pid = self.a.pid
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        seen = len(self.a.witness.states)
        await until(reactor, lambda: len(self.a.witness.states) > seen + 2)
        self.assertEqual(self.a.pid, pid)

    async def test_no_key_can_be_read_from_outside(self) -> None:
        secret = self.a.pair.secret.encode()
        for name in ("cmdline", "environ"):
            with open(f"/proc/{self.a.pid}/{name}", "rb") as file:
                self.assertNotIn(secret, file.read())


class FolderTests(ProcessesTestCase):
    """Sockets in a folder."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def _node(self, name: str) -> Node:
        return Node(f"ipc://{self.folder}/{name}")

    async def test_nodes_hear_each_other_and_leave_nothing_behind(self) -> None:
        a, b = self._node("a"), self._node("b")
        await self.start(a, b)
        await self.all_alive(a, b)
        await gatherResults([self._stop(a), self._stop(b)])
        self.assertEqual(os.listdir(self.folder), [])

    async def test_a_second_node_at_one_place_is_told_so(self) -> None:
        a, b = self._node("a"), self._node("a")
        await self.start(a)
        with self.assertRaises(FirstError) as caught:
            await self.start(b)
        failure = caught.exception.subFailure
        self.assertTrue(failure.check(WireError))
        self.assertIn("another node listens at", failure.getErrorMessage())
        self.assertEqual(b.faults, [failure.getErrorMessage()])
        self.assertEqual(a.faults, [])

    async def test_a_process_that_hangs_is_killed(self) -> None:
        script = os.path.join(self.folder, "hangs")
        with open(script, "w") as file:
            file.write("#!/bin/sh\ntrap '' TERM\necho running\nwhile :; do read line <&3; done\n")
        os.chmod(script, stat.S_IRWXU)
        node = self._node("a")
        began = self.start(node, python=script)
        began.addErrback(lambda _failure: None)
        pid = node.pid
        clock: Any = reactor
        before = clock.seconds()
        await self._stop(node)
        self.assertLess(clock.seconds() - before, 2.0)
        self.assertTrue(gone(pid))


NODE = """
import sys
from twisted.internet import reactor
from flocknode.wire.child import WireProcess
from flocknode.wire.messages import Start
from tests.wire.support import Pair, Witness

pair = Pair.new()
start = Start(("tcp://127.0.0.1:*",), pair.public, pair.secret, (), 1000, False, 1000, 2)
process = WireProcess(reactor, start, Witness())
process.startService()
def say(endpoints):
    print(process._child.transport.pid, flush=True)
process.ready.addCallback(say)
reactor.run()
"""


class Program(ProcessProtocol):
    """A node in a process of its own."""

    def __init__(self) -> None:
        self.out = b""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.out += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class OrphanTests(TestCase):
    """A node that is killed."""

    timeout = 30

    async def test_the_process_does_not_outlive_its_node(self) -> None:
        program = Program()
        spawn: Any = reactor
        with tempfile.TemporaryDirectory() as folder:
            # Elsewhere than in the checkout: the path alone leads to the package.
            node = spawn.spawnProcess(
                program,
                sys.executable,
                [sys.executable, "-c", NODE],
                env={**os.environ, "PYTHONPATH": ROOT},
                path=folder,
            )
            await until(reactor, lambda: program.out.endswith(b"\n"))
        pid = int(program.out)
        self.assertFalse(gone(pid))
        node.signalProcess("KILL")
        await program.ended
        await until(reactor, lambda: gone(pid))


class CommandTests(TestCase):
    """C{python -m flocknode.wire} and what a node imports."""

    def test_nobody_starts_it_by_hand(self) -> None:
        run = subprocess.run(
            [sys.executable, "-m", "flocknode.wire"],
            capture_output=True,
            cwd=ROOT,
            text=True,
            check=False,
        )
        self.assertEqual(run.returncode, 1)
        self.assertEqual(
            run.stderr,
            "flocknode.wire is started by a flocknode node and by nobody else.\n",
        )

    def test_the_nodes_process_knows_nothing_of_zeromq(self) -> None:
        program = "import sys, flocknode.wire.child; print(*sys.modules)"
        modules = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, cwd=ROOT, text=True, check=True
        ).stdout.split()
        self.assertIn("flocknode.wire.port", modules)
        for absent in ("zmq", "txzmq", "twisted.internet.reactor", "flocknode.flock.core"):
            self.assertNotIn(absent, modules)
