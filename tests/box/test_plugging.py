# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box on a medium that is really mounted and unmounted, where the tests may.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.media import private


class PluggingTests(SynchronousTestCase):
    def test_a_box_comes_and_goes_with_its_medium(self) -> None:
        folder = os.path.abspath(self.mktemp())
        os.makedirs(folder)
        told = private.run("tests.box.plugging", folder).splitlines()
        self.assertEqual(
            told,
            [
                "offline at first",
                "online when mounted",
                "a file is heard of",
                "busy",
                "unmounted",
                "away",
                "online again",
                "the same index",
                "a deletion elsewhere is seen",
                "offline when pulled out",
                "[]",
            ],
        )
