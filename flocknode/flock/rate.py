# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How much is sent: rate steps, and the number and size of frames at each.

A step is a sixteenth of an octave, step 0 is 64 KiB a second and link (message
bytes).  The step in force says how many frames of which size a link carries in
a slot of 500 ms; that is a fixed table, so that all members send alike.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from flocknode.flock.messages import FRAME_HEADER, FRAME_SIZES

BASE: Final = 65_536
"""Bytes per second and link at step 0."""
STEPS_PER_OCTAVE: Final = 16
"""What an uplink carries beyond the step below it is not used: 2 per cent on average."""
LAST_STEP: Final = 224
"""1 GiB a second and link."""
UNMEASURED: Final = 0xFF
"""Shown in place of a delivered step when no frame was due."""

MEDIUM_FROM: Final = 48
LARGE_FROM: Final = 112
"""Steps from which frames are larger: 512 KiB/s and 8 MiB/s.  What a frame costs the
processor hardly depends on its size, and a node has many links: below 512 KiB/s a
link has at most 120 frames a second, below 8 MiB/s at most 500.  No slot of the
middle size has fewer than 16 frames, so a burst of it at least 8, and none of the
largest fewer than 64."""

LAST_OCTAVE: Final = 15
"""Rounds keep to one of so many octaves, or to none: four bits of a heartbeat."""
AT_EASE: Final = 47
"""The greatest step with small frames, 501 KiB/s.  No round needs to be slower: at
less, what members have to tell each other waits for the next frame."""
AT_EASE_IN_ALL: Final = 4 << 20
"""Bytes per second of a node, to all peers together; in large flocks this is less."""
WITH_NEWCOMERS: Final = 12_500_000
"""The same while members may have more to tell each other than is planned for: who
has just come compares all of its boxes."""

HEEDED: Final = 4
"""Slots within which what a node shows as its own step is in force: it is heard in the
same slot, decided upon at the next boundary, and in force two slots later."""

TOLERATED: Final = 32
"""Of so many frames due one may be missing."""

SLOT_SECONDS: Final = 0.5

BURST_EVERY: Final = 8
"""Each so many slots, counted by flock time, begin with a burst: four seconds.  At the
least uplink there are none."""
BURST_SECONDS: Final = 0.11
"""In which the first half of such a slot's frames leaves: at a little more than
twice the rate, so that a line with room for twice as much shows that.  A line
without any has then about as much waiting as its queue holds."""
MARGIN: Final = 1
"""Steps.  The first of a burst may pass a line quicker than it lasts: what shapes
lines saves up some while they are idle."""


def rate(step: int) -> float:
    """Bytes per second and link."""
    return float(BASE * 2.0 ** (step / STEPS_PER_OCTAVE))


def step_of(bytes_per_second: float) -> int:
    """The greatest step that is not faster; 0 if all are."""
    if bytes_per_second <= BASE:
        return 0
    # A rate computed from a step must give that step back.
    exact = STEPS_PER_OCTAVE * math.log2(bytes_per_second / BASE) + 1e-9
    return min(LAST_STEP, int(exact))


def uplink_step(uplink: int, peers: int) -> int:
    """
    @param uplink: bytes per second that a node may send in all.
    @param peers: who get a part of it.
    @return: the greatest step whose frames fit; 0 if none do.
    """
    link = uplink / max(1, peers)
    step = step_of(link)
    # A slot has whole frames, which may be more than the rate of the step.
    while step and frames_per_slot(step) * frame_size(step) > SLOT_SECONDS * link:
        step -= 1
    return step


def frame_size(step: int) -> int:
    """Bytes of a frame, its topic included."""
    if step >= LARGE_FROM:
        return FRAME_SIZES[2]
    return FRAME_SIZES[1] if step >= MEDIUM_FROM else FRAME_SIZES[0]


def frames_per_slot(step: int) -> int:
    """Frames of a link in a slot."""
    return max(1, round(rate(step) * SLOT_SECONDS / frame_size(step)))


def has_burst(slot: int) -> bool:
    """Whether the first half of a slot's frames leaves in a burst."""
    return slot % BURST_EVERY == 0


def burst_frames(frames: int) -> int:
    """Of the frames of a slot, those that leave in a burst."""
    return frames // 2


def slot_payload(step: int) -> int:
    """Bytes of payload that a link can carry in a slot."""
    return frames_per_slot(step) * (frame_size(step) - FRAME_HEADER.size)


