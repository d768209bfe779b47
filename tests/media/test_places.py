# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.media.places}: plain folders play the media, and the
table of mounts says what the test says.
"""

from __future__ import annotations

import os

import attrs
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import BoxError
from flocknode.media.devices import mount_of
from flocknode.media.names import parse
from flocknode.media.places import Fixed, Found, OnMedium
from tests.media.tables import Tables, mount

STICK = 77


class PlacesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.point = os.path.abspath(self.mktemp())
        os.makedirs(self.point)
        descriptor = os.open(self.point, os.O_RDONLY)
        self.mount = mount_of(descriptor) or 0
        os.close(descriptor)
        self.tables = Tables((mount(self.point, STICK, id=self.mount),), frozenset([STICK]))
        self.place = self.on("label:FIELDKIT/papers/new")

    def on(self, text: str) -> OnMedium:
        return OnMedium(parse(text), self.tables.table, self.tables.numbers)

    def test_a_path_is_where_it_is(self) -> None:
        place = Fixed(self.point + "/a/b")
        found = place.find()
        place.make(found)
        place.make(found)
        self.assertTrue(os.path.isdir(found.path))
        self.assertEqual((str(place), place.removable), (self.point + "/a/b", False))

    def test_a_folder_is_found_where_its_medium_is_mounted(self) -> None:
        self.assertEqual(self.place.find(), Found(self.point + "/papers/new", self.mount))
        self.assertEqual(self.on("uuid:12").find().path, self.point)
        self.assertEqual(str(self.place), "label:FIELDKIT/papers/new")
        self.assertTrue(self.place.removable)

    def test_of_two_media_the_one_mounted_first_is_taken(self) -> None:
        self.tables.mounts = (mount("/a", 1), mount("/b", STICK, id=5), mount("/c", STICK, id=4))
        self.assertEqual(self.place.find().mount, 5)

    def test_why_it_is_not_found_is_said(self) -> None:
        self.tables.mounts = (attrs.evolve(self.tables.mounts[0], read_only=True),)
        self.assertRaisesRegex(BoxError, "read-only", self.place.find)
        self.tables.mounts = ()
        self.assertRaisesRegex(BoxError, "FIELDKIT is not mounted", self.place.find)
        self.tables.devices = frozenset()
        self.assertRaisesRegex(BoxError, "plug it in", self.place.find)

    def test_the_folder_is_made_on_the_medium(self) -> None:
        for _ in range(2):
            self.place.make(self.place.find())
            self.assertEqual(os.listdir(self.point), ["papers"])
            self.assertEqual(os.listdir(self.point + "/papers"), ["new"])

    def test_nothing_is_made_when_the_medium_is_gone_meanwhile(self) -> None:
        found = attrs.evolve(self.place.find(), mount=self.mount + 1)
        self.assertRaisesRegex(BoxError, "cannot be made", self.place.make, found)
        self.assertEqual(os.listdir(self.point), [])

    def test_nothing_is_made_behind_a_link(self) -> None:
        outside = self.mktemp()
        os.makedirs(outside)
        os.symlink(os.path.abspath(outside), self.point + "/papers")
        self.assertRaises(BoxError, self.place.make, self.place.find())
        self.assertEqual(os.listdir(outside), [])

    def test_what_was_opened_elsewhere_does_not_lie_on_the_medium(self) -> None:
        descriptor = os.open(self.point, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        found = self.place.find()
        self.assertTrue(found.holds(descriptor))
        self.assertFalse(attrs.evolve(found, mount=self.mount + 1).holds(descriptor))
        self.assertTrue(Found(self.point).holds(descriptor))
