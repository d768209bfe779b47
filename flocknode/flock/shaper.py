# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The shaper: when a frame leaves, and how large it is.

A slot has 50 ticks.  On each link a fixed number of frames leaves in a slot,
spread evenly over the ticks; in some slots
(L{Steps.has_burst<flocknode.flock.rate.Steps.has_burst>}) half of them over the first
eleven, so that the other end can measure what the link would carry
(L{flocknode.flock.pace}).  Within a tick the links are in an order drawn
anew, and each tick comes later by chance (L{DITHER}, L{DITHER_AT_FIRST}).
Number, times and sizes come from the slot's plan and from chance.  The queues
are looked at last: when a frame is built, one tick ahead, it takes what is
there, and zeros fill the rest.

A frame that could not leave (a tick came too late, or the link's queue was
full) is made up over the rest of the slot, at most at twice the rate; what then
is missing at the end of the slot is not sent at all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import attrs

from flocknode.flock.interfaces import MemberId, Priority
from flocknode.flock.lateness import Lateness
from flocknode.flock.link import Built, Outgoing
from flocknode.flock.rate import (
    BURST_SECONDS,
    SLOT_SECONDS,
    Steps,
    burst_frames,
    frame_size,
    frames_per_slot,
)

TICKS: Final = 50
"""Ticks of a slot; 10 ms each unless a slot is cut to end at a private time."""
DITHER: Final = 0.001
"""Seconds that a tick comes later by chance, at most.  How punctual a processor is
depends on what it did just before: by some 0.01 ms for the source of a round, which
is little beside this, but not beside 0.04 ms of other chance.  With twice as much the
rate of three nodes at 50 Mbit/s fell: a line that is nearly full has no room for it."""
DITHER_AT_FIRST: Final = 0.004
"""The same in the first slot of a round, when lines are still empty.  There a source is
more punctual by up to 0.06 ms where processors have much else to do: others already
have something to write down while it has nothing to do yet."""
BURST_TICKS: Final = round(TICKS * BURST_SECONDS / SLOT_SECONDS)
"""Ticks of a burst."""


