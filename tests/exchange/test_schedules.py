# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Any schedule of changes, losses, cuts, restarts and rounds ends with equal
boxes, once all is well again.
"""

from __future__ import annotations

import random

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.testing.boxes import MemoryBox
from tests.exchange.support import Party

PATHS = (b"x", b"y", b"d", b"d/x", b"d/e/z")
SIZES = (0, 9, 3_000, 150_000, 500_000)


@attrs.frozen
class Step:
    """
    Something that happens to a member (and another one), and the seconds that
    pass until the next thing happens.
    """

    what: str
    who: int
    other: int
    path: bytes
    size: int
    number: int
    pause: float


steps = st.builds(
    Step,
    st.sampled_from(
        [
            *["write"] * 6,
            *["remove", "link", "rename", "make a directory"],
            *["cut", "cut", "connect", "vanish", "come back", "restart", "lose the index"],
            *["start or stop", "break or mend"],
        ]
    ),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(PATHS),
    st.sampled_from(SIZES),
    st.integers(0, 5),
    st.sampled_from([0.02, 0.1, 0.5, 3.0]),
)


class Play:
    """A flock that goes through a schedule."""

    def __init__(self, count: int, seed: int, rate: int, loss: float, delay: float | None) -> None:
        self.party = Party(count, seed, rate, loss=loss)
        clock = self.party.clock
        for number, member in enumerate(self.party.members[:2]):
            box = MemoryBox(
                "second",
                random.Random(seed + number),
                None if delay is None else lambda call: clock.callLater(delay, call),
            )
            member.add(box)
        self.network = self.party.network
        self.network.start_round()

    def do(self, step: Step) -> None:
        """One step."""
        members, network = self.party.members, self.network
        member = members[step.who % len(members)]
        other = members[step.other % len(members)]
        boxes = [box for box in member.boxes if isinstance(box, MemoryBox)]
        box = boxes[step.number % len(boxes)]
        match step.what:
            case "write":
                data = random.Random(step.number).randbytes(step.size)
                box.put(step.path, data, step.number)
            case "remove":
                box.remove(step.path)
            case "link":
                box.link(step.path, b"target", step.number)
            case "make a directory":
                box.make_directory(step.path)
            case "rename" if step.path in box.files():
                box.rename(step.path, b"renamed")
            case "cut":
                network.cut(member.id, other.id)
            case "connect" if member is not other and not network.is_up(member.id, other.id):
                network.connect(member.id, other.id)
            case "vanish":
                network.vanish(member.id)
            case "come back":
                network.come_back(member.id)
            case "restart" | "lose the index":
                network.vanish(member.id)
                for box in boxes:
                    if step.what == "restart":
                        box.restart()
                    else:
                        box.lose_index()
                network.come_back(member.id, anew=True)
            case "start or stop" if network.in_round:
                network.stop_round()
            case "start or stop":
                network.start_round()
            case "break or mend":
                box.broken = not box.broken
        network.run(step.pause)

    def heal(self) -> None:
        """Everything works, and everybody hears everybody."""
        self.network.loss = 0.0
        for member in self.party.members:
            for box in member.boxes:
                assert isinstance(box, MemoryBox)
                box.broken = False
            self.network.come_back(member.id)
        if self.network.in_round:
            self.network.stop_round()


plays = st.builds(
    Play,
    st.integers(2, 4),
    st.integers(0, 99),
    st.sampled_from([200_000, 2_000_000]),
    st.sampled_from([0.0, 0.0, 0.05]),
    st.sampled_from([None, 0.0, 0.2]),
)


class AnySchedule(SynchronousTestCase):
    """Of up to four members."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(plays, st.lists(steps, max_size=15))
    def test_ends_level(self, play: Play, schedule: list[Step]) -> None:
        for step in schedule:
            play.do(step)
        play.heal()
        play.party.settle(200.0)
        for digests in play.party.digests().values():
            self.assertEqual(len(digests), 1)
