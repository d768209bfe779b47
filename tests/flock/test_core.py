# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.core}: whole flocks in virtual time, when all goes well."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from functools import partial
from typing import ClassVar
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.flock.core import Flock
from flocknode.flock.flocktime import EPOCH_2020_MS
from flocknode.flock.heartbeat import Heartbeat, Trailer, encode_heartbeat, parse_heartbeat
from flocknode.flock.interfaces import MemberId, Priority
from flocknode.flock.rate import UNMEASURED, frames_per_slot, uplink_step
from flocknode.flock.shaper import Shaper
from flocknode.testing.network import ALL, Sent, VirtualNetwork
from tests.flock.support import IDS, Node, World, fate, record

UPLINK = 4_000_000


def frames(trace: list[Sent]) -> list[Sent]:
    """Without the heartbeats."""
    return [sent for sent in trace if sent.receiver != ALL]


class RoundTests(SynchronousTestCase):
    """Forming a flock, and rounds."""

    def settled(self, size: int = 3, **how: object) -> World:
        world = World(size, **how)  # type: ignore[arg-type]
        world.settle()
        return world

    def spread(self, world: World, node: Node, size: int = 20_000) -> float:
        """Make a change, wait until all have it, and be idle again."""
        number = len(world.nodes[0].told) + 1000
        began = world.network.clock.seconds()
        node.change(number, size)
        done = world.network.run_until(lambda: all(number in n.has for n in world.up), 20.0)
        self.assertTrue(done)
        took = world.network.clock.seconds() - began
        world.settle()
        return took

    def assert_together(self, world: World) -> None:
        """All took part in the same rounds, at the same slots."""
        for times in ([n.starts for n in world.up], [n.stops for n in world.up]):
            for other in times[1:]:
                self.assertEqual(other.keys(), times[0].keys())
                for round_id, when in other.items():
                    self.assertLess(abs(when - times[0][round_id]), 0.055)

    def test_a_flock_forms_and_has_one_round_of_return(self) -> None:
        for size in (2, 3, 12):
            world = self.settled(size)
            for node in world.nodes:
                self.assertEqual(len(node.starts), 1)
            self.assert_together(world)

    def test_a_change_brings_one_round_about_and_then_all_are_idle(self) -> None:
        for size in (3, 12):
            world = self.settled(size, uplink=UPLINK)
            self.spread(world, world.nodes[-1])
            world.network.run(20.0)
            for node in world.nodes:
                self.assertEqual(len(node.starts), 2)
            self.assert_together(world)

    def test_a_small_change_is_everywhere_within_two_seconds(self) -> None:
        world = self.settled()
        times = []
        for number in range(8):
            world.network.run(fate(2, number))
            times.append(self.spread(world, world.nodes[number % 3]))
        self.assertGreater(min(times), 0.95)
        self.assertLess(max(times), 1.8)

    def test_the_leader_has_the_lowest_id_whoever_has_news(self) -> None:
        world = self.settled()
        for node in world.nodes:
            self.spread(world, node)
        for index, node in enumerate(world.nodes):
            shown = {following for _, _, following in node.transitions}
            self.assertEqual({114, 134} <= shown, index == 0)
            self.assertEqual({115, 135} <= shown, index != 0)

    def test_what_is_counted_is_what_was_new_at_the_boundary(self) -> None:
        world = self.settled()
        node = world.nodes[1]
        self.spread(world, node, 20_000)
        self.spread(world, node, 300_000)
        counted = [told[2] for told in node.told if told[0] == "round_started"]
        self.assertEqual(counted, [0, 20_000, 320_000])

    def test_a_change_during_a_round_waits_for_the_next(self) -> None:
        world = self.settled()
        node = world.nodes[1]
        node.change(1, 20_000)
        world.network.run_until(lambda: len(node.starts) == 2, 5.0)
        world.nodes[2].change(2, 20_000)
        world.settle()
        counted = [told[2] for told in world.nodes[2].told if told[0] == "round_started"]
        self.assertEqual(counted, [0, 0, 20_000])

    def test_a_round_has_room_for_what_it_is_for(self) -> None:
        world = self.settled(2)
        self.spread(world, world.nodes[0], 10_000_000)
        for node in world.nodes:
            self.assertEqual((node.flock.state.rounds, node.flock.state.unfinished), (2, 0))

    def test_what_finds_no_room_is_the_backlog_of_a_next_round(self) -> None:
        """Nobody passes on here, so the maker sends twice what a link has room for."""
        world = self.settled()
        self.spread(world, world.nodes[0], 10_000_000)
        state = world.nodes[0].flock.state
        self.assertEqual((state.rounds, state.unfinished), (3, 1))

    def test_each_link_carries_the_same_frames_and_none_outside_rounds(self) -> None:
        world = self.settled(uplink=UPLINK)
        self.spread(world, world.nodes[2], 1_000_000)
        counts = Counter((sent.sender, sent.receiver) for sent in frames(world.network.trace))
        per_slot = frames_per_slot(uplink_step(UPLINK, 2))
        self.assertEqual(len(counts), 6)
        self.assertEqual(len(set(counts.values())), 1)
        self.assertEqual(next(iter(counts.values())) % per_slot, 0)
        stops = list(world.nodes[0].stops.values())
        starts = list(world.nodes[0].starts.values())
        rounds = [(a - 0.06, b + 0.06) for a, b in zip(starts, stops, strict=True)]
        for sent in frames(world.network.trace):
            self.assertTrue(any(start < sent.time < stop for start, stop in rounds))

    def test_the_rate_is_that_of_the_slowest_uplink(self) -> None:
        world = self.settled(uplink=lambda index: (4_000_000, 300_000, 1_000_000)[index])
        self.assertEqual({n.flock.state.step for n in world.nodes}, {uplink_step(300_000, 2)})
        slowest = world.ids[1]
        self.assertEqual({n.flock.state.narrowest for n in world.nodes}, {slowest})
        for node in world.nodes:
            # At that no slot begins with a burst, whoever sends it.
            self.assertEqual(node.flock._steps.ceiling, uplink_step(300_000, 2))

    def test_who_is_not_there_takes_nothing_of_an_uplink(self) -> None:
        world = World(4, uplink=UPLINK, start=False)
        for present in (2, 3, 4):
            for node in world.nodes[len(world.up) : present]:
                node.host.start()
            world.settle()
            steps = {node.flock.state.step for node in world.up}
            self.assertEqual(steps, {uplink_step(UPLINK, present - 1)})

    def test_who_appears_in_a_round_makes_all_send_less_in_the_same_slot(self) -> None:
        world = World(3, uplink=UPLINK, start=False)
        for node in world.nodes[:2]:
            node.host.start()
        world.settle()
        begun = world.nodes[0].flock.state.slot
        world.nodes[0].change(1, 30_000_000)
        world.network.run(4.0)
        world.nodes[2].host.start()
        world.settle()
        steps: list[dict[int, int]] = []
        for node in world.nodes[:2]:
            in_slots = {state.slot: state.step for state in node.states if state.round_id}
            steps.append({slot: step for slot, step in in_slots.items() if slot > begun})
        alone, three = (uplink_step(UPLINK, peers) for peers in (1, 2))
        self.assertEqual(steps[0], steps[1])
        self.assertEqual(list(dict.fromkeys(steps[0].values())), [alone, three])
        first, second = (
            sum(sent.sender == one and sent.receiver == other for sent in world.network.trace)
            for one, other in (world.ids[:2], world.ids[1::-1])
        )
        self.assertEqual(first, second)

    def test_heartbeats_come_every_250_ms_or_so_in_every_state(self) -> None:
        world = self.settled()
        self.spread(world, world.nodes[2])
        published = [sent for sent in world.network.trace if sent.receiver == ALL]
        for node in world.nodes:
            times = [sent.time for sent in published if sent.sender == node.me]
            gaps = [b - a for a, b in itertools.pairwise(times)]
            self.assertGreater(min(gaps), 0.2249)
            self.assertLess(max(gaps), 0.2751)
            self.assertAlmostEqual(sum(gaps) / len(gaps), 0.25, places=2)

    def test_starts_and_stops_have_private_offsets_of_at_most_25_ms(self) -> None:
        world = self.settled(6, uplink=1_000_000)
        for number in range(4):
            self.spread(world, world.nodes[number])
        off = []
        for node in world.nodes:
            for when in (*node.starts.values(), *node.stops.values()):
                off.append((when + 0.25) % 0.5 - 0.25)
        self.assertLess(max(map(abs, off)), 0.027)
        self.assertGreater(len({round(o, 4) for o in off}), len(off) * 0.8)

    def test_with_min_members_rounds_wait_for_a_larger_crowd(self) -> None:
        world = World(3, min_members=3, start=False)
        for node in world.nodes[:2]:
            node.host.start()
        world.network.run(10.0)
        self.assertEqual([len(node.starts) for node in world.nodes], [0, 0, 0])
        world.nodes[2].host.start()
        world.settle()
        self.assertEqual([len(node.starts) for node in world.nodes], [1, 1, 1])

    def test_clocks_two_hours_apart_make_no_difference(self) -> None:
        world = self.settled(
            4, wall_ms=lambda index: 1_700_000_000_000 + index % 2 * 7_200_123 - index * 777
        )
        self.assertLess(self.spread(world, world.nodes[3]), 1.8)
        self.assert_together(world)

    def test_clocks_without_a_battery_make_no_difference(self) -> None:
        """They say 1970 after each start; another was set to 2099."""
        clocks = (0, 12_345, 4_070_908_800_000, 1_700_000_000_000)
        for numbers in ((0, 1), (0, 1, 3), (2, 1, 0), (0, 1, 2, 3)):
            world = self.settled(
                len(numbers), wall_ms=lambda index, numbers=numbers: clocks[numbers[index]]
            )
            self.assertLess(self.spread(world, world.nodes[-1]), 1.8)
            self.assert_together(world)

    def test_large_delays_are_no_obstacle(self) -> None:
        network = VirtualNetwork(latency=lambda a, b, n: 0.05 + 0.05 * fate(1, a, b, n))
        world = self.settled(4, network=network)
        self.assertLess(self.spread(world, world.nodes[3]), 2.2)

    def test_a_flock_of_twenty_shows_its_members_in_turns(self) -> None:
        world = self.settled(20, uplink=300_000)
        self.spread(world, world.nodes[13])
        self.assertEqual({len(node.starts) for node in world.nodes}, {2})


