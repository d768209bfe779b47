# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What L{flocknode.flock} needs from below (L{Transport}) and tells above
(L{Observer}); the settings it runs by.  No I/O here.
"""

from __future__ import annotations

import enum
from typing import NewType, Protocol

import attrs

MemberId = NewType("MemberId", bytes)
"""16 bytes: BLAKE2b of the 40 characters of the member's Z85 public key."""


@attrs.frozen
class FlockSettings:
    """
    What the flock engine is told once, at its start.

    @ivar me: this node's member id.
    @ivar peers: the configured peers' ids (never contains C{me}).
    @ivar uplink: what this node may send in all, bytes per second.
    @ivar constant_cover: this node asks for constant cover.
    @ivar cover_rate: bytes per second and link under constant cover, whoever
        asks for it.
    @ivar min_members: rounds wait below this many alive, this node counted.
    @ivar decoys: rounds an hour that are called for nothing, by all members
        together if all are set alike.
    @ivar return_wait: seconds, between which a node that comes back to a
        running flock draws how long its news beyond what fits into the round
        of return shall wait.
    """

    me: MemberId
    peers: tuple[MemberId, ...]
    uplink: int = 12_500_000
    constant_cover: bool = False
    cover_rate: int = 65_536
    min_members: int = 2
    decoys: int = 0
    return_wait: tuple[float, float] = (30.0, 300.0)


class Transport(Protocol):
    """What carries messages; implemented by wire and by the virtual network."""

    def heartbeat(self, message: bytes) -> None:
        """Publish a heartbeat to all; never blocks, never fails."""

    def frame(self, to: MemberId, message: bytes) -> bool:
        """
        Publish a frame for one member, connected or not.

        @return: false if the queue towards it is full (nothing was sent).
        """

    def frame_queue(self, frames: int) -> None:
        """From now on let at most this many frames wait on each link."""


class Priority(enum.IntEnum):
    """Which of a link's two outgoing queues; CONTROL leaves first."""

    CONTROL = 0
    BULK = 1


class Observer(Protocol):
    """What the flock tells the node."""

    def alive(self, member: MemberId, epoch: int) -> None:
        """
        Heard of again after silence, or with a new link epoch.  Whatever was
        queued for it before is forgotten: greet it anew.  The epoch is 0
        until its first frame has been seen; then L{alive} is told again.
        """

    def lost(self, member: MemberId) -> None:
        """Silent for 2 s."""

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        """
        Records flow from now on.  Constant cover is told as one round after
        the other, with no time between them, see L{flocknode.flock.constant}.

        @param counted: the C{new_total} (see L{Flock.offer}) up to which
            local changes are part of this round.
        @param budget: payload bytes per link that the round has room for; 0
            under constant cover, where nothing ends for want of room.
        """

    def round_stopped(self, round_id: int) -> None:
        """The round is over; records flow no more until the next one starts."""

    def digest(self, member: MemberId, digest: bytes) -> None:
        """
        Told once after each round, and whenever it changes outside rounds.

        @param digest: 16 bytes of the state of all its boxes, as it shows;
            zero: it does not say.
        """

    def received(self, member: MemberId, data: bytes) -> None:
        """The next bytes of that member's stream of records."""

    def reset(self, member: MemberId) -> None:
        """Bytes are missing; what follows begins at the start of a record."""

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        """So many bytes of that outgoing queue have left (or were forgotten)."""

    def state(self, state: FlockState) -> None:
        """Told whenever it changed, at most ten times a second."""


@attrs.frozen
class FlockState:
    """
    A snapshot of the engine for people to read.

    @ivar status: current status code, e.g. 100.
    @ivar constant: under constant cover, whoever asks for it.
    @ivar round_id: 0 outside rounds, and under constant cover.
    @ivar slot: current slot of flock time.
    @ivar step: rate step in force.
    @ivar narrowest: whose uplink the flock's pace is bounded by; None if it is what
        lines carry.
    @ivar alive: members heard within 2 s, this node not counted.
    @ivar rounds: rounds finished since the start, without constant cover.
    @ivar unfinished: rounds that ended with something left over.
    @ivar frames_sent: and C{frames_filled}, those with any payload.
    @ivar lateness_ms: of emission ticks since the start: mean, median, 99th
        percentile, worst.
    """

    status: int = 100
    constant: bool = False
    round_id: int = 0
    slot: int = 0
    step: int = 0
    narrowest: MemberId | None = None
    alive: tuple[MemberId, ...] = ()
    rounds: int = 0
    unfinished: int = 0
    frames_sent: int = 0
    frames_filled: int = 0
    lateness_ms: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
