# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.child} and L{flocknode.wire.spawn}, with a process
that is played by the test.  Real ones: L{tests.wire.test_processes}.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import WireError
from flocknode.flock.interfaces import FlockState, MemberId, Priority
from flocknode.wire.child import BACK_OFF, SETTLED, WireProcess, split_records
from flocknode.wire.messages import (
    Alive,
    Consumed,
    Data,
    Fault,
    Lost,
    Offer,
    Ready,
    Reset,
    RoundStarted,
    RoundStopped,
    Start,
    State,
    Stop,
    ToNode,
    ToWire,
)
from flocknode.wire.port import MAX_DATA, PortParser, encode, encode_data
from flocknode.wire.spawn import GIVE_UP, KILL, TERMINATE
from tests.wire.support import Witness

START = Start(
    listen=("tcp://127.0.0.1:*",),
    public="p" * 40,
    secret="the secret",
    peers=(),
    uplink=1_000,
    constant_cover=False,
    cover_rate=2_000,
    min_members=2,
)
ANNA, BERT = MemberId(b"a" * 16), MemberId(b"b" * 16)
DIGEST = bytes(16)


def record(size: int) -> bytes:
    """A record that takes so many bytes with its length."""
    return (size - 4).to_bytes(4, "big") + bytes(size - 4)


class FakeProcess:
    """A process that is played by the test."""

    pid = 4711

    def __init__(self, protocol: Any, args: list[str], env: dict[str, str]) -> None:
        self.protocol, self.args, self.env = protocol, args, env
        self.port: Any = None
        self.transport = StringTransport()
        self.signals: list[str] = []

    def signalProcess(self, signal: str) -> None:
        self.signals.append(signal)

    def tell(self, *messages: ToNode | Data) -> None:
        """Play that the process sends."""
        for message in messages:
            encoded = encode_data(message) if isinstance(message, Data) else encode(message)
            self.port.dataReceived(encoded)

    def told(self) -> list[Any]:
        """What the process was sent since this was asked last."""
        told = PortParser(msgspec.msgpack.Decoder(ToWire)).feed(self.transport.value())
        self.transport.clear()
        return told

    def end(self, reason: Exception | None = None) -> None:
        """Play that the process ends."""
        self.port.connectionLost(Failure(ConnectionDone()))
        self.protocol.processEnded(Failure(reason or ProcessTerminated(3)))