class Resting(Shaper):
    """Knows how long after each sending it is let do anything else."""

    rests: ClassVar[list[float]] = []
    _sent_at = -math.inf

    def emit(self, now: float) -> bool:
        if sent := super().emit(now):
            self._sent_at = now
        return sent

    def advance(self, now: float) -> None:
        self.rests.append(now - self._sent_at)
        super().advance(now)


class RestingFlock(Flock):
    shaper = Resting


class RespiteTests(SynchronousTestCase):
    """What was sent is given time to leave before payload is touched."""

    def rests(self, respite: float) -> list[float]:
        self.patch(Resting, "rests", [])
        world = World(3, make=partial(RestingFlock, respite=respite))
        world.settle()
        world.nodes[2].change(1, 200_000)
        self.assertTrue(world.network.run_until(lambda: all(1 in n.has for n in world.up), 20.0))
        return Resting.rests

    def test_nothing_else_is_done_for_a_moment(self) -> None:
        self.assertGreaterEqual(min(self.rests(0.001)), 0.001 - 1e-9)

    def test_frames_that_are_built_leave_on_time_all_the_same(self) -> None:
        """Also in the moment after a heartbeat."""
        world = World(3, make=partial(Flock, respite=0.001), uplink=UPLINK)
        world.settle()
        for number in range(8):
            world.nodes[2].change(number, 2_000_000)
            world.settle()
        for node in world.nodes:
            self.assertLess(max(node.flock.state.lateness_ms), 0.1)

    def test_without_it_frames_are_built_at_once(self) -> None:
        self.assertEqual(min(self.rests(0.0)), 0.0)


