# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The least that a first scan can be in CPython: a loop that opens, reads and
hashes each file as a box does, and writes as many rows to the same tables, but
knows nothing of versions, patterns, changes or threads.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

from blake3 import blake3

from benchmarks.trees import PRIVATE
from flocknode.box.content import SMALLEST_BLOCK, content_hash
from flocknode.box.disk import syscalls
from flocknode.box.index.columns import ROW
from flocknode.box.index.schema import CREATE
from flocknode.box.survey.compare import SLICE, SLICE_BYTES
from flocknode.box.values import Hash

_FILE = os.O_RDONLY | os.O_NOFOLLOW
_SAVE = f"INSERT INTO entry ({ROW}) VALUES ({', '.join('?' * (ROW.count(',') + 1))})"


def least_scan(folder: str, index: str) -> None:
    """
    @param folder: the tree that is scanned.
    @param index: the file to write; it is not there yet.
    """
    database = sqlite3.connect(index, isolation_level=None)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + CREATE)
    root = os.open(folder, os.O_RDONLY)
    rows: list[tuple[object, ...]] = []
    lists: list[tuple[object, ...]] = []
    blocks: list[tuple[object, ...]] = []
    size = 0

    def write() -> None:
        database.execute("BEGIN")
        database.executemany(_SAVE, rows)
        database.executemany("INSERT INTO blocklist VALUES (?, ?, ?)", lists)
        database.executemany("INSERT INTO block VALUES (?, ?, ?)", blocks)
        database.execute("COMMIT")
        for each in (rows, lists, blocks):
            each.clear()

    for number, (parent, entry) in enumerate(_entries(root), 1):
        name = os.fsencode(entry.name)
        stat = entry.stat(follow_symlinks=False)
        content = None
        if entry.is_file(follow_symlinks=False):
            hashes = _hashes(root, parent + name, stat.st_size)
            content = content_hash(stat.st_size, SMALLEST_BLOCK, hashes)
            if len(hashes) > 1:
                lists.append((number, content, b"".join(hashes)))
                blocks += [
                    (int.from_bytes(hash[:8], "big", signed=True), number, position)
                    for position, hash in enumerate(hashes)
                ]
            size += stat.st_size
        id = blake3(parent + name).digest(length=16)
        history = id + id + (content or b"")
        times = (stat.st_mtime_ns, stat.st_ctime_ns)
        disk = (0, stat.st_size, *times, 0o644, stat.st_ino)
        held = (id, 0, 0o644, stat.st_mtime_ns, content, stat.st_size)
        rows.append((parent, name, number, history, 1, 1, 0, *held, *disk, 1, b""))
        if len(rows) >= SLICE or size >= SLICE_BYTES:
            write()
            size = 0
    write()
    os.close(root)
    database.close()


def _entries(root: int) -> Iterator[tuple[bytes, os.DirEntry[str]]]:
    """All that is in the tree, with the path in front of its name."""
    waiting = [b""]
    while waiting:
        path = waiting.pop()
        descriptor = syscalls.open_beneath(root, path or b".", os.O_RDONLY | os.O_DIRECTORY)
        with os.scandir(descriptor) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name == PRIVATE:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path + os.fsencode(entry.name) + b"/")
                yield path, entry
        os.close(descriptor)


def _hashes(root: int, path: bytes, size: int) -> list[Hash]:
    descriptor = syscalls.open_beneath(root, path, _FILE)
    os.fstat(descriptor)
    data = memoryview(os.pread(descriptor, size, 0))
    hashes = [
        Hash(blake3(data[at : at + SMALLEST_BLOCK]).digest())
        for at in range(0, size, SMALLEST_BLOCK)
    ]
    os.fstat(descriptor)
    os.close(descriptor)
    return hashes
