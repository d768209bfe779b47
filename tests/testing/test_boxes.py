# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.testing.boxes}.
"""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import block_hash
from flocknode.box.index.rows import COST
from flocknode.box.values import Entry, Hash, Holder, Kind, Need
from flocknode.errors import BoxError
from flocknode.testing.boxes import MemoryBox

A, B = Holder(b"a" * 16), Holder(b"b" * 16)
WHOLE = len(b"content") + COST
LARGE = random.Random(1).randbytes(300_000)


class Listener:
    """Keeps what a box tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def advanced(self, box: object) -> None:
        """See L{flocknode.box.values.BoxListener}."""
        self.told.append(("advanced", None))

    def wanted(self, box: object, needs: list[Need]) -> None:
        """See L{flocknode.box.values.BoxListener}."""
        self.told.append(("wanted", [(need.hash, need.listing) for need in needs]))

    def unwanted(self, box: object, hashes: list[Hash]) -> None:
        """See L{flocknode.box.values.BoxListener}."""
        self.told.append(("unwanted", hashes))

    def sources(self, box: object, content: Hash, holders: frozenset[Holder]) -> None:
        """See L{flocknode.box.values.BoxListener}."""
        self.told.append(("sources", (content, holders)))

    def measured(self, box: object) -> None:
        """See L{flocknode.box.values.BoxListener}."""


class BoxCase(SynchronousTestCase):
    """A box, and one whose index it joins."""

    def setUp(self) -> None:
        self.box, self.other = (MemoryBox(random=random.Random(seed)) for seed in (1, 2))
        self.listener = Listener()
        self.box.listener = self.listener  # type: ignore[assignment]

    def entries(self, box: MemoryBox, number: int = 0) -> list[Entry]:
        """What a box announces."""
        return self.successResultOf(box.entries_after(number, 10**6))[0]

    def join(self, start: int = 0) -> None:
        """The box hears what the other announces."""
        entries, to = self.successResultOf(self.other.entries_after(start, 10**6))
        joined = self.box.join(A, self.other.index_id, start, to, entries)
        self.assertTrue(self.successResultOf(joined))

    def fetch(self) -> None:
        """All that is needed comes from the other."""
        while needs := self.box.needs():
            blocks = []
            for need in needs:
                data = self.successResultOf(self.other.read_many([need.hash]))[0]
                assert data is not None
                blocks.append((need.hash, data))
            written = self.box.write(blocks)
            self.assertEqual(self.successResultOf(written), [True] * len(blocks))


class Folder(BoxCase):
    """Changes made in the box."""

    def test_it_holds_what_was_put_into_it(self) -> None:
        self.box.put(b"d/a", LARGE, 7, 0o600)
        self.box.link(b"l", b"target")
        self.box.put(b"gone", b"x")
        self.box.remove(b"gone")
        files = self.box.files()
        self.assertEqual(set(files), {b"d", b"d/a", b"l"})
        self.assertEqual((files[b"d/a"][0].mode, files[b"d/a"][0].mtime_ns), (0o600, 7))
        self.assertEqual(files[b"d/a"][1], LARGE)
        self.assertEqual((files[b"l"][0].kind, files[b"l"][1]), (Kind.SYMLINK, b"target"))

    def test_each_change_has_a_number_and_is_new(self) -> None:
        self.box.put(b"a", b"123")
        self.assertEqual((self.box.highest, self.box.new_total), (1, 3 + COST))
        self.box.put(b"a", b"1234")
        self.assertEqual((self.box.highest, self.box.new_total), (2, 7 + 2 * COST))
        (entry,) = self.entries(self.box)
        self.assertEqual((entry.number, entry.complete), (2, True))

    def test_what_was_created_and_removed_before_anybody_knew_was_never_there(self) -> None:
        self.box.put(b"a", b"123")
        self.box.remove(b"a")
        self.assertEqual(self.entries(self.box), [])
        self.box.put(b"a", b"123")
        self.entries(self.box)
        self.box.remove(b"a")
        self.assertEqual(len(self.entries(self.box)), 1)

    def test_entries_come_in_parts_of_about_a_size(self) -> None:
        for number in range(100):
            self.box.put(b"%d" % number, b"")
        part, to = self.successResultOf(self.box.entries_after(0, 1_000))
        self.assertTrue(5 < len(part) < 20)
        self.assertEqual(part[-1].number, to)
        rest, to = self.successResultOf(self.box.entries_after(to, 10**6))
        self.assertEqual((len(part) + len(rest), to), (100, 100))

    def test_equal_boxes_have_equal_digests(self) -> None:
        for box in (self.box, self.other):
            for path in (b"a", b"b")[:: 1 if box is self.box else -1]:
                box.put(path, path)
        self.assertEqual(self.box.digest, self.other.digest)
        self.other.put(b"a", b"changed", 2)
        self.assertNotEqual(self.box.digest, self.other.digest)


