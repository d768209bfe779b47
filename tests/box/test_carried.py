# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.carried}.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box import carried
from flocknode.errors import BoxError
from flocknode.media.devices import mount_of
from flocknode.media.places import Fixed, Found


class CarriedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = os.path.abspath(self.mktemp())
        os.makedirs(self.root)
        descriptor = os.open(self.root, os.O_RDONLY)
        self.mount = mount_of(descriptor) or 0
        os.close(descriptor)

    def prepare(self, name: str = "papers", off: int = 0) -> tuple[str, bool]:
        return carried.prepare(Fixed(self.root), Found(self.root, self.mount + off), name)

    def test_a_folder_becomes_a_box_once(self) -> None:
        index = self.root + "/.flocknode/index.sqlite"
        self.assertEqual(self.prepare(), (index, False))
        self.assertEqual(self.prepare(), (index, True))

    def test_nothing_is_made_beside_the_medium(self) -> None:
        self.assertRaisesRegex(BoxError, "does not lie on its medium", self.prepare, off=1)
        self.assertEqual(os.listdir(self.root), [])

    def test_the_folder_of_another_box_is_refused(self) -> None:
        self.prepare()
        self.assertRaisesRegex(BoxError, "'papers'", self.prepare, "music")

    def test_a_refusal_leaves_nothing_open(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        self.prepare()
        self.assertRaises(BoxError, self.prepare, "music")
        self.assertRaises(BoxError, self.prepare, off=1)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
