# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What several tests of the wire layer need: key pairs, free ports, waiting for a
condition.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import attrs
from nacl.public import PrivateKey
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from flocknode import z85
from flocknode.flock.interfaces import FlockState, MemberId, Priority
from flocknode.keys import member_id


@attrs.frozen
class Pair:
    """A CURVE key pair, Z85."""

    public: str
    secret: str

    @classmethod
    def new(cls) -> Pair:
        """A fresh one."""
        secret = PrivateKey.generate()
        return cls(z85.encode(bytes(secret.public_key)), z85.encode(bytes(secret)))

    @property
    def id(self) -> MemberId:
        """The member id of its holder."""
        return MemberId(member_id(self.public))


def free_endpoint(host: str = "127.0.0.1") -> str:
    """A TCP endpoint that nobody listened at a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def until(reactor: Any, condition: Callable[[], object], pace: float = 0.01) -> Deferred[Any]:
    """
    Fires when the condition holds; the time limit is the test's own.
    """
    if condition():
        return succeed(None)

    def look() -> None:
        if condition():
            loop.stop()

    loop = LoopingCall(look)
    loop.clock = reactor
    return loop.start(pace)


class Witness:
    """A L{flocknode.flock.interfaces.Observer} that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.members: dict[bytes, int] = {}
        self.streams: dict[bytes, bytearray] = {}
        self.counted = 0
        self.size = 0
        self.states: list[FlockState] = []

    def alive(self, member: MemberId, epoch: int) -> None:
        self.members[member] = epoch
        self.events.append(("alive", member, epoch))

    def lost(self, member: MemberId) -> None:
        del self.members[member]
        self.events.append(("lost", member))

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        self.events.append(("round started", round_id, counted, budget))

    def round_stopped(self, round_id: int) -> None:
        self.events.append(("round stopped", round_id))

    def digest(self, member: MemberId, digest: bytes) -> None:
        self.events.append(("digest", member, digest))

    def received(self, member: MemberId, data: bytes) -> None:
        self.size += len(data)
        self.streams.setdefault(member, bytearray()).extend(data)

    def reset(self, member: MemberId) -> None:
        self.events.append(("reset", member))

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        self.counted += size
        self.events.append(("consumed", member, priority, size))

    def state(self, state: FlockState) -> None:
        self.states.append(state)

    def kinds(self) -> list[str]:
        """The first word of each event, in order."""
        return [event[0] for event in self.events]
