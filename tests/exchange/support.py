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

    def is_equal(self, *numbers: int) -> bool:
        """Do the folders of these (of all) members hold the same?"""
        boxes = [self.boxes[number] for number in numbers] or self.boxes
        files = boxes[0].files()
        return all(not box.needs() and box.files() == files for box in boxes)

    def is_level(self) -> bool:
        """Equal, and everybody knows it."""
        return (
            self.is_equal()
            and len({box.digest for box in self.boxes}) == 1
            and all(member.offer[1:3] == (0, 0) for member in self.members)
        )

    def settle(self, at_most: float = 60.0) -> float:
        """One round until all are level.  @return: the seconds it took."""
        self.network.start_round()
        taken = self.network.run_until(self.is_level, at_most)
        self.network.stop_round()
        return taken
