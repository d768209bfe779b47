# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node is cut off in each round: what that says of the source.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe import attacks, meddling
from flocknode.observe.__main__ import report
from flocknode.observe.labels import Cut, Label
from flocknode.observe.meddling import Episode, episodes, judged_episodes
from flocknode.observe.packets import ObserveError, Segment
from flocknode.observe.report import Seen, look
from tests.observe.packing import FRAME, flock, node

NODES = 3
LENGTH = 0.4
EVERY = 14.0
"""Seconds from one piece of news to the next."""


def resent(lost: int, begin: float) -> list[Segment]:
    """What others send again and again to the one who does not answer."""
    others = [place for place in range(NODES) if place != lost]
    return [
        Segment(begin + 0.5 * again + 0.1 * number, node(other), node(lost), FRAME)
        for other in others
        for again in range(8)
        for number in range(3)
    ]


def meddled(count: int, leak: float, seed: int = 6) -> tuple[Seen, list[Label]]:
    """
    News, a round, a cut in it, and two rounds more.

    @param leak: seconds by which the second of these is later if the source was cut.
    """
    chance = random.Random(seed)
    starts: list[Sequence[float]] = []
    labels, more = [], []
    for number in range(count):
        source, lost = chance.randrange(NODES), chance.randrange(NODES)
        at = 2.0 + EVERY * number
        for begin in (at, at + 4.0, at + 8.0 + leak * (source == lost)):
            starts.append([begin + 0.01 * chance.random() for _ in range(NODES)])
        cut = Cut(node(lost).address, at + 0.3, at + 4.5)
        labels.append(Label(at - 1.0, node(source).address, "cut off", cut))
        more += resent(lost, at + 0.5)
    return look(sorted([*flock(NODES, starts, LENGTH, 2.0 + EVERY * count), *more])), labels


class Episodes(SynchronousTestCase):
    """From one piece of news to the next."""

    def found(self, count: int, leak: float) -> list[Episode]:
        return episodes(*meddled(count, leak))[1]

    def test_what_is_sent_again_to_the_lost_one_is_no_round(self) -> None:
        seen, labels = meddled(3, 0.0)
        self.assertNotEqual(len(seen.rounds), 9)
        _, found = episodes(seen, labels)
        self.assertEqual([len(each.further) for each in found], [2, 2, 2])
        places = {node(place).address: place for place in range(NODES)}
        for each, label in zip(found, labels, strict=True):
            assert label.cut is not None
            self.assertEqual(each.source, places[label.source])
            self.assertEqual(each.lost, places[label.cut.node])

    def test_the_course_says_when_which_round_was(self) -> None:
        for each in self.found(4, 1.0):
            course = each.course
            self.assertEqual(course["further rounds"], 2)
            expected = {
                "cut off at": 0.3,
                "cut off for": 4.2,
                "length of round 2": LENGTH,
                "pause before round 3": 5.0 - LENGTH if each.source == each.lost else 4.0 - LENGTH,
            }
            for name, seconds in expected.items():
                self.assertLess(abs(course[name] - seconds), 0.05, name)
            self.assertEqual(course["length of round 4"], 0.0)

    def test_labels_without_a_cut_or_a_round_are_left_out(self) -> None:
        seen, labels = meddled(2, 0.0)
        late = Label(1e6, labels[0].source, "", labels[0].cut)
        _, found = episodes(seen, [Label(0.5, labels[0].source), *labels, late])
        self.assertEqual(len(found), 2)

    def test_a_node_that_was_not_seen_is_named(self) -> None:
        seen, labels = meddled(1, 0.0)
        strange = Label(1.0, labels[0].source, "", Cut("10.9.9.9", 2.0, 3.0))
        error = self.assertRaises(ObserveError, episodes, seen, [strange])
        self.assertIn("10.9.9.9", str(error))


class Judged(SynchronousTestCase):
    """What attacks make of it."""

    def tables(self, leak: float) -> str:
        for module in (attacks, meddling):
            self.patch(module, "can_grow_forests", lambda: False)  # they take their time
        return "\n".join(report(*meddled(36, leak)))

    def test_that_the_lost_one_was_the_source_is_found(self) -> None:
        said = self.tables(1.0)
        self.assertIn("36 rounds in which a node was cut off", said)
        self.assertIn("72 rounds after those", said)
        for name in ("best single number", "pause before round 3"):
            (line,) = (each for each in said.splitlines() if each.startswith(name))
            self.assertIn(" *", line)

    def test_where_nothing_leaks_nothing_is_found(self) -> None:
        _, _, after = self.tables(0.0).partition("Was it the node")
        self.assertNotIn(" *", after.replace("; * :", ""))

    def test_too_few_are_refused(self) -> None:
        names, found = episodes(*meddled(4, 0.0))
        self.assertRaises(ObserveError, list, judged_episodes(names, found, NODES))
