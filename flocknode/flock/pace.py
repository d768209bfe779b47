# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How fast the flock sends: the leader's decisions about the rate step.

The leader alone decides, from what members say their incoming links delivered,
and the least uplink.

 - Down: once in four slots of rounds (longer than it takes to hear what came of
   the last decision), if frames did not arrive, to four steps less than what did.
   Of each slot the least report counts, and of the slots the second least: one
   slot alone is a process that stood still, or a member that vanished, and says
   nothing of the links.
 - Up: below the least uplink each eighth slot begins with a burst, the same number
   of frames as ever but half of them at twice the rate.  How quickly those arrive
   says what the link would carry, up to twice the step in force, without anything
   being sent too much.  If every member has said so, the least of that is the next
   step; at once if it is much more than the present one, else if the burst before
   said so, too.
 - After a while in which neither happens, one step more, to see.
 - A step that failed is not believed in again for four decisions, then eight, and
   so on up to 256; unless five steps more than that are measured.
 - One that had held for long, and did not fail by much, may have met an accident: a
   line that lost a packet, a processor that was busy elsewhere.  It is tried once
   more soon.

Pure.  Which frames are real plays no part in it.
"""

from __future__ import annotations

from typing import Final

from flocknode.flock.rate import UNMEASURED

DECISION_SLOTS: Final = 4
"""Slots of rounds from one decision to the next."""
FIRST_WAIT: Final = 4
LAST_WAIT: Final = 256
"""Decisions until a step that failed is tried again."""
HOLDS: Final = 4
"""Calm decisions after which a step has not failed: queues hide for a while that
a link is a little too slow."""
PATIENCE: Final = 8
"""Calm decisions after which one step more is tried unmeasured: on a line whose
delays vary much, a burst seems to take longer than it does."""
_MOST_REPORTS: Final = 8
TRUSTED: Final = 8
"""Calm decisions after which a step that fails may have met an accident."""
ACCIDENT: Final = 8
"""Steps, half an octave: if less than that arrived, it was none."""
SOON: Final = 2
"""Decisions until it is tried again."""
FALL: Final = 4
"""Steps below what arrived: what has piled up in queues meanwhile must drain."""
DRAIN: Final = 4
"""Slots in which queues drain that are full because an uplink is shared by more links
than before.  It is known how much that is, so there is no L{FALL}."""
BOLD: Final = 5
"""Steps more than the present one, or one that failed, of which one measurement is
enough: the link is another one now."""


class Pace:
    """
    The decisions of one leader.

    @ivar step: the present decision.
    """

    def __init__(self, step: int) -> None:
        """@param step: in force when it begins to lead."""
        self.step = step
        self._slots = 0
        self._reports: dict[int, int] = {}
        # Reports of slots before the present decision was in force say nothing.
        self._counts_from = 0
        # What was measured and not looked at yet, last, and the time before.
        self._room = self._last = self._before = 0
        # The step that failed last, and decisions to wait until it is tried again.
        self._failed: int | None = None
        self._wait = FIRST_WAIT
        # Decisions since the step was changed, and since something failed.
        self._calm = 0
        self._since_fall = FIRST_WAIT
        self._risen = True
        # What failed by accident, as it seems.
        self._trusted: int | None = None

    def report(self, slot: int, delivered: int) -> None:
        """
        A member's incoming links delivered this step in a slot.
        """
        if delivered != UNMEASURED and slot >= self._counts_from:
            self._reports[slot] = min(delivered, self._reports.get(slot, delivered))
            if len(self._reports) > _MOST_REPORTS:
                del self._reports[min(self._reports)]

    def measured(self, slot: int, least: int) -> None:
        """All members have said what their links would have carried in a slot."""
        if slot >= self._counts_from:
            self._before, self._room = self._last, least
            self._last = least

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
            self._decide(sorted(self._reports.values())[1])
            self._slots = 0
            self._reports.clear()
        room, self._room = self._room, 0
        if self.step == before < room:
            self._rise(room, self._before)
        drain = DRAIN if self.step > ceiling else 0
        self.step = min(self.step, ceiling)
        if self.step != before:
            self._counts_from = slot + 2 + drain
            self._calm = 0
            self._reports.clear()
        return self.step

    def _decide(self, delivered: int) -> None:
        if delivered < self.step:
            self._fall(delivered)
            return
        self._calm += 1
        self._since_fall += 1
        if self._calm >= HOLDS and self._failed is not None and self.step >= self._failed:
            self._failed = None
        if self._trusted is not None and self._since_fall >= SOON:
            self.step = max(self.step, self._trusted)
            self._trusted = self._failed = None
            self._risen = True
        elif self._calm >= PATIENCE:
            self._rise(self.step + 1, self.step + 1)

    def _fall(self, delivered: int) -> None:
        accident = self._calm >= TRUSTED and delivered >= self.step - ACCIDENT
        self._trusted = self.step if accident else None
        if self._risen or self._since_fall >= FIRST_WAIT:
            # Else the fall before was not deep enough, and this one is part of it.
            again = self.step == self._failed or self._since_fall <= 2 * self._wait
            self._wait = min(2 * self._wait, LAST_WAIT) if again else FIRST_WAIT
            self._failed = self.step
        self.step = max(0, delivered - FALL)
        self._since_fall = 0
        self._risen = False

    def _rise(self, room: int, earlier: int) -> None:
        """There seems to be room for this step, and seemed so for the other one before."""
        target = room if room >= self.step + BOLD else min(room, earlier)
        if self._failed is not None and self._since_fall < self._wait:
            if target >= self._failed + BOLD:
                self._failed = None
            else:
                target = min(target, self._failed - 1)
        if target > self.step:
            self.step = target
            self._risen = True
