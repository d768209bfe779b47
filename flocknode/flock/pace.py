# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How fast the flock sends: the leader's decisions about the rate step.

The leader alone decides, once in four slots of rounds (longer than it takes to
hear what came of the last decision), from what members say their incoming links
delivered, and the least uplink.  Of each slot the least report counts, and of
the slots the second least: one slot alone is a process that stood still, or a
member that vanished, and says nothing of the links.

 - Until frames first fail to arrive, an octave more each time.
 - When some do, two steps less than what did arrive; and there it stays.
 - After four calm decisions, a probe: the step that was held before, if the fall
   may have been an accident, else one step more.
 - A probe that holds for two decisions (four, if that step failed before) is
   followed by one of twice the stride.
   One that fails leads back, at least two steps, and doubles the wait until the
   step that failed is tried again, up to 256 decisions.

Pure.  Which frames are real plays no part in it.
"""

from __future__ import annotations

from typing import Final

from flocknode.flock.rate import LAST_STEP, STEPS_PER_OCTAVE, UNMEASURED

DECISION_SLOTS: Final = 4
"""Slots of rounds from one decision to the next."""
FIRST_WAIT: Final = 4
LAST_WAIT: Final = 256
"""Decisions before a probe."""
_MOST_REPORTS: Final = 8
PROBE_DECISIONS: Final = 2
"""Calm decisions until a probe has not failed: queues hide for a while that a
link is too slow."""
DOUBTED_DECISIONS: Final = 4
"""The same for a step that failed before: one that is only a few per cent too
much takes this long to fill the queues, and then everything begins anew."""
FALL: Final = 2
"""Steps below what arrived, and below a probe that failed: what has piled up
in queues meanwhile must drain."""


class Pace:
    """
    The decisions of one leader.

    @ivar step: the present decision.
    """

    def __init__(self, step: int, calm: bool = False) -> None:
        """
        @param step: in force when it begins to lead.
        @param calm: go up one step at a time from the start: there may have
            been shortfalls under another leader.
        """
        self.step = step
        self._searching = not calm
        self._wait = FIRST_WAIT
        self._calm = 0
        self._slots = 0
        self._reports: dict[int, int] = {}
        # Reports of slots before the present decision was in force say nothing.
        self._counts_from = 0
        self._before_probe: int | None = None
        self._stride = 1
        # The step that failed last, decisions since then, and the one that had
        # held for long when the links became slower.
        self._failed: int | None = None
        self._since_fall = 0
        self._held: int | None = None

    def report(self, slot: int, delivered: int) -> None:
        """
        A member's incoming links delivered this step in a slot.
        """
        if delivered != UNMEASURED and slot >= self._counts_from:
            self._reports[slot] = min(delivered, self._reports.get(slot, delivered))
            if len(self._reports) > _MOST_REPORTS:
                del self._reports[min(self._reports)]

    def boundary(self, slot: int, in_round: bool, ceiling: int) -> int:
        """
        A slot begins.

        @param in_round: frames are sent in it.
        @param ceiling: the least uplink step of all members.
        @return: the step to be in force two slots later.
        """
        if in_round:
            self._slots += 1
        before = self.step
        if self._slots >= DECISION_SLOTS and len(self._reports) > 1:
            self._decide(sorted(self._reports.values())[1], ceiling)
            self._slots = 0
            self._reports.clear()
        if self.step > ceiling:
            # A slower member came: nothing was learned of the links.
            self.step = ceiling
            self._before_probe = None
        if self.step != before:
            self._counts_from = slot + 2
            self._reports.clear()
        return self.step

    def _decide(self, delivered: int, ceiling: int) -> None:
        if delivered < self.step:
            self._fall(delivered)
            return
        self._calm += 1
        self._since_fall += 1
        if self._searching:
            self.step = min(self.step + STEPS_PER_OCTAVE, ceiling, LAST_STEP)
            return
        if self._before_probe is not None:
            tried = self._failed is not None and self.step >= self._failed
            if self._calm < (DOUBTED_DECISIONS if tried else PROBE_DECISIONS):
                return
            self._hold()
        elif self._calm < FIRST_WAIT:
            return
        self._probe(ceiling)

    def _fall(self, delivered: int) -> None:
        step, probed = self.step, self._before_probe
        self._searching = False
        self._before_probe = None
        self._failed = step
        self._stride = 1
        if probed is None:
            if self._calm >= FIRST_WAIT:
                self._held = step
            self.step = max(0, delivered - FALL)
            if self._since_fall >= FIRST_WAIT:
                # Else the fall before was not deep enough, and this one is part of it.
                self._wait = FIRST_WAIT
        else:
            self._held = None
            self.step = max(0, min(probed, step - FALL))
            self._wait = min(2 * self._wait, LAST_WAIT)
        self._calm = self._since_fall = 0

    def _hold(self) -> None:
        """The probe holds; there may be room for more."""
        self._before_probe = None
        self._stride *= 2
        if self._failed is not None and self.step >= self._failed:
            self._failed = None
            self._wait = FIRST_WAIT

    def _probe(self, ceiling: int) -> None:
        target = self.step + self._stride
        if self._held is not None:
            target, self._held = max(target, self._held), None
        elif self._failed is not None:
            # Up to where it failed at once; that itself is tried again after the wait.
            patient = self._since_fall >= self._wait
            target = min(target, self._failed - (not patient))
        target = min(target, ceiling)
        if target > self.step:
            self._before_probe = self.step
            self._calm = 0
            self.step = target
