# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A medium with a directory C{FORBAN} at its top, which carries files between
machines that have no network in common.

Nothing on it is trusted: no link is followed, nothing is opened but regular
files, names are checked.  Nothing on it is deleted or replaced.  All waits for
the medium, so it is done in threads; what takes long ends early when the medium
is to be left.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Callable
from typing import Any

import attrs

from flocknode.box.content import block_hash, block_size_for, content_hash
from flocknode.box.disk.folder import Folder
from flocknode.box.values import Hash
from flocknode.errors import BoxError
from flocknode.media.mountinfo import Mount
from flocknode.media.places import Found

TOP = "forban"
"""The directory's name, in whatever case."""

ENTRIES = 200_000
"""Names on a medium that are looked at, at most."""

RESERVE = 64 << 20
"""Bytes of a file system that stay free, or a twentieth of it, if that is more."""

PIECE = 1 << 20
"""Bytes that are copied at a time: then somebody may say that it is enough."""

PROBLEMS = 100
"""That are told of, at most."""


class Left(Exception):
    """The medium is to be left: it was unmounted, or the node stops."""


@attrs.frozen
class MediumStatus:
    """
    What became of a medium.

    @ivar path: of the directory C{FORBAN}, or where the medium is mounted.
    @ivar state: C{"importing"}, C{"exporting"}, C{"done"} or C{"stopped"}.
    @ivar looked: files on it that were looked at; C{imported} of them were
        taken, with C{imported_bytes}.
    @ivar exported: files that were written to it, with C{exported_bytes}.
    @ivar kept: files of which it holds others under the same name, which stay.
    @ivar no_room: files for which there was none.
    @ivar problems: (path as text, one sentence), at most L{PROBLEMS}; the path
        is empty if it is about the medium.
    """

    path: str
    state: str = "importing"
    looked: int = 0
    imported: int = 0
    imported_bytes: int = 0
    exported: int = 0
    exported_bytes: int = 0
    kept: int = 0
    no_room: int = 0
    problems: tuple[tuple[str, str], ...] = ()


@attrs.define
class Tally:
    """What is known of it while it goes on."""

    status: MediumStatus

    def add(self, **counts: int) -> None:
        """So many more of these."""
        more = {name: getattr(self.status, name) + count for name, count in counts.items()}
        self.status = attrs.evolve(self.status, **more)

    def set(self, **values: Any) -> None:
        """These are so now."""
        self.status = attrs.evolve(self.status, **values)

    def problem(self, path: bytes, error: Exception) -> None:
        """Something did not work."""
        text = str(error)
        if isinstance(error, OSError):
            text = f"{os.strerror(error.errno or 0)}."
        said = (path.decode("utf-8", "replace"), text)
        if len(self.status.problems) < PROBLEMS and said not in self.status.problems:
            self.set(problems=(*self.status.problems, said))


class Medium:
    """
    An open directory C{FORBAN}.

    @param left: is it to be left?  Asked often.
    @ivar folder: the directory.
    """

    def __init__(self, folder: Folder, mount: Mount, left: Callable[[], bool]) -> None:
        self.folder = folder
        self.mount = mount
        self._left = left

    @property
    def path(self) -> str:
        """Where it is."""
        return os.fsdecode(self.folder.root)

    @classmethod
    def open(cls, mount: Mount, left: Callable[[], bool]) -> Medium | None:
        """
        @return: C{None}: there is no such directory on it.
        @raise BoxError: it cannot be opened, or another node has it.
        """
        try:
            name = _find(mount)
        except OSError as error:
            raise BoxError(f"It cannot be looked at: {os.strerror(error.errno or 0)}.") from None
        if name is None:
            return None
        path = os.path.join(mount.point, name)
        folder = Folder(path)
        try:
            if not Found(os.fsdecode(path), mount.id).holds(folder.root_fd):
                raise BoxError("It is not mounted any more.")
            # One at a time writes to it.
            fcntl.flock(folder.root_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            folder.close()
            raise BoxError("Another node on this machine is at it.") from None
        except BoxError:
            folder.close()
            raise
        return cls(folder, mount, left)

    def close(self) -> None:
        """Hold nothing of it open, so that it can be unmounted.  Idempotent."""
        self.folder.close()

    def go_on(self) -> None:
        """
        @raise Left: it is to be left.
        """
        if self._left():
            raise Left


def is_carrier(mount: Mount) -> bool:
    """
    Can it be a medium?  What is no device is none.  Nor is what is mounted at the
    top, but C{/mnt}: that belongs to the system, and C{/home/forban} to somebody
    of that name.
    """
    return (
        mount.source.startswith(b"/dev/")
        and mount.root == b"/"
        and (mount.point.count(b"/") > 1 or mount.point == b"/mnt")
    )


def has_room(descriptor: int, size: int) -> bool:
    """Would so many bytes leave enough free on the file system of this?"""
    found = os.fstatvfs(descriptor)
    reserve = max(RESERVE, found.f_blocks * found.f_frsize // 20)
    return found.f_bavail * found.f_frsize - size >= reserve


class Hasher:
    """
    The name of content, see L{flocknode.box.content}, that comes in pieces.

    @param size: bytes of all of it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._block_size = block_size_for(size)
        self._hashes: list[Hash] = []
        self._rest = b""

    def add(self, piece: bytes) -> None:
        """What comes next."""
        data = self._rest + piece if self._rest else piece
        end = len(data) - len(data) % self._block_size
        for start in range(0, end, self._block_size):
            self._hashes.append(block_hash(data[start : start + self._block_size]))
        self._rest = data[end:]

    def content(self) -> Hash:
        """That was all."""
        last = [block_hash(self._rest)] if self._rest else []
        return content_hash(self._size, self._block_size, [*self._hashes, *last])


def _find(mount: Mount) -> bytes | None:
    with os.scandir(mount.point) as entries:
        names = [
            os.fsencode(entry.name)
            for entry in itertools.islice(entries, ENTRIES)
            if os.fsdecode(entry.name).lower() == TOP and entry.is_dir(follow_symlinks=False)
        ]
    return min(names, default=None)
