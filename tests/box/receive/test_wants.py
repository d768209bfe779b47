# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.wants}.
"""

from __future__ import annotations

import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import BlockList, list_size
from flocknode.box.receive.wants import WINDOW, Stage, Want, Wants
from flocknode.box.values import Hash, Holder, Need, Path

BLOCK = 128 * 1024


def name(number: int) -> Hash:
    return Hash(number.to_bytes(32, "big"))


class WantsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wants = Wants()

    def add(self, content: int, size: int, path: bytes = b"p", *holders: bytes) -> Want:
        return self.wants.add(name(content), size, Path(path), frozenset(map(Holder, holders)))

    def large(self, content: int, *blocks: int, size: int | None = None) -> Want:
        size = BLOCK * len(blocks) if size is None else size
        want = self.add(content, size, b"path of %d" % content)
        want.blocks = BlockList(BLOCK, size, tuple(map(name, blocks)))
        return want

    def test_one_block_is_needed_by_the_name_of_the_content(self) -> None:
        want = self.add(1, 100)
        self.assertTrue(want.single)
        needs = self.wants.need_blocks(want, [0])
        self.assertEqual(needs, [Need(name(1), 100, name(1), 100)])
        self.assertEqual(list(self.wants.needs.values()), needs)
        self.assertEqual(self.wants.arrived(name(1)), [(want, (0,))])
        self.assertEqual(self.wants.arrived(name(1)), [])

    def test_one_block_that_is_given_up_is_not_needed(self) -> None:
        want = self.add(1, 100)
        self.wants.need_blocks(want, [0])
        self.assertEqual(self.wants.stop(want, Stage.STALLED), [name(1)])
        self.assertEqual(self.wants.needs, {})
        self.assertEqual(self.wants.stop(want, Stage.SEEK), [])

    def test_of_a_large_content_the_list_is_needed_first(self) -> None:
        want = self.add(1, 10 * BLOCK)
        self.assertFalse(want.single)
        (need,) = self.wants.need_list(want)
        size = list_size(10 * BLOCK, BLOCK)
        self.assertEqual(need, Need(name(1), size, name(1), 10 * BLOCK, True))
        self.assertIs(self.wants.asks_for_list(name(1)), want)

    def test_the_last_block_is_as_long_as_the_rest(self) -> None:
        want = self.large(1, 10, 11, size=BLOCK + 5)
        needs = self.wants.need_blocks(want, [0, 1])
        self.assertEqual([need.size for need in needs], [BLOCK, 5])

    def test_the_blocks_are_as_long_as_the_list_says(self) -> None:
        want = self.large(1, 10, 11, size=3 * BLOCK)
        want.blocks = BlockList(2 * BLOCK, 3 * BLOCK, (name(10), name(11)))
        needs = self.wants.need_blocks(want, [0, 1])
        self.assertEqual([need.size for need in needs], [2 * BLOCK, BLOCK])

    def test_a_block_that_occurs_twice_is_needed_once(self) -> None:
        want = self.large(1, 10, 11, 10)
        self.assertEqual(len(self.wants.need_blocks(want, [0, 1, 2])), 2)
        self.assertEqual(self.wants.arrived(name(10)), [(want, [0, 2])])
        self.assertEqual(set(want.missing), {name(11)})

    def test_room_is_promised_for_what_is_still_to_come(self) -> None:
        one = self.large(1, 10, 11, 10, size=2 * BLOCK + 5)
        self.wants.need_blocks(one, [0, 1, 2])
        self.assertEqual(self.wants.promised, 2 * BLOCK + 5)
        self.wants.arrived(name(10))
        self.assertEqual(self.wants.promised, BLOCK)
        two = self.large(2, 11, 12)
        self.wants.need_blocks(two, [0, 1])
        self.assertEqual(self.wants.promised, 3 * BLOCK)
        self.wants.arrived(name(11))
        self.assertEqual(self.wants.promised, BLOCK)
        self.wants.stop(two, Stage.STALLED)
        self.assertEqual((one.promised, two.promised, self.wants.promised), (0, 0, 0))

    def test_no_room_is_promised_for_what_nobody_wants_any_more(self) -> None:
        want = self.large(1, 10, 11)
        self.wants.need_blocks(want, [0, 1])
        self.wants.remove(next(iter(want.paths)), want)
        self.assertEqual(self.wants.promised, 0)

    def test_a_block_of_two_contents_is_needed_once_and_arrives_in_both(self) -> None:
        one, two = self.large(1, 10, 11), self.large(2, 11, 12)
        self.wants.need_blocks(one, [0, 1])
        self.assertEqual([need.hash for need in self.wants.need_blocks(two, [0, 1])], [name(12)])
        self.assertEqual(self.wants.arrived(name(11)), [(one, [1]), (two, [0])])
        self.assertEqual(self.wants.arrived(name(11)), [])

    def test_what_one_path_gives_up_another_may_still_want(self) -> None:
        want = self.add(1, 100, b"a")
        self.add(1, 100, b"b")
        self.wants.need_blocks(want, [0])
        self.assertEqual(self.wants.remove(Path(b"a"), want), [])
        self.assertEqual(self.wants.remove(Path(b"b"), want), [name(1)])
        self.assertEqual((len(self.wants), self.wants.needs), (0, {}))

    def test_what_one_content_gives_up_another_may_still_need(self) -> None:
        one, two = self.large(1, 10, 11), self.large(2, 11, 12)
        self.wants.need_blocks(one, [0, 1])
        self.wants.need_blocks(two, [0, 1])
        self.assertEqual(self.wants.stop(one, Stage.STALLED), [name(10)])
        self.assertEqual(set(self.wants.needs), {name(11), name(12)})

    def test_a_list_that_is_given_up_is_not_needed(self) -> None:
        want = self.add(1, 10 * BLOCK)
        self.wants.need_list(want)
        self.assertEqual(self.wants.stop(want, Stage.SEEK), [name(1)])
        self.assertIsNone(self.wants.asks_for_list(name(1)))

    def test_of_a_huge_content_a_window_is_needed(self) -> None:
        count = WINDOW + 100
        want = self.large(1, *range(10, 10 + count))
        first = self.wants.need_blocks(want, range(count))
        self.assertEqual(len(first), WINDOW)
        for need in first[: WINDOW // 2 - 1]:
            self.wants.arrived(need.hash)
            self.assertEqual(self.wants.refill(want), [])
        self.wants.arrived(first[WINDOW // 2].hash)
        self.assertEqual(len(self.wants.refill(want)), 100)
        self.assertFalse(want.later)

    def test_a_needed_small_file_takes_little_memory(self) -> None:
        count = 2_000
        holders = frozenset({Holder(b"x" * 16)})
        tracemalloc.start(1)
        self.addCleanup(tracemalloc.stop)
        for number in range(count):
            want = self.wants.add(name(number), 100, Path(b"path %d" % number), holders)
            self.wants.need_blocks(want, [0])
        self.assertLess(tracemalloc.get_traced_memory()[0] / count, 1_000)

    def test_the_holders_are_those_of_all_paths(self) -> None:
        want = self.add(1, 100, b"a", b"x" * 16)
        self.add(1, 100, b"b", b"y" * 16, b"x" * 16)
        self.assertEqual(want.holders, {b"x" * 16, b"y" * 16})
