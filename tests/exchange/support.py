# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What tests of the exchange share.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from twisted.internet.task import Clock

from flocknode.exchange.clock import RoundClock
from flocknode.exchange.records import LENGTH, Record, decode
from flocknode.testing.boxes import MemoryBox
from flocknode.testing.links import LinkNetwork, Member

MEMBER = b"m" * 16
OTHER = b"o" * 16


class Sent:
    """Links that keep what was sent."""

    def __init__(self) -> None:
        self.data: list[tuple[bytes, int, bytes]] = []
        self.skipped: list[bytes] = []

    def skip(self, member: bytes) -> None:
        """See L{flocknode.exchange.interfaces.Links}."""
        self.skipped.append(member)

    def send(self, member: bytes, priority: int, data: bytes) -> None:
        """See L{flocknode.exchange.interfaces.Links}."""
        self.data.append((member, priority, data))

    def take(self, priority: int | None = None) -> list[Record]:
        """The records that were sent since this was last asked for any priority."""
        records = []
        for _member, at, data in self.data:
            if priority in (None, at):
                records += list(records_in(data))
        self.data = [sent for sent in self.data if priority not in (None, sent[1])]
        return records

    def size(self, priority: int) -> int:
        """Bytes that were sent and not taken."""
        return sum(len(data) for _member, at, data in self.data if at == priority)


def records_in(data: bytes) -> Iterable[Record]:
    """The records of a piece of a stream."""
    while data:
        end = LENGTH.size + LENGTH.unpack_from(data)[0]
        record = decode(data[LENGTH.size : end])
        assert record is not None
        yield record
        data = data[end:]


def running(clock: Clock) -> RoundClock:
    """A clock in a round that has just begun."""
    round_clock = RoundClock(clock.seconds)
    round_clock.start()
    return round_clock


class Party:
    """
    A flock of exchanges with a box each.

    @ivar boxes: one for each member, in order.
    """

    def __init__(self, count: int, seed: int = 1, rate: int = 2_000_000, **more: float) -> None:
        self.clock = Clock()
        self.network = LinkNetwork(self.clock, random.Random(seed), rate=rate, **more)
        self.members: list[Member] = []
        self.boxes: list[MemoryBox] = []
        for number in range(count):
            member = self.network.member(bytes([number + 1]) * 16)
            box = MemoryBox(random=random.Random(seed * 100 + number))
            member.add(box)
            self.members.append(member)
            self.boxes.append(box)

    def by_name(self, *numbers: int) -> dict[str, list[MemoryBox]]:
        """The boxes of these (of all) members."""
        found: dict[str, list[MemoryBox]] = {}
        for member in [self.members[number] for number in numbers] or self.members:
            for box in member.boxes:
                assert isinstance(box, MemoryBox)
                found.setdefault(box.name, []).append(box)
        return found

    def is_equal(self, *numbers: int) -> bool:
        """Do the boxes of these (of all) members that have the same name hold the same?"""
        return all(
            not box.needs() and box.files() == boxes[0].files()
            for boxes in self.by_name(*numbers).values()
            for box in boxes
        )

    def digests(self) -> dict[str, set[bytes]]:
        """What the boxes of each name show."""
        return {name: {box.digest for box in boxes} for name, boxes in self.by_name().items()}

    def is_level(self) -> bool:
        """Equal, and everybody knows it."""
        return all(member.offer[1:3] == (0, 0) for member in self.members) and self.is_equal()

    def settle(self, at_most: float = 60.0) -> float:
        """One round until all are level.  @return: the seconds it took."""
        start = self.clock.seconds()
        self.network.start_round()
        # At first nobody knows of anything that it lacks.
        self.network.run(0.5)
        self.network.run_until(self.is_level, at_most)
        self.network.stop_round()
        return self.clock.seconds() - start
