# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hypothesis strategies for the values that flocknode is made of.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from flocknode.box.merge.history import NOTHING, join, local_change
from flocknode.box.merge.settling import settle
from flocknode.box.values import TOMBSTONE, History, Kind, Path, Value, VersionId
from tests.box.model import Step
from tests.box.programs import WEIGHTS

contents = st.binary(min_size=32, max_size=32)
"""Content hashes."""

mtimes = st.integers(-(2**63), 2**63 - 1)
"""Modification times in nanoseconds."""


def files() -> st.SearchStrategy[Value]:
    """Alive files."""
    return st.builds(
        Value,
        deleted=st.just(False),
        kind=st.just(Kind.FILE),
        mode=st.integers(0, 0o777),
        mtime_ns=mtimes,
        content=contents,
    )


def symlinks() -> st.SearchStrategy[Value]:
    """Alive symbolic links."""
    return st.builds(
        Value,
        deleted=st.just(False),
        kind=st.just(Kind.SYMLINK),
        mode=st.just(0),
        mtime_ns=mtimes,
        content=contents,
    )


def directories() -> st.SearchStrategy[Value]:
    """Alive directories."""
    return st.builds(
        Value, deleted=st.just(False), kind=st.just(Kind.DIRECTORY), mode=st.integers(0, 0o777)
    )


def values() -> st.SearchStrategy[Value]:
    """All that a path can be."""
    return st.one_of(files(), symlinks(), directories(), st.just(TOMBSTONE))


def names() -> st.SearchStrategy[bytes]:
    """Single components of a path: UTF-8 and not, short and as long as can be."""
    characters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
    text = st.text(characters, min_size=1, max_size=255).map(lambda name: name.encode()[:255])
    other = st.binary(min_size=1, max_size=255).map(
        lambda name: name.replace(b"/", b"_").replace(b"\0", b"_")
    )
    long = st.tuples(st.sampled_from([b"a", "ä".encode(), "😀".encode(), b"\xff"]), text).map(
        lambda parts: (parts[0] * 255)[: 255 - len(parts[1][-9:])] + parts[1][-9:]
    )
    return st.one_of(text, other, long).filter(lambda name: name not in {b".", b".."})


def programs(steps: int = 60) -> st.SearchStrategy[list[Step]]:
    """Programs for the model of L{tests.box.model}, in random order."""
    weighted = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
    number = st.integers(0, 255)
    step = st.tuples(st.sampled_from(weighted), number, number, number)
    return st.lists(step, max_size=steps)


class Replica:
    """
    One box's knowledge of one path.

    @ivar placed: what its folder holds.
    """

    def __init__(self) -> None:
        self.history: History = NOTHING
        self.placed: VersionId | None = None

    def edit(self, value: Value) -> None:
        """A local change."""
        change = local_change(self.history, self.placed, value, len(value.content))
        self.history, self.placed = change.history, change.placed

    def hear(self, other: History) -> None:
        """An announcement arrives."""
        self.history = join(self.history, other)

    def settle(self) -> None:
        """Settle, and place what comes of it."""
        self.history, _ = settle(Path(b"path"), self.history)
        if self.history.heads:
            self.placed = self.history.heads[0].id


_FEW = [
    TOMBSTONE,
    Value(kind=Kind.DIRECTORY, mode=0o755),
    Value(kind=Kind.DIRECTORY),
    *(Value(mode=0o644, mtime_ns=number, content=bytes([number]) * 32) for number in range(3)),
    Value(mode=0o600, mtime_ns=2, content=bytes(32)),
]
# So few values that equal ones meet all the time.


def replicas(count: int = 3, steps: int = 20) -> st.SearchStrategy[list[Replica]]:
    """
    What some boxes know of one path after they have changed it, heard of each
    other, and settled, in any order.
    """
    which = st.integers(0, count - 1)
    step = st.one_of(
        st.tuples(st.just("edit"), which, st.sampled_from(_FEW)),
        st.tuples(st.just("hear"), which, which),
        st.tuples(st.just("settle"), which, which),
    )
    return st.lists(step, max_size=steps).map(lambda program: _replicate(count, program))


def _replicate(count: int, program: Sequence[tuple[str, int, Value | int]]) -> list[Replica]:
    boxes = [Replica() for _ in range(count)]
    for _, which, what in program:
        if isinstance(what, Value):
            boxes[which].edit(what)
        elif what == which:
            boxes[which].settle()
        else:
            boxes[which].hear(boxes[what].history)
    return boxes
