# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of several exchanges over virtual links.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Hash
from flocknode.testing.boxes import MemoryBox
from tests.exchange.support import Party

MIB = 1_048_576


def some_bytes(size: int, seed: int = 1) -> bytes:
    """Bytes that do not repeat."""
    return random.Random(seed).randbytes(size)


def carried(party: Party) -> int:
    """Bytes that all members have sent."""
    return sum(party.network.sent_by(member.id) for member in party.members)


def with_one_that_takes_nothing(members: int) -> Party:
    """The last member can place nothing of what the first has, after four rounds."""
    party = Party(members)
    party.settle()
    party.boxes[-1].broken = True
    party.boxes[0].put(b"a", b"1")
    for _ in range(4):
        party.network.start_round()
        party.network.run(5)
        party.network.stop_round()
    return party


class Converging(SynchronousTestCase):
    """Boxes become equal."""

    def test_two_members_get_what_each_other_has(self) -> None:
        party = Party(2)
        first, second = party.boxes
        first.put(b"a/large", some_bytes(3 * MIB), mode=0o600)
        first.put(b"a/empty", b"", 7)
        first.link(b"link", b"a/large")
        second.make_directory(b"empty", 0o700)
        second.put(b"b", b"small", -5)
        party.settle()
        files = first.files()
        self.assertEqual(
            set(files), {b"a", b"a/large", b"a/empty", b"link", b"empty", b"b"}
        )
        self.assertTrue(files[b"a/large"][1] == some_bytes(3 * MIB))

    def test_eight_members_who_all_have_something(self) -> None:
        party = Party(8)
        for number, box in enumerate(party.boxes):
            box.put(b"of %d" % number, some_bytes(300_000 + number, number))
            box.put(b"same", b"the same everywhere", 5)
        party.settle()
        self.assertEqual(len(party.boxes[0].files()), 9)

    def test_changes_and_deletions_follow(self) -> None:
        party = Party(3)
        first, second, third = party.boxes
        for path in (b"kept", b"changed", b"deleted", b"d/renamed"):
            first.put(path, path)
        party.settle()
        first.put(b"changed", b"again", 9)
        second.remove(b"deleted")
        third.rename(b"d/renamed", b"d/name")
        party.settle()
        self.assertEqual(set(first.files()), {b"kept", b"changed", b"d", b"d/name"})

    def test_what_two_changed_lives_on_in_two_files(self) -> None:
        party = Party(3)
        party.boxes[0].put(b"a.txt", b"old", 1)
        party.settle()
        party.boxes[1].put(b"a.txt", b"one", 2)
        party.boxes[2].put(b"a.txt", b"two", 3)
        party.settle()
        contents = {path: data for path, (_value, data) in party.boxes[0].files().items()}
        self.assertEqual(len(contents), 2)
        self.assertEqual(contents.pop(b"a.txt"), b"two")
        self.assertEqual(list(contents.values()), [b"one"])

    def test_members_need_not_have_the_same_boxes(self) -> None:
        party = Party(3)
        extra = [MemoryBox("extra", random=random.Random(number)) for number in (50, 51)]
        party.members[0].add(extra[0])
        party.members[2].add(extra[1])
        extra[0].put(b"only two have this", some_bytes(400_000))
        party.boxes[1].put(b"all have this", some_bytes(400_000))
        party.settle()
        self.assertEqual(len(extra[1].files()), 1)

    def test_a_box_of_slow_threads_becomes_equal_too(self) -> None:
        party = Party(2)
        clock = party.clock
        slow = [
            MemoryBox("slow", random.Random(number), lambda f: clock.callLater(0.2, f))
            for number in (5, 6)
        ]
        for member, box in zip(party.members, slow, strict=True):
            member.add(box)
        for number in range(200):
            slow[number % 2].put(b"%d" % number, some_bytes(5_000, number))
        party.settle()
        self.assertEqual(len(slow[0].files()), 200)


