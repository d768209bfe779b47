# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Runs a scenario from beginning to end.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
from typing import Final

import attrs

from flocknode.flock.interfaces import FlockState
from flocknode.simulation.flock import SimulatedFlock, SimulatedMember
from flocknode.simulation.invariants import EQUAL, IDLE, Breach, Patrol, check_traffic
from flocknode.simulation.scenario import Scenario
from flocknode.simulation.traces import TraceWriter
from flocknode.simulation.witness import Tally, Witness

LOOK: Final = 0.02
"""Seconds between two looks whether all have it: how exact that time is."""
PATROL: Final = 0.25
"""Seconds between two looks at everybody's state."""
STARTS: Final = 2.0
"""Seconds within which the nodes start."""
SETTLED: Final = 2.0
"""Seconds of idleness after which the flock is thought to be formed, or done."""
IDLE_WITHIN: Final = 60.0
"""Seconds after the end in which all have to become idle, at least."""
FORMED_WITHIN: Final = 60.0
"""Seconds."""
_MIB: Final = 1 << 20
NAME: Final = b"new"
"""Of the file."""


@attrs.frozen
class Outcome:
    """
    What came of it.

    @ivar change: when the source made the change: seconds since the start.
    @ivar first_frame: the start of the first round after it, since the change;
        None if there was none.
    @ivar all_have_it: seconds since the change; None if it never came to that.
    @ivar rounds: that began after the change; C{unfinished}: after which some
        node lacked something.
    @ivar steps: the rate step at the start of the first round and the lowest and
        the last after it.
    @ivar tally: of all after the change.
    @ivar time: at the end, seconds since the start.
    @ivar breaches: of what must hold.
    """

    scenario: Scenario
    change: float
    first_frame: float | None
    all_have_it: float | None
    rounds: int
    unfinished: int
    steps: tuple[int, ...]
    tally: Tally
    time: float
    breaches: tuple[Breach, ...]

    @property
    def ratio(self) -> float | None:
        """Seconds from the first frame until all have it, over S/U."""
        if self.all_have_it is None or self.first_frame is None:
            return None
        return (self.all_have_it - self.first_frame) / self.scenario.ideal


