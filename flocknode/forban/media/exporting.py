# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Writing to a medium what this node shows and the medium lacks.  What lies there
stays as it is, and some room stays free.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Sequence

from flocknode.box.disk import syscalls
from flocknode.box.disk.copying import write_all
from flocknode.box.disk.folder import FileType
from flocknode.box.lane import Lane
from flocknode.box.listing import OpenFile
from flocknode.box.paths import split
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.catalogue import Catalogue, Shown
from flocknode.forban.media.medium import PIECE, Hasher, Medium, Tally, has_room
from flocknode.forban.shelf import Shelf

PART = b".flocknode-part"
"""Where a file grows until it is whole; what was left of one is written over."""

BATCH = 256
"""Files that are looked for at a time."""

FAILURES = 16
"""So many files that cannot be written, one after the other, and it is given up:
the medium was pulled out."""


class Writer:
    """Writes to a medium.  In a thread."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._folder = medium.folder
        self._changed: set[bytes] = set()

    def lacking(self, files: Sequence[Shown[Shelf]]) -> list[bool | None]:
        """
        Which of these it lacks: C{None}: something else is there, and stays
        there.
        """
        return [self._lacks(file) for file in files]

    def _lacks(self, file: Shown[Shelf]) -> bool | None:
        self._medium.go_on()
        try:
            there = self._folder.lstat(file.path)
        except OSError:
            # A name that it cannot hold; writing will tell.
            return True
        if there is None:
            return True
        is_same = (there.type, there.size) == (FileType.FILE, file.file.size)
        return False if is_same else None

    def has_room(self, size: int) -> bool:
        """Would so many bytes leave enough free?"""
        return has_room(self._folder.root_fd, size)

    def copy(self, opened: OpenFile, path: Path) -> None:
        """
        Put a file there, when it is whole and on the medium.

        @raise FileExistsError: something is there.
        @raise BoxError: it is not any more what was listed.
        @raise OSError: from the medium; also if it cannot hold the name.
        """
        parent, name = split(path)
        self._make(parent)
        self._write(opened)
        directory = self._folder.open_directory(parent)
        try:
            syscalls.rename_to_new(self._folder.root_fd, PART, directory, name)
        finally:
            os.close(directory)
        self._changed.add(parent)

    def finish(self) -> None:
        """What was written stays there if the medium is pulled out now."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PART, dir_fd=self._folder.root_fd)
        for path in sorted(self._changed):
            descriptor = self._folder.open_directory(path)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._changed.clear()

    def _make(self, directory: bytes) -> None:
        above = b""
        for name in directory.split(b"/") if directory else []:
            parent = self._folder.open_directory(above)
            try:
                os.mkdir(name, 0o755, dir_fd=parent)
                self._changed.add(above)
            except FileExistsError:
                pass
            finally:
                os.close(parent)
            above = above + b"/" + name if above else name

    def _write(self, opened: OpenFile) -> None:
        size = opened.file.size
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(PART, flags, 0o644, dir_fd=self._folder.root_fd)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise BoxError("Something else lies where files grow.")
            os.ftruncate(descriptor, 0)
            hasher, offset = Hasher(size), 0
            while offset < size:
                self._medium.go_on()
                piece = opened.read(offset, min(PIECE, size - offset))
                if not piece:
                    break
                hasher.add(piece)
                offset += write_all(descriptor, piece, offset)
            if offset != size or hasher.content() != opened.file.content:
                raise BoxError("It was changed while it was read.")
            # Some file systems cannot hold every time.
            with contextlib.suppress(OSError, OverflowError):
                os.utime(descriptor, ns=(opened.file.mtime_ns, opened.file.mtime_ns))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Exporting:
    """
    One export.  In the reactor; what waits for the medium is done in the lane.
    """

    def __init__(
        self, medium: Medium, lane: Lane, catalogue: Catalogue[Shelf], tally: Tally
    ) -> None:
        self._writer = Writer(medium)
        self._medium = medium
        self._lane = lane
        self._catalogue = catalogue
        self._tally = tally
        self._failures = 0

    async def run(self) -> None:
        """
        Write all that is to be written.

        @raise Left: the medium is to be left.
        @raise BoxError: it cannot be gone on with.
        """
        files = iter(self._catalogue.files.values())
        while batch := list(itertools.islice(files, BATCH)):
            lacking = await self._lane.do(self._writer.lacking, batch)
            self._tally.add(kept=lacking.count(None))
            for shown, lacks in zip(batch, lacking, strict=True):
                if lacks:
                    self._medium.go_on()
                    await self._carry(shown)
        try:
            await self._lane.do(self._writer.finish)
        except OSError as error:
            self._tally.problem(b"", error)

    async def _carry(self, shown: Shown[Shelf]) -> None:
        try:
            if not await self._lane.do(self._writer.has_room, shown.file.size):
                self._tally.add(no_room=1)
                return
            opened = await shown.shelf.open(shown.file)
            try:
                await self._lane.do(self._writer.copy, opened, shown.path)
            finally:
                opened.close()
            self._tally.add(exported=1, exported_bytes=shown.file.size)
            self._failures = 0
        except FileExistsError:
            self._tally.add(kept=1)
        except (BoxError, OSError) as error:
            self._tally.problem(shown.path, error)
            self._failures += 1 if isinstance(error, OSError) else 0
            if self._failures >= FAILURES:
                raise BoxError("It cannot be written any more.") from error
