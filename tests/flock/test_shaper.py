# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.shaper}."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.interfaces import MemberId, Priority
from flocknode.flock.link import Outgoing
from flocknode.flock.messages import parse_frame
from flocknode.flock.shaper import DITHER, DITHER_AT_FIRST, Shaper, SlotPlan
from tests.flock.support import IDS, record

START = 100.0


class Emission:
    """A shaper, and what it handed over."""

    def __init__(
        self,
        frames: int = 8,
        slots: int = 3,
        members: int = 2,
        full: Callable[[MemberId, float], bool] = lambda member, now: False,
        plan: Callable[[int], SlotPlan | None] | None = None,
        *,
        ticks: random.Random | None = None,
    ) -> None:
        self.links = [Outgoing(member, 1) for member in IDS[:members]]
        self.sent: list[tuple[float, MemberId, bytes]] = []
        self.consumed: Counter[tuple[MemberId, Priority]] = Counter()
        self.now = START - 1
        self.full = full

        def steady(slot: int) -> SlotPlan | None:
            start = START + slot * 0.5
            return SlotPlan(slot, start, start + 0.5, frames, 4117) if slot < slots else None

        self.shaper = Shaper(self.links, self.send, self.consume, random.Random(3), ticks)
        self.shaper.begin(0, steady if plan is None else plan, self.now)

    def send(self, member: MemberId, message: bytes) -> bool:
        if self.full(member, self.now):
            return False
        self.sent.append((self.now, member, message))
        return True

    def consume(self, member: MemberId, priority: Priority, size: int) -> None:
        self.consumed[member, priority] += size

    def run(
        self, until: float = START + 10, late: Callable[[float], float] = lambda due: 0.0
    ) -> None:
        """Wake up when due, or later."""
        while self.shaper.due <= until:
            self.now = max(self.now, self.shaper.due + late(self.shaper.due))
            self.shaper.advance(self.now)

    def counts(self) -> Counter[tuple[int, MemberId]]:
        """Frames by slot and link."""
        return Counter((parse_frame(m).slot, member) for _, member, m in self.sent)

    def times(self) -> list[float]:
        return [round(time - START, 6) for time, _, _ in self.sent]


