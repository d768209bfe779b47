# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.flock.silence}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.interfaces import MemberId
from flocknode.flock.link import Outgoing
from flocknode.flock.members import SILENCE, Member
from flocknode.flock.silence import Silence

STEPS = st.lists(
    st.tuples(
        st.floats(0, 2.5), st.sampled_from(("hear", "lose", "look")), st.integers(0, 2)
    ),
    max_size=60,
)


def members() -> list[Member]:
    """Three that were never heard."""
    ids = [MemberId(bytes([number]) * 16) for number in range(3)]
    return [Member(id, Outgoing(id, 1)) for id in ids]


class SilenceTests(SynchronousTestCase):
    """Who is not heard for too long is found, at once and alone."""

    def test_who_never_spoke_is_not_silent(self) -> None:
        self.assertEqual(Silence(members()).look(100.0), [])

    def test_silence_begins_after_two_seconds(self) -> None:
        known = members()
        silence = Silence(known)
        silence.look(0.0)
        known[1].alive, known[1].heard = True, 1.0
        self.assertEqual(silence.look(1.0 + SILENCE), [])
        self.assertEqual(silence.look(1.001 + SILENCE), [known[1]])

    @given(STEPS)
    def test_finds_whom_a_look_at_everybody_finds(
        self, steps: list[tuple[float, str, int]]
    ) -> None:
        known = members()
        silence, now = Silence(known), 0.0
        for pause, what, number in steps:
            now += pause
            member = known[number]
            if what == "hear":
                member.alive, member.heard = True, now
            elif what == "lose":
                member.gone()
            else:
                expected = [m for m in known if m.alive and now - m.heard > SILENCE]
                self.assertEqual(silence.look(now), expected)
                for gone in expected:
                    gone.gone()
