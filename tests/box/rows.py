# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Rows for the tests of what keeps and counts them.
"""

from __future__ import annotations

from hypothesis import strategies as st

from flocknode.box.content import block_hash
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.index.rows import Placed, Row, is_complete, pack_shown
from flocknode.box.merge.history import version_id
from flocknode.box.values import (
    TOMBSTONE,
    Hash,
    Head,
    History,
    Kind,
    Path,
    Value,
    VersionId,
)
from tests.strategies import names, values


def stat(size: int = 1, inode: int = 7, type: FileType = FileType.FILE, mode: int = 0o644) -> Stat:
    return Stat(type, size, 1_000, 2_000, mode, inode)


def content(data: bytes) -> Hash:
    return block_hash(data)


def file(data: bytes, mtime_ns: int = 1_000) -> Value:
    return Value(mode=0o644, mtime_ns=mtime_ns, content=content(data))


def head(value: Value, size: int, *parents: VersionId) -> Head:
    return Head(version_id(parents, value), len(parents), value, size)


def holding(path: bytes, data: bytes, number: int = 1, *, local: bool = False) -> Row:
    """A file that is known, placed and complete."""
    version = head(file(data), len(data))
    placed = Placed(version.id, version.value, len(data), stat(len(data)))
    return Row(Path(path), number, History((version,)), True, placed, local)


def wanting(path: bytes, data: bytes, number: int = 1, placed: Placed | None = None) -> Row:
    """A file that is known, and not placed."""
    version = head(file(data), len(data))
    return Row(Path(path), number, History((version,)), not data, placed)


def deleted(path: bytes, number: int = 1) -> Row:
    """A tombstone that is known and placed."""
    version = head(TOMBSTONE, 0, VersionId(b"p" * 16))
    placed = Placed(version.id, TOMBSTONE, 0, None)
    return Row(Path(path), number, History((version,)), True, placed)


def directory(path: bytes, number: int = 1) -> Row:
    """A directory that is known and placed."""
    value = Value(kind=Kind.DIRECTORY, mode=0o755)
    version = head(value, 0)
    placed = Placed(version.id, value, 0, stat(type=FileType.DIRECTORY, mode=0o755))
    return Row(Path(path), number, History((version,)), True, placed)


_numbers = st.integers(0, 2**63 - 1)
_ids = st.binary(min_size=16, max_size=16).map(VersionId)
_times = st.integers(-(2**63), 2**63 - 1)
_heads = st.builds(
    lambda parent, depth, value, size: Head(version_id([parent], value), depth, value, size),
    _ids,
    st.integers(0, 2**62),
    values(),
    st.integers(0, 2**62),
)
_stats = st.builds(
    Stat,
    st.sampled_from(FileType),
    _numbers,
    _times,
    _times,
    st.integers(0, 0o777),
    st.integers(0, 2**64 - 1),
)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Rows with everything in them that a row can have."""
    heads = draw(st.lists(_heads, max_size=3).map(tuple))
    superseded = draw(st.lists(st.tuples(_ids, st.integers(0, 2**62)), max_size=3).map(tuple))
    shown = draw(
        st.dictionaries(st.integers(0, 9), st.tuples(_ids, st.booleans()), max_size=3)
    )
    placed = draw(
        st.none() | st.builds(Placed, _ids, values(), _numbers, st.none() | _stats)
    )
    first = heads[0] if heads else None
    return Row(
        Path(b"/".join(draw(st.lists(names(), min_size=1, max_size=3)))),
        draw(_numbers),
        History(heads, superseded),
        is_complete(first, placed),
        placed,
        draw(st.booleans()),
        pack_shown(shown),
    )
