# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is made of something large, in a thread, once, and kept as long as that is
what is asked about.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

S = TypeVar("S")
"""What it is made of.  It does not change; another one is another object."""

T = TypeVar("T")
"""What is made."""


class Derived(Generic[S, T]):
    """
    Of each key the latest is kept, of the keys those that were asked for last; and
    nothing, once nobody else has that of which it was made.
    """

    def __init__(
        self,
        in_thread: Callable[[Callable[[S], T], S], Deferred[T]],
        make: Callable[[S], T],
        most: int = 1,
    ) -> None:
        """
        @param in_thread: calls that in a thread.
        @param make: makes it.
        @param most: keys.
        """
        self._in_thread = in_thread
        self._make = make
        self._most = most
        self._made: OrderedDict[Hashable, tuple[ref[S], T]] = OrderedDict()
        self._making: dict[Hashable, tuple[S, list[Deferred[T]]]] = {}

    def __len__(self) -> int:
        """Of how many keys there is something."""
        return len(self._made)

    def of(self, source: S, key: Hashable = None) -> Deferred[T]:
        """
        @param key: whose it is.
        @return: what is made of it; whatever L{make} raises.
        """
        answer: Deferred[T] = Deferred()
        made = self._made.get(key)
        if made is not None and made[0]() is source:
            self._made.move_to_end(key)
            answer.callback(made[1])
            return answer
        making = self._making.get(key)
        if making is not None and making[0] is source:
            making[1].append(answer)
            return answer
        waiting = [answer]
        self._making[key] = source, waiting
        self._in_thread(self._make, source).addBoth(self._done, key, source, waiting)
        return answer

    def _done(
        self, result: T | Failure, key: Hashable, source: S, waiting: list[Deferred[T]]
    ) -> None:
        if key in self._making and self._making[key][0] is source:
            del self._making[key]
            if not isinstance(result, Failure):
                # Gone in the instant in which the source goes, in whatever thread.
                self._made[key] = ref(source, lambda gone: self._forget(key, gone)), result
                self._made.move_to_end(key)
                while len(self._made) > self._most:
                    self._made.popitem(last=False)
        for answer in waiting:
            answer.callback(result)

    def _forget(self, key: Hashable, gone: ref[S]) -> None:
        made = self._made.get(key)
        if made is not None and made[0] is gone:
            self._made.pop(key, None)
