# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who is there: what was heard in announcements, within bounds.

Announcements prove nothing.  So the table is bounded, those that were not heard
for longest go first, and whoever announces somebody else's uuid from another
address changes nothing while that is heard of where it was.  Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import attrs

from flocknode.forban.announcement import Announcement

GONE = 300.0
"""Seconds without an announcement after which a neighbour is gone: the
original's."""

FRESH = 35.0
"""Seconds for which an address is where the neighbour is: three announcements
of the usual ten seconds may be lost."""

NEIGHBOURS = 1024
"""At most so many are known."""

ADDRESSES = 4
"""Of one neighbour are kept: machines have one for each family and interface."""


@attrs.frozen
class Address:
    """
    @ivar host: an IP address; of a link-local one with its scope, C{fe80::1%eth0}.
    @ivar port: of its announcements and of its HTTP alike.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@attrs.frozen
class Neighbour:
    """
    @ivar name: what it calls itself; may be empty.
    @ivar hmac: of its index, as it was announced last; may be empty.
    @ivar addresses: where it was heard, with the time; the first is where it is
        asked.
    @ivar first: when it was heard first, and C{last} last: seconds of the clock.
    """

    uuid: str
    name: str
    hmac: str
    addresses: tuple[tuple[Address, float], ...]
    first: float
    last: float

    @property
    def address(self) -> Address:
        """Where it is asked."""
        return self.addresses[0][0]


class Neighbours:
    """
    The table.

    @param own: the node's own uuid, whose announcements come back to it.
    @param now: the clock, in seconds.
    """

    def __init__(self, own: str, now: Callable[[], float]) -> None:
        self._own = own
        self._now = now
        # Those heard last are last.
        self._known: OrderedDict[str, Neighbour] = OrderedDict()
        self._told: list[Callable[[Neighbour], object]] = []

    def tell(self, changed: Callable[[Neighbour], object]) -> None:
        """Call this with whoever is new, or has another index, name or address."""
        self._told.append(changed)

    def heard(self, said: Announcement, address: Address) -> None:
        """An announcement came from there."""
        if said.uuid == self._own:
            return
        now = self._now()
        before = self._known.pop(said.uuid, None)
        if before is not None and now - before.last > GONE:
            before = None
        if before is None:
            after = Neighbour(said.uuid, said.name, said.hmac, ((address, now),), now, now)
        else:
            after = _again(before, said, address, now)
        self._known[said.uuid] = after
        while len(self._known) > NEIGHBOURS:
            self._known.popitem(last=False)
        if before is None or _differs(before, after):
            for told in self._told:
                told(after)

    def all(self) -> list[Neighbour]:
        """All that are there, those heard last first."""
        now = self._now()
        while self._known:
            uuid, oldest = next(iter(self._known.items()))
            if now - oldest.last <= GONE:
                break
            del self._known[uuid]
        return list(reversed(self._known.values()))

    def get(self, uuid: str) -> Neighbour | None:
        """Who that is, if it is there."""
        found = self._known.get(uuid)
        return found if found is not None and self._now() - found.last <= GONE else None

    def silent(self, neighbour: Neighbour) -> float:
        """Seconds for which it has not been heard."""
        return self._now() - neighbour.last


def _again(
    before: Neighbour, said: Announcement, address: Address, now: float
) -> Neighbour:
    """The neighbour after one more announcement."""
    times = dict(before.addresses)
    is_there = now - times[before.address] <= FRESH
    if is_there and address != before.address:
        # Perhaps another of its addresses, perhaps somebody else: nothing that is
        # said from there counts, but that the address may be tried later.
        times[address] = now
        kept = tuple(times.items())[:ADDRESSES]
        return attrs.evolve(before, addresses=kept)
    times[address] = now
    rest = [(other, at) for other, at in times.items() if other != address]
    rest.sort(key=lambda each: -each[1])
    return attrs.evolve(
        before,
        name=said.name,
        hmac=said.hmac,
        addresses=((address, now), *rest[: ADDRESSES - 1]),
        last=now,
    )


def _differs(before: Neighbour, after: Neighbour) -> bool:
    return (before.name, before.hmac, before.address) != (after.name, after.hmac, after.address)
