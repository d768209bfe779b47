# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.observe}.
"""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import block_size_for
from flocknode.box.disk.capabilities import Capabilities
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.index.rows import Placed
from flocknode.box.survey.hashing import Hashed
from flocknode.box.survey.observe import Observation, observed_value
from flocknode.box.values import TOMBSTONE, Kind, Path, Value, VersionId
from tests.box.rows import content, stat

STAT = Stat(FileType.FILE, 3, 2_000_000_000, 7, 0o755, 1)
VALUE = Value(mode=0o640, mtime_ns=1_999_999_999, content=content(b"old"))
PLACED = Placed(VersionId(b"v" * 16), VALUE, 3, STAT)
"""On a file system that rounds times and knows one mode."""


def seen(stat: Stat | None, data: bytes = b"old") -> Observation:
    if stat is None or stat.type is FileType.DIRECTORY:
        return Observation(Path(b"p"), stat)
    hash, size = content(data), len(data)
    hashed = Hashed(hash, size, block_size_for(size), (hash,), stat)
    return Observation(Path(b"p"), stat, hashed)


class ObserveTests(SynchronousTestCase):
    def value(
        self,
        stat: Stat | None,
        data: bytes = b"old",
        placed: Placed | None = PLACED,
        modes: bool = True,
    ) -> Value:
        return observed_value(placed, seen(stat, data), Capabilities(modes=modes))[0]

    def test_what_is_gone_is_a_tombstone(self) -> None:
        self.assertEqual(observed_value(PLACED, seen(None), Capabilities()), (TOMBSTONE, 0))

    def test_a_new_file_is_as_it_is_on_disk(self) -> None:
        self.assertEqual(
            observed_value(None, seen(STAT), Capabilities()),
            (Value(mode=0o755, mtime_ns=2_000_000_000, content=content(b"old")), 3),
        )

    def test_what_the_file_system_made_of_the_value_is_no_change(self) -> None:
        touched = replace(STAT, ctime_ns=99, inode=5)
        self.assertEqual(self.value(touched), VALUE)

    def test_only_what_changed_on_disk_changes(self) -> None:
        self.assertEqual(
            self.value(replace(STAT, mode=0o700)), replace(VALUE, mode=0o700)
        )
        self.assertEqual(
            self.value(replace(STAT, mtime_ns=4_000_000_000)),
            replace(VALUE, mtime_ns=4_000_000_000),
        )
        self.assertEqual(
            self.value(STAT, b"new"), replace(VALUE, content=content(b"new"))
        )

    def test_modes_of_a_file_system_without_them_mean_nothing(self) -> None:
        changed = replace(STAT, mode=0o777)
        self.assertEqual(self.value(changed, modes=False).mode, 0o640)
        self.assertEqual(self.value(changed, placed=None, modes=False).mode, 0o644)

    def test_what_was_of_another_kind_has_nothing_to_say(self) -> None:
        made = replace(STAT, type=FileType.DIRECTORY, mode=0o700)
        self.assertEqual(self.value(made), Value(kind=Kind.DIRECTORY, mode=0o700))
        link = replace(STAT, type=FileType.SYMLINK, mode=0o777)
        self.assertEqual(
            self.value(link, b"target"),
            Value(kind=Kind.SYMLINK, mtime_ns=2_000_000_000, content=content(b"target")),
        )

    def test_a_directory_whose_mode_is_not_known_stays_so(self) -> None:
        implied = Placed(
            VersionId(b"v" * 16), Value(kind=Kind.DIRECTORY), 0, stat(type=FileType.DIRECTORY)
        )
        self.assertEqual(
            self.value(stat(9, type=FileType.DIRECTORY), placed=implied),
            Value(kind=Kind.DIRECTORY),
        )