class Run:
    """
    One run of a scenario.

    @ivar flock: all members, as they are.
    """

    def __init__(self, scenario: Scenario, writer: TraceWriter | None = None) -> None:
        self.scenario = scenario
        self.witness = Witness(writer)
        self.flock = SimulatedFlock(scenario, self.witness)
        self.network = self.flock.network
        self.network.watched = writer is not None
        self.patrol = Patrol(self.witness)
        self._steps: list[int] = []
        self._chance = Random(f"{scenario.seed} course")

    def run(self) -> Outcome:
        """Let it happen."""
        gc_was = gc.get_threshold()
        # Nearly nothing here is garbage in circles, and all machines stay to the end.
        gc.set_threshold(1_000_000, 50, 100)
        gc.freeze()
        try:
            return self._run()
        finally:
            gc.unfreeze()
            gc.set_threshold(*gc_was)

    def _run(self) -> Outcome:
        scenario, network = self.scenario, self.network
        network.at(0.0, self._patrol)
        for member in self.flock.members:
            if member.host.number not in scenario.late:
                network.at(self._chance.uniform(0, STARTS), member.host.start)
        network.run(STARTS + 1)
        formed = network.run_until(self.settled(), FORMED_WITHIN)
        breaches = [] if formed else [Breach(IDLE, "the flock did not form within 60 s")]
        # Anywhere in a slot, as changes are.
        network.run(self._chance.uniform(0, 0.5))
        change, before = network.time, attrs.evolve(self.witness.tally)
        known = set(self.witness.rounds)
        self._schedule()
        content = _content(scenario.seed, scenario.size)
        self._steps.clear()
        self.flock.members[scenario.source - 1].box.put(NAME, content)
        end = change + scenario.patience
        all_have_it = None
        while network.time < end:
            if all_have_it is None and self.equal():
                all_have_it = network.time - change
            if all_have_it is not None and network.time > change + scenario.last_event:
                break
            network.run(LOOK)
        idle = network.run_until(self.settled(), max(end - network.time, IDLE_WITHIN))
        breaches += self._final(all_have_it is not None, idle)
        rounds = {id: seen for id, seen in self.witness.rounds.items() if id not in known}
        starts = [min(seen.started.values()) for seen in rounds.values() if seen.started]
        after = self.witness.tally
        return Outcome(
            scenario,
            change,
            min(starts) - change if starts else None,
            all_have_it,
            len(rounds),
            sum(seen.unfinished for seen in rounds.values()),
            (self._steps[0], min(self._steps), self._steps[-1]) if self._steps else (),
            Tally(
                *(
                    getattr(after, field.name) - getattr(before, field.name)
                    for field in attrs.fields(Tally)
                )
            ),
            network.time,
            tuple(breaches),
        )

    def equal(self) -> bool:
        """Whether all nodes, running or not, hold the same and the new file."""
        first, *others = (member.box.values() for member in self.flock.members)
        return NAME in first and all(other == first for other in others)

    # The course of things

    def _schedule(self) -> None:
        """What is to happen, from now on."""
        scenario, network, now = self.scenario, self.network, self.network.time
        for node, time in scenario.late.items():
            network.at(now + time, self.flock.members[node - 1].host.start)
        for crash in scenario.crashes:
            for node in sorted(frozenset().union(*crash.groups)):
                member = self.flock.members[node - 1]
                network.at(now + crash.start, self.crash, member)
                network.at(now + crash.end, member.host.start)
        for partition in scenario.partitions:
            groups = [
                [self.flock.members[node - 1].me for node in sorted(group)]
                for group in partition.groups
            ]
            network.at(now + partition.start, network.partition, *groups)
            network.at(now + partition.end, network.heal)

    def crash(self, member: SimulatedMember) -> None:
        """A node is gone from one moment to the next."""
        self.witness.crashed(member.host)
        member.crash()

    def states(self) -> dict[int, FlockState]:
        """Of all that run, by number."""
        return {m.host.number: m.shown for m in self.flock.members if m.host.runs}

    def _patrol(self) -> None:
        states = self.states()
        self.patrol.look(self.network.time, states)
        self._steps += [state.step for state in states.values() if state.round_id][:1]
        self.network.at(self.network.time + PATROL, self._patrol)

    def settled(self) -> Callable[[], bool]:
        """A condition: all that run have been idle, and seen each other, for a while."""
        since = self.network.time
        look = 0.0

        def settled() -> bool:
            nonlocal since, look
            now = self.network.time
            if now >= look:
                look = now + LOOK
                states = self.states().values()
                if any(s.status != 100 or len(s.alive) != len(states) - 1 for s in states):
                    since = now
            return now - since >= SETTLED

        return settled

    def _final(self, equal: bool, idle: bool) -> list[Breach]:
        """What does not hold, at the end."""
        breaches = list(self.patrol.breaches)
        if not equal:
            breaches.append(Breach(EQUAL, f"not all did within {self.scenario.patience:.0f} s"))
        elif not self.equal():
            breaches.append(Breach(EQUAL, "all did, but do not any more"))
        if not idle:
            states = sorted({(s.status, len(s.alive)) for s in self.states().values()})
            what = ", ".join(f"state {status} with {alive} alive" for status, alive in states)
            breaches.append(Breach(IDLE, f"there is {what}"))
        links = self.scenario.nodes - 1
        breaches += check_traffic(self.witness, links, self.scenario.calm)
        return breaches


def _content(seed: int, size: int) -> bytes:
    """Bytes of which no two blocks are equal."""
    chance = Random(f"{seed} content")
    whole, rest = divmod(size, _MIB)
    parts = [chance.randbytes(_MIB) for _ in range(whole)]
    return b"".join([*parts, chance.randbytes(rest)])
