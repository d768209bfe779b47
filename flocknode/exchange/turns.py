# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When to decide: once, at the end of the outermost of all calls that belong
together.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Turn:
    """
    A context manager that may be entered again within itself.

    It is entered for each thing that happens, so it is an object that stays: a
    generator, as L{contextlib.contextmanager} wants it, costs as much as most of
    what is done within.

    @param end: called before the outermost ends, unless that fails.  What
        enters the turn then is still inside.
    """

    __slots__ = ("_depth", "_end")

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._depth == 1:
                self._end()
        finally:
            self._depth -= 1
