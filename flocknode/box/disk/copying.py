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
    Copy all of an open file to an empty open file.  Holes stay holes.

    @return: the bytes copied, holes counted.
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
        size = os.fstat(source).st_size
        start = next_data(source, done)
        if start >= size:
            break
        end = _next_hole(source, start)
        for copied in _copy_range(source, target, start, end - start):
            done = start + copied
            yield done
        if done < end:
            # It became shorter meanwhile.
            return
    if size > done:
        os.ftruncate(target, size)
        yield size


def _copy_range(source: int, target: int, start: int, length: int) -> Iterator[int]:
    """@return: the bytes copied so far."""
    done = 0
    while done < length:
        piece, offset = min(_PIECE, length - done), start + done
        try:
            count = os.copy_file_range(source, target, piece, offset, offset)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            break
        if count == 0:
            break
        done += count
        yield done
    # Some file systems copy nothing and call it the end: look for more.
    while done < length:
        data = os.pread(source, min(_BUFFER, length - done), start + done)
        if not data:
            break
        done += write_all(target, data, start + done)
        yield done


def next_data(descriptor: int, offset: int) -> int:
    """Where the next bytes that are no hole begin; far away if there are none."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return 1 << 63
        return offset


def _next_hole(descriptor: int, offset: int) -> int:
    """Where the data that begins here ends."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_HOLE)
    except OSError:
        return os.fstat(descriptor).st_size


def is_zero(data: bytes) -> bool:
    """Is it nothing but zeros?"""
    return data.count(0, 0, 64) == min(64, len(data)) and data.count(0) == len(data)


def write_sparse(descriptor: int, data: bytes, offset: int) -> None:
    """
    L{write_all}, but zeros become a hole, or stay one.

    @raise OSError: likewise.
    """
    end = offset + len(data)
    if is_zero(data):
        if os.fstat(descriptor).st_size < end:
            os.ftruncate(descriptor, end)
        if next_data(descriptor, offset) >= end:
            return
    write_all(descriptor, data, offset)


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
