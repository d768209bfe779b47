# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node with a leak planted into its wire process, as the control of
L{benchmarks.anonymity}: attacks that do not find it are worth nothing.  Which one,
the environment says (L{CHOICE}): C{eager}, what is queued is also sent at once;
or C{thrifty}, of empty frames one in L{KEPT} is sent, so that whoever sends
content is seen to.  C{hasty} is no leak: news of a node that was cut off wait for
seconds (L{HASTE}) after its return and not for minutes, so that many can be.

Started like twistd: C{python -m benchmarks.leaky -n flocknode ...}.  The node
starts this module once more as its wire process, and there the leaking parts
take the place of those of the engine.
"""

from __future__ import annotations

import os
import random
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from flocknode.flock import core
from flocknode.flock.core import Flock
from flocknode.flock.interfaces import FlockSettings, MemberId, Priority
from flocknode.flock.leading import Leading
from flocknode.flock.link import Outgoing
from flocknode.flock.messages import parse_frame
from flocknode.flock.pulse import Pulse
from flocknode.flock.rate import UNMEASURED
from flocknode.flock.rounds import Sending
from flocknode.flock.shaper import Shaper

FRAME = 4117
"""Bytes, one of the sizes that there are."""

CHOICE = "FLOCKNODE_LEAK"

KEPT = 4
"""With none at all, others take a link that carries nothing for a lost one."""

HASTE = (1.5, 5.0)

Queue = Callable[[Any, MemberId, Priority, bytes], None]


def eagerly(honest: Queue) -> Queue:
    """Sends a frame at once when something is queued, besides those of the schedule."""

    def queue(flock: Any, member: MemberId, priority: Priority, records: bytes) -> None:
        honest(flock, member, priority, records)
        receiver = flock._members.get(member)
        if receiver is None or not receiver.alive:
            return
        built = receiver.outgoing.build(flock._slot, FRAME)
        if not flock._transport.frame(member, built.message):
            receiver.outgoing.put_back([built])
            return
        for each, size in zip(Priority, receiver.outgoing.sent(built), strict=True):
            if size:
                flock._observer.consumed(member, each, size)

    return queue


class Thrifty(Shaper):
    """Leaves out most frames that carry nothing."""

    def __init__(
        self,
        links: Sequence[Outgoing],
        send: Callable[[MemberId, bytes], bool],
        consumed: Callable[[MemberId, Priority, int], None],
        order: random.Random,
    ) -> None:
        empty = Counter[MemberId]()

        def some(to: MemberId, message: bytes) -> bool:
            if not parse_frame(message).payload:
                empty[to] += 1
                if empty[to] % KEPT:
                    return True
            return send(to, message)

        super().__init__(links, some, consumed, order)


class Unmeasured(Leading):
    """What is left out does not mean that a link is slow."""

    def delivered(self, slot: int, current: Sending | None) -> int:
        """Nobody knows."""
        return UNMEASURED


class Hasty(Pulse):
    """Waits less long after a return."""

    def __init__(self, settings: FlockSettings, *rest: Any) -> None:
        super().__init__(attrs.evolve(settings, return_wait=HASTE), *rest)


class _Redirected:
    """A reactor that starts this module where a wire process is wanted."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], **more: Any) -> Any:
        """See L{twisted.internet.interfaces.IReactorProcess}."""
        leaky = ["benchmarks.leaky" if each == "flocknode.wire" else each for each in args]
        return self._reactor.spawnProcess(protocol, executable, leaky, **more)


def _node() -> None:
    from twisted.scripts.twistd import run

    from flocknode.wire import child

    honest = child.ChildProcess  # type: ignore[attr-defined]

    def redirected(reactor: Any, owner: Any) -> Any:
        return honest(_Redirected(reactor), owner)

    child.ChildProcess = redirected  # type: ignore[attr-defined, assignment]
    run()


def _wire() -> None:
    from flocknode.wire.__main__ import main

    if os.environ[CHOICE] == "eager":
        Flock.queue = eagerly(Flock.queue)  # type: ignore[method-assign, assignment]
    elif os.environ[CHOICE] == "hasty":
        core.Pulse = Hasty  # type: ignore[attr-defined, assignment]
    else:
        Flock.shaper = Thrifty
        core.Leading = Unmeasured  # type: ignore[attr-defined]
    main()


def _has_port() -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(3).st_mode)
    except OSError:
        return False


if __name__ == "__main__":
    _wire() if _has_port() else _node()
