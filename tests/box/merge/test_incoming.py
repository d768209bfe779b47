# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.incoming}.
"""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import block_hash
from flocknode.box.merge.history import version_id
from flocknode.box.merge.incoming import MAX_HEADS, check_entry
from flocknode.box.values import TOMBSTONE, Entry, Head, History, Kind, Path, Value, VersionId
from flocknode.errors import PathError, ProtocolError
from tests.box.rows import file, head

GOOD = Entry(Path(b"d/plan"), 5, History((head(file(b"x"), 1),)), 131_072, True)


def entry(*heads: Head) -> Entry:
    return attrs.evolve(GOOD, history=History(heads))


def made(size: int = 0, **parts: object) -> Entry:
    return entry(head(Value(**parts), size))  # type: ignore[arg-type]


class IncomingTests(SynchronousTestCase):
    def test_what_a_box_announces_is_taken(self) -> None:
        for good in (
            GOOD,
            entry(head(TOMBSTONE, 0, VersionId(b"p" * 16))),
            made(kind=Kind.DIRECTORY, mode=0o755),
            made(kind=Kind.DIRECTORY),
            made(5, kind=Kind.SYMLINK, content=block_hash(b"hello"), mtime_ns=-7),
            made(content=block_hash(b"")),
        ):
            check_entry(good)

    def test_what_no_path_can_be_is_refused(self) -> None:
        content = block_hash(b"x")
        for number, bad in enumerate(
            (
                made(1, content=content, mode=0o1777),
                entry(Head(VersionId(b"i" * 16), 0, Value(content=content, mode=-1), 1)),
                made(1, content=content, mtime_ns=1 << 63),
                made(1, content=content[:31]),
                made(1),
                made(0, content=content),
                made(1, content=block_hash(b"")),
                made(-1, content=content),
                made(1 << 62, content=content),
                made(0, kind=Kind.DIRECTORY, content=content),
                made(5, kind=Kind.DIRECTORY),
                made(kind=Kind.DIRECTORY, mtime_ns=1),
                made(kind=Kind.SYMLINK, content=block_hash(b"")),
                made(5, kind=Kind.SYMLINK, content=content, mode=0o777),
                made(5000, kind=Kind.SYMLINK, content=content),
                made(deleted=True, mode=1),
                made(5, deleted=True),
                entry(replace(GOOD.history.heads[0], depth=-1)),
                entry(replace(GOOD.history.heads[0], id=VersionId(b"i" * 16))),
                entry(replace(GOOD.history.heads[0], id=VersionId(b"i" * 15))),
                entry(),
                entry(*GOOD.history.heads * (MAX_HEADS + 1)),
                attrs.evolve(GOOD, block_size=262_144),
                attrs.evolve(
                    GOOD, history=replace(GOOD.history, superseded=((VersionId(b"short"), 1),))
                ),
                attrs.evolve(
                    GOOD,
                    history=replace(GOOD.history, superseded=((VersionId(b"i" * 16), -1),)),
                ),
            )
        ):
            with self.assertRaises(ProtocolError, msg=str(number)):
                check_entry(bad)

    def test_an_unsafe_path_is_refused(self) -> None:
        for path in (b"", b"/etc/passwd", b"a/../b", b".FlockNode/box", b"a\0b", b"x" * 256):
            with self.assertRaises(PathError):
                check_entry(attrs.evolve(GOOD, path=Path(path)))

    @given(
        st.binary(max_size=40),
        st.builds(
            Value,
            st.booleans(),
            st.sampled_from(Kind),
            st.integers(-5, 0o10000),
            st.integers(-(2**65), 2**65),
            st.binary(max_size=40),
        ),
        st.integers(-5, 2**70),
        st.integers(-5, 2**70),
    )
    @settings(max_examples=100)
    def test_nothing_else_than_its_error_comes_of_anything(
        self, path: bytes, value: Value, size: int, depth: int
    ) -> None:
        try:
            id = version_id((), value)
        except OverflowError:
            id = VersionId(bytes(16))
        try:
            check_entry(Entry(Path(path), 1, History((Head(id, depth, value, size),)), 1, True))
        except ProtocolError:
            return
