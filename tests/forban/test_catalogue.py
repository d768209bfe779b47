# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.catalogue}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.listing import ListedFile
from flocknode.box.paths import check_path
from flocknode.box.values import Path
from flocknode.forban.catalogue import Catalogue, compile, tops
from flocknode.forban.protocol.items import index_hmac, is_listable, parse_line
from tests.forban.strategies import paths, unhurried

box_names = st.text(min_size=1, max_size=3) | st.text(min_size=1, max_size=300)


def listed(*names: bytes, size: int = 1) -> dict[Path, ListedFile]:
    """Files of these paths."""
    return {Path(name): ListedFile(Path(name), size, 0, bytes(32)) for name in names}


class Catalogues(SynchronousTestCase):
    def test_one_box_is_shown_as_it_is(self) -> None:
        catalogue = compile({"papers": ("p", listed(b"z", b"a/b", size=3))})
        self.assertEqual(catalogue.index, b"a/b,3\nz,3\n")
        self.assertEqual(catalogue.size, 6)
        shown = catalogue.files[Path(b"a/b")]
        self.assertEqual((shown.shelf, shown.file.path), ("p", b"a/b"))

    def test_several_boxes_are_directories(self) -> None:
        catalogue = compile({"papers": ("p", listed(b"a")), "art": ("x", listed(b"a", b"b"))})
        self.assertEqual(catalogue.index, b"art/a,1\nart/b,1\npapers/a,1\n")
        shown = catalogue.files[Path(b"art/a")]
        self.assertEqual((shown.shelf, shown.path, shown.file.path), ("x", b"art/a", b"a"))

    def test_what_cannot_be_listed_is_not_there(self) -> None:
        files = listed(b"a", b".b", b"forban/x", b"c\nd", b"\xff", (b"d/" * 2046)[:-1])
        catalogue = compile({"papers": ("p", files), "art": ("x", {})})
        # below a directory, forban's own is none of forban's own
        self.assertEqual(catalogue.index, b"papers/a,1\npapers/forban/x,1\n")
        self.assertEqual(len(compile({"papers": ("p", files)}).files), 2)

    def test_nothing_has_an_empty_index(self) -> None:
        catalogue: Catalogue[str] = compile({})
        self.assertEqual((catalogue.index, catalogue.hmac), (b"", index_hmac(b"")))

    def test_the_hash_is_of_the_bytes_of_the_index_and_the_key(self) -> None:
        catalogue = compile({"papers": ("p", listed(b"a"))}, b"key")
        self.assertEqual(catalogue.hmac, index_hmac(catalogue.index, b"key"))

    @settings(unhurried, max_examples=40)
    @given(st.dictionaries(box_names, st.sets(paths, max_size=3), max_size=3))
    def test_every_index_is_strict_whatever_the_boxes_are_called(
        self, boxes: dict[str, set[Path]]
    ) -> None:
        catalogue = compile({name: (name, listed(*found)) for name, found in boxes.items()})
        *lines, _ = catalogue.index.split(b"\n")
        parsed = [parse_line(line) for line in lines]
        self.assertEqual([item and item.path for item in parsed], sorted(catalogue.files))
        shown = {(each.shelf, each.file.path) for each in catalogue.files.values()}
        everything = {(name, path) for name, found in boxes.items() for path in found}
        if all(len(path) < 3800 for _, path in everything):
            self.assertEqual(shown, everything)


class Directories(SynchronousTestCase):
    def test_each_box_has_one_of_its_own_that_can_be_listed(self) -> None:
        self.assertEqual(
            tops(["a/b", "a_b", "forban", ".x", "..", "plain", "\ud800"]),
            {
                "a/b": b"a_b/",
                "a_b": b"a_b-2/",
                "forban": b"_forban/",
                ".x": b"_.x/",
                "..": b"_../",
                "plain": b"plain/",
                "\ud800": b"_/",
            },
        )

    @unhurried
    @given(st.sets(box_names, min_size=2, max_size=6))
    def test_they_are_safe_and_none_is_there_twice(self, names: set[str]) -> None:
        found = tops(names)
        self.assertEqual(found.keys(), names)
        self.assertEqual(len(set(found.values())), len(names))
        for top in found.values():
            self.assertTrue(is_listable(check_path(top + b"file")))
