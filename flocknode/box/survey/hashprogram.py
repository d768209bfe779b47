# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The program that hashes files for L{flocknode.box.survey.hashprocess}::

    python -I -S hashprogram.py VERSION ROOT FOLDER...

VERSION is that of the flocknode that asks: if another one was installed
meanwhile, this ends at once.  ROOT is the number of an open descriptor of the
box's folder, FOLDERS are where the packages are that it needs.

It reads requests from its input and writes replies to its output, one after the
other, until the input ends.  Both are frames: u32 length, little-endian, and so
many bytes of C{marshal}, which only the same interpreter reads.  A request is
(number, [L{Asked}, ...]); the reply to it is (number, [hashes of the blocks or
C{None}, ...]).

It decides nothing.  C{None}, for whatever reason, means: look for yourself.
Here is little, and little is imported: it is to start quickly.
"""

from __future__ import annotations

import marshal
import os
import stat as modes
import struct
import sys
from collections.abc import Iterable

TYPE_CHECKING = False
# Importing typing takes as long as all the rest.
if TYPE_CHECKING:
    from typing import Any, BinaryIO

LENGTH = struct.Struct("<I")
"""In front of a request, or a reply."""

Asked = tuple[bytes, int, int, int, int, int, int]
"""path, size, mtime, ctime, mode, inode (0: not to be compared), block size;
as in L{flocknode.box.disk.folder.Stat}."""

Reply = list["list[bytes] | None"]
"""For each file the hashes of its blocks, in order, or C{None}."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO would wait for its writer.


def frame(message: Any) -> bytes:
    """A message as it is sent."""
    packed = marshal.dumps(message)
    return LENGTH.pack(len(packed)) + packed


def hash_all(root: int, files: Iterable[Asked]) -> Reply:
    """
    @param root: a descriptor of the folder.
    @return: hashes of what was as it was asked for before it was read, and
        after that.
    """
    from flocknode.box.disk.syscalls import open_beneath
    from flocknode.box.survey.blocks import hash_blocks

    found: Reply = []
    for asked in files:
        path, size, block_size = asked[0], asked[1], asked[-1]
        blocks = None
        try:
            descriptor = open_beneath(root, path, _FLAGS)
            try:
                if _is(asked, os.fstat(descriptor)):
                    read = hash_blocks(descriptor, 0, size, block_size)
                    blocks = read if _is(asked, os.fstat(descriptor)) else None
            finally:
                os.close(descriptor)
        except (OSError, EOFError):
            blocks = None
        found.append(blocks)
    return found


def _is(asked: Asked, found: os.stat_result) -> bool:
    _, size, mtime, ctime, mode, inode, _ = asked
    return (
        modes.S_ISREG(found.st_mode)
        and found.st_size == size
        and found.st_mtime_ns == mtime
        and found.st_ctime_ns == ctime
        and found.st_mode & 0o777 == mode
        and inode in (0, found.st_ino)
    )


def serve(root: int, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer until there is nothing more to read."""
    while len(header := requests.read(LENGTH.size)) == LENGTH.size:
        number, files = marshal.loads(requests.read(*LENGTH.unpack(header)))
        replies.write(frame((number, hash_all(root, files))))
        replies.flush()


def main() -> None:
    """Run it."""
    version, root, *folders = sys.argv[1:]
    sys.path += folders
    from flocknode import __version__

    if version == __version__:
        serve(int(root), sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
