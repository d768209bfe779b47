# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A full mesh of real wire processes on this machine, over TCP and CURVE, each
driven by a process that does nothing but queue records and count what comes.

Run C{python -m benchmarks.wire [nodes [seconds]]}.  For each rate asked for: what
each link delivered, how much of a core the processes of a member used, and how
late the emission was.  The first line is a flock that is idle.  The last column
compares with the same mesh out of bare pyzmq, one process a member, measured in
the same run (L{benchmarks.bare}): what this machine could do at all.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from benchmarks.bare import Identity, bare_mesh
from flocknode.flock.interfaces import FlockState, MemberId, Priority
from flocknode.flock.messages import FRAME_SIZES
from flocknode.keys import member_id
from flocknode.wire.child import WireProcess
from flocknode.wire.messages import Start

RATES = (0, 4, 16, 32, 64, 128)
"""MB/s and link; 0: nothing is ever queued."""

RECORD = (32_768).to_bytes(4, "big") + os.urandom(32_768)
OUTSTANDING = 4_194_304 // len(RECORD)
SETTLE = 1.0
"""Seconds from the start of a long round to the first look at the clock."""

PATIENCE = 45.0
"""Seconds until a flock that has no long round is given up.  On a machine that is
slow to start, members seem to return, and their news waits for 30 s or more."""

NEWS = 1 << 40
"""Bytes announced: no round is long enough for them."""


class Result(msgspec.Struct):
    """What one member saw; rates in MB/s, shares of a core, milliseconds."""

    received: float
    child: float
    node: float
    memory: int
    gaps: int
    late: float
    latest: float


class Member:
    """One member, in a process of its own."""

    def __init__(self, reactor: Any, mesh: list[Identity], me: int, rate: int) -> None:
        own = mesh[me]
        self._peers = [peer for peer in mesh if peer is not own]
        self._reactor = reactor
        self._rate = rate
        self._alive: set[MemberId] = set()
        self._credit: dict[MemberId, int] = {}
        self._state = FlockState()
        self._received = 0
        self._gaps = 0
        self._news = NEWS
        self._began: tuple[float, int, float, float] | None = None
        self.ready: Deferred[None] = Deferred()
        each = (rate or 1) * 1_000_000
        self.wire = WireProcess(
            reactor,
            Start(
                listen=(own.endpoint,),
                public=own.public,
                secret=own.secret,
                peers=tuple((peer.endpoint, peer.public) for peer in self._peers),
                uplink=each * len(self._peers),
                constant_cover=False,
                cover_rate=65_536,
                min_members=2,
            ),
            self,
        )

    def _fill(self) -> None:
        for peer in self._peers:
            self.consumed(MemberId(member_id(peer.public)), Priority.BULK, 4_194_304)
        self._announce()

    def _announce(self) -> None:
        self.wire.offer(self._news, 0, 0, bytes(16))

    def begin(self) -> None:
        """Look at the clocks."""
        self._began = time.monotonic(), self._received, _cpu(self._pid), _cpu(os.getpid())

    def result(self) -> Result:
        """Look at the clocks again."""
        assert self._began is not None
        began, received, child, node = self._began
        took = time.monotonic() - began
        return Result(
            (self._received - received) / took / 1e6 / len(self._peers),
            (_cpu(self._pid) - child) / took,
            (_cpu(os.getpid()) - node) / took,
            _memory(self._pid),
            self._gaps,
            self._state.lateness_ms[0],
            self._state.lateness_ms[-1],
        )

    @property
    def _pid(self) -> int:
        child: Any = self.wire._child
        return int(child.transport.pid)

    # L{flocknode.flock.interfaces.Observer}

    def alive(self, member: MemberId, epoch: int) -> None:
        """Once with everybody, start."""
        self._alive.add(member)
        if len(self._alive) == len(self._peers) and not self._credit:
            self._credit = dict.fromkeys(self._alive, 0)
            if self._rate:
                self._reactor.callLater(1.0, self._fill)

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        """Replace it."""
        if member in self._credit:
            self._credit[member] += size
            while self._credit[member] >= len(RECORD):
                self._credit[member] -= len(RECORD)
                self.wire.send(member, Priority.BULK, RECORD)

    def digest(self, member: MemberId, digest: bytes) -> None:
        """See L{flocknode.flock.interfaces.Observer}."""

    def received(self, member: MemberId, data: bytes) -> None:
        """Count it."""
        self._received += len(data)

    def reset(self, member: MemberId) -> None:
        """Count it."""
        self._gaps += 1

    def state(self, state: FlockState) -> None:
        """Keep it."""
        self._state = state

    def lost(self, member: MemberId) -> None:
        """It was done first."""

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        """A long one is what this waits for."""
        if budget > NEWS // 100 and not self.ready.called:
            self.ready.callback(None)

    def round_stopped(self, round_id: int) -> None:
        """A short one: the next may be longer.  An idle flock has no other."""
        self._news += NEWS
        if self._rate:
            self._announce()
        elif not self.ready.called:
            self.ready.callback(None)


def run(mesh: list[Identity], me: int, rate: int, seconds: float) -> Result | None:
    """
    Be one member for so long.

    @return: None if there was no round to measure in.
    """
    from twisted.internet import reactor as default

    reactor: Any = default
    member = Member(reactor, mesh, me, rate)

    async def measure() -> Result | None:
        member.wire.startService()
        member.ready.addTimeout(PATIENCE, reactor)
        try:
            await member.ready
            await deferLater(reactor, SETTLE)
            member.begin()
            await deferLater(reactor, seconds)
            return member.result()
        except TimeoutError:
            return None
        finally:
            stopped = member.wire.stopService()
            if stopped is not None:
                await stopped
            reactor.stop()

    result = Deferred.fromCoroutine(measure())
    results: list[Result | None] = []
    result.addCallback(results.append)
    reactor.run()
    return results[0]


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _spawn(mesh: list[Identity], me: int, rate: int, seconds: float) -> int:
    answer, answers = os.pipe()
    if os.fork() == 0:
        os.write(answers, msgspec.json.encode(run(mesh, me, rate, seconds)))
        os._exit(0)
    os.close(answers)
    return answer


def _answer(answer: int) -> Result | None:
    with open(answer, "rb") as pipe:
        content = pipe.read()
    os.wait()
    return msgspec.json.decode(content, type=Result | None)


def main() -> None:
    """Print one line for each rate."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    print(f"{nodes} nodes; MB/s a link, mean of members; cores and MB of the worst member")
    print("asked  delivered  ratio  wire  node   MB  gaps  late ms  latest ms  of bare")
    most = bare_mesh(nodes, FRAME_SIZES[-1], seconds / 2)
    for rate in RATES:
        mesh = [Identity.new() for _ in range(nodes)]
        answers = [_spawn(mesh, me, rate, seconds) for me in range(nodes)]
        answered = [_answer(answer) for answer in answers]
        results = [result for result in answered if result is not None]
        if len(results) < nodes:
            print(f"{rate:5} no round within {PATIENCE:.0f} s")
            continue
        received = sum(result.received for result in results) / nodes
        print(
            f"{rate:5} {received:10.1f} {received / rate if rate else 1:6.2f}"
            f" {max(result.child for result in results):5.3f}"
            f" {max(result.node for result in results):5.3f}"
            f" {max(result.memory for result in results) / 1e6:4.0f}"
            f" {sum(result.gaps for result in results):5}"
            f" {max(result.late for result in results):8.2f}"
            f" {max(result.latest for result in results):10.1f} {received / most:8.2f}"
        )


if __name__ == "__main__":
    main()
