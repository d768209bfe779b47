# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.media.devices}, with C{/dev/null} and C{/dev/zero} for
media.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from flocknode.errors import BoxError
from flocknode.media.devices import devices, mount_of, mounted, read_table
from flocknode.media.names import parse
from tests.media.tables import mount, written

NULL = os.stat("/dev/null").st_rdev
ZERO = os.stat("/dev/zero").st_rdev


class DevicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disks = self.mktemp()
        for kind in ("label", "uuid"):
            os.makedirs(os.path.join(self.disks, f"by-{kind}"))

    def link(self, name: bytes, device: str, kind: str = "label") -> None:
        os.symlink(device, os.path.join(os.fsencode(self.disks), b"by-" + kind.encode(), name))

    def devices(self, text: str) -> frozenset[int]:
        return devices(parse(text), self.disks)

    def test_a_name_stands_for_its_device(self) -> None:
        self.link(rb"My\x20Stick", "/dev/null")
        self.link(b"1234-ABCD", "/dev/zero", "uuid")
        self.assertEqual(self.devices("label:My Stick/x"), {NULL})
        self.assertEqual(self.devices("uuid:1234-abcd"), {ZERO})

    def test_a_name_that_nothing_has_stands_for_nothing(self) -> None:
        self.link(b"OTHER", "/dev/null")
        self.link(b"GONE", "/nowhere")
        self.link(b"FILE", os.path.abspath(__file__))
        for name in ("label:FIELDKIT", "uuid:OTHER", "label:GONE", "label:FILE"):
            self.assertEqual(self.devices(name), frozenset())

    def test_without_udev_nothing_is_found(self) -> None:
        self.assertEqual(devices(parse("label:x"), "/nowhere"), frozenset())

    def test_a_device_is_mounted_where_its_number_shows(self) -> None:
        table = mount("/a", ZERO), mount("/b", NULL, id=7), mount("/c", NULL, id=8)
        self.assertEqual([m.id for m in mounted(frozenset([NULL]), table)], [7, 8])

    def test_a_device_is_mounted_where_it_is_the_source(self) -> None:
        table = (mount("/a", 5, source=b"/dev/null"), mount("/b", 6, source=b"/dev/zero"))
        self.assertEqual([m.point for m in mounted(frozenset([NULL]), table)], [b"/a"])

    def test_a_mount_below_a_later_one_does_not_count(self) -> None:
        table = (mount("/a", NULL), mount("/a", ZERO))
        self.assertEqual(mounted(frozenset([NULL]), table), [])

    def test_a_table_that_cannot_be_read_is_one_sentence(self) -> None:
        path = self.mktemp()
        self.assertRaises(BoxError, read_table, path)
        with open(path, "wb") as file:
            file.write(b"no table\n")
        self.assertRaises(BoxError, read_table, path)
        with open(path, "wb") as file:
            file.write(written(mount("/a", NULL)) + b"\n")
        self.assertEqual(len(read_table(path)), 1)

    def test_an_open_directory_knows_its_mount(self) -> None:
        if not os.path.ismount("/proc"):
            raise SkipTest("proc is not mounted here")
        descriptor = os.open("/proc", os.O_RDONLY)
        number = mount_of(descriptor)
        os.close(descriptor)
        self.assertIn((number, "proc"), [(m.id, m.type) for m in read_table()])
        self.assertIsNone(mount_of(descriptor))
