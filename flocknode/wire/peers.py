# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who the configured peers are: L{Start<flocknode.wire.messages.Start>} in the
terms of the flock engine.  No I/O, and no ZeroMQ: the node may import this.
"""

from __future__ import annotations

from typing import Final

import attrs

from flocknode.errors import WireError
from flocknode.flock.heartbeat import HEARTBEAT_SIZE
from flocknode.flock.interfaces import FlockSettings, MemberId
from flocknode.flock.rate import frame_size, step_of
from flocknode.keys import member_id
from flocknode.wire.messages import Start

SEGMENT: Final = 1_448
PACKET: Final = 1_514
"""Bytes of a stream in a full TCP segment with timestamps, and of the Ethernet
frame around it, which is what a shaped uplink counts."""

CURVE: Final = 42
"""Bytes that ZMTP (9) and CURVE (33) add to a message."""

HEARTBEATS: Final = 4
"""A second."""

ACKNOWLEDGED: Final = 2
"""Full packets that come in for each packet without content that says so."""


@attrs.frozen
class Peer:
    """
    A configured peer.

    @ivar endpoints: where it may be reached; one at a time is connected to.
    """

    id: MemberId
    public: str
    endpoints: tuple[str, ...]


def peers_of(start: Start) -> tuple[Peer, ...]:
    """
    The configured peers in ascending order of their ids.

    @raise WireError: one of them has this node's own key.
    """
    endpoints: dict[str, list[str]] = {}
    for endpoint, public in start.peers:
        if public == start.public:
            raise WireError(f"{endpoint} has this node's own key: take it out of the peers.")
        known = endpoints.setdefault(public, [])
        if endpoint not in known:
            known.append(endpoint)
    peers = (
        Peer(MemberId(member_id(public)), public, tuple(to)) for public, to in endpoints.items()
    )
    return tuple(sorted(peers, key=lambda peer: peer.id))


def settings_of(start: Start, peers: tuple[Peer, ...]) -> FlockSettings:
    """What the flock engine is told at its start."""
    return FlockSettings(
        me=MemberId(member_id(start.public)),
        peers=tuple(peer.id for peer in peers),
        uplink=for_frames(start.uplink, len(peers)),
        constant_cover=start.constant_cover,
        cover_rate=start.cover_rate,
        min_members=start.min_members,
        decoys=start.decoys,
    )


def for_frames(uplink: int, peers: int) -> int:
    """
    What of an uplink is left for frames: the engine counts these and nothing
    else, and a rate that is even 2 per cent too high fills all queues.
    As much comes in as goes out, and is acknowledged.

    @param uplink: bytes per second.
    @param peers: that share it.
    """
    links = max(1, peers)
    link = uplink / links - HEARTBEATS * _on_the_line(HEARTBEAT_SIZE)
    size = frame_size(step_of(link * SEGMENT / PACKET))
    return max(1, int(links * link * size / _on_the_line(size)))


def _on_the_line(size: int) -> float:
    """Bytes that a message takes of an uplink, with what acknowledges one like it."""
    message = size + CURVE
    packets = -(-message // SEGMENT)
    return message + (packets + max(1.0, packets / ACKNOWLEDGED)) * (PACKET - SEGMENT)
