# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which of the versions that a box keeps may go.  Pure.

A policy looks at the versions of one path at a time.  None of its answers
depends on when or how often it was asked before: whoever prunes every minute
ends with the same as somebody who prunes once a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar

import attrs

from flocknode.box.values import Path

HOUR = 3_600.0
DAY = 24 * HOUR
WEEK = 7 * DAY
YEAR = 365 * DAY
# Seconds.

STAGES = ((HOUR, HOUR), (DAY, DAY), (WEEK, 30 * DAY))
"""Of L{Staggered}: (the length of a stretch of time, the age from which only one
version is kept of it), both in seconds.  Each stretch consists of whole ones of
the stage before, so what one stage leaves is what the next would choose."""


class Version(Protocol):
    """
    Something in the version store.

    @ivar name: its name there; of equal times, the greater is newer.
    @ivar path: where in the box it was.
    @ivar size: bytes.
    @ivar kept: when it was replaced or deleted, seconds since the epoch.
    """

    @property
    def name(self) -> bytes: ...

    @property
    def path(self) -> Path: ...

    @property
    def size(self) -> int: ...

    @property
    def kept(self) -> float: ...


V = TypeVar("V", bound=Version)


@attrs.frozen
class KeepNone:
    """Nothing is kept."""

    def drops(self, versions: Sequence[V], now: float) -> list[V]:
        """
        @param versions: all of one path, newest first; C{now} in seconds since
            the epoch.
        @return: those that may go.
        """
        return list(versions)


@attrs.frozen
class KeepLast:
    """So many of each path are kept, the newest ones; C{count} is at least 1."""

    count: int

    def drops(self, versions: Sequence[V], now: float) -> list[V]:
        """As L{KeepNone.drops}."""
        return list(versions[self.count :])


@attrs.frozen
class KeepFor:
    """Everything is kept for so many C{seconds}."""

    seconds: float

    def drops(self, versions: Sequence[V], now: float) -> list[V]:
        """As L{KeepNone.drops}."""
        return [version for version in versions if version.kept < now - self.seconds]


@attrs.frozen
class Staggered:
    """
    All of the last hour, one an hour of the last day, one a day of the last 30
    days, one a week of the last year.  Hours, days and weeks are those of the
    calendar (UTC), each thinned out when all of it is old enough; the newest of
    each stays, so what was there before a deletion stays longest.
    """

    def drops(self, versions: Sequence[V], now: float) -> list[V]:
        """As L{KeepNone.drops}."""
        dropped: list[V] = []
        newer: set[tuple[float, float]] = set()
        for version in versions:
            stretches = [
                (length, version.kept // length)
                for length, age in STAGES
                if (version.kept // length + 1) * length <= now - age
            ]
            if version.kept < now - YEAR or not newer.isdisjoint(stretches):
                dropped.append(version)
            newer.update((length, version.kept // length) for length, _ in STAGES)
        return dropped


Policy: TypeAlias = KeepNone | KeepLast | KeepFor | Staggered

DEFAULT = KeepFor(30 * DAY)
"""What is kept if nothing else is said."""


def newest_first(versions: Iterable[V]) -> list[V]:
    """In the order that L{KeepNone.drops} takes them."""
    return sorted(versions, key=lambda version: (version.kept, version.name), reverse=True)


def beyond(oldest_first: Iterable[V], total: int, limit: int) -> Iterator[V]:
    """
    What has to go, the oldest of whatever path first, until no more than
    C{limit} bytes are left of C{total}.
    """
    for version in oldest_first:
        if total <= limit:
            return
        total -= version.size
        yield version


def dropped(
    versions: Iterable[V], policy: Policy, limit: int | None, now: float
) -> frozenset[bytes]:
    """
    The whole of it, for a list that is at hand.

    @param limit: bytes; L{None}: there is none.
    @return: the names of what may go.
    """
    paths: dict[Path, list[V]] = {}
    for version in newest_first(versions):
        paths.setdefault(version.path, []).append(version)
    gone = {
        version.name for path in paths.values() for version in policy.drops(path, now)
    }
    if limit is not None:
        left = [each for path in paths.values() for each in path if each.name not in gone]
        total = sum(version.size for version in left)
        gone.update(each.name for each in beyond(newest_first(left)[::-1], total, limit))
    return frozenset(gone)
