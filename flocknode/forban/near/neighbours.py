# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who is there: what was heard in announcements, within bounds.

Announcements prove nothing.  So the table is bounded, also for each address;
those that were not heard for longest go first; and whoever announces somebody
else's uuid from another address changes nothing while that is heard of where it
was.  Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import attrs

from flocknode.forban.protocol.announcement import Announcement
from flocknode.forban.protocol.remote import Tls

GONE = 300.0
"""Seconds without an announcement after which a neighbour is gone: the
original's."""

FRESH = 35.0
"""Seconds for which an address is where the neighbour is: three announcements
of the usual ten seconds may be lost."""

NEIGHBOURS = 1024
"""At most so many are known."""

FROM_ONE_HOST = 8
"""Of them from one IP address, so that who makes uuids up there drives out its
own.  One is usual, as all are asked at the same port; goforban is another one
after each start."""

ADDRESSES = 4
"""Of one neighbour are kept: machines have one for each family and interface."""


@attrs.frozen
class Address:
    """
    @ivar host: an IP address; of a link-local one with its scope, C{fe80::1%eth0}.
    @ivar port: of its announcements and of its HTTP alike.
    @ivar pinned: where it is asked by TLS, the SHA-256 of the only certificate
        that is taken, 32 bytes; empty: it is asked by plain HTTP.
    """

    host: str
    port: int
    pinned: bytes = b""

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

    def by(self, tls: Tls | None) -> Neighbour:
        """The same, to be asked in the way that its index says."""
        if tls is None:
            return self
        addresses = tuple(
            (Address(address.host, tls.port, tls.fingerprint), at)
            for address, at in self.addresses
        )
        return attrs.evolve(self, addresses=addresses)


class Neighbours:
    """
    The table.

    @param own: the node's own uuid, whose announcements come back to it.
    @param now: the clock, in seconds.
    """

    def __init__(self, own: str, now: Callable[[], float]) -> None:
        self._own = own
        self._now = now
        # Those heard last are last, in both.
        self._known: OrderedDict[str, Neighbour] = OrderedDict()
        self._hosts: dict[str, OrderedDict[str, None]] = {}
        self._told: list[Callable[[Neighbour], object]] = []

    def tell(self, changed: Callable[[Neighbour], object]) -> None:
        """Call this with whoever is new, or has another index, name or address."""
        self._told.append(changed)

    def heard(self, said: Announcement, address: Address) -> None:
        """An announcement came from there."""
        if said.uuid == self._own:
            return
        now = self._now()
        before = self._known.get(said.uuid)
        if before is None or now - before.last > GONE:
            after = Neighbour(said.uuid, said.name, said.hmac, ((address, now),), now, now)
            self._put(after)
            self._tell(after)
        elif address != before.address and now - before.last <= FRESH:
            self._known[said.uuid] = _seen_at(before, address, now)
        else:
            after = _again(before, said, address, now)
            self._put(after)
            if _differs(before, after):
                self._tell(after)

    def all(self) -> list[Neighbour]:
        """All that are there, those heard last first."""
        now = self._now()
        while self._known:
            oldest = next(iter(self._known.values()))
            if now - oldest.last <= GONE:
                break
            self._drop(oldest.uuid)
        return list(reversed(self._known.values()))

    def get(self, uuid: str) -> Neighbour | None:
        """Who that is, if it is there."""
        found = self._known.get(uuid)
        return found if found is not None and self._now() - found.last <= GONE else None

    def silent(self, neighbour: Neighbour) -> float:
        """Seconds for which it has not been heard."""
        return self._now() - neighbour.last

    def _put(self, neighbour: Neighbour) -> None:
        """It was heard now, and may have driven out others."""
        self._drop(neighbour.uuid)
        self._known[neighbour.uuid] = neighbour
        there = self._hosts.setdefault(neighbour.address.host, OrderedDict())
        there[neighbour.uuid] = None
        if len(there) > FROM_ONE_HOST:
            self._drop(next(iter(there)))
        if len(self._known) > NEIGHBOURS:
            self._drop(next(iter(self._known)))

    def _drop(self, uuid: str) -> None:
        neighbour = self._known.pop(uuid, None)
        if neighbour is not None:
            there = self._hosts[neighbour.address.host]
            del there[uuid]
            if not there:
                del self._hosts[neighbour.address.host]

    def _tell(self, neighbour: Neighbour) -> None:
        for told in self._told:
            told(neighbour)


def _seen_at(before: Neighbour, address: Address, now: float) -> Neighbour:
    """
    Perhaps another of its addresses, perhaps somebody else: nothing that is said
    from there counts, but that the address may be where it is later.  Who makes
    addresses up does not drive out those that are in use.
    """
    first, *others = before.addresses
    times = {other: at for other, at in others if now - at <= FRESH or other == address}
    if address in times or len(times) < ADDRESSES - 1:
        times[address] = now
    return attrs.evolve(before, addresses=(first, *times.items()))


def _again(
    before: Neighbour, said: Announcement, address: Address, now: float
) -> Neighbour:
    """The neighbour after one more announcement from where it is."""
    rest = [
        (other, at) for other, at in before.addresses if other != address and now - at <= GONE
    ]
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