@attrs.frozen
class SlotPlan:
    """
    What each link carries in one slot.

    @ivar slot: its number, shown in its frames.
    @ivar start: and C{end}: monotonic seconds, private offsets included.
    @ivar frames: on each link.
    @ivar size: bytes of each frame.
    @ivar burst: of the frames, those that leave in the first L{BURST_TICKS}; 0:
        all are spread evenly.
    """

    slot: int
    start: float
    end: float
    frames: int
    size: int
    burst: int = 0

    @property
    def most(self) -> int:
        """Frames of a link that leave in one tick at most: twice as many as on average."""
        return max(-(-2 * self.frames // TICKS), -(-self.burst // BURST_TICKS))

    @classmethod
    def at_step(cls, slot: int, start: float, end: float, steps: Steps) -> SlotPlan:
        """With what the rate step says that is in force."""
        step = steps.at(slot)
        frames = frames_per_slot(step)
        burst = burst_frames(frames) if steps.has_burst(slot) else 0
        return cls(slot, start, end, frames, frame_size(step), burst)

    def time(self, tick: int) -> float:
        """When a tick is due."""
        return self.start + (self.end - self.start) * tick / TICKS

    def is_over(self, now: float) -> bool:
        """Whether even its last tick is too long ago."""
        return now >= self.time(TICKS + 1)

    def next_tick(self, now: float) -> int:
        """The first tick that is later than C{now}; may be one of no slot."""
        passed = (now - self.start) * TICKS / (self.end - self.start)
        return max(0, math.floor(passed + 1e-6) + 1)


class _Course(NamedTuple):
    """
    How frames of a link are spread over ticks.

    @ivar base: and C{end}: the ticks over which C{due} frames are spread evenly.
    @ivar until: frames that come after that.
    """

    due: int
    base: int
    end: int
    until: int

    def left_after(self, tick: int) -> int:
        """Frames that are left after this tick, if nothing is late."""
        due, base, end, until = self
        if tick >= end:
            return until
        return until + due - -(-due * (tick - base + 1) // (end - base))


_NOTHING: Final = _Course(0, 0, TICKS, 0)

_Queue = tuple[MemberId, Priority]

_Case = tuple[int, _Course]
"""What of a L{_Quota} decides what is due: C{left} and C{course}."""


@attrs.define(eq=False)
class _Quota:
    """
    What a link still has to carry in the slot.

    @ivar queues: of the link, by priority.
    @ivar left: frames.
    @ivar course: when they are due.
    """

    link: Outgoing
    queues: Sequence[_Queue]
    left: int
    course: _Course

    def spread(self, due: int, base: int, end: int) -> None:
        """Let so many frames leave from one tick to before another."""
        self.course = _Course(due, base, end, self.left - due)


def _due_at(tick: int, case: _Case) -> int:
    """Frames due at this tick, if nothing is late."""
    left, course = case
    return left - course.left_after(tick)


@attrs.define(eq=False)
class Tally:
    """
    @ivar sent: frames.
    @ivar filled: frames with payload.
    @ivar refused: attempts that met a full queue.
    @ivar missed: frames that were never sent.
    @ivar lateness: of emission ticks.
    """

    sent: int = 0
    filled: int = 0
    refused: int = 0
    missed: int = 0
    lateness: Lateness = attrs.field(factory=Lateness)


def _no_plan(slot: int) -> None:
    return None


class Shaper:
    """
    Emits a member's frames.

    @ivar due: when to call L{advance} next, monotonic; infinite while idle.
    @ivar tally: what it has done.
    """

    def __init__(
        self,
        links: Sequence[Outgoing],
        send: Callable[[MemberId, bytes], bool],
        consumed: Callable[[MemberId, Priority, int], None],
        order: random.Random,
        ticks: random.Random | None = None,
    ) -> None:
        """
        @param links: all configured ones, connected or not.
        @param send: false if the link's queue is full.
        @param consumed: told member, priority and bytes that have left.
        @param ticks: chance for L{DITHER} and L{DITHER_AT_FIRST}; L{None}: no tick
            comes later.
        """
        self.due = math.inf
        self.tally = Tally()
        self._quotas = [
            _Quota(link, [(link.member, priority) for priority in Priority], 0, _NOTHING)
            for link in links
        ]
        self._send = send
        self._consumed = consumed
        self._plan_of: Callable[[int], SlotPlan | None] = _no_plan
        self._first = 0
        self._order = order
        self._ticks = ticks
        self._plan: SlotPlan | None = None
        self._tick = 0
        # Frames that each link carries at that tick; None once they are built.
        self._counts: list[int] | None = None
        self._built: list[tuple[_Quota, Built]] = []
        # Bytes that have left and were not told yet.
        self._gone: dict[_Queue, int] = {}

    def begin(self, slot: int, plan: Callable[[int], SlotPlan | None], now: float) -> None:
        """
        Emit from this slot on, until a slot has no plan.

        @param plan: says what a slot carries; asked once, shortly before it.
        """
        self.halt()
        self._plan_of, self._first = plan, slot
        self._enter(slot, now)

    def halt(self) -> None:
        """Send nothing more; payload of built frames goes back."""
        self._unbuild()
        self._plan = self._counts = None
        self.due = math.inf

    @property
    def emits_at(self) -> float:
        """When to send what is built; infinite if it is not built yet."""
        return math.inf if self._plan is None or self._counts is not None else self.due

    def emit(self, now: float) -> bool:
        """
        Send what is built and due, and nothing else: what has to do with payload
        waits for L{advance}.

        @return: whether anything was due.
        """
        plan = self._plan
        if plan is None or self._counts is not None or now < self.due or plan.is_over(now):
            return False
        self.tally.lateness.add(now - self.due)
        self._emit()
        self._schedule(self._tick + 1, now)
        return True

    def advance(self, now: float) -> None:
        """Send what is due, tell what has left, and build what is due next."""
        while self._plan is not None and now >= self.due:
            if self._plan.is_over(now):
                # Too late for this slot: nothing of it is sent any more.
                self._unbuild()
                self._leave(now)
            elif self._counts is not None:
                self._build(self._plan, self._counts)
                self._counts = None
                self.due = self._plan.time(self._tick)
                if self._ticks is not None:
                    at_first = self._plan.slot == self._first
                    self.due += self._ticks.uniform(0.0, DITHER_AT_FIRST if at_first else DITHER)
            else:
                self.emit(now)
        gone, self._gone = self._gone, {}
        for (member, priority), size in gone.items():
            self._consumed(member, priority, size)

    def _enter(self, slot: int, now: float) -> None:
        """Begin with a slot, or with the next one that is not over."""
        plan = self._plan_of(slot)
        while plan is not None and plan.end <= now:
            self.tally.missed += plan.frames * len(self._quotas)
            slot += 1
            plan = self._plan_of(slot)
        self._plan = plan
        if plan is None:
            self.due = math.inf
            return
        due, end = (plan.burst, BURST_TICKS) if plan.burst else (plan.frames, TICKS)
        course = _Course(due, 0, end, plan.frames - due)
        for quota in self._quotas:
            quota.left, quota.course = plan.frames, course
        self._schedule(0, now)

    def _leave(self, now: float) -> None:
        assert self._plan is not None
        self.tally.missed += sum(quota.left for quota in self._quotas)
        self._enter(self._plan.slot + 1, now)

    def _schedule(self, tick: int, now: float) -> None:
        """
        Find the next tick with frames; they are built one tick before.

        @param tick: the first that comes into question.
        """
        plan = self._plan
        assert plan is not None
        if now >= plan.start:
            # The last tick always comes, however late, if only it is this slot's.
            tick = max(tick, min(plan.next_tick(now), TICKS - 1))
        # Nearly always all links are in the same case, which is enough to look at.
        cases = {(quota.left, quota.course) for quota in self._quotas}
        if tick < TICKS and any(case[0] and _due_at(tick - 1, case) > 0 for case in cases):
            for quota in self._quotas:
                if quota.left and _due_at(tick - 1, (quota.left, quota.course)) > 0:
                    # Behind: spread what is left over what is left of the slot.
                    quota.spread(quota.left, tick, TICKS)
            cases = {(quota.left, quota.course) for quota in self._quotas}
        while tick < TICKS:
            if any(tick >= course.end for _, course in cases):
                for quota in self._quotas:
                    if tick >= quota.course.end:
                        quota.spread(quota.left, tick, TICKS)
                cases = {(quota.left, quota.course) for quota in self._quotas}
            counts = {case: min(_due_at(tick, case), plan.most) for case in cases}
            if any(counts.values()):
                break
            tick += 1
        else:
            self._leave(now)
            return
        self._tick = tick
        self._counts = [counts[quota.left, quota.course] for quota in self._quotas]
        self.due = plan.time(tick - 1)

    def _build(self, plan: SlotPlan, counts: Sequence[int]) -> None:
        order = list(zip(self._quotas, counts, strict=True))
        self._order.shuffle(order)
        self._built = [
            (quota, quota.link.build(plan.slot, plan.size))
            for turn in range(max(counts))
            for quota, count in order
            if turn < count
        ]

    def _emit(self) -> None:
        built, self._built = self._built, []
        plan = self._plan
        assert plan is not None
        blocked: dict[_Quota, list[Built]] = {}
        gone, send = self._gone, self._send
        sent = filled = 0
        for quota, frame in built:
            link = quota.link
            if blocked and quota in blocked:
                # Its place in the sequence is behind one that did not leave.
                blocked[quota].append(frame)
                continue
            # What was built before the queue was forgotten carries the forgotten.
            stale = frame.generation != link.generation
            leaving = link.build(plan.slot, plan.size) if stale else frame
            if not send(link.member, leaving.message):
                blocked[quota] = [leaving]
                continue
            quota.left -= 1
            sent += 1
            if leaving.runs:
                filled += 1
                for queue, size in zip(quota.queues, link.sent(leaving), strict=True):
                    if size:
                        gone[queue] = gone.get(queue, 0) + size
        self.tally.sent += sent
        self.tally.filled += filled
        for quota, frames in blocked.items():
            self.tally.refused += len(frames)
            self._return(quota.link, frames)

    def _unbuild(self) -> None:
        built, self._built = self._built, []
        frames: dict[_Quota, list[Built]] = {}
        for quota, frame in built:
            frames.setdefault(quota, []).append(frame)
        for quota, of_link in frames.items():
            self._return(quota.link, of_link)

    def _return(self, link: Outgoing, frames: Sequence[Built]) -> None:
        link.put_back([frame for frame in frames if frame.generation == link.generation])
