# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What crosses the port between the node's process and the wire process: typed
values, msgpack-encoded, each in a length-prefixed message; see
L{flocknode.wire.port} for the framing and for the raw data messages.

Both ends of the port run the same version of this package, so fields may be
added and renumbered freely; they are validated all the same.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec

Id = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
"""A member id, see L{flocknode.flock.interfaces.MemberId}."""

Natural = Annotated[int, msgspec.Meta(ge=0)]
"""A count, a size or a number that starts at 0."""


Queue = Annotated[int, msgspec.Meta(ge=0, le=1)]
"""See L{flocknode.flock.interfaces.Priority}."""


class Start(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """
    Node to wire, once and first: everything the wire process needs to know.

    @ivar listen: ZeroMQ endpoints to bind: C{tcp://host:port} or
        C{ipc:///absolute/path}; a host C{*} is every address, a port C{*} a
        free one.
    @ivar public: this node's Z85 public key.
    @ivar secret: and its Z85 secret key; crosses the socket pair only.
    @ivar peers: (ZeroMQ endpoint, Z85 public key) of each configured peer; a
        peer that has several endpoints has several rows.
    @ivar uplink: see L{flocknode.flock.interfaces.FlockSettings}, as
        C{constant_cover}, C{cover_rate}, C{min_members} and C{decoys}.
    """

    listen: tuple[str, ...]
    public: str
    secret: str
    peers: tuple[tuple[str, str], ...]
    uplink: Natural
    constant_cover: bool
    cover_rate: Natural
    min_members: Natural
    decoys: Natural = 0

    def __repr__(self) -> str:
        """Without the keys: a log or a traceback may show this."""
        return f"Start(listen={self.listen!r}, peers={tuple(to for to, _key in self.peers)!r})"


class Offer(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Node to wire: see L{flocknode.flock.core.Flock.offer}."""

    new_total: Natural
    backlog: Natural
    remaining: Natural
    digest: Id


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Node to wire: say so in the heartbeats, close everything, end."""


class Skip(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Node to wire: see L{flocknode.flock.core.Flock.skip}."""

    member: Id


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Wire to node: all endpoints are bound; C{*} in them is filled in."""

    endpoints: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """Wire to node: cannot go on; one sentence for the user."""

    reason: str


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """See L{flocknode.flock.interfaces.Observer.alive}."""

    member: Id
    epoch: Natural


class Lost(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """See L{flocknode.flock.interfaces.Observer.lost}."""

    member: Id


class RoundStarted(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """See L{flocknode.flock.interfaces.Observer.round_started}."""

    round_id: Natural
    counted: Natural
    budget: Natural


class RoundStopped(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """See L{flocknode.flock.interfaces.Observer.round_stopped}."""

    round_id: Natural


class Reset(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """See L{flocknode.flock.interfaces.Observer.reset}."""

    member: Id


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """See L{flocknode.flock.interfaces.Observer.digest}."""

    member: Id
    digest: Id


class Consumed(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """(member, priority, bytes) of each queue that moved in the last tick."""

    links: tuple[tuple[Id, Queue, Natural], ...]


class State(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """See L{flocknode.flock.interfaces.FlockState}."""

    status: Natural
    constant: bool
    round_id: Natural
    slot: Natural
    step: Natural
    narrowest: Id | None
    alive: tuple[Id, ...]
    rounds: Natural
    unfinished: Natural
    frames_sent: Natural
    frames_filled: Natural
    lateness_ms: tuple[float, float, float, float]


class Data(NamedTuple):
    """
    Bytes of one link.  Towards the wire: whole records, to be queued; towards
    the node: the next bytes of the member's stream.

    @ivar member: 16 bytes.
    @ivar priority: 0 or 1, see L{flocknode.flock.interfaces.Priority}; always 0
        towards the node.
    """

    member: bytes
    priority: int
    data: bytes


ToWire = Start | Offer | Stop | Skip
ToNode = (
    Ready | Fault | Alive | Lost | RoundStarted | RoundStopped | Reset | Digest | Consumed | State
)
