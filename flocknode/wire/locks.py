# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One owner for each C{ipc} path.  libzmq removes whatever lies where it binds, so
a second live node at the same path would succeed, and the first go deaf; a lock
file beside the socket refuses the second.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from flocknode.errors import WireError


class PathLock:
    """
    A lock on one path, held until L{release} or the end of the process.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: where a socket is going to be; the lock is C{path}.lock.
        @raise WireError: another process holds it, or it cannot be made.
        """
        self._socket = path
        self._path = path + ".lock"
        while True:
            self._descriptor = self._open()
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._descriptor)
                raise WireError(
                    f"another node listens at {path}: end it, or give this one another address."
                ) from None
            if self._is_current():
                return
            # Its holder removed the file between our opening and our locking.
            os.close(self._descriptor)

    def release(self) -> None:
        """Remove the socket, which libzmq may leave, and the lock file; let go."""
        for path in (self._socket, self._path):
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.close(self._descriptor)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise WireError(f"cannot make the lock file {self._path}: {error.strerror}.") from None

    def _is_current(self) -> bool:
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
