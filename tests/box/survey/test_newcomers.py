# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.newcomers}.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from flocknode.box.content import block_hash, block_size_for, content_hash
from flocknode.box.disk.folder import FileType
from flocknode.box.index.database import Index
from flocknode.box.index.ledger import Ledger
from flocknode.box.survey import changes
from flocknode.box.survey.hashing import Hashed
from flocknode.box.survey.newcomers import all_new
from flocknode.box.survey.observe import Observation
from flocknode.box.values import Path
from tests.box.index.test_database import IndexCase
from tests.box.peers import Peer, PeerCase
from tests.box.rows import deleted, directory, holding, stat
from tests.strategies import names

SIBLING = b"file.conflict-20260131-093000-0123456789ab.txt"


def seen_file(
    path: bytes, data: bytes = b"x", blocks: int = 1, doubtful: bool = False
) -> Observation:
    """Not there on any disk: whoever takes it in does not look."""
    size = len(data) if blocks == 1 else blocks * 131_072
    hashes = tuple(block_hash(data + bytes([number])) for number in range(blocks))
    if blocks == 1:
        hashes = (block_hash(data),)
    content = content_hash(size, block_size_for(size), hashes)
    found = stat(size, inode=len(path))
    hashed = Hashed(content, size, block_size_for(size), hashes, found)
    return Observation(Path(path), found, hashed, doubtful)


def seen_link(path: bytes) -> Observation:
    hash = block_hash(b"target")
    found = stat(6, type=FileType.SYMLINK, mode=0o777)
    return Observation(Path(path), found, Hashed(hash, 6, block_size_for(6), (hash,), found))


def seen_directory(path: bytes, mode: int = 0o755) -> Observation:
    return Observation(Path(path), stat(type=FileType.DIRECTORY, mode=mode))


@st.composite
def trees(draw: st.DrawFn) -> list[Observation]:
    """What a first scan may find, in any order."""
    directories: list[bytes] = [b""]
    found: dict[bytes, Observation] = {}
    for _ in range(draw(st.integers(0, 12))):
        above = draw(st.sampled_from(directories))
        path = (above + b"/" if above else b"") + draw(names() | st.just(SIBLING))
        if path in found or path.startswith(b".flocknode"):
            continue
        kind = draw(st.sampled_from(["file", "file", "directory", "link"]))
        if kind == "directory":
            found[path] = seen_directory(path, draw(st.sampled_from([0o755, 0o700, 0])))
            directories.append(path)
        elif kind == "link":
            found[path] = seen_link(path)
        else:
            data = draw(st.binary(max_size=2))
            found[path] = seen_file(path, data, draw(st.integers(1, 3)), draw(st.booleans()))
    return draw(st.permutations(list(found.values())))


class TheSame(PeerCase):
    """The short way comes to what the long one comes to."""

    box: Peer
    long = False

    def taken_in(self, observations: list[Observation], long: bool) -> tuple[object, ...]:
        """All that is known after taking this in."""
        path = os.path.join(self.base, "index")
        index = Index(path)
        try:
            ledger = Ledger(index, Random(1))
            taking = changes.LocalChanges(ledger)
            self.long = long
            made, again = taking.observe(self.box.site, observations)
            lists = [
                index.contents.block_list(seen.hashed.content)
                for seen in observations
                if seen.hashed is not None
            ]
            return (
                [(change.path, change.old, change.new) for change in made],
                again,
                sorted(index.rows(), key=lambda row: row.path),
                lists,
                (ledger.highest, ledger.totals.pack(), ledger.totals.lacking(None)),
                (taking.total, dict(taking._unseen)),
            )
        finally:
            index.close()
            for name in os.listdir(self.base):
                if name.startswith("index"):
                    os.unlink(os.path.join(self.base, name))

    def test_whatever_is_found(self) -> None:
        self.box = self.peer("a")
        ways: list[bool] = []

        def is_short(index: Index, observations: Sequence[Observation]) -> bool:
            ways.append(not self.long and all_new(index, observations))
            return ways[-1]

        self.patch(changes, "all_new", is_short)

        @given(trees())
        @settings(max_examples=60, deadline=None)
        def check(observations: list[Observation]) -> None:
            short = self.taken_in(observations, long=False)
            self.assertEqual(short, self.taken_in(observations, long=True))

        check()
        self.assertIn(True, ways)

    def test_a_file_that_is_gone_again_before_it_was_announced_was_never_there(self) -> None:
        box = self.peer("a")
        box.put("d/file", b"x")
        box.scan()
        os.unlink(box.path("d/file"))
        box.scan()
        self.assertIsNone(box.index.row(b"d/file"))


class AllNew(IndexCase):
    """When the short way may be gone."""

    def test_what_nobody_has_heard_of_is(self) -> None:
        self.assertTrue(all_new(self.index, [seen_file(b"d/file"), seen_directory(b"d")]))

    def test_what_lies_in_a_known_directory_is(self) -> None:
        self.save(directory(b"d"), holding(b"d/other", b"x"))
        self.assertTrue(all_new(self.index, [seen_file(b"d/file")]))

    def test_a_path_that_is_known_is_not(self) -> None:
        for row in (holding(b"file", b"x"), deleted(b"file")):
            self.save(row)
            self.assertFalse(all_new(self.index, [seen_file(b"new"), seen_file(b"file")]))

    def test_nothing_is_in_a_directory_that_is_not_known_to_be_one(self) -> None:
        self.save(holding(b"file", b"x"), deleted(b"gone"))
        for path in (b"unknown/new", b"file/new", b"gone/new"):
            self.assertFalse(all_new(self.index, [seen_file(path)]))

    def test_what_is_gone_or_was_not_read_is_not(self) -> None:
        self.assertFalse(all_new(self.index, [Observation(Path(b"file"), None)]))
        self.assertFalse(all_new(self.index, [Observation(Path(b"file"), stat())]))

    def test_a_path_that_was_seen_twice_is_not(self) -> None:
        self.assertFalse(all_new(self.index, [seen_file(b"file"), seen_file(b"file", b"y")]))

    def test_the_name_of_a_conflict_sibling_is_not(self) -> None:
        self.assertFalse(all_new(self.index, [seen_file(SIBLING)]))