class Exchanging(BoxCase):
    """What comes from others."""

    def test_a_small_file_is_one_block(self) -> None:
        self.other.put(b"a", b"content")
        self.join()
        hash = block_hash(b"content")
        self.assertEqual(
            self.listener.told,
            [
                ("advanced", None),
                ("sources", (hash, frozenset({A}))),
                ("wanted", [(hash, False)]),
            ],
        )
        self.fetch()
        self.assertEqual(self.box.files(), self.other.files())

    def test_a_large_one_is_a_list_and_then_its_blocks(self) -> None:
        self.other.put(b"a", LARGE)
        self.join()
        self.assertEqual([need.listing for need in self.box.needs()], [True])
        (need,) = self.box.needs()
        data = self.successResultOf(self.other.read_many([need.hash]))[0]
        assert data is not None
        self.box.write([(need.hash, data)])
        self.assertEqual([need.listing for need in self.box.needs()], [False] * 3)
        self.assertEqual({need.content for need in self.box.needs()}, {need.hash})
        self.fetch()
        self.assertEqual(self.box.files(), self.other.files())

    def test_what_is_here_under_another_name_is_not_needed(self) -> None:
        self.box.put(b"mine", LARGE)
        self.other.put(b"theirs", LARGE, 5)
        self.join()
        self.assertEqual(self.box.needs(), [])
        self.assertEqual(set(self.box.files()), {b"mine", b"theirs"})

    def test_a_block_that_is_wrong_is_not_kept(self) -> None:
        self.other.put(b"a", b"content")
        self.join()
        hash = block_hash(b"content")
        self.assertEqual(self.successResultOf(self.box.write([(hash, b"c0ntent")])), [False])
        self.assertEqual(self.successResultOf(self.box.read_many([hash])), [None])

    def test_what_was_superseded_is_not_needed_any_more(self) -> None:
        self.other.put(b"a", b"old")
        self.join()
        self.other.put(b"a", b"new", 2)
        self.join(1)
        self.assertIn(("unwanted", [block_hash(b"old")]), self.listener.told)
        self.assertEqual([need.hash for need in self.box.needs()], [block_hash(b"new")])

    def test_it_is_announced_again_when_it_has_come(self) -> None:
        self.other.put(b"a", b"content")
        self.join()
        (entry,) = self.entries(self.box)
        self.assertEqual((entry.number, entry.complete), (1, False))
        self.fetch()
        (entry,) = self.entries(self.box)
        self.assertEqual((entry.number, entry.complete), (2, True))
        self.assertEqual(self.box.new_total, 0)

    def test_only_what_continues_is_joined(self) -> None:
        self.other.put(b"a", b"content")
        entries = self.entries(self.other)
        for start, good in [(1, False), (0, True), (0, True), (1, True), (2, False)]:
            joined = self.box.join(A, 5, start, 1, entries)
            self.assertEqual(self.successResultOf(joined), good)
        self.assertEqual(self.box.stored(A), (5, 1))
        self.assertFalse(self.successResultOf(self.box.join(A, 6, 1, 1, entries)))
        self.assertEqual(self.box.stored(B), (0, 0))

    def test_who_shows_what_is_known_until_its_index_begins_anew(self) -> None:
        self.other.put(b"a", b"content")
        self.join()
        hash = block_hash(b"content")
        self.assertEqual(self.box.sources(hash), {A})
        self.box.join(A, 99, 0, 0, [])
        self.assertEqual(self.box.sources(hash), frozenset())

    def test_what_another_lacks_is_what_it_does_not_show_complete(self) -> None:
        self.box.put(b"a", b"content")
        self.assertEqual(self.box.lacking(A), 0)
        self.box.counted(self.box.new_total)
        self.assertEqual((self.box.lacking(A), self.box.lacking(B)), (WHOLE, WHOLE))
        self.other.put(b"a", b"content")
        self.join()
        self.assertEqual((self.box.lacking(A), self.box.lacking(B)), (0, WHOLE))

    def test_who_acknowledges_more_than_there_is_makes_the_index_another_one(self) -> None:
        self.box.put(b"a", b"content")
        before = self.box.index_id
        self.box.acknowledged(A, before, 1)
        self.assertEqual(self.box.acknowledged_by(A), 1)
        self.box.acknowledged(B, before, 2)
        self.assertNotEqual(self.box.index_id, before)
        self.assertEqual(self.box.acknowledged_by(A), 0)


