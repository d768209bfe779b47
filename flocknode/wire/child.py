# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The node's side of the wire process: starts it, starts it anew, ends it, and
makes calls of L{flocknode.flock.interfaces.Observer} of what it tells.

Keys cross the port only: neither the command line nor the environment of the
process holds any.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from flocknode.errors import WireError
from flocknode.flock.interfaces import FlockState, MemberId, Observer, Priority
from flocknode.wire.messages import (
    Alive,
    Consumed,
    Digest,
    Lost,
    Offer,
    Ready,
    Reset,
    RoundStarted,
    RoundStopped,
    Skip,
    Start,
    State,
    ToNode,
)
from flocknode.wire.port import MAX_DATA
from flocknode.wire.spawn import ChildProcess

BACK_OFF: Final = (1.0, 30.0)
"""Seconds until the process is started anew: at first, and at most."""

SETTLED: Final = 60.0
"""Seconds after which a process counts as one that works."""

_PRIORITIES: Final = tuple(Priority)


class WireProcess(Service):
    """
    The wire process, as the node sees it.

    @ivar ready: fires with the bound endpoints when they are bound for the
        first time; fails with L{WireError} if that cannot be.  The process is
        tried again and again all the same, until the service is stopped.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        start: Start,
        observer: Observer,
        python: str = sys.executable,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """
        @param reactor: provides C{IReactorTime}, C{IReactorProcess} and
            C{IReactorSocket}.
        @param start: what the process is told, each time that it starts.
        @param observer: told what the flock engine tells.  When the process
            dies, everything that is outstanding counts as consumed, a round as
            stopped, and every member as lost.
        @param python: the interpreter to run.
        @param fault: called with one sentence for the user whenever the process
            could not start or go on; without it the log has it.
        """
        self.ready: Deferred[tuple[str, ...]] = Deferred()
        self._reactor = reactor
        self._start = start
        self._observer = observer
        self._python = python
        self._fault = fault
        self._child: ChildProcess | None = None
        self._offer = Offer(0, 0, 0, bytes(16))
        self._delay = BACK_OFF[0]
        self._again: Any = None
        self._stopping: Deferred[None] | None = None
        # What the engine of a new process must not count again, see _spawn.
        self._base = 0
        self._counted = 0
        self._alive: set[MemberId] = set()
        self._round: int | None = None
        self._outstanding: defaultdict[tuple[MemberId, Priority], int] = defaultdict(int)

    def send(self, member: MemberId, priority: Priority, data: bytes) -> None:
        """
        Queue records for a member.  Without a running process they are lost, as
        everything is that was queued before a member's L{Observer.alive}.

        @param data: whole records, each with its length (u32, big-endian) in
            front and at most 1 MiB long.
        @raise ValueError: they are not.
        """
        if self._child is None or self._stopping is not None:
            return
        parts = split_records(data)
        self._outstanding[member, priority] += len(data)
        for part in parts:
            self._child.port.send_data(member, priority, part)

    def skip(self, member: MemberId) -> None:
        """See L{flocknode.flock.core.Flock.skip}."""
        if self._child is not None and self._stopping is None:
            self._child.port.send(Skip(member))

    def offer(self, new_total: int, backlog: int, remaining: int, digest: bytes) -> None:
        """See L{flocknode.flock.core.Flock.offer}."""
        self._offer = Offer(new_total, backlog, remaining, digest)
        self._send_offer()

    def startService(self) -> None:
        """Start the process; if one is still ending, when it has ended."""
        super().startService()
        if self._child is None and self._again is None:
            self._spawn()

    def stopService(self) -> Deferred[None] | None:
        """
        End the process.

        @return: fires when it has ended: after half a second as a rule, and
            never after more than 1.5 s.
        """
        super().stopService()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if not self.ready.called:
            self.ready.addErrback(lambda _failure: None)
            self.ready.cancel()
        if self._child is None:
            return None
        if self._stopping is None:
            self._stopping = Deferred()
            self._child.stop()
        stopped: Deferred[None] = Deferred()
        self._stopping.chainDeferred(stopped)
        return stopped

    def _spawn(self) -> None:
        self._again = None
        # The engine counts from its own start; the node from the node's.
        self._base = self._counted
        self._child = ChildProcess(self._reactor, self)
        try:
            self._child.spawn(self._python)
        except OSError as error:
            self._log.failure("the wire process cannot be started")
            self.child_fault(f"cannot start {self._python}: {error.strerror}.")
            self.child_ended("it could not be started")
            return
        self._child.port.send(self._start)
        self._send_offer()

    def _send_offer(self) -> None:
        if self._child is not None and self._stopping is None:
            new_total = max(self._offer.new_total - self._base, 0)
            self._child.port.send(replace(self._offer, new_total=new_total))

    # What the process does and says

    def child_told(self, message: ToNode) -> None:
        """A typed message came from the process."""
        if isinstance(message, Consumed):
            for id, queue, size in message.links:
                link = (MemberId(id), _PRIORITIES[queue])
                self._outstanding[link] -= size
                self._observe(self._observer.consumed, *link, size)
        elif isinstance(message, State):
            self._observe(self._observer.state, _flock_state(message))
        elif isinstance(message, Reset):
            self._observe(self._observer.reset, MemberId(message.member))
        elif isinstance(message, Alive):
            self._alive.add(MemberId(message.member))
            self._observe(self._observer.alive, MemberId(message.member), message.epoch)
        elif isinstance(message, Lost):
            self._alive.discard(MemberId(message.member))
            self._observe(self._observer.lost, MemberId(message.member))
        elif isinstance(message, Digest):
            self._observe(self._observer.digest, MemberId(message.member), message.digest)
        elif isinstance(message, RoundStarted):
            self._round = message.round_id
            self._counted = self._base + message.counted
            self._observe(
                self._observer.round_started, message.round_id, self._counted, message.budget
            )
        elif isinstance(message, RoundStopped):
            self._round = None
            self._observe(self._observer.round_stopped, message.round_id)
        elif isinstance(message, Ready):
            self._log.info("listening at {endpoints}", endpoints=", ".join(message.endpoints))
            if not self.ready.called:
                self.ready.callback(message.endpoints)
        else:
            self.child_fault(message.reason)

    def child_data(self, member: MemberId, data: bytes) -> None:
        """Bytes of a link came from the process."""
        self._observe(self._observer.received, member, data)

    def child_fault(self, reason: str) -> None:
        """The process cannot start or go on."""
        if self._fault is None:
            self._log.error("wire process: {reason}", reason=reason)
        else:
            self._observe(self._fault, reason)
        if not self.ready.called:
            self.ready.errback(WireError(reason))

    def child_ended(self, reason: str) -> None:
        """The process is gone."""
        lived = self._child.lived if self._child is not None else 0.0
        self._child = None
        self._forget()
        if self._stopping is not None:
            stopping, self._stopping = self._stopping, None
            if self.running:
                self._spawn()
            stopping.callback(None)
            return
        if lived >= SETTLED:
            self._delay = BACK_OFF[0]
        if not self.ready.called:
            self.ready.errback(WireError(f"the wire process ended at its start: {reason}."))
        self._log.error(
            "the wire process is gone: {reason}; it starts anew in {delay} s",
            reason=reason,
            delay=self._delay,
        )
        self._again = self._reactor.callLater(self._delay, self._spawn)
        self._delay = min(2 * self._delay, BACK_OFF[1])

    def _forget(self) -> None:
        outstanding, self._outstanding = self._outstanding, defaultdict(int)
        for link, size in outstanding.items():
            if size > 0:
                self._observe(self._observer.consumed, *link, size)
        alive, self._alive = self._alive, set()
        for member in sorted(alive):
            self._observe(self._observer.lost, member)
        if self._round is not None:
            round_id, self._round = self._round, None
            self._observe(self._observer.round_stopped, round_id)

    def _observe(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception:
            # Of no use to the other links, and no fault of the process.
            self._log.failure("what the wire process told could not be taken")


def split_records(data: bytes) -> list[bytes]:
    """
    Cut whole records into messages of at most L{MAX_DATA} bytes, between records.

    @raise ValueError: they are no whole records, or one is too long.
    """
    if len(data) <= MAX_DATA:
        return [data] if data else []
    parts = []
    start = end = 0
    while end < len(data):
        following = end + 4 + int.from_bytes(data[end : end + 4], "big")
        if following > len(data) or following - end > MAX_DATA:
            raise ValueError("not whole records of at most 1 MiB")
        if following - start > MAX_DATA:
            parts.append(data[start:end])
            start = end
        end = following
    parts.append(data[start:])
    return parts


def _flock_state(state: State) -> FlockState:
    return FlockState(
        status=state.status,
        constant=state.constant,
        round_id=state.round_id,
        slot=state.slot,
        step=state.step,
        narrowest=None if state.narrowest is None else MemberId(state.narrowest),
        alive=tuple(map(MemberId, state.alive)),
        rounds=state.rounds,
        unfinished=state.unfinished,
        frames_sent=state.frames_sent,
        frames_filled=state.frames_filled,
        lateness_ms=state.lateness_ms,
    )
