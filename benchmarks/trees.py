# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Folders to measure with, and what a plain program needs to go through them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

from blake3 import blake3

PRIVATE = ".flocknode"
"""What a box adds to its folder."""

_PIECE = 1 << 20


def make_tree(folder: str, files: int, size: int, directories: int) -> None:
    """C{files} of C{size} random bytes in so many directories, two levels deep."""
    content = random.Random(1)
    each = -(-files // directories)
    made = 0
    for number in range(directories):
        directory = os.path.join(folder, f"d{number % 100:02d}", f"e{number:06d}")
        os.makedirs(directory)
        for file in range(min(each, files - made)):
            with open(os.path.join(directory, f"file-{file:04d}.dat"), "wb") as target:
                target.write(content.randbytes(size))
        made += each


def files(folder: str) -> Iterator[str]:
    """The paths of all files."""
    for directory, names, found in os.walk(folder):
        if PRIVATE in names:
            names.remove(PRIVATE)
        for name in found:
            yield os.path.join(directory, name)


def contents(folder: str) -> Iterator[bytes]:
    """What is in all files."""
    for path in files(folder):
        with open(path, "rb") as file:
            yield file.read()


def walk_lstat(folder: str) -> int:
    """Look at everything.  @return: how many files there are."""
    count = 0
    for path in files(folder):
        os.lstat(path)
        count += 1
    return count


def walk_hash(folder: str) -> int:
    """Read and hash everything in one thread.  @return: the bytes."""
    total = 0
    for path in files(folder):
        hasher = blake3()
        with open(path, "rb", buffering=0) as file:
            while data := file.read(_PIECE):
                hasher.update(data)
                total += len(data)
        hasher.digest()
    return total