class Pooled(BoxCase):
    """Boxes that keep each block once for all of them."""

    def setUp(self) -> None:
        pool: dict[Hash, bytes] = {}
        self.box, self.other = (
            MemoryBox(random=random.Random(seed), pool=pool) for seed in (1, 2)
        )
        self.other.put(b"large", LARGE)
        self.join()

    def test_what_comes_is_not_kept_a_second_time(self) -> None:
        while needs := self.box.needs():
            found = self.successResultOf(self.other.read_many([need.hash for need in needs]))
            # an equal block, but another object, as one that came over a link is
            blocks = [bytes(bytearray(data or b"")) for data in found]
            hashes = [need.hash for need in needs]
            self.successResultOf(self.box.write(list(zip(hashes, blocks, strict=True))))
            kept = self.successResultOf(self.box.read_many(hashes))
            self.assertTrue(all(one is other for one, other in zip(kept, found, strict=True)))
        self.assertEqual(self.box.values(), self.other.values())
        self.assertEqual(self.box.files(), self.other.files())

    def test_a_block_that_is_wrong_is_refused_though_the_right_one_is_there(self) -> None:
        (need,) = self.box.needs()
        self.assertEqual(
            self.successResultOf(self.box.write([(need.hash, bytes(need.size))])), [False]
        )
        self.assertEqual(self.box.needs(), [need])
        self.assertEqual(self.box.values(), {})


class Lives(BoxCase):
    """Restarts, and boxes that are slow or broken."""

    def test_after_a_restart_nothing_is_new_and_nobody_listens(self) -> None:
        self.box.put(b"a", b"content")
        self.box.restart()
        self.assertIsNone(self.box.listener)
        self.assertEqual((self.box.new_total, self.box.lacking(A)), (0, WHOLE))

    def test_an_index_that_was_lost_is_built_anew(self) -> None:
        self.box.put(b"a", LARGE)
        before, files = self.box.index_id, self.box.files()
        self.box.lose_index()
        self.assertNotEqual(self.box.index_id, before)
        self.assertEqual(self.box.files(), files)
        self.assertEqual(len(self.entries(self.box)), 1)

    def test_a_broken_box_fails(self) -> None:
        self.box.broken = True
        failing: list[Deferred[object]] = [self.box.read_many([]), self.box.write([])]  # type: ignore[list-item]
        for result in failing:
            self.failureResultOf(result, BoxError)

    def test_results_come_when_they_are_said_to(self) -> None:
        clock = Clock()
        box = MemoryBox(later=lambda call: clock.callLater(1, call))
        box.put(b"a", b"content")
        read = box.read_many([block_hash(b"content")])
        self.assertNoResult(read)
        clock.advance(1)
        self.assertEqual(self.successResultOf(read), [b"content"])
