# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A folder to which everything happens that can happen to one.
"""

from __future__ import annotations

import os

from tests.box.peers import Peer


def before(a: Peer) -> None:
    """What a box holds at first."""
    a.put("changed", b"old content", mtime=1)
    a.put("deleted", b"deleted content", mtime=2)
    a.put("renamed", b"renamed content", mtime=3)
    a.put("retimed", b"retimed content", mtime=4)
    a.put("gone/deep/file", b"deep content", mtime=5)
    a.put("file to directory", b"was a file", mtime=6)
    a.put("directory to file/x", b"was inside", mtime=7)
    os.symlink("old", a.path("link"))


def change(a: Peer) -> None:
    """Change all of it, in every way."""
    a.put("changed", b"new content", mtime=10)
    os.unlink(a.path("deleted"))
    os.rename(a.path("renamed"), a.path("renamed too"))
    os.utime(a.path("retimed"), (9, 9))
    os.chmod(a.path("retimed"), 0o600)
    os.unlink(a.path("gone/deep/file"))
    os.rmdir(a.path("gone/deep"))
    os.rmdir(a.path("gone"))
    os.unlink(a.path("file to directory"))
    a.put("file to directory/inside", b"inside", mtime=11)
    os.unlink(a.path("directory to file/x"))
    os.rmdir(a.path("directory to file"))
    a.put("directory to file", b"is a file", mtime=12)
    os.unlink(a.path("link"))
    os.symlink("new", a.path("link"))
    a.put("large", bytes(300_000), mtime=13)
    a.put("new/file", b"brand new", mtime=14)
    os.chmod(a.path("new"), 0o700)
