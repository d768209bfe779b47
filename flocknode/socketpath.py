# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Short ways to unix sockets that lie deep.

A socket's address holds 107 bytes of path (103 on some systems).  A socket
whose path is longer stays where it is, and is reached through a link: a fresh
folder of this user's own in C{$XDG_RUNTIME_DIR}, else in the temporary folder,
holds a symbolic link to the socket's folder.  Every process may make its own
link: they all lead to the same socket.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from flocknode.errors import ConfigError

LONGEST = 100
"""Bytes of a path that fits everywhere, with a little to spare."""

_PREFIX = "flocknode-"


class ShortWays:
    """
    Links to sockets' folders.  Where they are is written down, so that a
    successor removes what a killed process left.
    """

    def __init__(self, note: str | None = None) -> None:
        """
        @param note: the file to write it down in, one for each L{ShortWays};
            C{None}: nowhere.
        """
        self._note = note
        self._folder: str | None = None
        self._links: dict[str, str] = {}

    def path(self, path: str) -> str:
        """
        @param path: absolute.
        @return: it, or a short way to the same socket.
        @raise ConfigError: the name of the socket is too long by itself, or the
            link cannot be made.
        """
        if len(os.fsencode(path)) <= LONGEST:
            return path
        folder, name = os.path.split(path)
        try:
            link = self._links.get(folder)
            if link is None:
                link = os.path.join(self._made(), str(len(self._links)))
                os.symlink(folder, link)
                self._links[folder] = link
        except OSError as error:
            raise ConfigError(
                f"{path} is too long for a socket, and no short way to it can be made:"
                f" {error.strerror}"
            ) from None
        short = os.path.join(link, name)
        if len(os.fsencode(short)) > LONGEST:
            raise ConfigError(f"{path} is too long for a socket, expected a shorter last part")
        return short

    def endpoint(self, endpoint: str) -> str:
        """
        @param endpoint: a ZeroMQ endpoint in normal form.
        @return: one of the same meaning that fits.
        @raise ConfigError: as L{path}.
        """
        if not endpoint.startswith("ipc://"):
            return endpoint
        return "ipc://" + self.path(endpoint.removeprefix("ipc://"))

    def close(self) -> None:
        """Remove the links."""
        if self._folder is not None:
            _remove(self._folder)
            self._folder = None
            self._links.clear()
            if self._note is not None:
                with contextlib.suppress(OSError):
                    os.unlink(self._note)

    def _made(self) -> str:
        if self._folder is None:
            self._clear()
            runtime = os.environ.get("XDG_RUNTIME_DIR", "")
            usable = os.path.isabs(runtime) and os.access(runtime, os.W_OK | os.X_OK)
            top = runtime if usable and len(runtime) < LONGEST // 2 else tempfile.gettempdir()
            self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=top)
            if self._note is not None:
                with open(self._note, "wb") as note:
                    note.write(os.fsencode(self._folder))
        return self._folder

    def _clear(self) -> None:
        """Remove what a process that was killed has left, if it is ours indeed."""
        if self._note is None:
            return
        with contextlib.suppress(OSError, ValueError):
            with open(self._note, "rb") as note:
                folder = os.fsdecode(note.read(4096))
            found = os.lstat(folder)
            if (
                stat.S_ISDIR(found.st_mode)
                and found.st_uid == os.geteuid()
                and os.path.basename(folder).startswith(_PREFIX)
            ):
                _remove(folder)


def _remove(folder: str) -> None:
    """A folder of links and nothing else; never follows one."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
