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
from typing import Any

from flocknode.flock.core import Flock
from flocknode.flock.shaper import Shaper


class SparingShaper(Shaper):
    """
    Skips every second one of the frames that would carry nothing.  (Without any
    frames the others would take the node for lost.)
    """

    _turn = False

    def _emit(self) -> None:
        kept = []
        for quota, built in self._built:
            self._turn = not built.runs and not self._turn
            if self._turn:
                quota.left -= 1
            else:
                kept.append((quota, built))
        self._built = kept
        super()._emit()


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

    child.ChildProcess = redirected  # type: ignore[attr-defined]
    run()


def _wire() -> None:
    from flocknode.wire.__main__ import main

    Flock.shaper = SparingShaper
    main()


def _has_port() -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(3).st_mode)
    except OSError:
        return False


if __name__ == "__main__":
    _wire() if _has_port() else _node()