def octave_step(octave: int) -> int:
    """
    The fastest step of a round that keeps to an octave.

    @param octave: 1 (64 KiB/s) to L{LAST_OCTAVE}; 0: as fast as lines allow.
    """
    return max(0, (octave - 1) * STEPS_PER_OCTAVE - 1) if octave else LAST_STEP


def round_octave(payload: int, peers: int, *, newcomers: bool = False) -> int:
    """
    How fast a round need be: so that its payload takes half a slot at most, and not
    much faster, since every round goes on for some slots more.

    @param payload: planned, bytes on each link.
    @param newcomers: somebody has just come.
    @return: the octave to keep to; 0: none.
    """
    if newcomers:
        ease = step_of(WITH_NEWCOMERS / max(1, peers))
    else:
        ease = min(AT_EASE, step_of(AT_EASE_IN_ALL / max(1, peers)))
    for octave in range(1, LAST_OCTAVE + 1):
        step = octave_step(octave)
        if step >= ease and slot_payload(step) >= 2 * payload:
            return octave
    return 0


def queue_limit(step: int) -> int:
    """Frames that may wait on a link: 100 ms worth, at least four."""
    return max(4, -(-frames_per_slot(step) // 5))


def delivered_step(step: int, arrived: int) -> int:
    """
    What a link delivered in a slot at C{step} in which C{arrived} frames came.
    One frame in L{TOLERATED} may be missing: a frame that is late now and then
    does not mean that the link is slow.
    """
    due = frames_per_slot(step)
    if arrived >= due - due // TOLERATED:
        return step
    return min(step, step_of(rate(step) * arrived / due))


def carried_step(step: int, seconds: float) -> int:
    """
    What a link could carry, if the burst of a slot at C{step} took so long to
    arrive, from its first frame to its last.

    @return: at least C{step}, since the frames of the slot came; at most an
        octave more, since there were not more to come; else L{MARGIN} less than
        it seems.
    """
    size = (burst_frames(frames_per_slot(step)) - 1) * frame_size(step)
    most = min(step + STEPS_PER_OCTAVE, LAST_STEP)
    if size >= seconds * rate(most):
        return most
    return max(step, step_of(size / seconds) - MARGIN)


class Steps:
    """
    The step in force of each slot, as far as it is known.

    @ivar cap: nothing faster is ever used, whatever an uplink carries.
    @ivar round_cap: nor in the round that is on; the flock's pace, which members
        show and remember, is not changed by this.
    @ivar ceiling: the least uplink step that members show.
    """

    def __init__(self, own: int) -> None:
        """@param own: see L{own}."""
        self.cap = self.round_cap = self.ceiling = LAST_STEP
        self._own = deque([own], maxlen=HEEDED)
        self._known: dict[int, int] = {}
        self._last = own

    @property
    def own(self) -> int:
        """The most that fits on a link of this node now."""
        return min(self._own[-1], self.cap)

    def fit(self, own: int) -> None:
        """
        A slot begins, in which this node shows so much as its L{own}.  Less than
        before is for the leader to heed, so that all send less in the same slot;
        what the leader does not heed is heeded here, a little later.
        """
        self._own.append(own)

    def decide(self, slot: int, step: int) -> None:
        """The leader showed C{step} for C{slot}; what it showed first counts."""
        self._known.setdefault(slot, step)

    def at(self, slot: int) -> int:
        """The step in force in a slot."""
        return min(self.paced(slot), self.round_cap)

    def has_burst(self, slot: int) -> bool:
        """
        Whether the slot begins with a burst.  None is sent to find out what would not
        be used: a line that is all but full would only lose frames by it.
        """
        pace = self.paced(slot)
        return has_burst(slot) and pace <= self.round_cap and pace < self.ceiling

    def paced(self, slot: int) -> int:
        """The flock's pace in a slot, or if it is not known, the last one before it."""
        known = self._known.get(slot)
        if known is None:
            earlier = [s for s in self._known if s < slot]
            known = self._known[max(earlier)] if earlier else self._last
        return min(known, max(self._own), self.cap)

    def forget_before(self, slot: int) -> None:
        """Slots long past are not asked for again; the step carries on."""
        if any(s < slot for s in self._known):
            self._last = self.paced(slot - 1)
            self._known = {s: step for s, step in self._known.items() if s >= slot}

    def restart(self) -> None:
        """Slots have other numbers now; the step carries on."""
        if self._known:
            self._last = self._known[max(self._known)]
        self._known.clear()