class Watched(Flock):
    """Notes for each advance whether it was said to be seen, and whether it was."""

    noted: ClassVar[list[tuple[bool, bool]]] = []

    def advance(self, now: float) -> float:
        expected, sent = self.seen, self._pulse.due <= now or self._shaper.emits_at <= now
        due = super().advance(now)
        self.noted.append((expected, sent))
        return due


class SeenTests(SynchronousTestCase):
    """What is sent is told from what is only done."""

    def test_all_that_is_sent_was_said_to_be_seen_and_little_else(self) -> None:
        self.patch(Watched, "noted", [])
        world = World(3, make=partial(Watched, respite=0.001))
        world.settle()
        world.nodes[2].change(1, 200_000)
        self.assertTrue(world.network.run_until(lambda: all(1 in n.has for n in world.up), 20.0))
        sent = [expected for expected, sent in Watched.noted if sent]
        other = [expected for expected, sent in Watched.noted if not sent]
        # The first of each member comes without being asked for.
        self.assertGreaterEqual(sum(sent), len(sent) - 3)
        self.assertLess(sum(other), len(other) / 2)


class ShownTests(SynchronousTestCase):
    """What heartbeats say."""

    def setUp(self) -> None:
        self.network = VirtualNetwork()
        self.heartbeats: list[tuple[MemberId, Heartbeat]] = []
        publish = self.network.publish

        def listen(sender: object, message: bytes) -> None:
            self.heartbeats.append((sender.me, parse_heartbeat(message)))  # type: ignore[attr-defined]
            publish(sender, message)  # type: ignore[arg-type]

        self.network.publish = listen  # type: ignore[method-assign]

    def trailers(self, member: MemberId) -> list[Trailer]:
        """Of one member, in order."""
        return [h.trailer for me, h in self.heartbeats if me == member and h.trailer is not None]

    def test_all_links_deliver_the_step_in_force(self) -> None:
        world = World(3, network=self.network)
        world.settle()
        delivered = {trailer.delivered for trailer in self.trailers(IDS[0])}
        self.assertEqual(delivered, {UNMEASURED, world.nodes[0].flock.state.step})

    def test_frames_that_do_not_arrive_are_seen_in_what_is_delivered(self) -> None:
        world = World(3, network=self.network)
        world.settle()
        del self.heartbeats[:]
        self.network.loss = lambda sender, receiver, number: (
            sender == IDS[2] and receiver == IDS[0] and number % 2 == 0
        )
        world.nodes[1].change(1, 500_000)
        world.network.run(6.0)
        step = world.nodes[0].flock.state.step
        worst = min(trailer.delivered for trailer in self.trailers(IDS[0]))
        self.assertLess(worst, step - 8)
        self.assertEqual(min(t.delivered for t in self.trailers(IDS[1])), step)

    def test_members_and_slots_are_shown_alike_by_all(self) -> None:
        world = World(3, network=self.network)
        world.settle()
        for name in ("slot", "members"):
            shown = [getattr(self.trailers(me)[-1], name) for me in world.ids]
            self.assertLessEqual(max(shown) - min(shown), name == "slot")

    def test_the_digest_is_that_of_the_last_offer(self) -> None:
        world = World(2, network=self.network)
        world.settle()
        world.nodes[1].flock.offer(0, 0, 0, b"d" * 16)
        world.network.run(1.0)
        self.assertEqual(self.trailers(IDS[1])[-1].digest, b"d" * 16)

    def test_digests_are_told_once_after_a_round_and_when_they_change(self) -> None:
        world = World(2, network=self.network)
        world.settle()
        world.network.run(3.0)
        node, other = world.nodes
        node.digests.clear()
        node.change(1, 20_000)
        world.network.run(1.0)
        world.settle()
        world.network.run(3.0)
        self.assertEqual(node.digests, [(other.me, bytes(16))])
        other.flock.offer(0, 0, 0, b"d" * 16)
        world.network.run(3.0)
        self.assertEqual(node.digests[1:], [(other.me, b"d" * 16)])

    def test_who_withholds_its_news_shows_no_digest(self) -> None:
        world = World(3, network=self.network, return_wait=(20.0, 20.0))
        world.settle()
        self.network.run(30.0)
        node = world.nodes[2]
        node.flock.offer(0, 0, 0, b"d" * 16)
        self.network.run(1.0)
        self.assertEqual(self.trailers(node.me)[-1].digest, b"d" * 16)
        self.network.partition(world.ids[:2], world.ids[2:])
        self.network.run(5.0)
        self.network.heal()
        self.network.run(6.0)  # the round of return
        node.flock.offer(0, 0, 0, b"d" * 16)
        self.network.run(1.0)
        self.assertEqual(self.trailers(node.me)[-1].digest, bytes(16))
        self.network.run(20.0)
        self.assertEqual(self.trailers(node.me)[-1].digest, b"d" * 16)

    def test_one_who_leaves_is_gone_at_once_and_comes_back_like_a_stranger(self) -> None:
        world = World(3, network=self.network)
        world.settle()
        node = world.nodes[2]
        node.flock.leave(node.host.now)
        world.network.run(0.4)
        for other in world.nodes[:2]:
            self.assertNotIn(node.me, other.flock.state.alive)
        world.kill(node)
        world.revive(node)
        world.settle()
        self.assertEqual([len(other.starts) for other in world.nodes[:2]], [2, 2])


