# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node with a leak planted into its wire process, as the control of
L{benchmarks.anonymity}: an attack that does not find this one is worth nothing.

Started like twistd: C{python -m benchmarks.leaky -n flocknode ...}.  The node
starts this module once more as its wire process, and there the leaking parts
take the place of those of the engine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from flocknode.flock.core import Flock
from flocknode.flock.interfaces import MemberId, Priority

FRAME = 4117
"""Bytes, one of the sizes that there are."""

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

    Flock.queue = eagerly(Flock.queue)  # type: ignore[method-assign, assignment]
    main()


def _has_port() -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(3).st_mode)
    except OSError:
        return False


if __name__ == "__main__":
    _wire() if _has_port() else _node()
