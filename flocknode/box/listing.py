# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box shows of itself to somebody who only reads: values.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from threading import Lock

import attrs

from flocknode.box.values import Path
from flocknode.errors import BoxError


@attrs.frozen
class ListedFile:
    """
    A regular file that the folder of a box holds.

    @ivar size: bytes.
    @ivar mtime_ns: nanoseconds since the epoch.
    @ivar content: its hash, 32 bytes, see L{flocknode.box.content}.
    """

    path: Path
    size: int
    mtime_ns: int
    content: bytes


@attrs.frozen
class Mark:
    """
    A moment in the life of a box.

    @ivar settled: local changes up to this number were in a round then.
    @ivar highest: the highest number that there was.
    """

    settled: int
    highest: int


@attrs.frozen
class Listing:
    """
    @ivar files: all files, by path.
    @ivar unsettled: paths of which something changed after a L{Mark}, or here
        and in no round yet by then, whether they are in C{files} or were
        deleted.  Who shows these as they are now tells that they are new here.
    """

    files: Mapping[Path, ListedFile]
    unsettled: frozenset[Path] = frozenset()


class Known(enum.Enum):
    """
    What a box knows of a path: C{HELD}: something is there; C{COMING}: it is
    known, and not here yet; C{DELETED}: it was there once; C{UNKNOWN}; and
    C{REFUSED}: it cannot be in this box, being ignored or having a name that the
    file system cannot hold.
    """

    HELD = "held"
    COMING = "coming"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    REFUSED = "refused"


@attrs.frozen
class Offer:
    """
    A file from elsewhere that a box may take in.

    @ivar path: where in the box.
    @ivar source: path of the whole file, anywhere outside of the box.
    @ivar mtime_ns: nanoseconds since the epoch; L{None}: now.
    @ivar asked: a person asked for it: it is also taken if it was deleted.
    """

    path: Path
    source: str
    mtime_ns: int | None = None
    asked: bool = False


class Refused(BoxError):
    """An offer is not taken, and would not be another time."""


class Deleted(Refused):
    """What is offered was in the box, and its owner deleted it."""


class OpenFile:
    """
    An open file of a box, until L{close}; the box may close it first, when its
    folder goes away.  Reading waits for the disk: in threads, any of them.

    It is read as it was listed, or not at all: what is written into it
    meanwhile may be for nobody's eyes yet.

    @ivar file: what it is.
    """

    def __init__(self, file: ListedFile, descriptor: int) -> None:
        """
        @param descriptor: which is now this object's own.
        """
        self.file = file
        self._descriptor = descriptor
        self._lock = Lock()

    def read(self, offset: int, size: int) -> bytes:
        """
        At most so many bytes; fewer only at the end of the file.

        @raise BoxError: the folder went away, or the file is not as it was.
        @raise OSError: from the disk.
        """
        with self._lock:
            data = os.pread(self._held(), size, offset)
            self._check()
            return data

    def send(self, socket: int, offset: int, size: int) -> int:
        """
        C{sendfile} to a socket that does not block.

        @return: the bytes sent.
        @raise BlockingIOError: the socket takes nothing now.
        @raise BoxError: the folder went away, or the file is not as it was.
        @raise OSError: from the disk or the socket.
        """
        with self._lock:
            self._held()
            self._check()
            return os.sendfile(socket, self._held(), offset, size)

    def _held(self) -> int:
        if self._descriptor < 0:
            raise BoxError("The folder of the box is not there any more.")
        return self._descriptor

    def _check(self) -> None:
        found = os.fstat(self._descriptor)
        if (found.st_size, found.st_mtime_ns) != (self.file.size, self.file.mtime_ns):
            raise BoxError("It is not as it was listed any more.")

    def close(self) -> None:
        """Give it up, when nobody reads in it.  Idempotent; from any thread."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