class QueueTests(SynchronousTestCase):
    """What is told about links."""

    def setUp(self) -> None:
        self.world = World(2)
        self.near, self.far = self.world.nodes

    def test_what_is_queued_for_one_that_is_not_alive_is_consumed_at_once(self) -> None:
        self.near._queue(self.far.me, Priority.BULK, record(b"nobody listens"))
        self.assertEqual(self.near.queued[self.far.me, Priority.BULK], 0)

    def test_only_whole_records_are_taken(self) -> None:
        self.world.settle()
        with self.assertRaises(ProtocolError):
            self.near.flock.queue(self.far.me, Priority.BULK, b"\0\0\0\1")

    def test_all_that_was_queued_is_consumed_when_it_has_left(self) -> None:
        self.world.settle()
        self.near.change(1, 100_000)
        self.assertGreater(self.near.queued[self.far.me, Priority.BULK], 100_000)
        self.world.settle()
        self.assertEqual(self.near.queued[self.far.me, Priority.BULK], 0)

    def test_a_peer_that_starts_anew_is_greeted_anew(self) -> None:
        self.world.settle()
        epochs = [told[2] for told in self.near.told if told[0] == "alive"]
        self.assertEqual((len(epochs), epochs[0]), (2, 0))
        self.world.kill(self.far)
        self.world.revive(self.far)
        self.world.network.run(1.0)
        self.near.change(1, 1000)
        self.near._queue(self.far.me, Priority.CONTROL, record(b"\0" * 12))
        self.world.network.run(5.0)
        again = [told[2] for told in self.near.told if told[0] == "alive"]
        self.assertNotEqual(again[-1], epochs[-1])
        self.assertEqual(set(self.near.queued.values()), {0})

    def test_bytes_that_could_not_be_kept_are_skipped_to_the_next_record(self) -> None:
        self.world.settle()
        self.near.change(1, 40_000)
        kept = self.far.received
        chunks: list[bytes] = []

        def received(member: MemberId, data: bytes) -> None:
            chunks.append(data)
            if len(chunks) == 1:
                self.far.flock.skip(member)
            else:
                kept(member, data)

        self.far.received = received  # type: ignore[method-assign]
        self.world.settle()
        self.assertIn(("reset", self.near.me), self.far.told)
        self.assertGreater(len(chunks), 1)
        self.assertGreater(len(self.far.pieces[1]), 3)
        self.assertNotIn(1, self.far.has)

    def test_the_state_is_told_at_most_ten_times_a_second(self) -> None:
        self.world.settle()
        self.near.states.clear()
        self.near.change(1, 1_000_000)
        self.world.network.run(3.0)
        self.assertLessEqual(len(self.near.states), 31)
        self.assertGreater(len(self.near.states), 10)


