# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.paths}.
"""

from __future__ import annotations

import os

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.paths import check_path, is_reserved, split
from flocknode.errors import PathError

hostile = st.lists(
    st.sampled_from([b"..", b".", b"", b"a", b".flocknode", b".FlockNode", b"\0", b"x" * 256])
    | st.binary(max_size=12),
    max_size=6,
).map(b"/".join)
"""Paths that are likely to be wrong."""


class CheckPathTests(SynchronousTestCase):
    """Which paths from outside are let in."""

    @given(hostile)
    @settings(deadline=None)
    @example(b"a/../b")
    def test_whatIsLetInStaysBelowTheBox(self, path: bytes) -> None:
        try:
            checked = check_path(path)
        except PathError:
            return
        resolved = os.path.normpath(b"/box/" + checked)
        self.assertEqual(resolved, b"/box/" + checked)
        self.assertNotIn(b"\0", checked)
        self.assertFalse(resolved.lower().startswith(b"/box/.flocknode/"))

    def test_refusesWhatIsNoPathBelowABox(self) -> None:
        for path in (
            b"", b"/", b"/a", b"a/", b"a//b", b".", b"..", b"a/..", b"../a", b"a/./b",
            b"a\0b", b"x" * 256, b"a/" + b"x" * 256, b"/".join([b"a"] * 2049),
        ):
            with self.assertRaises(PathError, msg=repr(path[:40])):
                check_path(path)

    def test_refusesThePrivateDirectoryInWhateverSpelling(self) -> None:
        for name in (
            ".flocknode", ".FLOCKNODE", ".Flocknode/x", ".flocKnode",
            ".floc\u212anode", ".flock\u200cnode", ".flocknode\ufeff",
        ):
            with self.assertRaises(PathError, msg=name):
                check_path(name.encode())

    def test_letsInOrdinaryAndUglyNames(self) -> None:
        for path in (
            b"a", b"a/b", b"...", b"a/.flocknode", b".flocknode2", b"\xff\xfe", b"\n", b"a\\b",
            b"x" * 255, b"/".join([b"y" * 200] * 20), "naïve/日本".encode(), b"-rf", b"~", b"C:",
        ):
            self.assertEqual(check_path(path), path)

    def test_onlyTheTopHasAReservedName(self) -> None:
        self.assertTrue(is_reserved(b".flocknode"))
        self.assertFalse(is_reserved(b"flocknode"))
        self.assertFalse(is_reserved(b".flocknod\xff"))

    def test_aPathIsSplitIntoDirectoryAndName(self) -> None:
        self.assertEqual(split(b"a/b/c"), (b"a/b", b"c"))
        self.assertEqual(split(b"a"), (b"", b"a"))
