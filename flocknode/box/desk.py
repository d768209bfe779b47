# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Where people ask a box for kept versions and conflicts: the reactor's side of
L{flocknode.box.requests}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred

from flocknode.box.core import Core
from flocknode.box.presence import Presence
from flocknode.box.requests import Answer, Requests
from flocknode.errors import BoxError


class Desk:
    """
    Lives in the reactor.  Results are those of L{Requests}.

    @param ask: has the worker call something and returns its result.
    @raise BoxError: (from what all methods return) one sentence for whoever
        asked.
    """

    def __init__(
        self, core: Core, ask: Callable[..., Awaitable[Any]], presence: Presence
    ) -> None:
        self._core = core
        self._ask = ask
        self._presence = presence

    def versions(self, path: str) -> Deferred[list[Answer]]:
        """See L{Requests.versions}."""
        return Deferred.fromCoroutine(self._request(Requests.versions, path))

    def restore(self, path: str, at: str | float, to: str | None) -> Deferred[Answer]:
        """See L{Requests.restore}."""
        return Deferred.fromCoroutine(self._run(Requests.restore, path, at, to))

    def conflicts(self) -> Deferred[list[Answer]]:
        """See L{Requests.conflicts}."""
        return Deferred.fromCoroutine(self._request(Requests.conflicts))

    def resolve(self, keep: str, path: str) -> Deferred[Answer]:
        """See L{Requests.resolve}."""
        return Deferred.fromCoroutine(self._run(Requests.resolve, keep, path))

    async def _request(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._presence.site is None:
            raise BoxError(self._presence.absence or "The box has no folder yet; try again later.")
        return await self._ask(self._core.request, work, *arguments)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A piece at a time, so that the worker does other things in between."""
        steps = await self._request(work, *arguments)
        answer = None
        while answer is None:
            answer = await self._ask(next, steps)
        return answer