SIXTEEN = st.binary(min_size=16, max_size=16)
SOON = st.integers(0, 5)


@st.composite
def lies(draw: st.DrawFn) -> list[bytes]:
    """Heartbeats of a member that says anything."""
    shown = []
    for _ in range(draw(st.integers(1, 8))):
        slot = 244_326_403 + draw(st.one_of(SOON, st.integers(-(10**8), 10**8)))
        trailer = Trailer(
            flags=draw(st.integers(0, 255)),
            slot=slot,
            time_ms=EPOCH_2020_MS + slot * 500,
            digest=draw(SIXTEEN),
            round_id=draw(st.sampled_from((0, slot))) + draw(SOON),
            stop_slot=draw(st.sampled_from((0, slot))) + draw(SOON),
            step=draw(st.integers(0, 255)),
            delivered=draw(st.integers(0, 255)),
            uplink=draw(st.integers(0, 255)),
            new=draw(st.integers(0, 0xFFFF)),
            backlog=draw(st.integers(0, 0xFFFF)),
            remaining=draw(st.integers(0, 0xFFFF)),
            members=draw(st.integers(0, 0xFFFFFFFF)),
        )
        ids = tuple(draw(st.lists(st.sampled_from(IDS[:6]), max_size=6)))
        code = draw(st.sampled_from((100, 114, 115, 124, 125, 134, 135, 145, 150, 155, 410)))
        shown.append(encode_heartbeat(Heartbeat(code, trailer.time_ms, len(ids), ids, trailer)))
    return shown


