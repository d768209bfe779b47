# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hypothesis strategies for records, and for entries that they can carry.
"""

from __future__ import annotations

from hypothesis import strategies as st

from flocknode.box.content import block_hash, block_size_for
from flocknode.box.merge.history import version_id
from flocknode.box.values import TOMBSTONE, Entry, Head, History, Kind, Path, Value, VersionId
from flocknode.exchange.records import (
    LARGEST_BLOCK,
    PIECE_SIZE,
    Ack,
    BoxNumbers,
    Cancel,
    EntryRecord,
    Gone,
    Have,
    HeadRecord,
    Hello,
    Index,
    Piece,
    Record,
    Want,
)

ids = st.binary(min_size=16, max_size=16)
hash_fields = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**63 - 1)
index_ids = st.integers(0, 2**64 - 1)
hash_lists = st.lists(hash_fields, min_size=1, max_size=4).map(tuple)

heads = st.builds(
    HeadRecord,
    ids,
    numbers,
    st.booleans(),
    st.integers(0, 2),
    st.integers(0, 0o777),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.binary(max_size=32),
    numbers,
)
entry_records = st.builds(
    EntryRecord,
    st.integers(1, 2**63 - 1),
    st.binary(min_size=1, max_size=300),
    st.lists(heads, min_size=1, max_size=3).map(tuple),
    st.lists(st.tuples(ids, numbers), max_size=3).map(tuple),
    st.integers(0, 1_048_576),
    st.booleans(),
)


def records() -> st.SearchStrategy[Record]:
    """Every kind of record, with fields that the table allows."""
    return st.one_of(
        st.builds(
            Hello,
            numbers,
            st.lists(
                st.builds(BoxNumbers, ids, index_ids, numbers, index_ids, numbers), max_size=3
            ).map(tuple),
        ),
        st.builds(Index, ids, numbers, numbers, st.lists(entry_records, max_size=3).map(tuple)),
        st.builds(Ack, ids, index_ids, numbers),
        st.builds(
            Want,
            ids,
            st.lists(
                st.tuples(hash_fields, st.integers(1, LARGEST_BLOCK)), min_size=1, max_size=4
            ).map(tuple),
        ),
        st.builds(
            Piece,
            hash_fields,
            st.integers(0, LARGEST_BLOCK - 1),
            st.binary(min_size=1, max_size=200) | st.just(bytes(PIECE_SIZE)),
        ),
        st.builds(Have, ids, hash_lists),
        st.builds(Gone, hash_lists),
        st.builds(Cancel, hash_lists),
    )


def _value(kind: Kind | None, mode: int, mtime_ns: int, content: bytes) -> Value:
    if kind is None:
        return TOMBSTONE
    if kind is Kind.DIRECTORY:
        return Value(False, kind, mode)
    return Value(False, kind, mode if kind is Kind.FILE else 0, mtime_ns, content)


@st.composite
def entries(draw: st.DrawFn, number: int = 1) -> Entry:
    """Settled entries as a box announces them."""
    value = _value(
        draw(st.sampled_from([None, *Kind])),
        draw(st.integers(0, 0o777)),
        draw(st.integers(-(2**62), 2**62)),
        draw(hash_fields),
    )
    size = draw(st.integers(1, 4_095)) if value.content else 0
    if value.kind is Kind.FILE and value.content and draw(st.booleans()):
        size = draw(st.sampled_from([0, 1_048_576, 2**40]))
        if not size:
            value = Value(False, Kind.FILE, value.mode, value.mtime_ns, block_hash(b""))
    parents = sorted(set(draw(st.lists(ids, max_size=3))))
    history = History(
        (Head(version_id(map(VersionId, parents), value), len(parents), value, size),),
        tuple((VersionId(parent), depth) for depth, parent in enumerate(parents)),
    )
    names = draw(st.lists(st.sampled_from([b"a", b"b c", b"\xff", b"..."]), min_size=1, max_size=4))
    return Entry(
        Path(b"/".join(names)), number, history, block_size_for(size), draw(st.booleans())
    )
