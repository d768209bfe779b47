# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Tests for L{flocknode.box.mirror}."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.core import Told
from flocknode.box.engine import Snapshot
from flocknode.box.events import Events
from flocknode.box.mirror import Mirror
from flocknode.box.values import Hash, Holder, Need

ANN, BOB = Holder(b"a" * 32), Holder(b"b" * 32)


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def advanced(self, box: object) -> None:
        self.told.append("advanced")

    def measured(self, box: object) -> None:
        self.told.append("measured")

    def wanted(self, box: object, needs: Sequence[Need]) -> None:
        self.told.append("wanted")

    def unwanted(self, box: object, hashes: Sequence[Hash]) -> None:
        self.told.append("unwanted")

    def sources(self, box: object, content: Hash, holders: frozenset[Holder]) -> None:
        self.told.append("sources")


class MirrorTests(SynchronousTestCase):
    """What is known is what was told last."""

    def setUp(self) -> None:
        self.known = Mirror()
        self.listener = Listener()

    def take(self, numbers: Snapshot) -> list[str]:
        """Have it told these numbers.  @return: what it told on."""
        self.listener.told.clear()
        self.known.take(Told(Events(), numbers, None), self, self.listener)
        return self.listener.told

    def test_tells_when_there_is_more_to_announce(self) -> None:
        self.assertEqual(self.take(Snapshot(index_id=1, highest=1)), ["advanced"])
        self.assertEqual(self.take(Snapshot(index_id=1, highest=1)), [])
        self.assertEqual(self.take(Snapshot(index_id=1, highest=2)), ["advanced"])
        self.assertEqual(self.take(Snapshot(index_id=2, highest=1)), ["advanced"])

    def test_says_when_the_box_holds_something_else_that_nobody_is_told_of(self) -> None:
        def take(numbers: Snapshot) -> bool:
            return self.known.take(Told(Events(), numbers, None), self, self.listener)

        made = Snapshot(index_id=1, highest=2, digest=b"2" * 16, files=2, size=9)
        self.assertTrue(take(made))
        self.assertFalse(take(made))
        # What was made and deleted between two rounds leaves no number.
        self.assertTrue(take(Snapshot(index_id=1, highest=2, digest=b"1" * 16, files=1, size=9)))

    def test_tells_when_what_others_lack_is_something_else(self) -> None:
        self.take(Snapshot(index_id=1))
        self.assertEqual(self.take(Snapshot(index_id=1, lacking_all=5)), ["measured"])
        self.assertEqual(self.take(Snapshot(index_id=1, lacking_all=5)), [])

    def test_needs_nobody_who_listens(self) -> None:
        self.known.take(Told(Events(), Snapshot(index_id=1, highest=1), None), self, None)
        self.assertEqual(self.known.numbers.highest, 1)

    def test_who_has_shown_nothing_lacks_everything(self) -> None:
        self.take(Snapshot(lacking={ANN: 3}, lacking_all=10))
        self.assertEqual((self.known.lacking(ANN), self.known.lacking(BOB)), (3, 10))

    def test_of_whom_nothing_is_stored_there_is_no_index(self) -> None:
        self.take(Snapshot(stored={ANN: (7, 2)}, acknowledged={ANN: 4}))
        self.assertEqual((self.known.stored(ANN), self.known.stored(BOB)), ((7, 2), (0, 0)))
        acknowledged = self.known.acknowledged_by(ANN), self.known.acknowledged_by(BOB)
        self.assertEqual(acknowledged, (4, 0))

    def test_what_was_new_stays_so_when_the_index_goes_with_its_medium(self) -> None:
        self.take(Snapshot(index_id=1, new_total=100))
        self.take(Snapshot())
        self.assertEqual(self.known.new_total, 100)
        self.take(Snapshot(index_id=1, new_total=30))
        self.assertEqual(self.known.new_total, 130)
        self.assertEqual(self.known.total_in_index(130), 30)
