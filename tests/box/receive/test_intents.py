# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.intents}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.placement import Placement, Prepared
from flocknode.box.receive.intents import Intent, pack_intent, unpack_intent
from flocknode.box.values import Head, Path, VersionId
from tests.strategies import names, values

_numbers = st.integers(0, 2**63 - 1)
_paths = names().map(Path)
_stats = st.none() | st.builds(
    Stat,
    st.sampled_from(FileType),
    _numbers,
    st.integers(-(2**63), 2**63 - 1),
    _numbers,
    st.integers(0, 0o777),
    st.integers(0, 2**64 - 1),
)
_heads = st.builds(
    Head, st.binary(min_size=16, max_size=16).map(VersionId), _numbers, values(), _numbers
)
_placements = st.builds(
    Placement,
    _paths,
    values(),
    _numbers,
    st.none() | names(),
    st.none() | names(),
    _stats,
    st.none() | _paths,
    _stats,
)


class IntentTests(SynchronousTestCase):
    @given(
        st.builds(Intent, _heads, st.builds(Prepared, _placements, _stats, st.none() | names()))
    )
    @settings(max_examples=60)
    def test_an_intent_comes_back_as_it_was(self, intent: Intent) -> None:
        self.assertEqual(unpack_intent(pack_intent(intent)), intent)
