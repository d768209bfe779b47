# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What L{flocknode.testing.powercut} needs to know and to change of inodes, by
system calls that are not recorded.
"""

from __future__ import annotations

import os
import stat as modes
from typing import Literal

import attrs

Data = Literal["kept", "dropped", "torn"]
"""What becomes of bytes that were not synced: all are there; none; only their
number is right."""

REAL = {
    name: getattr(os, name)
    for name in (
        "open", "rename", "link", "unlink", "mkdir", "rmdir", "symlink", "fsync", "fdatasync",
        "pwrite", "write", "ftruncate", "copy_file_range", "fchmod", "chmod", "utime",
    )
}  # fmt: skip
"""The system calls as they were when this was imported."""


@attrs.frozen
class Synced:
    """
    An inode as of its last sync.

    @ivar handle: an C{O_PATH} descriptor.
    @ivar content: L{None} for a directory.
    """

    handle: int
    content: bytes | None
    mode: int
    mtime_ns: int


def exists(directory: int, name: bytes) -> bool:
    """Is there anything of this name in the open directory?"""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def is_directory(directory: int, name: bytes) -> bool:
    """Is there a directory of this name?"""
    try:
        stat = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return modes.S_ISDIR(stat.st_mode)


def has_something(directory: int, name: bytes) -> bool:
    """Is the directory of this name not empty?"""
    held = REAL["open"](name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return bool(os.listdir(held))
    finally:
        os.close(held)


def read(handle: int) -> bytes:
    """All of a regular file, also if its owner did not let himself read it."""
    name = b"/proc/self/fd/%d" % handle
    mode = os.fstat(handle).st_mode
    if os.access(name, os.R_OK):
        with open(name, "rb") as file:
            return file.read()
    REAL["chmod"](name, 0o600)
    try:
        with open(name, "rb") as file:
            return file.read()
    finally:
        REAL["chmod"](name, modes.S_IMODE(mode))


def restore(synced: Synced, torn: bool) -> None:
    """Make it what it was when it was last synced, or something in between."""
    name = b"/proc/self/fd/%d" % synced.handle
    now = os.fstat(synced.handle)
    mode, times = synced.mode, (synced.mtime_ns, synced.mtime_ns)
    if torn:
        mode, times = modes.S_IMODE(now.st_mode), (now.st_mtime_ns, now.st_mtime_ns)
    if synced.content is not None:
        REAL["chmod"](name, 0o600)
        with open(name, "r+b") as file:
            file.truncate(0)
            file.write(synced.content)
            if torn:
                file.truncate(now.st_size)
    REAL["chmod"](name, mode)
    REAL["utime"](name, ns=times)
