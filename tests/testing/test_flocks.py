# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whole flocks in virtual time: the real engine and the real exchange converge,
whatever the network does.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Need
from flocknode.flock.interfaces import MemberId
from flocknode.testing.flocks import VirtualFlock
from flocknode.testing.network import VirtualNetwork


def content(number: int, size: int) -> bytes:
    """Bytes that nothing else has."""
    return Random(number).randbytes(size)


def uneven(sender: MemberId, receiver: MemberId, number: int) -> float:
    """A latency of 0.2 to 9 ms, another one for each packet."""
    return 0.0002 + Random(sender + receiver + number.to_bytes(8, "big")).random() * 0.0088


class Waiting(SynchronousTestCase):
    """Rounds that were of no use do not mean that there is never another."""

    def test_a_member_that_scans_for_long_gets_what_it_missed(self) -> None:
        for seconds in (5, 20, 60):
            flock = VirtualFlock(2, start=(0,))
            flock.network.run(10)
            flock.members[0].box.put(b"file", content(1, 300_000))
            flock.network.run(20)
            member = flock.members[1]
            member.host.start()
            # What a box does until all of its folder is known: nothing is wanted.
            held: list[tuple[object, Sequence[Need]]] = []
            exchange = member._exchange
            assert exchange is not None
            patch = self.patch(exchange, "wanted", lambda *told, held=held: held.append(told))
            flock.network.run(seconds)
            patch.restore()
            for box, needs in held:
                exchange.wanted(box, needs)
            flock.run_until_equal(30)

    def test_a_holder_whose_folder_is_away_for_a_minute_is_asked_again(self) -> None:
        flock = VirtualFlock(2)
        flock.network.run(10)
        box = flock.members[0].box
        patch = self.patch(box, "read_many", lambda hashes: succeed([None] * len(hashes)))
        box.put(b"file", content(1, 300_000))
        flock.network.run(60)
        patch.restore()
        flock.run_until_equal(200)

    def test_a_source_that_comes_and_goes_is_enough_for_a_large_file(self) -> None:
        flock = VirtualFlock(3)
        flock.network.run(10)
        flock.members[0].box.put(b"file", content(1, 30_000_000))
        for _ in range(5):
            flock.network.run(4.5)
            flock.members[2].crash()
            flock.network.run(4)
            flock.members[2].host.start()
        flock.run_until_equal(120)


