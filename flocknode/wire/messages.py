# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What crosses the port between the node's process and the wire process: typed
values, msgpack-encoded, each in a length-prefixed message; see
L{flocknode.wire.port} for the framing and for the raw data messages.
"""

from __future__ import annotations

import msgspec


class Start(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """
    Node to wire, once and first: everything the wire process needs to know.

    @ivar listen: ZeroMQ endpoints to bind.
    @ivar public: this node's Z85 public key.
    @ivar secret: and its Z85 secret key; crosses the socket pair only.
    @ivar peers: (ZeroMQ endpoint, Z85 public key) of each configured peer.
    @ivar locks: folder for lock files of ipc endpoints.
    """

    listen: tuple[str, ...]
    public: str
    secret: str
    peers: tuple[tuple[str, str], ...]
    uplink: int
    constant_cover: bool
    cover_rate: int
    min_members: int
    locks: str


class Offer(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Node to wire: see L{flocknode.flock.core.Flock.offer}."""

    new_total: int
    backlog: int
    remaining: int
    digest: bytes


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Node to wire: say so in the heartbeats, close everything, end."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Wire to node: all endpoints are bound."""

    endpoints: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """Wire to node: cannot go on; one sentence for the user."""

    reason: str


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=18):
    member: bytes
    epoch: int


class Lost(msgspec.Struct, frozen=True, array_like=True, tag=19):
    member: bytes


class RoundStarted(msgspec.Struct, frozen=True, array_like=True, tag=20):
    round_id: int
    counted: int
    budget: int


class RoundStopped(msgspec.Struct, frozen=True, array_like=True, tag=21):
    round_id: int


class Reset(msgspec.Struct, frozen=True, array_like=True, tag=22):
    member: bytes


class Consumed(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """(member, priority, bytes) of each link that moved in the last tick."""

    links: tuple[tuple[bytes, int, int], ...]


class State(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """See L{flocknode.flock.interfaces.FlockState}."""

    status: int
    round_id: int
    slot: int
    step: int
    alive: tuple[bytes, ...]
    rounds: int
    unfinished: int
    frames_sent: int
    frames_filled: int
    lateness_ms: tuple[float, float]


ToWire = Start | Offer | Stop
ToNode = Ready | Fault | Alive | Lost | RoundStarted | RoundStopped | Reset | Consumed | State
