# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The directories that a batch of placements works in: opened anew for each
placement (one may be moved away at any time), made writable for their owner
where they are not, and at the end given their modes and synced, each once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from concurrent.futures import Executor

from flocknode.box.disk.folder import Folder, Stat, split

_WRITABLE = 0o700
"""What the owner needs to change what is in a directory, and to sync it."""

_AT_ONCE = 64
"""How many directories are open while they are synced."""

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


def by_descriptor(descriptor: int) -> str:
    """A path by which also what was opened with C{O_PATH} can be changed."""
    return f"/proc/self/fd/{descriptor}"


class Directories:
    """
    The directories of one batch.

    @ivar finished: after L{finish}, what each directory is that was given a
        mode.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._user = os.geteuid()
        self._touched: set[bytes] = set()
        self._modes: dict[bytes, int] = {}
        self.finished: dict[bytes, Stat] = {}

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """
        @return: a new descriptor (C{O_PATH}) of the directory of C{path},
            writable for its owner, and the last component.
        @raise OSError: as L{Folder.open_directory}.
        """
        directory, name = split(path)
        return self._open_writable(directory), name

    def touched(self, path: bytes) -> None:
        """Something in the directory of C{path} was changed."""
        self._touched.add(split(path)[0])

    def set_mode(self, path: bytes, mode: int) -> None:
        """At the end the directory C{path} gets this mode."""
        self._modes[path] = mode

    def finish(self, executor: Executor) -> dict[bytes, OSError]:
        """
        Set the modes, deepest first, and sync every directory once.

        @return: what went wrong, by directory; those that are gone, or are
            no directories any more, have no problem.
        """
        problems: dict[bytes, OSError] = {}
        paths = sorted(self._touched | self._modes.keys(), key=_depth, reverse=True)
        for start in range(0, len(paths), _AT_ONCE):
            opened: list[tuple[bytes, int]] = []
            try:
                for path in paths[start : start + _AT_ONCE]:
                    try:
                        opened.append((path, self._open_with_mode(path)))
                    except OSError as error:
                        if error.errno not in _GONE:
                            problems[path] = error
                problems.update(_sync(executor, opened))
            finally:
                for _, descriptor in opened:
                    os.close(descriptor)
        self._touched.clear()
        self._modes.clear()
        return problems

    def _open_with_mode(self, path: bytes) -> int:
        descriptor = self._folder.open_directory(path)
        mode = self._modes.get(path)
        if mode is not None:
            try:
                os.fchmod(descriptor, mode)
                self.finished[path] = self._folder.fstat(descriptor)
            except OSError:
                os.close(descriptor)
                raise
        return descriptor

    def _open_writable(self, path: bytes) -> int:
        try:
            descriptor = self._folder.open_directory(path, os.O_PATH)
        except PermissionError:
            self._lift_way(path)
            descriptor = self._folder.open_directory(path, os.O_PATH)
        try:
            self._make_writable(path, descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _lift_way(self, path: bytes) -> None:
        """Some directory on the way may not be entered."""
        components = path.split(b"/")
        for count in range(len(components)):
            above = b"/".join(components[:count])
            descriptor = self._folder.open_directory(above, os.O_PATH)
            try:
                self._make_writable(above, descriptor)
            finally:
                os.close(descriptor)

    def _make_writable(self, path: bytes, descriptor: int) -> None:
        stat = os.fstat(descriptor)
        mode = stat.st_mode & 0o777
        if mode & _WRITABLE == _WRITABLE or stat.st_uid != self._user:
            return
        wanted = os.R_OK | os.W_OK | os.X_OK
        if os.access(by_descriptor(descriptor), wanted, effective_ids=True):
            # Modes do not stop whoever has the capabilities.
            return
        os.chmod(by_descriptor(descriptor), mode | _WRITABLE)
        # A mode that the batch itself wants is set anyway.
        self._modes.setdefault(path, mode)


def _depth(path: bytes) -> tuple[int, bytes]:
    return (path.count(b"/") + 1 if path else 0, path)


def _sync(
    executor: Executor, opened: Iterable[tuple[bytes, int]]
) -> dict[bytes, OSError]:
    waiting = [(path, executor.submit(os.fsync, descriptor)) for path, descriptor in opened]
    failed = {}
    for path, future in waiting:
        error = future.exception()
        if isinstance(error, OSError):
            failed[path] = error
    return failed
