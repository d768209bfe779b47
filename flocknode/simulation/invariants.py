# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What must hold in every flock, whatever happens to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from flocknode.flock.interfaces import FlockState
from flocknode.flock.rate import SLOT_SECONDS, slot_payload
from flocknode.flock.status import Status
from flocknode.simulation.witness import Witness

EQUAL: Final = "all equal at the end"
IDLE: Final = "all idle at the end"
STOPS: Final = "same stop slots"
INSIDE: Final = "no frame outside rounds"
FRAMES: Final = "same frames on each link"
AGREE: Final = "no disagreement for longer than 2 s"
TIMELY: Final = "no state outlives its time-out"
ALL: Final = (EQUAL, IDLE, STOPS, INSIDE, FRAMES, AGREE, TIMELY)

DISAGREEMENT: Final = 2.0
"""Seconds."""
TIME_OUTS: Final = {
    # the announcer's patience, and a slot
    Status.ANNOUNCING_MORE: 11.0,
    Status.ACKNOWLEDGING_MORE: 11.0,
    # a round starts at most 1.5 s after it was called
    Status.METADATA_MORE: 3.0,
    Status.PROMOTING_MORE: 3.0,
    # one slot
    Status.STOPPING: 2.0,
    Status.ENDED: 2.0,
    # three slots, from the start on if it has not started
    Status.GIVING_UP: 5.0,
}
"""Seconds after which a member is in another state, or in another round."""
_ROUND: Final = 10.0
"""Seconds that a round may take on top of twice what was planned."""


class Breach(NamedTuple):
    """
    Something does not hold.

    @ivar invariant: which: one of L{ALL}.
    @ivar what: happened, in a clause.
    """

    invariant: str
    what: str


class Patrol:
    """
    Looks at all members every now and then.

    @ivar breaches: found so far.
    """

    def __init__(self, witness: Witness) -> None:
        self.breaches: list[Breach] = []
        self._witness = witness
        self._since: dict[int, tuple[FlockState, float]] = {}
        self._differ: dict[int, float] = {}
        self._slowest = 255
        self._told: set[tuple[str, int]] = set()

    def look(self, time: float, states: dict[int, FlockState]) -> None:
        """@param states: of the members that run, by number."""
        self._look_for_disagreement(time, states)
        self._slowest = min([self._slowest, *(state.step for state in states.values())])
        for gone in self._since.keys() - states.keys():
            del self._since[gone]
        for number, state in states.items():
            before, since = self._since.get(number, (None, time))
            same = (
                before is not None
                and before.status == state.status
                and before.round_id == state.round_id
            )
            if not same:
                self._since[number] = state, time
            elif time - since > self._time_out(state):
                self._breach(
                    TIMELY,
                    number,
                    f"node {number} is in state {state.status} since {since:.2f} s,"
                    f" which is {time - since:.1f} s",
                )

    def planned(self, budget: int) -> float:
        """Seconds of a round in which each link carries so much."""
        return SLOT_SECONDS * budget / slot_payload(min(self._slowest, 112))

    def _time_out(self, state: FlockState) -> float:
        if state.status == Status.READY or state.constant:
            return float("inf")
        time_out = TIME_OUTS.get(Status(state.status))
        if time_out is not None:
            return time_out
        seen = self._witness.rounds.get(state.round_id)
        return _ROUND + 2 * self.planned(seen.budget if seen else 0)

    def _look_for_disagreement(self, time: float, states: dict[int, FlockState]) -> None:
        """Among those who show that they take part with the same members."""
        rounds: dict[int, set[int]] = {}
        for number, state in states.items():
            shown = self._witness.shown.get(number)
            if shown is not None:
                rounds.setdefault(shown.members, set()).add(state.round_id)
        differ = {members for members, ids in rounds.items() if len(ids) > 1}
        self._differ = {members: self._differ.get(members, time) for members in differ}
        for members, since in self._differ.items():
            if time - since > DISAGREEMENT:
                ids = sorted(rounds[members])
                self._breach(
                    AGREE, members, f"at {time:.2f} s members were in rounds {ids} for 2 s"
                )

    def _breach(self, invariant: str, who: int, what: str) -> None:
        if (invariant, who) not in self._told:
            self._told.add((invariant, who))
            self.breaches.append(Breach(invariant, what))


def check_traffic(witness: Witness, links: int, calm: bool) -> Iterator[Breach]:
    """
    What all that left has in common.

    @param links: of each node.
    @param calm: nobody crashed, nothing was lost: then all nodes send the same
        in each slot, too.
    """
    for time, node in witness.outside:
        yield Breach(INSIDE, f"node {node} sent a frame at {time:.3f} s")
    for round_id, seen in witness.rounds.items():
        slots = Counter(seen.stops.values())
        if len(slots) > 1:
            yield Breach(STOPS, f"round {round_id} stopped at {_several(sorted(slots))}")
    by_slot: dict[tuple[int, int], set[int]] = {}
    for (round_id, slot, node), counts in witness.counts.items():
        if (slot, node) in witness.hindered:
            continue
        if len(counts) > 1 or sum(counts.values()) != links:
            frames = ", ".join(f"{frames} on {of} links" for frames, of in sorted(counts.items()))
            yield Breach(FRAMES, f"node {node} sent {frames} in slot {slot}")
        by_slot.setdefault((round_id, slot), set()).update(counts)
    if calm:
        for (_, slot), sent in by_slot.items():
            if len(sent) > 1:
                yield Breach(FRAMES, f"nodes sent {_several(sorted(sent))} frames in slot {slot}")


def _several(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))
