# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box into which things are placed, with a hand in every last instant.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from flocknode.box.content import block_hash
from flocknode.box.disk import syscalls
from flocknode.box.disk.capabilities import Capabilities
from flocknode.box.disk.folder import Stat
from flocknode.box.disk.placer import Outcome, Placed, Placement, Placer, Prepared
from flocknode.box.disk.staging import Staging
from flocknode.box.disk.versions import Kept, VersionStore
from flocknode.box.values import TOMBSTONE, Kind, Path, Value
from tests.box.folders import FolderCase, refuse

MTIME = 1_234_567_890_123_456_789


class PlacingCase(FolderCase):
    """
    @ivar steps: step of the placer -> what to do then, once.
    @ivar recorded: what the placer wanted to have recorded.
    """

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def start(self) -> None:
        """Build the parts, as after a restart."""
        self.steps: dict[str, Callable[[], object]] = {}
        self.recorded: list[Prepared] = []
        self.staging = Staging(self.folder)
        self.versions = VersionStore(self.folder)
        self.placer = Placer(self.folder, self.staging, self.versions, 2, self._step)
        for part in (self.staging, self.versions, self.placer):
            self.addCleanup(part.close)

    def _step(self, step: str, path: Path) -> None:
        action = self.steps.pop(step, None)
        if action is not None:
            action()

    def record(self, prepared: Sequence[Prepared]) -> None:
        """What the index would do."""
        self.recorded.extend(prepared)

    def place(self, *batch: Placement) -> list[Outcome]:
        """Place a batch."""
        return self.placer.place(batch, self.record)

    def stage(self, data: bytes) -> bytes:
        """Put content into staging."""
        content = block_hash(data)
        self.staging.write_whole(content, data)
        return self.staging.name(content)

    def file(
        self,
        path: bytes,
        data: bytes,
        expected: Stat | None = None,
        mode: int = 0o644,
        mtime_ns: int = MTIME,
    ) -> Placement:
        """A file to be placed."""
        value = Value(False, Kind.FILE, mode, mtime_ns, block_hash(data))
        return Placement(Path(path), value, len(data), self.stage(data), None, expected)

    def link(self, path: bytes, target: bytes, expected: Stat | None = None) -> Placement:
        """A symbolic link to be placed."""
        value = Value(False, Kind.SYMLINK, 0, MTIME, block_hash(target))
        return Placement(Path(path), value, len(target), None, target, expected)

    def directory(
        self, path: bytes, expected: Stat | None = None, mode: int = 0o755
    ) -> Placement:
        """A directory to be placed."""
        return Placement(Path(path), Value(False, Kind.DIRECTORY, mode), expected=expected)

    def deletion(self, path: bytes, expected: Stat | None = None) -> Placement:
        """Something to be deleted; by default as it is."""
        return Placement(Path(path), TOMBSTONE, expected=expected or self.lstat(path))

    def lstat(self, path: bytes) -> Stat:
        """Of something that is there."""
        stat = self.folder.lstat(path)
        assert stat is not None
        return stat

    def existing(self, path: bytes, data: bytes) -> Stat:
        """A file of the box that the index knows."""
        self.write(path, data)
        os.utime(self.at(path), ns=(1, 1_000_000_000))
        return self.lstat(path)

    def kept(self, kept: Kept | None) -> bytes:
        """The content of what was kept."""
        assert kept is not None
        return self.read(b".flocknode/versions/" + kept.name)

    def stored(self) -> list[bytes]:
        """The content of all that is in the version store."""
        return [
            self.read(b".flocknode/versions/" + name)
            for name in sorted(os.listdir(self.at(b".flocknode/versions")))
        ]

    def staged(self) -> list[bytes]:
        """What is in staging."""
        return [
            self.read(b".flocknode/staging/" + name)
            for name in sorted(os.listdir(self.at(b".flocknode/staging")))
        ]

    def assertPlaced(self, outcome: Outcome, path: bytes) -> Placed:
        """It went as it should, and the stat is what is there."""
        assert isinstance(outcome, Placed), outcome
        self.assertEqual(outcome.path, path)
        self.assertEqual(outcome.stat, self.folder.lstat(path))
        return outcome


class WithoutRenameat2(PlacingCase):
    """A file system that can neither exchange nor refuse to replace."""

    capabilities = Capabilities(exchange=False, noreplace=False)

    def setUp(self) -> None:
        self.patch(syscalls, "rename", refuse(errno.EINVAL))
        super().setUp()


class WithoutLinks(WithoutRenameat2):
    """Nor does it have hard links."""

    capabilities = Capabilities(exchange=False, noreplace=False, hard_links=False)
