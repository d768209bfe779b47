# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.disk.site}.
"""

from __future__ import annotations

import os
import shutil

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk.site import Site, open_site
from flocknode.errors import BoxError


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = os.path.join(self.mktemp(), "box")

    def open(self, folder_id: bytes | None = None) -> tuple[Site, bool]:
        site, was_marked = open_site(self.root, folder_id)
        self.addCleanup(site.close)
        return site, was_marked

    def test_for_a_new_index_the_folder_is_made_and_marked(self) -> None:
        site, was_marked = self.open()
        self.assertFalse(was_marked)
        self.assertTrue(site.in_place())
        again, was_marked = self.open()
        self.assertEqual((again.folder_id, was_marked), (site.folder_id, True))

    def test_a_known_folder_is_found_again(self) -> None:
        site, _ = self.open()
        again, was_marked = self.open(site.folder_id)
        self.assertEqual((again.folder_id, was_marked), (site.folder_id, True))

    def test_another_folder_is_refused(self) -> None:
        self.open()
        self.assertRaisesRegex(BoxError, "another box", open_site, self.root, bytes(16))

    def test_a_folder_without_a_marker_is_refused(self) -> None:
        os.makedirs(self.root)
        self.assertRaisesRegex(BoxError, "no marker", open_site, self.root, bytes(16))

    def test_a_missing_folder_is_refused_and_not_made(self) -> None:
        self.assertRaises(BoxError, open_site, self.root, bytes(16))
        self.assertFalse(os.path.exists(self.root))

    def test_a_file_in_its_place_is_refused(self) -> None:
        os.makedirs(os.path.dirname(self.root))
        with open(self.root, "wb"):
            pass
        self.assertRaises(BoxError, open_site, self.root, None)

    def test_refusing_leaves_nothing_open(self) -> None:
        self.open()
        before = len(os.listdir("/proc/self/fd"))
        self.assertRaises(BoxError, open_site, self.root, bytes(16))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_it_is_not_in_place_when_moved_replaced_or_unmarked(self) -> None:
        site, _ = self.open()
        os.rename(self.root, self.root + ".away")
        self.assertFalse(site.in_place())
        os.makedirs(self.root)
        self.assertFalse(site.in_place())
        os.rmdir(self.root)
        os.rename(self.root + ".away", self.root)
        self.assertTrue(site.in_place())
        shutil.rmtree(os.path.join(self.root, ".flocknode"))
        self.assertFalse(site.in_place())
