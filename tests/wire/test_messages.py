# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.messages}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.wire.messages import Start


class StartTests(SynchronousTestCase):
    """L{Start}."""

    def test_a_key_is_never_shown(self) -> None:
        start = Start(
            listen=("tcp://*:5671",),
            public="the public key",
            secret="the secret key",
            peers=(("tcp://192.0.2.11:5671", "the key of a peer"),),
            uplink=1,
            constant_cover=False,
            cover_rate=1,
            min_members=2,
        )
        for shown in (repr(start), str(start), f"{start}"):
            self.assertIn("tcp://192.0.2.11:5671", shown)
            self.assertNotIn("key", shown)
