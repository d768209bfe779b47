# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.marks}, with a model of libzmq's queues.
"""

from __future__ import annotations

from copy import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.wire.marks import LEAST, Mark

LINKS = ("anna", "bert")


class Queue:
    """One queue as libzmq 4.3.5 has it (its C{pipe.cpp})."""

    def __init__(self) -> None:
        self.mark = LEAST
        self.written = self.read = self.reported = 0

    @property
    def full(self) -> bool:
        """As the writing end sees it."""
        return self.written - self.reported >= self.mark

    def take(self, messages: int) -> None:
        """The reading end reads so many, or all."""
        for _ in range(min(messages, self.written - self.read)):
            self.read += 1
            if self.read % ((self.mark + 1) // 2) == 0:
                self.reported = self.read


class World:
    """A socket that publishes to L{LINKS}."""

    def __init__(self) -> None:
        self.queues = {link: Queue() for link in LINKS}
        self.mark = Mark(LINKS)

    def set(self, value: int) -> None:
        """To all queues."""
        for queue in self.queues.values():
            queue.mark = value

    def frame(self, link: str) -> bool:
        """Offer one."""
        queue = self.queues[link]
        taken = not queue.full
        queue.written += taken
        self.mark.offered(link, taken)
        return taken

    def heartbeat(self, read_meanwhile: int) -> None:
        """To all, into queues that are full as well."""
        self.set(self.mark.step())
        if any(queue.full for queue in self.queues.values()):
            self.set(self.mark.raised())
            for queue in self.queues.values():
                queue.written += not queue.full
                queue.take(read_meanwhile)
            self.set(self.mark.value)
        else:
            for queue in self.queues.values():
                queue.written += 1


few = st.sampled_from((0, 1, 2, 3, 5, 8, 16, 31, 32, 33, 64, 100))
steps = st.one_of(
    st.tuples(st.sampled_from(("both", *LINKS)), few),
    st.tuples(st.just("read"), few),
    st.tuples(st.just("want"), few),
    st.tuples(st.just("heartbeat"), few),
)


class MarkTests(SynchronousTestCase):
    """L{Mark}."""

    @settings(max_examples=1_000)
    @given(st.lists(steps, min_size=40, max_size=40))
    def test_who_will_have_read_everything_gets_more(self, schedule: list[tuple[str, int]]) -> None:
        world = World()
        for what, count in schedule:
            if what == "want":
                world.mark.want(count)
                world.set(world.mark.step())
            elif what == "heartbeat":
                world.heartbeat(count)
            elif what == "read":
                for queue in world.queues.values():
                    queue.take(count)
            else:
                for link in LINKS if what == "both" else (what,):
                    for _ in range(count):
                        world.frame(link)
            for queue in world.queues.values():
                later = copy(queue)
                later.take(later.written)
                self.assertFalse(later.full, vars(later))

    @given(st.integers(0, 5_000))
    def test_it_is_what_was_wanted_or_up_to_half_less(self, frames: int) -> None:
        mark = Mark(LINKS)
        mark.want(frames)
        self.assertEqual(mark.step(), mark.value)
        if frames >= LEAST:
            self.assertTrue(frames / 2 < mark.value <= frames)
        else:
            self.assertEqual(mark.value, LEAST)

    def test_it_falls_by_half_while_frames_flow_on_all_links(self) -> None:
        world = World()
        world.mark.want(100)
        self.assertEqual(world.mark.step(), 64)
        world.mark.want(LEAST)
        for _ in range(64):
            world.frame("anna")
        self.assertEqual(world.mark.step(), 64)
        for _ in range(64):
            world.frame("bert")
        self.assertEqual(world.mark.step(), 32)
        self.assertEqual(world.mark.step(), 32)

    def test_in_the_end_it_is_what_is_wanted(self) -> None:
        world = World()
        world.mark.want(1_000)
        world.set(world.mark.step())
        world.mark.want(LEAST)
        for _ in range(1_100):
            for link, queue in world.queues.items():
                world.frame(link)
                queue.take(1)
            world.set(world.mark.step())
        self.assertEqual(world.mark.value, LEAST)

    def test_a_queue_that_nobody_empties_holds_up_nothing(self) -> None:
        world = World()
        world.mark.want(1_000)
        world.set(world.mark.step())
        world.mark.want(LEAST)
        for _ in range(2_000):
            world.frame("anna")
            world.frame("bert")
            world.queues["bert"].take(1)
            world.set(world.mark.step())
        self.assertEqual(world.mark.value, LEAST)
