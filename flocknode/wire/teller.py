# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the flock engine tells, as messages of the port.

Bytes of links and consumed sizes are collected for a moment: each message costs
both processes a turn of their reactors, and a round brings hundreds of frames a
second.  A node that does not read costs nobody but itself: the engine goes on as if
it did, and the bytes of links are dropped here, to be asked for again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flocknode.flock.interfaces import FlockState, MemberId, Priority
from flocknode.wire.messages import (
    Alive,
    Consumed,
    Digest,
    Lost,
    Reset,
    RoundStarted,
    RoundStopped,
    State,
    ToWire,
)
from flocknode.wire.port import Port

BACKLOG: Final = 16_777_216
"""Bytes that may wait for a node that does not read, before bytes of links are
dropped: a second at 128 Mbit/s."""

MESSAGE: Final = 131_072
"""Bytes of a link that are told in one go, at most.  Larger messages are put
together from several reads at the other end, in memory that is seldom in any
cache: 512 KiB cost half as much again for each byte as 64."""

GATHERING: Final = 0.02
"""Seconds in which bytes of links and consumed sizes are collected.  With 8 nodes on
two cores wire processes need a fifth less processor time than if each frame is told
at once, which is what decides there how late everything is heard of."""

GATHERED: Final = 524_288
"""Bytes of links from which on nothing is waited for."""

PATIENCE: Final = 2 * BACKLOG
"""Bytes of events beyond which a node that does not read is given up."""


class Teller:
    """
    The L{flocknode.flock.interfaces.Observer} of the engine in this process.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        port: Port[ToWire],
        skip: Callable[[MemberId], None],
        give_up: Callable[[], None],
    ) -> None:
        """
        @param port: with L{BACKLOG} as its limit.
        @param skip: L{flocknode.flock.core.Flock.skip}.
        @param give_up: called when more than L{PATIENCE} waits for the node.
        """
        self._reactor = reactor
        self._port = port
        self._skip = skip
        self._give_up = give_up
        self._streams: defaultdict[MemberId, list[bytes]] = defaultdict(list)
        self._consumed: defaultdict[tuple[MemberId, Priority], int] = defaultdict(int)
        self._gaps: set[MemberId] = set()
        self._collected = 0
        self._timer: IDelayedCall | None = None
        self.outstanding: defaultdict[tuple[MemberId, Priority], int] = defaultdict(int)
        """Bytes queued and not consumed yet; the caller adds."""

    def alive(self, member: MemberId, epoch: int) -> None:
        """See L{flocknode.flock.interfaces.Observer}, as all of these."""
        self._tell(Alive(member, epoch))

    def lost(self, member: MemberId) -> None:
        self._tell(Lost(member))

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        self._tell(RoundStarted(round_id, counted, budget))

    def round_stopped(self, round_id: int) -> None:
        self._tell(RoundStopped(round_id))

    def digest(self, member: MemberId, digest: bytes) -> None:
        self._tell(Digest(member, digest))

    def state(self, state: FlockState) -> None:
        # Only the newest one is of use: not worth a place in a queue.
        if not self._port.full:
            self._tell(
                State(
                    status=state.status,
                    constant=state.constant,
                    round_id=state.round_id,
                    slot=state.slot,
                    step=state.step,
                    narrowest=state.narrowest,
                    alive=state.alive,
                    rounds=state.rounds,
                    unfinished=state.unfinished,
                    frames_sent=state.frames_sent,
                    frames_filled=state.frames_filled,
                    lateness_ms=state.lateness_ms,
                )
            )

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        self.outstanding[member, priority] -= size
        self._consumed[member, priority] += size
        self._flush_later()

    def received(self, member: MemberId, data: bytes) -> None:
        if self._port.full:
            self._drop(member)
        else:
            self._streams[member].append(data)
            self._collected += len(data)
            self._flush_later()

    def reset(self, member: MemberId) -> None:
        if self._port.full:
            # One is enough, when the node reads again.
            self._gaps.add(member)
            self._streams.pop(member, None)
        else:
            self._tell(Reset(member))

    def drained(self) -> None:
        """The node reads again, see L{Port<flocknode.wire.port.Port>}."""
        gaps, self._gaps = self._gaps, set()
        for member in sorted(gaps):
            self._tell(Reset(member))

    def flush(self) -> None:
        """Hand everything that was collected to the port."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        self._collected = 0
        if self._consumed:
            links = tuple((*link, size) for link, size in self._consumed.items())
            self._consumed.clear()
            self._port.send(Consumed(links))
        if self._streams:
            streams = dict(self._streams)
            self._streams.clear()
            for member, chunks in streams.items():
                self._flush_stream(member, chunks)

    def _flush_stream(self, member: MemberId, chunks: list[bytes]) -> None:
        for parts in in_messages(chunks):
            if not self._port.send_data(member, 0, *parts):
                self._drop(member)
                return

    def _drop(self, member: MemberId) -> None:
        self._gaps.add(member)
        self._skip(member)

    def _tell(self, message: msgspec.Struct) -> None:
        self.flush()
        self._port.send(message)
        if self._port.waiting > PATIENCE:
            # Not from within the engine, whose call this is.
            self._reactor.callLater(0, self._give_up)

    def _flush_later(self) -> None:
        if self._timer is None:
            self._timer = self._reactor.callLater(GATHERING, self.flush)
        elif self._collected >= GATHERED and self._timer.getTime() > self._reactor.seconds():
            # Not from within the engine, whose call this is.
            self._timer.reset(0)


def in_messages(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The same bytes in groups of at most L{MESSAGE}, copied only if one chunk has more."""
    group: list[bytes] = []
    size = 0
    for chunk in chunks:
        if group and size + len(chunk) > MESSAGE:
            yield group
            group, size = [], 0
        if len(chunk) > MESSAGE:
            yield from ([chunk[at : at + MESSAGE]] for at in range(0, len(chunk), MESSAGE))
        else:
            group.append(chunk)
            size += len(chunk)
    if group:
        yield group
