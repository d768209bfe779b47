# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.conflict}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge.conflict import (
    MAX_NAME,
    MAX_PATH,
    conflict_name,
    conflict_path,
    numbered_name,
    original,
    shortest_limit,
    was_cut,
)
from flocknode.box.values import Path, Value
from tests.strategies import files, names

LOST = Value(
    mode=0o644,
    mtime_ns=1_769_851_800_999_999_999,
    content=bytes.fromhex("0123456789ab") + bytes(26),
)
MARKER = b".conflict-20260131-093000-0123456789ab"


def is_text(name: bytes) -> bool:
    """Whether these bytes are UTF-8."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class ConflictNameTests(SynchronousTestCase):
    """
    Tests for L{conflict_name}.
    """

    def test_the_marker_goes_before_the_last_extension(self) -> None:
        """Programs still know what kind of file it is."""
        for name, expected in {
            b"plan.txt": b"plan" + MARKER + b".txt",
            b"plan": b"plan" + MARKER,
            b"plan.tar.gz": b"plan.tar" + MARKER + b".gz",
            b".hidden": b".hidden" + MARKER,
            b".hidden.txt": b".hidden" + MARKER + b".txt",
            b"new\nline.a b": b"new\nline" + MARKER + b".a b",
            b"\xff\xfe.txt": b"\xff\xfe" + MARKER + b".txt",
        }.items():
            self.assertEqual(conflict_name(name, LOST), expected)

    def test_a_long_ending_is_no_extension(self) -> None:
        """A name of one dot and much behind it is cut behind the dot."""
        name = b"a." + b"b" * 253
        self.assertEqual(conflict_name(name, LOST), name[: 255 - len(MARKER)] + MARKER)

    def test_a_long_stem_is_cut_on_a_code_point(self) -> None:
        """What was UTF-8 stays UTF-8."""
        name = "😀" * 62 + ".jpg"
        expected = "😀" * ((255 - len(MARKER) - 4) // 4)
        self.assertEqual(conflict_name(name.encode(), LOST), expected.encode() + MARKER + b".jpg")

    def test_a_long_stem_that_is_no_text_is_cut_at_the_limit(self) -> None:
        """Continuation bytes that continue nothing do not matter."""
        name = b"\x80" * 255
        self.assertEqual(conflict_name(name, LOST), b"\x80" * (255 - len(MARKER)) + MARKER)

    def test_times_before_1970_and_beyond_64_bits_have_names(self) -> None:
        """An mtime is whatever the file system says."""
        for mtime, when in {
            -1: b"19691231-235959",
            0: b"19700101-000000",
            2**70: b"22620411-234716",
            -(2**70): b"16770921-001244",
        }.items():
            value = Value(mtime_ns=mtime, content=bytes(32))
            self.assertEqual(conflict_name(b"a", value), b"a.conflict-" + when + b"-000000000000")

    def test_a_value_that_loses_at_its_own_name_goes_on_to_another(self) -> None:
        """The eleventh copy is as safe as the first."""
        name = conflict_name(b"plan.txt", LOST)
        seen = {name}
        for number in range(2, 13):
            name = conflict_name(name, LOST)
            self.assertEqual(name, b"plan" + MARKER + b"-%d.txt" % number)
            seen.add(name)
        self.assertEqual(len(seen), 12)

    def test_a_conflict_copy_of_something_else_gets_a_second_marker(self) -> None:
        """The name still says where it comes from."""
        other = Value(mtime_ns=0, content=b"\xff" * 32)
        name = conflict_name(b"plan.txt", other)
        self.assertEqual(
            conflict_name(name, LOST),
            b"plan.conflict-19700101-000000-ffffffffffff" + MARKER + b".txt",
        )

    @given(names(), files())
    def test_any_name_gets_a_valid_one(self, name: bytes, value: Value) -> None:
        """It fits, is no other kind of text than before, and is new."""
        found = conflict_name(name, value)
        self.assertLessEqual(len(found), MAX_NAME)
        self.assertNotEqual(found, name)
        self.assertFalse({b"/", b"\0"} & {found[i : i + 1] for i in range(len(found))})
        if is_text(name):
            self.assertTrue(is_text(found))

    @given(names(), files())
    def test_no_value_ever_comes_back_to_a_name_it_has_left(
        self, name: bytes, value: Value
    ) -> None:
        """However often it loses, and whatever is cut."""
        seen = {name}
        for _ in range(15):
            name = conflict_name(name, value)
            self.assertNotIn(name, seen)
            seen.add(name)

    @given(names(), files(), st.integers(0, 300))
    def test_any_limit_is_kept_that_is_not_too_small(
        self, name: bytes, value: Value, more: int
    ) -> None:
        """L{shortest_limit} says which is too small."""
        limit = shortest_limit(name, value) + more
        self.assertLessEqual(len(conflict_name(name, value, limit)), limit)


class ConflictPathTests(SynchronousTestCase):
    """
    Tests for L{conflict_path}.
    """

    def test_a_sibling_is_next_to_what_it_lost_to(self) -> None:
        """In the same folder."""
        self.assertEqual(
            conflict_path(Path(b"notes/old/plan.txt"), LOST), b"notes/old/plan" + MARKER + b".txt"
        )
        self.assertEqual(conflict_path(Path(b"plan.txt"), LOST), b"plan" + MARKER + b".txt")

    def test_where_the_path_is_long_the_stem_is_cut_more(self) -> None:
        """Others accept no longer path."""
        folder = b"/".join([b"d" * 199] * 20)
        path = conflict_path(Path(folder + b"/" + b"n" * 90), LOST)
        self.assertEqual(path, folder + b"/" + b"n" * (95 - len(MARKER)) + MARKER)
        self.assertEqual(len(path), MAX_PATH)

    def test_where_no_name_fits_it_goes_into_a_folder_above(self) -> None:
        """Deeper than any name of a sibling could be."""
        folder = b"/".join([b"d" * 203] * 20)
        path = conflict_path(Path(folder + b"/" + b"n" * 16), LOST)
        self.assertEqual(path, b"/".join([b"d" * 203] * 19) + b"/" + b"n" * 16 + MARKER)


class OriginalTests(SynchronousTestCase):
    """
    Tests for L{original}, L{was_cut} and L{numbered_name}.
    """

    @given(names(), files())
    def test_a_sibling_tells_whose_it_is(self, name: bytes, value: Value) -> None:
        """Unless its name was cut; then it may still be the whole one's."""
        sibling = conflict_name(name, value)
        plain = original(name) or name
        if len(plain) + 39 <= MAX_NAME and original(name) is None:
            self.assertEqual(original(sibling), plain)
            self.assertFalse(was_cut(sibling, plain))
        else:
            self.assertIsNotNone(original(sibling))

    def test_a_sibling_of_a_sibling_belongs_to_the_file(self) -> None:
        """However often it lost."""
        name = b"plan.txt"
        for _ in range(3):
            name = conflict_name(name, LOST)
            self.assertEqual(original(name), b"plan.txt")
        other = Value(mtime_ns=5, content=bytes(32))
        self.assertEqual(original(conflict_name(name, other)), b"plan.txt")

    def test_other_names_are_no_siblings(self) -> None:
        """The user's own files stay his."""
        for name in (b"plan.txt", b"plan.conflict.txt", b"a.conflict-2026-1", b"", MARKER):
            self.assertIsNone(original(name))

    def test_a_name_that_was_cut_can_be_that_of_a_longer_one(self) -> None:
        """And of no other."""
        name = b"x" * 240 + b".txt"
        sibling = conflict_name(name, LOST)
        self.assertTrue(was_cut(sibling, name))
        others = (b"x" * 240 + b".doc", b"y" * 240 + b".txt", original(sibling) or b"", sibling)
        for other in others:
            self.assertFalse(was_cut(sibling, other))

    @given(names())
    def test_a_numbered_name_is_a_plain_one(self, name: bytes) -> None:
        """It fits, and keeps what tells what kind of file it is."""
        self.assertEqual(numbered_name(b"plan.tar.gz", 2), b"plan.tar (2).gz")
        plain = original(name) or name
        found = numbered_name(plain, 10)
        self.assertLessEqual(len(found), MAX_NAME)
        self.assertNotEqual(found, plain)
        self.assertIsNone(original(found))
