# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is done about a box from time to time: what nobody needs to know any more
is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from flocknode.box.core import Core
from flocknode.box.timers import Timers

FIRST = 3600.0
"""Seconds from the start to the first run: others shall have been heard of."""

FORGETTING = 86_400.0
"""Seconds between two runs in which is forgotten what nobody needs to know."""

BETWEEN = 0.2
"""Seconds between two slices of such a run."""


class Upkeep:
    """
    Lives in the reactor.

    @param ask: has the worker call something.
    @param failed: told what comes of it if it fails.
    """

    def __init__(
        self,
        timers: Timers,
        core: Core,
        ask: Callable[..., Deferred[Any]],
        failed: Callable[[Failure], None],
    ) -> None:
        self._timers = timers
        self._core = core
        self._ask = ask
        self._failed = failed

    def start(self) -> None:
        """Begin; it ends with the timers."""
        self._timers.later("forget", FIRST, self._forget)

    def _forget(self) -> None:
        self._timers.later("forget", FORGETTING, self._forget)

        def forgot(is_more: bool) -> None:
            if is_more:
                self._timers.later("forget", BETWEEN, self._forget)

        self._ask(self._core.forget).addCallback(forgot).addErrback(self._failed)
