# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Copying a file's content by the cheapest way that the file system has: it
shares the blocks where it can (C{copy_file_range}), else they are copied.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_PIECE = 1 << 26
"""Bytes at a time, so that a copy of any size can be interrupted."""

_BUFFER = 1 << 20
"""Bytes at a time through this process."""

_CANNOT = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)
)
"""What C{copy_file_range} says where it does not work."""


def copy_content(source: int, target: int) -> int:
    """
    Copy all of an open file to an empty open file.

    @return: the bytes copied.
    @raise OSError: C{ENOSPC}, C{EIO}, …
    """
    return max(copy_pieces(source, target), default=0)


def copy_pieces(source: int, target: int) -> Iterator[int]:
    """
    L{copy_content} a piece at a time, for whoever has other things to do.

    @return: the bytes copied so far.
    """
    done = 0
    while True:
        try:
            count = os.copy_file_range(source, target, _PIECE, done, done)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            break
        if count == 0:
            break
        done += count
        yield done
    # Some file systems copy nothing and call it the end: look for more.
    while data := os.pread(source, _BUFFER, done):
        done += write_all(target, data, done)
        yield done


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """
    Write at an offset until everything is written.

    @return: the bytes written, which are all.
    """
    left = memoryview(data)
    while left:
        count = os.pwrite(descriptor, left, offset)
        left = left[count:]
        offset += count
    return len(data)
