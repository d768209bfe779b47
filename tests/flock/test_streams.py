# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.streams}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.streams import RandomStreams

NAMES = ("heartbeats", "offsets", "links", "followups", "identity")


class StreamTests(SynchronousTestCase):
    """Separate streams by purpose."""

    def test_a_seed_repeats_them(self) -> None:
        one, other = RandomStreams(b"seed"), RandomStreams(b"seed")
        for name in NAMES:
            self.assertEqual(getattr(one, name).random(), getattr(other, name).random())

    def test_no_two_are_alike(self) -> None:
        streams = RandomStreams(b"seed")
        self.assertEqual(len({getattr(streams, name).random() for name in NAMES}), len(NAMES))

    def test_drawing_from_one_does_not_move_another(self) -> None:
        one, other = RandomStreams(b"seed"), RandomStreams(b"seed")
        one.links.random()
        self.assertEqual(one.offsets.random(), other.offsets.random())

    def test_without_a_seed_they_cannot_be_repeated(self) -> None:
        draws = {RandomStreams().offsets.random() for _ in range(5)}
        self.assertEqual(len(draws), 5)
