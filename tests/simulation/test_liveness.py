# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whatever befalls a flock, it recovers: random schedules of starts, crashes,
partitions, losses and clocks that jump, over three to eight nodes.

C{FLOCKNODE_SOAK=1} in the environment tries many more, with up to twenty nodes.
"""

from __future__ import annotations

import math
import os
from random import Random

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.conductor import Conductor
from flocknode.flock.flocktime import SLOT
from flocknode.flock.members import TURN
from flocknode.flock.status import Status
from flocknode.simulation.flock import SimulatedMember
from flocknode.simulation.invariants import AGREE, FRAMES, INSIDE, check_traffic
from flocknode.simulation.run import Run
from flocknode.simulation.scenario import Scenario

FAULT_FREE = 30.0
"""Seconds without a fault, in which all must become equal and idle, once the
documented wait of news that a returned node brings is over."""

COVERED = 60.0
"""The same under constant cover, which carries 64 KiB/s and not more."""

WAITS = ((0.0, 0.0), (30.0, 300.0))
"""Seconds, between which the news of a returned node wait: not at all, and as by
default."""

FOLLOWED = 6.0
"""Seconds of idleness; a round in which somebody was lost is followed by another
within five."""

CALM = ({Status.READY}, {Status.RECEIVED_ALPHA})
"""What members show when nothing is left to do: without and under constant cover."""

CERTAIN = (INSIDE, FRAMES)
"""What holds even for members that do not hear each other."""

EXAMPLES, LARGEST = (400, 20) if os.environ.get("FLOCKNODE_SOAK") else (8, 8)


@attrs.frozen
class Fault:
    """
    @ivar kind: what happens.
    @ivar node: to which node, an index that wraps around.
    @ivar wait: seconds until the next.
    @ivar measure: how much, from 0 to 1.
    """

    kind: str
    node: int
    wait: float
    measure: float


KINDS = ("put", "put", "put", "remove", "crash", "start", "cut", "heal", "lose", "sleep", "clock")

faults = st.builds(
    Fault,
    st.sampled_from(KINDS),
    st.integers(0, 7),
    st.sampled_from((0.0, 0.1, 0.3, 0.7, 1.5, 3.0, 6.0)),
    st.sampled_from((0.0, 0.1, 0.5, 1.0)),
)


class Course:
    """
    One flock, and what befalls it.
    """

    def __init__(self, nodes: int, seed: int, start: int, wait: tuple[float, float]) -> None:
        scenario = Scenario(
            nodes=nodes,
            uplink=1_250_000,
            seed=seed,
            clock_offset=3600.0,
            drift=0.0001,
            return_wait=wait,
        )
        self.run = Run(scenario)
        self.network = self.run.network
        self.members = self.run.flock.members
        self._chance = Random(f"{seed} faults")
        self._files = 0
        self.network.at(0.0, self.run._patrol)
        for member in self.members[:start]:
            self.network.at(self._chance.uniform(0, 1), member.host.start)

    def befall(self, fault: Fault) -> None:
        """Let it happen, and then some time pass."""
        member = self.members[fault.node % len(self.members)]
        getattr(self, f"_{fault.kind}")(member, fault.measure)
        self.network.run(fault.wait)

    def recover(self) -> None:
        """From now on there are no faults, and everybody runs."""
        self.network.heal()
        self.network.lose(0.0)
        for member in self.members:
            if member.host.engine is None:
                member.host.start()

    def good(self) -> bool:
        """
        Whether all boxes are equal, and all members aware of each other and idle,
        or if anybody asks for that, under constant cover.
        """
        states = self.run.states().values()
        calm = CALM[bool(self.run.flock.constant)]
        return all(s.status in calm and len(s.alive) == len(states) - 1 for s in states) and all(
            m.box.values() == self.members[0].box.values() for m in self.members
        )

    def becomes_good(self, seconds: float) -> bool:
        """Whether it does within so many seconds, and then stays so."""
        end = self.network.time + seconds
        since = math.inf
        while self.network.time < min(end, since) + FOLLOWED:
            self.network.run(0.1)
            since = min(since, self.network.time) if self.good() else math.inf
            if self.network.time > end + FOLLOWED:
                return False
        return since <= end

    def _put(self, member: SimulatedMember, measure: float) -> None:
        if member.host.engine is not None:
            self._files += 1
            size = int(300_000 * measure)
            content = Random(f"content {self._files}").randbytes(size)
            member.box.put(b"file %d" % (self._files % 4), content, self._files)

    def _remove(self, member: SimulatedMember, measure: float) -> None:
        present = sorted(member.box.values())
        if member.host.engine is not None and present:
            member.box.remove(present[int(measure * (len(present) - 1))])

    def _crash(self, member: SimulatedMember, measure: float) -> None:
        if member.host.engine is not None:
            self.run.crash(member)

    def _start(self, member: SimulatedMember, measure: float) -> None:
        if member.host.engine is None:
            member.host.start()

    def _cut(self, member: SimulatedMember, measure: float) -> None:
        first = 1 + int(measure * (len(self.members) - 2))
        ids = [m.me for m in self.members if m is not member]
        self.network.partition([member.me, *ids[: first - 1]], ids[first - 1 :])

    def _heal(self, member: SimulatedMember, measure: float) -> None:
        self.network.heal()

    def _lose(self, member: SimulatedMember, measure: float) -> None:
        self.network.lose(0.2 * measure)

    def _sleep(self, member: SimulatedMember, measure: float) -> None:
        if member.host.engine is not None:
            self.run.witness.hinder(member.host)
            member.host.stand_still(0.2 + 5 * measure)

    def _clock(self, member: SimulatedMember, measure: float) -> None:
        """The wall clock jumps, and the process is started anew."""
        member.host.turn_wall(int(7_200_000 * (measure - 0.5)))
        if member.host.engine is not None:
            self.run.crash(member)
        member.host.start()


class Liveness(SynchronousTestCase):
    """It always ends well."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not os.environ.get("FLOCKNODE_SOAK"),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        nodes=st.integers(3, LARGEST),
        seed=st.integers(0, 1 << 30),
        share=st.floats(0, 1),
        wait=st.sampled_from(WAITS),
        course=st.lists(faults, min_size=4, max_size=16),
    )
    def test_a_flock_without_faults_becomes_equal_and_idle(
        self,
        nodes: int,
        seed: int,
        share: float,
        wait: tuple[float, float],
        course: list[Fault],
    ) -> None:
        flock = Course(nodes, seed, round(share * nodes), wait)
        for fault in course:
            flock.befall(fault)
        flock.recover()
        told = f"{nodes} nodes, seed {seed}, share {share}, wait {wait}, {course}"
        good = flock.becomes_good(wait[1] + FAULT_FREE)
        states = [(s.status, len(s.alive)) for s in flock.run.states().values()]
        self.assertTrue(good, f"{told}: {states}")
        self.assertEqual(flock.run.patrol.breaches, [], told)
        inside = list(check_traffic(flock.run.witness, nodes - 1, calm=False))
        self.assertEqual([b for b in inside if b.invariant in CERTAIN], [], told)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not os.environ.get("FLOCKNODE_SOAK"),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        nodes=st.integers(3, 6),
        seed=st.integers(0, 1 << 30),
        share=st.floats(0, 1),
        asks=st.sets(st.integers(0, 2), min_size=1),
        course=st.lists(faults, min_size=4, max_size=16),
    )
    def test_so_does_a_flock_of_which_some_ask_for_constant_cover(
        self, nodes: int, seed: int, share: float, asks: set[int], course: list[Fault]
    ) -> None:
        flock = Course(nodes, seed, round(share * nodes), (0.0, 0.0))
        flock.run.flock.constant |= {flock.members[index].me for index in asks}
        for fault in course:
            flock.befall(fault)
        flock.recover()
        told = f"{nodes} nodes, seed {seed}, share {share}, {asks} ask, {course}"
        good = flock.becomes_good(COVERED)
        states = [(s.status, len(s.alive)) for s in flock.run.states().values()]
        self.assertTrue(good, f"{told}: {states}")
        # Those who do not hear of one who asks do what they would do without him.
        breaches = [b for b in flock.run.patrol.breaches if b.invariant != AGREE]
        self.assertEqual(breaches, [], told)

    def test_news_of_two_who_do_not_hear_each_other_go_by_way_of_a_third(self) -> None:
        """Of those two only one is in the set at a time; they take turns."""
        flock = Course(3, 5, 3, (0.0, 0.0))
        middle, *apart = flock.members
        self.assertTrue(flock.becomes_good(FAULT_FREE))
        flock.network.partition(*([middle.me, member.me] for member in apart))
        for member in apart:
            flock.befall(Fault("put", flock.members.index(member), 3.0, 0.5))
        waited = 0
        while any(m.box.values() != middle.box.values() for m in apart):
            flock.network.run(1.0)
            waited += 1
            self.assertLess(waited, 2 * TURN * SLOT + FAULT_FREE)
        self.assertGreater(waited, FAULT_FREE)
        flock.recover()
        self.assertTrue(flock.becomes_good(FAULT_FREE))
        self.assertEqual(flock.run.patrol.breaches, [])

    def test_who_has_ended_a_later_round_joins_the_one_that_goes_on(self) -> None:
        # Both sides of a partition run a round when it ends; three members are
        # done with theirs before they hear of the older one.
        flock = Course(14, 207, 3, (0.0, 0.0))
        for kind, node, wait, measure in (
            ("put", 0, 3.0, 0.5),
            ("put", 15, 6.0, 0.0),
            ("put", 10, 0.3, 0.1),
            ("put", 2, 0.3, 1.0),
            ("remove", 12, 0.7, 0.1),
            ("lose", 4, 6.0, 0.0),
            ("start", 1, 1.5, 0.1),
            ("put", 10, 6.0, 0.5),
            ("heal", 4, 0.7, 0.5),
            ("put", 11, 1.5, 1.0),
            ("start", 11, 0.3, 0.5),
            ("cut", 11, 6.0, 0.1),
            ("clock", 7, 0.1, 0.5),
            ("lose", 16, 1.5, 0.5),
            ("start", 16, 0.7, 0.1),
        ):
            flock.befall(Fault(kind, node, wait, measure))
        flock.recover()
        self.assertTrue(flock.becomes_good(FAULT_FREE))
        self.assertEqual(flock.run.patrol.breaches, [])

    def test_a_flock_that_does_not_recover_is_found(self) -> None:
        self.patch(Conductor, "call", lambda conductor, now: None)
        flock = Course(3, 1, 2, (0.0, 0.0))
        flock.befall(Fault("put", 0, 8.0, 1.0))
        flock.recover()
        self.assertFalse(flock.becomes_good(FAULT_FREE))
