# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Real boxes in temporary directories, for the tests of what touches the disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import NoReturn

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from flocknode.box.disk import marker
from flocknode.box.disk.capabilities import Capabilities
from flocknode.box.disk.folder import Folder


def refuse(number: int) -> Callable[..., NoReturn]:
    """A system call that fails."""

    def call(*args: object, **named: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return call


class FolderCase(SynchronousTestCase):
    """
    A box in a fresh directory.

    @ivar root: the path of the box.
    @ivar outside: a directory next to it, which must never change.
    """

    capabilities: Capabilities | None = None

    def setUp(self) -> None:
        base = os.fsencode(os.path.abspath(self.mktemp()))
        self.root = base + b"/box"
        self.outside = base + b"/outside"
        os.makedirs(self.root)
        # Trial cannot remove paths that are too long for one system call.
        self.addCleanup(shutil.rmtree, base, ignore_errors=True)
        os.mkdir(self.outside)
        self.folder = Folder(self.root, self.capabilities)
        self.addCleanup(self.folder.close)
        marker.write(self.folder)

    def at(self, path: bytes) -> bytes:
        """The absolute path of something in the box."""
        return self.root + b"/" + path

    def write(self, path: bytes, data: bytes = b"") -> None:
        """Write a file of the box, with its directories."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(data)

    def read(self, path: bytes) -> bytes:
        """The content of a file of the box."""
        with open(self.at(path), "rb") as file:
            return file.read()

    def save(self, path: bytes, data: bytes) -> None:
        """Replace a file the way editors do: by renaming a new one to it."""
        self.write(path + b"~", data)
        os.rename(self.at(path + b"~"), self.at(path))

    def unprivileged(self) -> None:
        """From now on be a user whom modes can stop; the box is his."""
        self.addCleanup(self._open_up)
        if os.geteuid() != 0:
            return
        nobody = 65534
        base = os.path.dirname(self.root)
        os.chmod(os.path.dirname(base), 0o755)
        for path, _, names in os.walk(base):
            for each in (path, *(os.path.join(path, name) for name in names)):
                os.chown(each, nobody, nobody, follow_symlinks=False)
        os.seteuid(nobody)
        self.addCleanup(os.seteuid, 0)
        if not os.access(self.root, os.W_OK, effective_ids=True):
            raise SkipTest("other users cannot get to the directory of the tests")

    def _open_up(self) -> None:
        """Let whoever removes the directories of the tests do so."""
        for path, directories, _ in os.walk(self.root):
            for name in directories:
                if not os.path.islink(os.path.join(path, name)):
                    os.chmod(os.path.join(path, name), 0o700)
