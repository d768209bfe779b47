# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Putting, removing and renaming in the folder what the user asks for: as safely
as what others have changed, and as if he had done it himself.  The index hears
of it when the folder is looked at there.

What is replaced or removed goes to the version store.  Nothing is done to what
is not just what the index knows of.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

from flocknode.box.disk.copying import copy_pieces
from flocknode.box.disk.folder import FileType, Stat
from flocknode.box.disk.placement import (
    Failed,
    Occupied,
    Outcome,
    Placed,
    Placement,
    Surprise,
)
from flocknode.box.index.ledger import Ledger
from flocknode.box.index.rows import Row, parents
from flocknode.box.merge.history import DIRECTORY
from flocknode.box.receive.planner import Planner
from flocknode.box.values import TOMBSTONE, Kind, Path, Value
from flocknode.errors import BoxError

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def shown(path: bytes) -> str:
    """A path for people, in a sentence."""
    text = os.fsdecode(path)
    return text if text.isprintable() else ascii(text)[1:-1]


class Putter:
    """
    Works in the box's worker thread while the folder is there.

    @raise BoxError: (from all methods) one sentence on why nothing was done.
    """

    def __init__(self, ledger: Ledger, planner: Planner) -> None:
        self._ledger = ledger
        self._planner = planner
        self._site = planner.site

    def row(self, path: Path) -> Row | None:
        """
        What the index knows of a path, if that is just what is there; L{None}:
        nothing is there.
        """
        row = self._ledger.index.row(path)
        if row is not None and row.pending:
            raise BoxError(
                f"A newer version of {shown(path)} is on its way; try again when it has come."
            )
        disk = None if row is None or row.placed is None else row.placed.disk
        there = self.lstat(path)
        if (disk is None) != (there is None) or (disk is not None and not disk.matches(there)):
            self._planner.events.look.add(path)
            raise BoxError(f"{shown(path)} has just been changed; try again in a moment.")
        return None if disk is None else row

    def is_there(self, path: Path) -> bool:
        """Is anything at this path, known or not?"""
        return self.lstat(path) is not None

    def is_deleted(self, path: Path) -> bool:
        """Does the index know of something there that was deleted?"""
        row = self._ledger.index.row(path)
        return row is not None and row.head is not None and row.head.value.deleted

    def lstat(self, path: Path) -> Stat | None:
        """What is at this path, known or not; L{None}: nothing."""
        try:
            return self._site.folder.lstat(path)
        except OSError as error:
            raise _cannot(path, error) from error

    def place(self, batch: Sequence[Placement]) -> list[Outcome]:
        """
        Place a batch (see L{flocknode.box.disk.placer.Placer.place}).  Nothing is
        recorded before, as for what others have changed: after a crash, what is
        there is seen as the user's change, which it is.

        @return: what came of each; see L{refused}.
        @raise BoxError: it is not known what came of them.
        """
        events = self._planner.events
        events.look.update(placement.path for placement in batch)
        try:
            outcomes = self._site.placer.place(batch, lambda prepared: None)
        except OSError as error:
            raise _cannot(batch[-1].path, error) from error
        for outcome in outcomes:
            if isinstance(outcome, (Placed, Surprise)):
                self._planner.displaced(outcome)
        return outcomes

    def put(
        self,
        path: Path,
        value: Value,
        size: int,
        source: int | bytes,
        check: Callable[[], object],
    ) -> Iterator[None]:
        """
        Make a path this, a piece of the work at a time.

        @param value: a file or a link, its mode and mtime.
        @param source: an open file to copy, C{size} bytes long, or the link's
            target.
        @param check: called when all is copied: raises L{BoxError} if it was
            changed meanwhile.
        """
        self._replaceable(path)
        if isinstance(source, bytes):
            self._place(path, value, target=source)
            return
        staging = self._site.staging
        name = staging.temporary_name()
        try:
            copy = os.open(name, _CREATE, 0o600, dir_fd=staging.directory)
            try:
                for _ in copy_pieces(source, copy):
                    yield
            finally:
                os.close(copy)
            check()
            self._place(path, value, size, name)
        except OSError as error:
            raise _cannot(path, error) from error
        finally:
            # Placed, or the folder is gone: then it is swept away later.
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=staging.directory)

    def remove(self, path: Path) -> None:
        """Take a file or link away, into the version store."""
        row = self.row(path)
        if row is not None and row.placed is not None:
            self._do(Placement(path, TOMBSTONE, expected=row.placed.disk))

    def rename(self, path: Path, to: Path) -> None:
        """Give a file or link another name, which must be free."""
        row = self.row(path)
        if row is None or row.placed is None:
            raise BoxError(f"{shown(path)} is not there.")
        placed = row.placed
        self._do(
            Placement(to, placed.value, placed.size, source=path, source_expected=placed.disk)
        )
        self._planner.events.look.add(path)

    def _replaceable(self, path: Path) -> Stat | None:
        row = self.row(path)
        disk = None if row is None or row.placed is None else row.placed.disk
        if disk is not None and disk.type is FileType.DIRECTORY:
            raise BoxError(f"{shown(path)} is a directory now: choose another name for it.")
        for above in parents(path):
            there = self.lstat(above)
            if there is not None and there.type is not FileType.DIRECTORY:
                raise BoxError(f"{shown(above)} is no directory now: choose another place.")
        return disk

    def _place(
        self,
        path: Path,
        value: Value,
        size: int = 0,
        staged: bytes | None = None,
        target: bytes | None = None,
    ) -> None:
        # Since the last look a piece may have been copied for minutes.
        expected = self._replaceable(path)
        above = [
            Placement(parent, DIRECTORY)
            for parent in reversed(parents(path))
            if self.lstat(parent) is None
        ]
        self._do(*above, Placement(path, value, size, staged, target, expected))

    def _do(self, *batch: Placement) -> None:
        for outcome in self.place(batch):
            problem = refused(outcome)
            if problem is not None:
                raise problem


def refused(outcome: Outcome) -> BoxError | None:
    """Why nothing came of a placement, if so."""
    if isinstance(outcome, Failed):
        return BoxError(f"{shown(outcome.path)}: {outcome.reason}")
    if isinstance(outcome, Occupied):
        return BoxError(f"{shown(outcome.path)} has just been changed; try again in a moment.")
    return None


def kind_of(value: Value) -> str:
    """For people and programs."""
    return {Kind.FILE: "file", Kind.DIRECTORY: "directory", Kind.SYMLINK: "link"}[value.kind]


def _cannot(path: Path, error: OSError) -> BoxError:
    failed = Failed.because(path, error)
    return BoxError(f"{shown(path)}: {failed.reason}")
