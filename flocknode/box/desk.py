# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Where people ask a box for kept versions and conflicts (the reactor's side of
L{flocknode.box.requests}), for a check, and answer its questions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from flocknode.box.checking import Checking, Report
from flocknode.box.core import Core
from flocknode.box.presence import Presence
from flocknode.box.requests import Answer, Requests
from flocknode.box.stepping import last_of
from flocknode.errors import BoxError


class Desk:
    """
    Lives in the reactor.  Results are those of L{Requests}.

    @param ask: has the worker call something and returns its result.
    @raise BoxError: (from what all methods return) one sentence for whoever
        asked.
    """

    def __init__(
        self,
        core: Core,
        ask: Callable[..., Deferred[Any]],
        presence: Presence,
        checking: Checking,
    ) -> None:
        self._checking = checking
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

    def confirm(self) -> Deferred[int]:
        """
        Deletions that wait (state C{"waiting"}) were meant.

        @return: how many files go on to be deleted.
        """
        return self._ask(self._core.confirm)

    def check(self, repair: bool = False) -> Deferred[Report]:
        """
        Read everything, and see whether it is what it was.

        @param repair: fetch again what is not, if somebody has it.
        @return: fires then; fails with L{BoxError} if it cannot be done.
        """
        return Deferred.fromCoroutine(self._checking.run(repair))

    def stop_check(self) -> None:
        """Break off what L{check} does."""
        self._checking.cancel()

    async def _request(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._presence.site is None:
            raise BoxError(self._presence.absence or "The box has no folder yet; try again later.")
        return await self._ask(self._core.request, work, *arguments)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await last_of(await self._request(work, *arguments), self._ask)