class ShapeTests(SynchronousTestCase):
    """Times and numbers of frames."""

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 400))
    def test_each_link_carries_exactly_its_frames_in_each_slot(self, frames: int) -> None:
        emission = Emission(frames)
        emission.run()
        expected = {(slot, member): frames for slot in range(3) for member in IDS[:2]}
        self.assertEqual(emission.counts(), expected)

    def test_frames_are_spread_evenly_over_ticks_of_10_ms(self) -> None:
        emission = Emission(frames=5, slots=1, members=1)
        emission.run()
        self.assertEqual(emission.times(), [0.0, 0.1, 0.2, 0.3, 0.4])

    def test_no_tick_has_more_than_its_share(self) -> None:
        emission = Emission(frames=120, slots=1, members=1)
        emission.run()
        self.assertEqual(set(Counter(emission.times()).values()), {2, 3})
        self.assertEqual(len(set(emission.times())), 50)

    def test_ticks_come_later_by_chance_and_most_in_the_first_slot(self) -> None:
        emission = Emission(frames=50, slots=3, members=1, ticks=random.Random(1))
        emission.run()
        late = [time - number / 100 for number, time in enumerate(emission.times())]
        for slot, most in enumerate((DITHER_AT_FIRST, DITHER, DITHER)):
            there = late[50 * slot : 50 * slot + 50]
            self.assertGreaterEqual(min(there), 0.0)
            self.assertLessEqual(max(there), most)
            self.assertGreater(max(there), 0.9 * most)
        self.assertEqual(set(emission.counts().values()), {50})

    def test_half_of_a_slot_may_leave_in_a_burst(self) -> None:
        for frames in (8, 9, 50, 333):
            def plan(slot: int, frames: int = frames) -> SlotPlan | None:
                start = START + slot * 0.5
                burst = 0 if slot else frames // 2
                return SlotPlan(slot, start, start + 0.5, frames, 4117, burst) if slot < 2 else None

            emission = Emission(members=1, plan=plan)
            emission.run()
            times = emission.times()
            self.assertEqual(len(times), 2 * frames)
            self.assertEqual(sum(time < 0.11 for time in times), frames // 2)
            self.assertEqual(sum(time < 0.5 for time in times), frames)
            rest = [time for time in times if 0.11 <= time < 0.5]
            self.assertGreater(max(rest) - min(rest), 0.25)

    def test_a_burst_that_was_missed_is_made_up_evenly(self) -> None:
        def plan(slot: int) -> SlotPlan | None:
            return None if slot else SlotPlan(0, START, START + 0.5, 50, 4117, 25)

        late = Emission(members=1, plan=plan)
        late.run(late=lambda due: 0.13 if START <= due < START + 0.01 else 0.0)
        refused = Emission(members=1, plan=plan, full=lambda member, now: now < START + 0.05)
        refused.run()
        for emission in (late, refused):
            self.assertEqual(len(emission.sent), 50)
            self.assertLessEqual(max(Counter(emission.times()).values()), 3)

    def test_nothing_depends_on_what_is_queued(self) -> None:
        empty, full = Emission(), Emission()
        full.links[0].put(Priority.BULK, record(bytes(50_000)))
        for emission in (empty, full):
            emission.run()
        shape = [[(t, to, len(m)) for t, to, m in e.sent] for e in (empty, full)]
        self.assertEqual(*shape)
        self.assertNotEqual(empty.sent, full.sent)

    def test_links_are_in_an_order_drawn_anew(self) -> None:
        emission = Emission(frames=50, members=5)
        emission.run()
        orders = {
            tuple(to for _, to, _ in emission.sent[at : at + 5])
            for at in range(0, len(emission.sent), 5)
        }
        self.assertGreater(len(orders), 50)

    def test_a_slot_that_is_cut_short_has_all_its_frames(self) -> None:
        def plan(slot: int) -> SlotPlan | None:
            return None if slot else SlotPlan(0, START, START + 0.46, 7, 4117)

        emission = Emission(members=1, plan=plan)
        emission.run()
        self.assertEqual(len(emission.sent), 7)
        self.assertLess(max(emission.times()), 0.46)

    def test_payload_is_taken_one_tick_before_it_leaves(self) -> None:
        emission = Emission(frames=5, members=1)
        emission.run(until=START + 0.0899)
        emission.links[0].put(Priority.CONTROL, record(b"in time"))
        emission.run(until=START + 0.11)
        self.assertTrue(parse_frame(emission.sent[1][2]).payload)
        self.assertEqual(emission.consumed, {(IDS[0], Priority.CONTROL): 11})

    def test_after_the_last_slot_it_is_idle(self) -> None:
        emission = Emission()
        emission.run()
        self.assertEqual(emission.shaper.due, float("inf"))

    def test_halting_gives_built_payload_back(self) -> None:
        emission = Emission(members=1)
        emission.links[0].put(Priority.BULK, record(b"later"))
        emission.run(until=START - 0.005)
        emission.shaper.halt()
        emission.run()
        self.assertEqual(emission.sent, [])
        built = emission.links[0].build(0, 4117)
        self.assertIn(b"later", built.message)
        self.assertEqual(built.sequence, 0)


class LatenessTests(SynchronousTestCase):
    """What is done about missed ticks."""

    def late_once(self, at: float, by: float) -> Callable[[float], float]:
        """Stand still once."""
        done: list[float] = []

        def late(due: float) -> float:
            if due < START + at or done:
                return 0.0
            done.append(due)
            return by

        return late

    def test_missed_frames_are_made_up_over_the_rest_of_the_slot(self) -> None:
        emission = Emission(frames=50, slots=2, members=1)
        emission.run(late=self.late_once(0.1, 0.1))
        self.assertEqual(set(emission.counts().values()), {50})
        after = Counter(t for t in emission.times() if 0.205 < t < 0.495)
        self.assertEqual(set(after.values()), {1, 2})

    def test_a_stall_at_the_very_end_of_a_slot_loses_nothing(self) -> None:
        emission = Emission(frames=50, slots=2, members=1)
        emission.run(late=self.late_once(0.47, 0.025))
        self.assertEqual(set(emission.counts().values()), {50})

    def test_they_are_made_up_at_twice_the_rate_at_most(self) -> None:
        emission = Emission(frames=50, slots=1, members=1)
        emission.run(late=self.late_once(0.05, 0.4))
        self.assertLessEqual(max(Counter(emission.times()).values()), 2)
        self.assertEqual(emission.shaper.tally.missed + len(emission.sent), 50)

    def test_a_long_stall_is_no_burst(self) -> None:
        emission = Emission(frames=50, slots=100, members=1)
        emission.run(until=START + 40, late=self.late_once(0.1, 30.0))
        resumed = [t for t in emission.times() if 30 < t < 30.3]
        self.assertLess(len(resumed), 65)
        self.assertGreater(emission.shaper.tally.missed, 2900)

    def test_lateness_is_measured(self) -> None:
        emission = Emission()
        emission.run(late=lambda due: 0.001)
        tally = emission.shaper.tally
        self.assertAlmostEqual(tally.lateness.mean, 0.001)
        self.assertAlmostEqual(tally.lateness.worst, 0.001)


class FullQueueTests(SynchronousTestCase):
    """A link that takes nothing for a while."""

    def test_what_it_refuses_is_made_up_and_no_byte_is_lost_or_turned_round(self) -> None:
        emission = Emission(
            frames=50,
            slots=2,
            full=lambda member, now: member == IDS[0] and START + 0.1 < now < START + 0.25,
        )
        body = bytes(range(250)) * 400
        for link in emission.links:
            link.put(Priority.BULK, record(body))
        emission.run()
        self.assertEqual(set(emission.counts().values()), {50})
        for member in IDS[:2]:
            frames = [parse_frame(m) for _, to, m in emission.sent if to == member]
            self.assertEqual([frame.sequence for frame in frames], list(range(100)))
            self.assertEqual(b"".join(frame.payload for frame in frames), record(body))
        self.assertGreater(emission.shaper.tally.refused, 10)

    def test_the_other_links_do_not_notice(self) -> None:
        def times(full: Callable[[MemberId, float], bool]) -> list[float]:
            emission = Emission(frames=50, full=full)
            emission.run()
            return [t for t, to, _ in emission.sent if to == IDS[1]]

        alone = times(lambda member, now: member == IDS[0])
        self.assertEqual(alone, times(lambda member, now: False))

    def test_what_it_never_takes_is_missed(self) -> None:
        emission = Emission(full=lambda member, now: member == IDS[0])
        emission.run()
        self.assertEqual(emission.shaper.tally.missed, 24)
        self.assertEqual(emission.shaper.tally.sent, 24)

    def test_payload_forgotten_while_built_does_not_leave(self) -> None:
        emission = Emission(frames=5, slots=1, members=1)
        emission.links[0].put(Priority.BULK, record(b"for a past life"))
        emission.run(until=START - 0.005)
        emission.links[0].forget()
        emission.run()
        frames = [parse_frame(message) for _, _, message in emission.sent]
        self.assertEqual([len(frame.payload) for frame in frames], [0] * 5)
        self.assertEqual(len({frame.sequence for frame in frames}), 5)
