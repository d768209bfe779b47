# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Reading everything that a box holds once more: is it what it was?

Content that differs although nobody has written to the file (its times are the
same to the nanosecond) was changed by the disk, by memory, or by something that
hides what it does.  That is reported; it never becomes a version.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import attrs

from flocknode.box.content import block_hash, list_hash
from flocknode.box.disk.site import Site
from flocknode.box.index.columns import disk_tuple
from flocknode.box.index.contents import KeptRow
from flocknode.box.index.database import Index
from flocknode.box.index.ledger import same_sums
from flocknode.box.index.rows import Row
from flocknode.box.survey.compare import ROTTEN
from flocknode.box.survey.hashing import Changed, Hashed, Scanner, hash_open
from flocknode.box.values import Kind, Path

PAGE = 256
"""Rows that are read from the index at a time, so that its log can be emptied."""

MOST = 1_000
"""Findings that are kept; more are only counted."""


@attrs.frozen
class Finding:
    """
    Something that is wrong.

    @ivar path: empty: the index itself.
    @ivar reason: one sentence.
    @ivar rotten: what the file is now, if its content is not what it was.
    """

    path: Path
    reason: str
    rotten: Hashed | None = None


class Verification:
    """
    One look at everything.  Runs in a thread of its own.

    @param index: opened for reading, in that thread.
    @param cancelled: asked often.
    @ivar files: how many files and links were read; C{size}: their bytes.
    @ivar kept: how many of the version store were read.
    @ivar findings: at most L{MOST}; C{wrong} counts all.
    @ivar changed: paths that were changed and not taken in yet.
    """

    def __init__(self, site: Site, index: Index, cancelled: Callable[[], bool]) -> None:
        self.files = self.size = self.kept = self.wrong = 0
        self.findings: list[Finding] = []
        self.changed: set[Path] = set()
        self._site = site
        self._index = index
        self._cancelled = cancelled
        self._scanner = Scanner(site.folder)

    def run(self) -> bool:
        """@return: whether it came to its end."""
        for row in self._rows():
            if self._cancelled():
                return False
            self._check_row(row)
        for kept in self._index.contents.kept():
            if self._cancelled():
                return False
            self._check_kept(kept)
        if not self._cancelled() and not same_sums(self._index, self._cancelled):
            self._wrong(Path(b""), "The index's sums are not those of its rows.")
        return not self._cancelled()

    def _rows(self) -> Iterator[Row]:
        """What is held; what changes meanwhile is looked at by others."""
        reached, last = 0, self._index.highest_number()
        while reached < last:
            rows = self._index.some_after(reached, PAGE)
            for row in rows:
                if row.number > last:
                    return
                yield row
            if not rows:
                return
            reached = rows[-1].number

    def _check_row(self, row: Row) -> None:
        placed = row.placed
        if placed is None or placed.disk is None or placed.value.kind is Kind.DIRECTORY:
            return
        try:
            there = self._site.folder.lstat(row.path)
            if there is None or disk_tuple(there) != disk_tuple(placed.disk):
                self.changed.add(row.path)
                return
            if placed.value.kind is Kind.SYMLINK:
                hashed = self._scanner.hash_link(row.path)
            else:
                hashed = self._scanner.hash_file(row.path, there, cancelled=self._cancelled)
        except Changed:
            self.changed.add(row.path)
            return
        except OSError as error:
            self._wrong(row.path, f"It cannot be read: {os.strerror(error.errno or 0)}.")
            return
        self.files += 1
        self.size += hashed.size
        if hashed.content != placed.value.content:
            # Meanwhile it may have been changed and taken in.
            now = self._index.row(row.path)
            if now is not None and now.placed == placed:
                self._wrong(row.path, ROTTEN, hashed)
        elif len(hashed.blocks) > 1:
            listed = self._index.contents.block_list(hashed.content)
            if listed is not None and list_hash(listed) != hashed.content:
                self._wrong(row.path, "The index's list of its blocks is not what it was.")

    def _check_kept(self, kept: KeptRow) -> None:
        versions = self._site.versions
        try:
            if kept.kind is Kind.SYMLINK:
                content = bytes(block_hash(versions.readlink(kept.name)))
            elif kept.kind is Kind.FILE:
                descriptor = versions.open(kept.name)
                try:
                    hashed = hash_open(
                        self._site.folder, descriptor, cancelled=self._cancelled
                    )
                finally:
                    os.close(descriptor)
                content = hashed.content
            else:
                return
        except Changed:
            return
        except OSError as error:
            if kept.name in self._index.contents.kept_names():
                reason = os.strerror(error.errno or 0)
                self._wrong(kept.path, f"What was kept {_when(kept)} cannot be read: {reason}.")
            return
        self.kept += 1
        if content != kept.content and kept in self._index.contents.kept_with(kept.content):
            self._wrong(kept.path, f"What was kept {_when(kept)} is not what it was.")

    def _wrong(self, path: Path, reason: str, rotten: Hashed | None = None) -> None:
        self.wrong += 1
        if len(self.findings) < MOST:
            self.findings.append(Finding(path, reason, rotten))


def _when(kept: KeptRow) -> str:
    return "at " + time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(kept.kept))


def verify(
    site: Site, open_index: Callable[[], Index], cancelled: Callable[[], bool],
    begun: Callable[[Verification], None],
) -> tuple[Verification, bool]:
    """
    Verify everything, in this thread.

    @param begun: told what is going on, to be looked at from elsewhere.
    @return: what came of it, and whether it came to its end.
    """
    with contextlib.closing(open_index()) as index:
        verification = Verification(site, index, cancelled)
        begun(verification)
        return verification, verification.run()
