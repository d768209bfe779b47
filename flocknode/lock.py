# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One node at a time for a state folder.
"""

from __future__ import annotations

import fcntl
import os

from flocknode.errors import ConfigError


class StateLock:
    """
    A lock on the file C{lock} in a state folder.  The system lets go of it
    when the last process that holds it ends, however it ends; a process forked
    off (a daemon) holds it on.
    """

    def __init__(self, folder: str) -> None:
        """
        @param folder: made, open to its owner alone, if it does not exist.
        """
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """
        Take it, or keep it.

        @raise ConfigError: another node has it, or the folder cannot be used.
        """
        if self._descriptor is not None:
            return
        path = os.path.join(self._folder, "lock")
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"state = {self._folder}: expected a folder that this node can write to:"
                f" {error.strerror}"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            reason = "another node is using it"
            if not isinstance(error, BlockingIOError):
                reason = f"it cannot be locked: {error.strerror}"
            raise ConfigError(
                f"state = {self._folder}: expected a folder of this node's own: {reason}"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of it; does nothing if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
