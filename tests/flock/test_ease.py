# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Rounds at ease: small ones are no faster than they need be, as their leader says,
and the flock's pace is not changed by them.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.ceremony import CALM
from flocknode.flock.flocktime import SLOT
from flocknode.flock.rate import (
    AT_EASE,
    LAST_STEP,
    frame_size,
    frames_per_slot,
    octave_step,
    round_octave,
    uplink_step,
)
from flocknode.flock.status import Status
from flocknode.testing.network import ALL, VirtualNetwork
from tests.flock.support import Node, World

UPLINK = 100_000_000
FULL = uplink_step(UPLINK, 2)
SMALL = 20_000


class EaseTests(SynchronousTestCase):
    """Three nodes that know each other for more than a minute."""

    def setUp(self) -> None:
        self.network = VirtualNetwork()
        self.world = World(3, network=self.network, uplink=UPLINK)
        self.world.settle()
        self.network.run(CALM * SLOT)
        self.changes = 0

    def spread(self, node: Node, size: int) -> float:
        """@return: seconds until all have it."""
        self.changes += 1
        number, began = self.changes, self.network.clock.seconds()
        node.change(number, size)
        up = self.world.up
        done = self.network.run_until(lambda: all(number in n.has for n in up), 20.0)
        self.assertTrue(done)
        took = self.network.clock.seconds() - began
        self.world.settle()
        return took

    def sent(self) -> Counter[int]:
        """Bytes of frames on each link since this was asked last, and how often: one number."""
        links: Counter[tuple[bytes, bytes]] = Counter()
        for message in self.network.trace:
            if message.receiver != ALL:
                links[message.sender, message.receiver] += message.size
        del self.network.trace[:]
        return Counter(links.values())

    def steps(self) -> set[int]:
        """In force in rounds, since this was asked last."""
        found = {s.step for node in self.world.up for s in node.states if s.round_id}
        for node in self.world.nodes:
            node.states.clear()
        return found

    def test_a_small_change_costs_little_and_takes_no_longer(self) -> None:
        self.sent()
        self.steps()
        for node in self.world.nodes:
            self.assertLess(self.spread(node, SMALL), 1.8)
            ((size, links),) = self.sent().items()
            self.assertEqual(links, 6)
            self.assertLess(size, 1_200_000)
            self.assertEqual(self.steps(), {AT_EASE})

    def test_a_large_one_is_as_fast_as_ever_and_so_is_what_follows(self) -> None:
        self.spread(self.world.nodes[1], SMALL)
        self.steps()
        self.spread(self.world.nodes[1], 200_000_000)
        # Nobody passes on here, so that there is a small round for the rest.
        self.assertEqual(max(self.steps()), FULL)

    def test_between_them_the_payload_takes_half_a_slot(self) -> None:
        """Or less, by an octave; five eighths of the size are planned for each link."""
        self.steps()
        self.spread(self.world.nodes[2], 4_000_000)
        (step,) = self.steps()
        payload = frames_per_slot(step) * frame_size(step)
        self.assertTrue(5_000_000 < payload < 10_000_000, payload)

    def test_with_a_newcomer_they_are_faster_for_a_minute(self) -> None:
        """He compares all that he has with what the others have."""
        self.world.kill(self.world.nodes[2])
        self.network.run(10.0)
        self.world.revive(self.world.nodes[2])
        self.world.settle()
        self.steps()
        self.spread(self.world.nodes[0], SMALL)
        faster = octave_step(round_octave(SMALL, 2, newcomers=True))
        self.assertTrue(AT_EASE < faster < FULL)
        self.assertEqual(self.steps(), {faster})
        self.network.run(CALM * SLOT)
        self.spread(self.world.nodes[0], SMALL)
        self.assertEqual(self.steps(), {AT_EASE})

    def test_who_hears_the_call_late_keeps_to_it_as_well(self) -> None:
        one, two, three = self.world.ids
        self.sent()
        self.world.nodes[1].change(1, SMALL)
        self.network.run_until(lambda: self.world.nodes[0].status == Status.METADATA_MORE, 5.0)
        self.network.partition((one, two), (two, three))
        self.network.run_until(lambda: self.world.nodes[0].status == Status.SENDING_ALPHA, 5.0)
        self.network.heal()
        self.world.settle()
        ((_, links),) = self.sent().items()
        self.assertEqual(links, 6)

    def test_rounds_at_ease_do_not_make_the_pace_fall(self) -> None:
        for number in range(12):
            self.spread(self.world.nodes[number % 3], SMALL)
        self.steps()
        self.spread(self.world.nodes[0], 100_000_000)
        self.assertEqual(self.steps(), {FULL})

    def test_a_new_leader_goes_on_with_the_pace(self) -> None:
        self.spread(self.world.nodes[1], SMALL)
        self.world.kill(self.world.nodes[0])
        self.network.run(CALM * SLOT + 10.0)
        self.spread(self.world.nodes[1], SMALL)
        self.steps()
        self.spread(self.world.nodes[1], 200_000_000)
        self.assertEqual(max(self.steps()), uplink_step(UPLINK, 1))

    def test_a_link_that_is_too_slow_even_for_that_slows_all_down(self) -> None:
        slow = 100_000
        self.network.narrow[self.world.ids[1], self.world.ids[2]] = slow
        for _ in range(4):
            self.spread(self.world.nodes[0], SMALL)
        self.steps()
        self.spread(self.world.nodes[0], SMALL)
        (step,) = self.steps()
        self.assertLess(frames_per_slot(step) * frame_size(step), slow)

    def test_under_no_round_nothing_is_capped(self) -> None:
        self.spread(self.world.nodes[0], SMALL)
        for node in self.world.nodes:
            self.assertEqual(node.flock._steps.round_cap, LAST_STEP)
