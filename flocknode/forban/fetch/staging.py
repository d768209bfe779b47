# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Files on their way, in a folder of their own: written as they come, kept when
they break off, checked when they are whole.  Waits for the disk: for threads.

A file is named by what it is to become, so that it goes on after a restart: by
its content if that was said, else by whose it is, its path and its size.  A
beginning is only gone on with if something tells that the rest belongs to it:
the hash of the content, or what the server called that state of the file.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

import attrs
from blake3 import blake3

from flocknode.box import content
from flocknode.box.values import Hash
from flocknode.errors import NeighbourError
from flocknode.forban.fetch.heads import LONGEST_VALIDATOR, Head
from flocknode.forban.protocol.remote import RemoteFile

KEPT = 256 * 1024
"""Bytes that must be here for it to be worth going on with them."""

OLDEST = 7 * 86_400
"""Seconds for which a beginning is kept."""

_BESIDE = ".from"
# The suffix of the file that holds what the server called the state.


def name_of(uuid: str, file: RemoteFile) -> str:
    """The name of a staged file."""
    if file.content is not None:
        said = b"content\0" + file.content
    else:
        said = b"%s\0%d\0%s" % (uuid.encode(), file.size, file.path)
    return blake3(said).hexdigest(length=20)


@attrs.frozen
class Begun:
    """
    @ivar offset: bytes that are here.
    @ivar validator: of the state they are of, see L{Head.validator}.
    """

    offset: int = 0
    validator: str = ""


def prepare(folder: str, now: float | None = None) -> None:
    """Make the folder, and remove what nobody came back for."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    oldest = (time.time() if now is None else now) - OLDEST
    with os.scandir(folder) as entries:
        times = [(entry.path, entry.stat(follow_symlinks=False).st_mtime) for entry in entries]
    for path, changed in times:
        if changed < oldest:
            discard(path)


def discard(path: str) -> None:
    """Remove a staged file.  It need not be there."""
    for each in (path, path + _BESIDE):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(each)


def begun(path: str, file: RemoteFile) -> Begun:
    """What is here of a file."""
    try:
        size = os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return Begun()
    validator = ""
    with contextlib.suppress(OSError), open(path + _BESIDE, encoding="latin-1") as stream:
        validator = stream.read(LONGEST_VALIDATOR + 1)
    is_same = file.content is not None or validator
    if not KEPT <= size < file.size or not is_same or len(validator) > LONGEST_VALIDATOR:
        discard(path)
        return Begun()
    return Begun(size, validator)


def free(folder: str) -> tuple[int, int]:
    """@return: bytes of the disk that are free, and all of them."""
    result = os.statvfs(folder)
    return result.f_bavail * result.f_frsize, result.f_blocks * result.f_frsize


@attrs.frozen
class Whole:
    """
    A file that is here.

    @ivar path: where.
    @ivar modified: seconds since the epoch, as the server said, or L{None}.
    """

    path: str
    modified: int | None


class Staged:
    """
    Takes the body of one file; a L{flocknode.forban.fetch.body.Sink}.

    @ivar received: bytes that are here.
    """

    def __init__(
        self,
        path: str,
        file: RemoteFile,
        head: Head,
        first: int,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param first: number of the first byte that comes.
        @param cancelled: asked while it is checked, from that thread: shall it
            be left as it is?
        """
        self.received = first
        self._path = path
        self._file = file
        self._head = head
        self._first = first
        self._cancelled = cancelled
        self._descriptor = -1

    def _open(self) -> int:
        if self._descriptor < 0:
            # No link is followed, whoever put one there.
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
            if os.fstat(self._descriptor).st_size < self._first:
                raise NeighbourError("What had come of a file is not there any more.")
            os.ftruncate(self._descriptor, self._first)
            os.lseek(self._descriptor, self._first, os.SEEK_SET)
            if not self._first and self._file.size > KEPT:
                with open(self._path + _BESIDE, "w", encoding="latin-1") as stream:
                    stream.write(self._head.validator)
        return self._descriptor

    def write(self, data: bytes) -> bool:
        """See L{flocknode.forban.fetch.body.Sink.write}; there is never enough."""
        descriptor = self._open()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        self.received += len(data)
        return True

    def finish(self, data: bytes, whole: bool) -> Whole:
        """
        See L{flocknode.forban.fetch.body.Sink.finish}.

        @raise NeighbourError: it is not what its index said.
        """
        self.write(data)
        if self.received != self._file.size:
            self.abandon()
            raise NeighbourError("A file broke off in the middle.")
        self._close()
        wanted = self._file.content
        if wanted is not None:
            found = content_of(self._path, self._cancelled)
            if found is None:
                # As if its last byte had not come: then it is gone on with later.
                os.truncate(self._path, self.received - 1)
                self.abandon()
                raise NeighbourError("It was stopped.")
            if found != wanted:
                discard(self._path)
                raise NeighbourError("A file is not what its index says.")
        return Whole(self._path, self._head.modified)

    def abandon(self) -> None:
        """See L{flocknode.forban.fetch.body.Sink.abandon}."""
        self._close()
        if self.received < KEPT:
            discard(self._path)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def content_of(path: str, cancelled: Callable[[], bool] = lambda: False) -> bytes | None:
    """
    The name of what is in a file, see L{flocknode.box.content}.

    @param cancelled: asked often: is it not wanted any more?
    @return: L{None}: it was not.
    """
    with open(path, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        block_size = content.block_size_for(size)
        hashes: list[Hash] = []
        block = bytearray(min(block_size, size))
        view = memoryview(block)
        while count := stream.readinto(view):
            if cancelled():
                return None
            # A regular file gives all that there is.
            hashes.append(content.block_hash(view[:count]))
    return content.content_hash(size, block_size, hashes)