class HostilityTests(SynchronousTestCase):
    """A member may say anything; the others live on."""

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.one_of(lies(), st.lists(st.binary(max_size=300), max_size=3)), max_size=6))
    def test_whatever_a_member_says_the_flock_is_idle_when_it_is_gone(
        self, said: list[list[bytes]]
    ) -> None:
        world = World(3, uplink=200_000)
        world.network.run(3.0)
        liar = world.nodes[0]
        world.kill(liar)
        for heartbeats in said:
            for message in heartbeats:
                for node in world.up:
                    node.flock.heartbeat_received(liar.me, message, node.host.now)
                    node.flock.frame_received(liar.me, message, node.host.now)
                    due = node.flock.advance(node.host.now)
                    self.assertGreater(due, node.host.now)
            world.network.run(0.3)
        world.network.run(5.0)
        world.settle(60.0)

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 0xFFFF_FFFF), st.integers(0, 2**48 - 1)),
            min_size=8,
            max_size=8,
        )
    )
    def test_times_out_of_chance_are_not_followed(self, times: list[tuple[int, int]]) -> None:
        world = World(3, uplink=200_000)
        node, liar = world.nodes[1], world.nodes[0]
        world.kill(liar)
        world.settle(60.0)
        slot = node.flock.state.slot
        for shown, time_ms in times:
            nothing = (0,) * 9
            trailer = Trailer(0, shown, time_ms, bytes(16), *nothing)
            message = encode_heartbeat(Heartbeat(100, 0, 255, IDS[10:22], trailer))
            for each in world.up:
                each.flock.heartbeat_received(liar.me, message, each.host.now)
            world.network.run(1.0)
        self.assertLess(node.flock.state.slot - slot, 2 * len(times) + 2)
        world.network.run(5.0)
        world.settle(60.0)

    def test_only_the_first_of_what_makes_no_sense_is_logged(self) -> None:
        world = World(2)
        node, peer = world.nodes
        warned: list[object] = []
        with patch.object(node.flock, "_log") as log:
            log.warn = lambda *_text, **values: warned.append(values["reason"])
            for message in (b"1", b"100 x", bytes(30)):
                node.flock.heartbeat_received(peer.me, message, node.host.now)
                node.flock.frame_received(peer.me, message, node.host.now)
                node.flock.frame_received(IDS[9], message, node.host.now)
        self.assertEqual(len(warned), 1)

    def test_strangers_are_ignored(self) -> None:
        world = World(2)
        node = world.nodes[0]
        node.flock.heartbeat_received(IDS[9], b"100 ".ljust(256, b"\0"), node.host.now)
        node.flock.frame_received(IDS[9], bytes(4117), node.host.now)
        node.flock.skip(IDS[9])
        self.assertEqual(node.told, [])