class Converging(SynchronousTestCase):
    """All boxes become equal, and the flock idle."""

    def converge(self, flock: VirtualFlock, seconds: float) -> None:
        """Wait until all are equal and idle; then nothing changes any more."""
        flock.run_until_equal(seconds)
        flock.network.run(15)
        self.assertTrue(flock.equal())
        self.assertTrue(flock.idle())

    def test_a_small_change_is_on_all_three_within_two_seconds(self) -> None:
        flock = VirtualFlock(3, network=VirtualNetwork(latency=uneven))
        flock.network.run(20)
        for change in range(8):
            flock.network.run(7.0 + 0.13 * change)
            flock.members[change % 3].box.put(b"file", content(change, 1000), mtime_ns=change + 1)
            flock.run_until_equal(2.2)
            found = flock.members[0].box.files()[b"file"][1]
            self.assertEqual(found, content(change, 1000))

    def test_twelve_members_get_what_each_of_them_adds(self) -> None:
        flock = VirtualFlock(12, network=VirtualNetwork(latency=uneven))
        flock.network.run(10)
        for number, member in enumerate(flock.members):
            member.box.put(b"from %d" % number, content(number, 20_000))
        self.converge(flock, 60)
        self.assertEqual(len(flock.members[11].box.files()), 12)

    def test_a_member_that_starts_an_hour_later_catches_up_by_itself(self) -> None:
        flock = VirtualFlock(3, start=(0, 1))
        flock.network.run(10)
        flock.members[0].box.put(b"file", content(1, 300_000))
        flock.run_until_equal(10, (0, 1))
        flock.network.run(3600)
        flock.members[2].host.start()
        self.converge(flock, 15)
        self.assertEqual(flock.members[2].box.files()[b"file"][1], content(1, 300_000))

    def test_two_halves_that_were_cut_apart_meet_again(self) -> None:
        flock = VirtualFlock(4)
        flock.network.run(10)
        ids = [member.me for member in flock.members]
        flock.network.partition(ids[:2], ids[2:])
        flock.network.run(5)
        flock.members[0].box.put(b"file", content(1, 5_000), mtime_ns=1)
        flock.members[3].box.put(b"file", content(2, 5_000), mtime_ns=2)
        flock.network.run(20)
        self.assertTrue(flock.equal((0, 1)))
        self.assertTrue(flock.equal((2, 3)))
        self.assertFalse(flock.equal())
        flock.network.heal()
        self.converge(flock, 60)
        both = {data for _, data in flock.members[1].box.files().values()}
        self.assertEqual(both, {content(1, 5_000), content(2, 5_000)})

    def test_a_source_that_crashes_in_mid_round_finishes_when_it_is_back(self) -> None:
        flock = VirtualFlock(3)
        flock.network.run(10)
        flock.members[0].box.put(b"file", content(1, 2_000_000))
        flock.network.run(2.2)
        flock.members[0].crash()
        flock.network.run(30)
        self.assertTrue(flock.idle())
        flock.members[0].host.start()
        self.converge(flock, 40)
        self.assertIn(b"file", flock.members[2].box.files())

    @settings(max_examples=8, deadline=None)
    @given(st.integers(0, 1 << 30))
    def test_lost_frames_crashes_and_cuts_end_in_equal_boxes(self, seed: int) -> None:
        chance = Random(seed)
        lossy = 0.0

        def loss(sender: MemberId, receiver: MemberId, number: int) -> bool:
            return Random(b"%d" % seed + sender + receiver + b"%d" % number).random() < lossy

        flock = VirtualFlock(
            chance.randint(2, 4), seed=seed, network=VirtualNetwork(latency=uneven, loss=loss)
        )
        flock.network.run(chance.uniform(0, 10))
        lossy = 0.02
        for change in range(8):
            member = chance.choice(flock.members)
            kind = chance.randrange(6)
            if kind < 4 and member.host.engine is not None:
                name = b"file %d" % chance.randrange(3)
                member.box.put(name, content(seed + change, chance.randint(0, 200_000)), change)
            elif kind == 4:
                member.crash()
            else:
                ids = [other.me for other in flock.members]
                flock.network.partition(ids[:1], ids[1:])
            flock.network.run(chance.uniform(0, 4))
            if chance.random() < 0.5:
                flock.network.heal()
        lossy = 0.0
        flock.network.heal()
        for member in flock.members:
            if member.host.engine is None:
                member.host.start()
        flock.run_until_equal(180)


class Constant(SynchronousTestCase):
    """Under constant cover."""

    def test_changes_are_everywhere_within_half_a_second(self) -> None:
        flock = VirtualFlock(3, constant=(1,))
        flock.network.run(6)
        for number in range(6):
            flock.network.run(0.37)
            flock.members[number % 3].box.put(b"%d" % number, content(number, 1_000))
            flock.run_until_equal(0.5)

    def test_a_file_that_takes_many_of_its_rounds_arrives(self) -> None:
        flock = VirtualFlock(3, constant=(0, 1, 2))
        flock.network.run(6)
        flock.members[2].box.put(b"file", content(1, 4_000_000))
        flock.run_until_equal(60)

    def test_what_it_has_begun_is_finished_in_rounds_when_it_ends(self) -> None:
        flock = VirtualFlock(3, constant=(0,))
        flock.network.run(6)
        flock.members[2].box.put(b"file", content(1, 8_000_000))
        flock.network.run(45)
        self.assertFalse(flock.equal((1, 2)))
        flock.members[0].crash()
        flock.run_until_equal(40, (1, 2))

    def test_when_it_ends_there_is_no_round_for_what_it_has_brought(self) -> None:
        flock = VirtualFlock(3, constant=(2,))
        flock.network.run(6)
        flock.members[0].box.put(b"file", content(1, 50_000))
        flock.run_until_equal(10, (0, 1))
        flock.network.run(10)
        flock.members[2].crash()
        flock.network.run(30)
        self.assertTrue(flock.idle())
        self.assertEqual([m.shown.rounds for m in flock.members[:2]], [0, 0])