class FakeReactor(Clock):
    """Starts such processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.refuse: OSError | None = None

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], env: Any, childFDs: Any
    ) -> None:
        if self.refuse is not None:
            raise self.refuse
        process = FakeProcess(protocol, args, env)
        self.processes.append(process)
        protocol.makeConnection(process)

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        assert family == socket.AF_UNIX
        process = self.processes[-1]
        process.port = factory.buildProtocol(None)
        process.port.makeConnection(process.transport)


class WireProcessTests(SynchronousTestCase):
    """L{WireProcess}."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.witness = Witness()
        self.faults: list[str] = []
        self.wire = WireProcess(
            self.reactor, START, self.witness, "/usr/bin/python3", self.faults.append
        )
        self.ready: list[Any] = []
        self.wire.ready.addBoth(self.ready.append)

    def _start(self) -> FakeProcess:
        self.wire.startService()
        process = self.process
        process.tell(Ready(("tcp://127.0.0.1:1",)))
        self.reactor.advance(0)
        process.told()
        return process

    @property
    def process(self) -> FakeProcess:
        return self.reactor.processes[-1]

    def _again(self) -> FakeProcess:
        """Until the next process is there."""
        count = len(self.reactor.processes)
        while len(self.reactor.processes) == count:
            self.reactor.advance(0.5)
        return self.process

    def test_the_process_is_told_what_it_needs(self) -> None:
        self.wire.startService()
        self.assertEqual(self.process.args, ["/usr/bin/python3", "-m", "flocknode.wire"])
        self.assertEqual(self.process.told(), [START, Offer(0, 0, 0, DIGEST)])

    def test_no_key_is_on_the_command_line_or_in_the_environment(self) -> None:
        self.wire.startService()
        self.assertNotIn(START.secret, repr((self.process.args, self.process.env)))

    def test_the_process_finds_this_package_where_this_process_does(self) -> None:
        self.patch(sys, "path", ["/first", "", "/last"])
        self.wire.startService()
        path = self.process.env["PYTHONPATH"].split(os.pathsep)
        self.assertEqual(path, ["/first", os.getcwd(), "/last"])

    def test_ready_fires_with_what_was_bound(self) -> None:
        self._start()
        self.assertEqual(self.ready, [("tcp://127.0.0.1:1",)])

    def test_what_the_process_tells_is_observed(self) -> None:
        late = (1.0, 1.0, 1.5, 2.0)
        state = FlockState(
            status=114,
            constant=True,
            narrowest=ANNA,
            alive=(ANNA,),
            lateness_ms=late,
            frames_sent=7,
        )
        process = self._start()
        process.tell(
            Alive(ANNA, 3),
            RoundStarted(9, 100, 50),
            Data(ANNA, 0, b"stream"),
            Reset(ANNA),
            Consumed(((ANNA, 1, 10), (ANNA, 0, 5))),
            RoundStopped(9),
            Lost(ANNA),
            State(
                status=state.status,
                constant=True,
                round_id=0,
                slot=0,
                step=0,
                narrowest=ANNA,
                alive=(ANNA,),
                rounds=0,
                unfinished=0,
                frames_sent=7,
                frames_filled=0,
                lateness_ms=(1.0, 1.0, 1.5, 2.0),
            ),
        )
        self.assertEqual(
            self.witness.events,
            [
                ("alive", ANNA, 3),
                ("round started", 9, 100, 50),
                ("reset", ANNA),
                ("consumed", ANNA, Priority.BULK, 10),
                ("consumed", ANNA, Priority.CONTROL, 5),
                ("round stopped", 9),
                ("lost", ANNA),
            ],
        )
        self.assertEqual(bytes(self.witness.streams[ANNA]), b"stream")
        self.assertEqual(self.witness.states, [state])

    def test_records_and_offers_reach_the_process(self) -> None:
        process = self._start()
        self.wire.send(ANNA, Priority.BULK, record(10))
        self.wire.offer(5, 6, 7, DIGEST)
        self.assertEqual(process.told(), [Data(ANNA, 1, record(10)), Offer(5, 6, 7, DIGEST)])

    def test_more_records_than_fit_into_a_message_go_in_several(self) -> None:
        process = self._start()
        self.wire.send(ANNA, Priority.BULK, record(700_000) * 3)
        self.assertEqual([part.data for part in process.told()], [record(700_000)] * 3)

    def test_an_observer_that_fails_harms_nobody_else(self) -> None:
        process = self._start()
        self.patch(self.witness, "reset", lambda member: 1 // 0)
        process.tell(Reset(ANNA), Alive(BERT, 0))
        self.assertEqual(self.witness.kinds(), ["alive"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_process_that_does_not_make_sense_is_killed(self) -> None:
        process = self._start()
        process.port.dataReceived(b"\0" * 100)
        self.assertTrue(process.transport.disconnected)
        process.port.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(TERMINATE)
        self.assertEqual(process.signals, ["KILL"])
        self.flushLoggedErrors()

    def test_everything_that_was_on_is_over_when_the_process_dies(self) -> None:
        process = self._start()
        process.tell(Alive(ANNA, 1), Alive(BERT, 2), RoundStarted(4, 0, 0), Lost(BERT))
        self.wire.send(ANNA, Priority.BULK, record(10))
        self.wire.send(ANNA, Priority.BULK, record(20))
        process.tell(Consumed(((ANNA, 1, 10),)))
        self.witness.events.clear()
        process.end()
        self.assertEqual(
            self.witness.events,
            [("consumed", ANNA, Priority.BULK, 20), ("lost", ANNA), ("round stopped", 4)],
        )

    def test_what_was_over_is_not_over_again_when_the_process_dies(self) -> None:
        process = self._start()
        process.tell(Alive(ANNA, 1), Lost(ANNA), RoundStarted(4, 0, 0), RoundStopped(4))
        self.witness.events.clear()
        process.end()
        self.assertEqual(self.witness.events, [])

    def test_it_starts_anew_after_longer_and_longer_pauses(self) -> None:
        self._start()
        pauses = []
        for _ in range(8):
            self.process.end()
            began = self.reactor.seconds()
            self._again()
            pauses.append(self.reactor.seconds() - began)
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 30, 30, 30])
        self.assertEqual((pauses[0], pauses[-1]), BACK_OFF)

    def test_a_process_that_worked_for_long_starts_anew_soon(self) -> None:
        self._start()
        for _ in range(3):
            self.process.end()
            self._again()
        self.reactor.advance(SETTLED)
        self.process.end()
        began = self.reactor.seconds()
        self._again()
        self.assertEqual(self.reactor.seconds() - began, BACK_OFF[0])

    def test_a_new_process_is_told_the_same_and_the_last_offer(self) -> None:
        self._start()
        self.wire.offer(5, 6, 7, DIGEST)
        self.process.end()
        process = self._again()
        self.assertEqual(process.told(), [START, Offer(5, 6, 7, DIGEST)])

    def test_changes_that_were_in_a_round_are_not_new_to_a_new_process(self) -> None:
        process = self._start()
        self.wire.offer(500, 0, 0, DIGEST)
        process.tell(RoundStarted(1, 300, 0), RoundStopped(1))
        process.end()
        process = self._again()
        self.assertEqual(process.told(), [START, Offer(200, 0, 0, DIGEST)])
        self.wire.offer(600, 0, 0, DIGEST)
        self.assertEqual(process.told(), [Offer(300, 0, 0, DIGEST)])
        self.witness.events.clear()
        process.tell(RoundStarted(2, 300, 0))
        self.assertEqual(self.witness.events, [("round started", 2, 600, 0)])

    def test_records_for_a_process_that_is_gone_are_lost_and_owe_nothing(self) -> None:
        self._start().end()
        self.wire.send(ANNA, Priority.BULK, record(10))
        process = self._again()
        self.assertEqual(process.told(), [START, Offer(0, 0, 0, DIGEST)])
        process.end()
        self.assertEqual(self.witness.events, [])

    def test_a_fault_is_told_and_fails_ready(self) -> None:
        self.wire.startService()
        self.process.tell(Fault("cannot listen."))
        self.assertEqual(self.faults, ["cannot listen."])
        (failure,) = self.ready
        failure.trap(WireError)
        self.assertEqual(failure.getErrorMessage(), "cannot listen.")

    def test_a_process_that_dies_at_once_fails_ready(self) -> None:
        self.wire.startService()
        self.process.end()
        (failure,) = self.ready
        self.assertEqual(
            failure.getErrorMessage(),
            "the wire process ended at its start: it ended with status 3.",
        )

    def test_an_interpreter_that_is_missing_is_a_fault_and_is_tried_again(self) -> None:
        self.reactor.refuse = FileNotFoundError(2, "No such file or directory")
        self.wire.startService()
        self.assertEqual(self.faults, ["cannot start /usr/bin/python3: No such file or directory."])
        self.reactor.refuse = None
        self._again()
        self.flushLoggedErrors()

    def test_stopping_asks_and_waits(self) -> None:
        process = self._start()
        stopped: list[Any] = []
        deferred = self.wire.stopService()
        assert deferred is not None
        deferred.addCallback(stopped.append)
        self.assertEqual(process.told(), [Stop()])
        self.assertEqual(stopped, [])
        process.end(ProcessDone(0))
        self.assertEqual(stopped, [None])
        self.assertEqual(process.signals, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_process_that_does_not_end_is_made_to(self) -> None:
        process = self._start()
        stopped: list[Any] = []
        deferred = self.wire.stopService()
        assert deferred is not None
        deferred.addCallback(stopped.append)
        self.reactor.advance(TERMINATE)
        self.assertEqual(process.signals, ["TERM"])
        self.reactor.advance(KILL - TERMINATE)
        self.assertEqual(process.signals, ["TERM", "KILL"])
        self.reactor.advance(GIVE_UP - KILL)
        self.assertEqual(stopped, [None])

    def test_a_process_that_was_given_up_is_not_heard_again(self) -> None:
        process = self._start()
        self.wire.stopService()
        self.reactor.advance(GIVE_UP)
        process.tell(Alive(ANNA, 1))
        process.end()
        self.assertEqual(self.witness.events, [])

    def test_stopping_one_that_is_about_to_end_leaves_nothing_behind(self) -> None:
        process = self._start()
        process.port.connectionLost(Failure(ConnectionDone()))
        self.wire.stopService()
        process.protocol.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopping_gives_back_what_is_outstanding(self) -> None:
        process = self._start()
        process.tell(Alive(ANNA, 1))
        self.wire.stopService()
        process.end(ProcessDone(0))
        self.assertEqual(self.witness.kinds(), ["alive", "lost"])

    def test_stopping_between_two_processes_starts_no_other(self) -> None:
        self._start().end()
        self.assertIsNone(self.wire.stopService())
        self.reactor.advance(60)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_a_stopped_service_may_be_started_again(self) -> None:
        process = self._start()
        self.wire.stopService()
        process.end(ProcessDone(0))
        self.wire.startService()
        self.assertEqual(len(self.reactor.processes), 2)
        self.assertEqual(self.process.told(), [START, Offer(0, 0, 0, DIGEST)])

    def test_starting_again_while_it_ends_waits_for_the_end(self) -> None:
        process = self._start()
        self.wire.stopService()
        self.wire.startService()
        self.assertEqual(len(self.reactor.processes), 1)
        process.end(ProcessDone(0))
        self.assertEqual(len(self.reactor.processes), 2)

    def test_the_process_log_is_the_nodes(self) -> None:
        from twisted.logger import LogLevel, capturedLogs

        with capturedLogs() as events:
            self._start().protocol.childDataReceived(2, b"error flock it is late\n")
        (event,) = [event for event in events if "line" in event]
        self.assertEqual((event["log_level"], event["line"]), (LogLevel.error, "flock it is late"))


class SplitTests(SynchronousTestCase):
    """L{split_records}."""

    @settings(max_examples=50, deadline=None)
    @given(sizes=st.lists(st.integers(4, MAX_DATA), max_size=8))
    def test_records_are_cut_apart_only_between_records(self, sizes: list[int]) -> None:
        data = b"".join(map(record, sizes))
        parts = split_records(data)
        self.assertEqual(b"".join(parts), data)
        self.assertTrue(all(0 < len(part) <= MAX_DATA for part in parts))
        for part in parts:
            at = 0
            while at < len(part):
                at += 4 + int.from_bytes(part[at : at + 4], "big")
            self.assertEqual(at, len(part))

    def test_what_are_no_records_cannot_be_cut(self) -> None:
        for data in (bytes([255]) * 2 * MAX_DATA, record(MAX_DATA + 1), record(MAX_DATA) + b"\0"):
            with self.assertRaises(ValueError):
                split_records(data)