class Spread(SynchronousTestCase):
    """What is here is elsewhere, too, or not."""

    def test_what_all_have_is_spread(self) -> None:
        party = Party(2)
        party.boxes[0].put(b"a", b"1")
        party.settle()
        for member, box in zip(party.members, party.boxes, strict=True):
            self.assertTrue(member.exchange.is_spread(box))

    def test_what_is_on_its_way_is_not(self) -> None:
        party = Party(2)
        party.boxes[0].put(b"a", some_bytes(MIB))
        party.network.start_round()
        party.network.run_until(lambda: carried(party) > MIB // 2, 60)
        for member, box in zip(party.members, party.boxes, strict=True):
            self.assertFalse(member.exchange.is_spread(box))

    def test_who_is_cut_off_does_not_take_silence_for_consent(self) -> None:
        for count in (2, 3):
            party = Party(count)
            party.settle()
            party.boxes[0].put(b"a", some_bytes(MIB))
            party.network.start_round()
            party.network.run_until(lambda party=party: carried(party) > MIB // 2, 60)  # type: ignore[misc]
            party.network.vanish(party.members[0].id)
            party.network.run(5)
            party.network.stop_round()
            exchange = party.members[0].exchange
            self.assertTrue(exchange.is_level())
            self.assertFalse(exchange.is_spread(party.boxes[0]))

    def test_that_somebody_is_there_who_has_another_box_is_no_help(self) -> None:
        party = Party(3)
        extra = [MemoryBox("extra", random=random.Random(number)) for number in (50, 51)]
        party.members[0].add(extra[0])
        party.members[2].add(extra[1])
        party.settle()
        extra[0].put(b"only two have this", some_bytes(MIB))
        party.network.start_round()
        party.network.run_until(lambda: carried(party) > MIB // 2, 60)
        party.network.vanish(party.members[2].id)
        party.network.run(5)
        party.network.stop_round()
        exchange = party.members[0].exchange
        self.assertTrue(exchange.is_level())
        self.assertFalse(exchange.is_spread(extra[0]))
        self.assertTrue(exchange.is_spread(party.boxes[0]))

    def test_what_one_member_will_never_take_is_spread_if_another_has_it(self) -> None:
        party = with_one_that_takes_nothing(3)
        exchange = party.members[0].exchange
        self.assertTrue(exchange.is_level())
        self.assertTrue(exchange.is_spread(party.boxes[0]))

    def test_and_is_not_if_nobody_else_does(self) -> None:
        party = with_one_that_takes_nothing(2)
        exchange = party.members[0].exchange
        self.assertTrue(exchange.is_level())
        self.assertFalse(exchange.is_spread(party.boxes[0]))

    def test_a_box_that_nobody_else_has_hides_in_no_crowd(self) -> None:
        party = Party(2)
        own = MemoryBox("own", random=random.Random(7))
        party.members[0].add(own)
        own.put(b"a", b"1")
        party.settle()
        self.assertTrue(party.members[0].exchange.is_spread(own))


class Resuming(SynchronousTestCase):
    """After a restart."""

    def test_nothing_is_sent_twice(self) -> None:
        party = Party(2)
        for number in range(500):
            party.boxes[0].put(b"%d" % number, some_bytes(2_000, number))
        party.settle()
        before = carried(party)
        for number in (0, 1):
            party.network.vanish(party.members[number].id)
            party.boxes[number].restart()
            party.network.come_back(party.members[number].id, anew=True)
        party.network.start_round()
        party.network.run(5)
        self.assertTrue(party.is_level())
        self.assertLess(carried(party) - before, 5_000)

    def test_what_is_there_is_not_sent_again(self) -> None:
        party = Party(2)
        party.boxes[0].put(b"a", some_bytes(4 * MIB))
        party.network.start_round()
        half = 2 * MIB
        party.network.run_until(lambda: carried(party) > half, 60)
        party.network.vanish(party.members[1].id)
        party.boxes[1].restart()
        party.network.come_back(party.members[1].id, anew=True)
        party.network.run_until(party.is_level, 60)
        self.assertLess(carried(party), 4 * MIB + 2 * MIB)

    def test_an_index_that_was_lost_is_built_anew_without_conflicts(self) -> None:
        party = Party(3)
        for number in range(20):
            party.boxes[0].put(b"%d" % number, some_bytes(2_000, number))
        party.settle()
        before = carried(party)
        party.network.vanish(party.members[1].id)
        party.boxes[1].lose_index()
        party.network.come_back(party.members[1].id, anew=True)
        party.settle()
        self.assertEqual(party.boxes[0].digest, party.boxes[1].digest)
        self.assertEqual(len(party.boxes[0].files()), 20)
        self.assertLess(carried(party) - before, 30_000)


class Spreading(SynchronousTestCase):
    """Who sends what."""

    def test_a_source_sends_little_more_than_once_to_seven_receivers(self) -> None:
        party = Party(8, rate=893_000)
        size = 24 * MIB
        party.boxes[0].put(b"a", some_bytes(size))
        taken = party.settle()
        sent = party.network.sent_by(party.members[0].id)
        self.assertLess(sent, 1.4 * size)
        # The source's uplink is full all the time, and the others pass on.
        self.assertLess(taken, 1.45 * size / (7 * 893_000))

    def test_many_small_files_of_one_source_spread_as_well(self) -> None:
        party = Party(4, rate=1_000_000)
        for number in range(600):
            party.boxes[0].put(b"d/%d" % number, some_bytes(8_000, number))
        party.settle()
        size = 600 * 8_000
        self.assertLess(party.network.sent_by(party.members[0].id), 1.6 * size)

    def test_files_need_no_round_trips_of_their_own(self) -> None:
        party = Party(2, latency=0.4, rate=4_000_000)
        for number in range(1_000):
            party.boxes[0].put(b"d/%d" % number, some_bytes(500, number))
        party.network.start_round()
        taken = party.network.run_until(party.is_equal, 60)
        self.assertLess(taken, 8 * 0.4)

    def test_two_sources_share_the_work(self) -> None:
        party = Party(3)
        for box in party.boxes[:2]:
            box.put(b"a", some_bytes(8 * MIB), 5)
        party.settle()
        for member in party.members[:2]:
            self.assertLess(party.network.sent_by(member.id), 6 * MIB)

    def test_a_source_that_gave_each_block_once_can_go(self) -> None:
        party = Party(4)
        size = 6 * MIB
        party.boxes[0].put(b"a", some_bytes(size))
        source, read = party.members[0].id, party.boxes[0].read_many
        given: set[Hash] = set()

        def once(hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
            if not given.isdisjoint(hashes):
                return Deferred()  # as if they were on their way for ever
            given.update(hashes)
            return read(hashes)

        self.patch(party.boxes[0], "read_many", once)
        party.network.start_round()
        party.network.run_until(lambda: len(given) == 1 + size // 131_072, 60)
        party.network.run(0.3)
        party.network.vanish(source)
        self.assertFalse(any(party.is_equal(0, number) for number in (1, 2, 3)))
        party.network.run_until(lambda: party.is_equal(1, 2, 3), 60)
        self.assertTrue(party.boxes[3].files()[b"a"][1] == some_bytes(size))


class Enduring(SynchronousTestCase):
    """Members that misbehave, or are cut off."""

    def test_a_member_that_sends_rubbish_does_not_spoil_it(self) -> None:
        party = Party(3)
        for box in party.boxes[:2]:
            box.put(b"a", some_bytes(2 * MIB), 5)
        read = party.boxes[0].read_many

        def rot(hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
            return read(hashes).addCallback(
                lambda found: [data and data[:-1] + b"!" for data in found]
            )

        self.patch(party.boxes[0], "read_many", rot)
        party.settle()
        self.assertTrue(party.boxes[2].files()[b"a"][1] == some_bytes(2 * MIB))
        self.assertGreater(party.members[2].exchange.status().bad, 0)

    def test_a_member_that_lost_content_says_so(self) -> None:
        party = Party(3)
        for box in party.boxes[:2]:
            box.put(b"a", some_bytes(2 * MIB), 5)
        self.patch(
            party.boxes[0], "read_many", lambda hashes: succeed([None] * len(hashes))
        )
        taken = party.settle()
        self.assertLess(taken, 4)

    def test_a_member_that_does_not_answer_does_not_hold_up_the_others(self) -> None:
        party = Party(3)
        for box in party.boxes[:2]:
            box.put(b"a", some_bytes(2 * MIB), 5)
        self.patch(party.boxes[0], "read_many", lambda hashes: Deferred())
        taken = party.settle()
        self.assertLess(taken, 12)

    def test_what_is_lost_on_the_way_is_asked_for_again(self) -> None:
        party = Party(3, rate=1_500_000, loss=0.02)
        for number in range(300):
            party.boxes[number % 3].put(b"%d" % number, some_bytes(6_000, number))
        party.boxes[0].put(b"large", some_bytes(2 * MIB))
        party.settle(120)

    def test_links_may_be_cut_and_mended(self) -> None:
        party = Party(4)
        party.boxes[0].put(b"a", some_bytes(8 * MIB))
        chance = random.Random(4)
        party.network.start_round()
        for _ in range(15):
            a, b = chance.sample(party.members, 2)
            party.network.cut(a.id, b.id)
            party.network.run(0.1)
            party.network.connect(a.id, b.id)
            party.network.run(0.1)
        party.network.run_until(party.is_level, 60)

    def test_members_without_a_link_get_it_by_way_of_others(self) -> None:
        party = Party(3)
        first, _second, third = party.members
        party.network.cut(first.id, third.id)
        party.boxes[0].put(b"a", some_bytes(3 * MIB))
        party.boxes[2].put(b"b", some_bytes(3 * MIB, 2))
        party.network.start_round()
        party.network.run_until(party.is_equal, 60)

    def test_what_a_lost_member_had_shown_is_passed_on(self) -> None:
        party = Party(3)
        first, _second, third = party.members
        party.network.cut(first.id, third.id)
        self.patch(party.boxes[0], "read_many", lambda hashes: Deferred())
        party.boxes[0].put(b"a", some_bytes(1_000))
        party.network.start_round()
        party.network.run(1)
        self.assertEqual(party.boxes[2].needs(), [])
        party.network.cut(first.id, party.members[1].id)
        party.network.run(1)
        self.assertEqual(len(party.boxes[2].needs()), 1)

    def test_partial_files_of_members_that_restarted_are_found(self) -> None:
        party = Party(3)
        party.boxes[0].put(b"a", some_bytes(4 * MIB))
        party.network.start_round()
        second, third = party.boxes[1:]
        party.network.run_until(
            lambda: all(0 < len(box.needs()) < 20 for box in (second, third)), 60
        )
        party.network.vanish(party.members[0].id)
        for number in (1, 2):
            party.network.vanish(party.members[number].id)
            party.boxes[number].restart()
        party.network.members[party.members[1].id].begin()
        party.network.members[party.members[2].id].begin()
        party.network.connect(party.members[1].id, party.members[2].id)
        here = [{need.hash for need in box.needs()} for box in (second, third)]
        party.network.run(20)
        for box in (second, third):
            self.assertEqual({need.hash for need in box.needs()}, here[0] & here[1])
