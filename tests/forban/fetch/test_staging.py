# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.staging}.
"""

from __future__ import annotations

import os
from pathlib import Path as FolderPath

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Path
from flocknode.errors import NeighbourError
from flocknode.forban.fetch import staging
from flocknode.forban.fetch.heads import Head
from flocknode.forban.fetch.staging import KEPT, Begun, Staged, begun, content_of, discard, name_of
from flocknode.forban.protocol.remote import RemoteFile
from flocknode.testing import shelves
from tests.forban.fetch.peers import small_hash

DATA = bytes(range(256)) * 4096


def remote(data: bytes, hashed: bool = False, path: bytes = b"a") -> RemoteFile:
    """A file of a neighbour; the hash is right for small ones only."""
    return RemoteFile(Path(path), len(data), small_hash(data) if hashed else None)


class StagedTests(SynchronousTestCase):
    """Files on their way."""

    def setUp(self) -> None:
        self.folder = FolderPath(self.mktemp()).absolute()
        staging.prepare(str(self.folder))
        self.path = str(self.folder / "file")

    def staged(self, file: RemoteFile, first: int = 0, validator: str = "") -> Staged:
        """One that is written to now."""
        return Staged(self.path, file, Head(200, validator=validator, modified=5), first)

    def names(self) -> list[str]:
        """What lies in the folder."""
        return sorted(os.listdir(self.folder))

    def test_a_file_that_came_whole_is_there(self) -> None:
        staged = self.staged(remote(DATA))
        self.assertTrue(staged.write(DATA[:1000]))
        whole = staged.finish(DATA[1000:], True)
        self.assertEqual((whole.path, whole.modified), (self.path, 5))
        self.assertEqual(FolderPath(self.path).read_bytes(), DATA)

    def test_an_empty_file_is_one(self) -> None:
        self.staged(remote(b"", hashed=True)).finish(b"", True)
        self.assertEqual(FolderPath(self.path).read_bytes(), b"")

    def test_a_file_that_broke_off_is_never_whole(self) -> None:
        for size in (0, 10, len(DATA) - 1):
            for whole in (True, False):
                staged = self.staged(remote(DATA))
                self.assertRaises(NeighbourError, staged.finish, DATA[:size], whole)

    def test_what_is_not_what_its_index_says_is_removed(self) -> None:
        staged = self.staged(remote(b"good", hashed=True))
        self.assertRaises(NeighbourError, staged.finish, b"evil", True)
        self.assertEqual(self.names(), [])

    def test_a_small_beginning_is_not_kept(self) -> None:
        staged = self.staged(remote(DATA))
        staged.write(DATA[:10])
        staged.abandon()
        self.assertEqual(self.names(), [])

    def test_a_beginning_is_gone_on_with_if_its_state_is_known(self) -> None:
        file = remote(DATA)
        staged = self.staged(file, validator='"v1"')
        staged.write(DATA[:KEPT])
        staged.abandon()
        self.assertEqual(begun(self.path, file), Begun(KEPT, '"v1"'))
        staged = self.staged(file, first=KEPT)
        staged.finish(DATA[KEPT:], True)
        self.assertEqual(FolderPath(self.path).read_bytes(), DATA)
        discard(self.path)
        discard(self.path)
        self.assertEqual(self.names(), [])

    def test_a_beginning_of_an_unknown_state_is_not(self) -> None:
        file = remote(DATA)
        staged = self.staged(file)
        staged.write(DATA[:KEPT])
        staged.abandon()
        self.assertEqual(begun(self.path, file), Begun())
        self.assertEqual(self.names(), [])

    def test_with_a_hash_any_beginning_will_do(self) -> None:
        file = remote(DATA, hashed=True)
        staged = self.staged(file)
        staged.write(DATA[:KEPT])
        staged.abandon()
        self.assertEqual(begun(self.path, file), Begun(KEPT, ""))

    def test_what_is_there_of_nothing_is_nothing(self) -> None:
        self.assertEqual(begun(self.path, remote(DATA)), Begun())

    def test_a_beginning_that_is_longer_than_the_file_is_none(self) -> None:
        FolderPath(self.path).write_bytes(DATA)
        self.assertEqual(begun(self.path, remote(DATA, hashed=True)), Begun())

    def test_a_rest_without_its_beginning_is_refused(self) -> None:
        staged = self.staged(remote(DATA), first=KEPT)
        self.assertRaises(NeighbourError, staged.write, DATA[KEPT:])

    def test_a_beginning_that_is_begun_again_loses_what_it_had(self) -> None:
        FolderPath(self.path).write_bytes(b"x" * len(DATA))
        self.staged(remote(b"abc")).finish(b"abc", True)
        self.assertEqual(FolderPath(self.path).read_bytes(), b"abc")

    def test_a_check_that_is_cancelled_leaves_what_can_be_gone_on_with(self) -> None:
        FolderPath(self.path).write_bytes(DATA)
        content = shelves.content_of(self.path)
        file = RemoteFile(Path(b"a"), len(DATA), content)
        stopped = Staged(self.path, file, Head(200), 0, lambda: True)
        self.assertRaises(NeighbourError, stopped.finish, DATA, True)
        again = begun(self.path, file)
        self.assertEqual(again.offset, len(DATA) - 1)
        rest = self.staged(file, first=again.offset)
        rest.finish(DATA[again.offset :], True)
        self.assertEqual(FolderPath(self.path).read_bytes(), DATA)

    def test_of_a_small_file_nothing_is_left_then(self) -> None:
        file = remote(b"abc", hashed=True)
        stopped = Staged(self.path, file, Head(200), 0, lambda: True)
        self.assertRaises(NeighbourError, stopped.finish, b"abc", True)
        self.assertEqual(self.names(), [])

    def test_no_link_is_followed(self) -> None:
        target = self.folder / "target"
        target.write_bytes(b"mine")
        os.symlink(target, self.path)
        self.assertRaises(OSError, self.staged(remote(b"abc")).finish, b"abc", True)
        self.assertEqual(target.read_bytes(), b"mine")

    def test_old_beginnings_are_removed_at_the_start(self) -> None:
        for name, age in (("old", staging.OLDEST + 10), ("new", staging.OLDEST - 10)):
            path = self.folder / name
            path.write_bytes(b"x")
            os.utime(path, (1e9 - age, 1e9 - age))
        staging.prepare(str(self.folder), 1e9)
        self.assertEqual(self.names(), ["new"])

    def test_a_name_tells_what_it_is_to_become(self) -> None:
        plain = remote(DATA)
        self.assertEqual(name_of("u", plain), name_of("u", remote(DATA)))
        others = [
            name_of("v", plain),
            name_of("u", remote(DATA, path=b"b")),
            name_of("u", remote(DATA[1:])),
            name_of("u", remote(DATA, hashed=True)),
        ]
        self.assertEqual(len({name_of("u", plain), *others}), 5)
        # The same content is the same, whoever gives it.
        hashed = remote(DATA, hashed=True)
        again = remote(DATA, hashed=True, path=b"b")
        self.assertEqual(name_of("u", hashed), name_of("v", again))

    def test_content_is_named_as_boxes_name_it(self) -> None:
        for data in (b"", b"x", DATA, DATA[:-1]):
            FolderPath(self.path).write_bytes(data)
            self.assertEqual(content_of(self.path), shelves.content_of(self.path))
