# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Long work in a box's worker, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


async def last_of(steps: Iterator[T | None], ask: Callable[..., Deferred[Any]]) -> T:
    """
    Go on to the end, so that the worker does other things in between.

    @param steps: the first that comes and is not L{None} is the result.
    @param ask: has the worker call something and returns its result.
    """
    result: T | None = None
    while result is None:
        result = await ask(next, steps)
    return result
