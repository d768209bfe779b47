# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Pending paths that are not placed here: the folder ignores them, or its disk
cannot hold them.  What is known of them is passed on all the same.
"""

from __future__ import annotations

from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.index.database import Index
from flocknode.box.index.draft import Change
from flocknode.box.index.rows import Row
from flocknode.box.paths import split
from flocknode.box.receive.namesakes import Namesakes, is_present, is_there
from flocknode.box.values import Kind, Path

_TYPES = {
    Kind.FILE: FileType.FILE,
    Kind.DIRECTORY: FileType.DIRECTORY,
    Kind.SYMLINK: FileType.SYMLINK,
}

PROBLEMS = 100
"""Paths that cannot be held that are told, at most."""

DISPLACED = (
    "This disk cannot tell its name from another one in the same directory: rename one of"
    " the two on another node."
)

BEHIND_LINK = (
    "A symbolic link that is followed leads there, and nothing is written through it: put a"
    " directory or a file in its place to receive it."
)


class LeftOut:
    """
    Which pending paths of one site are left out.

    @ivar files: how many files and links are ignored; C{size}: bytes of theirs
        that are not here.  They count as needed in the index's sums, and are not.
    @ivar problems: why the disk cannot hold a path that is needed.
    """

    def __init__(self, site: Site, index: Index) -> None:
        self.files = self.size = 0
        self.problems: dict[Path, str] = {}
        self._names = site.capabilities.names
        self._namesakes = Namesakes(index, self._names)
        self._behind: set[Path] = set()
        self._site = site
        self._left: dict[Path, tuple[int, int]] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._left

    def leaves(self, row: Row) -> bool:
        """Is this pending row left out?  It is remembered."""
        self.forget(row.path)
        head = row.head
        if head is None:
            return False
        if self._is_ignored(row):
            files = size = 0
            if not head.value.deleted and head.value.kind is not Kind.DIRECTORY:
                files, size = 1, 0 if row.complete else head.size
            self._left[row.path] = files, size
            self.files += files
            self.size += size
            return True
        reason = "" if is_there(row) else self._why_not(row.path)
        following = self._site.following
        if not reason and following is not None and following.is_followed(row.path):
            reason = BEHIND_LINK
            self._behind.add(row.path)
        if reason:
            self._left[row.path] = 0, 0
            if not head.value.deleted and len(self.problems) < PROBLEMS:
                self.problems[row.path] = reason
        return bool(reason)

    def _is_ignored(self, row: Row) -> bool:
        type = _type_of(row)
        return type is not None and self._site.ignored(row.path, type)

    def _why_not(self, path: Path) -> str:
        if self._names.plain:
            return ""
        reason = self._names.why_not(path)
        if not reason and self._namesakes.is_displaced(path):
            reason = DISPLACED
        return reason

    def affected(self, change: Change) -> list[Path]:
        """
        Paths of which, and of what lies below, it may be decided otherwise
        after this change: they would have the same name on this disk, or a
        link led to them.
        """
        if self._names.exact and not self._behind:
            return []
        self._namesakes.note(change.path)
        if _states(change.old) == _states(change.new):
            return []
        # What else is in the directory may be there by another way than before.
        behind = self.behind_links(Path(split(change.path)[0]))
        return behind + [row.path for row in self._namesakes.others(change.path)]

    def behind_links(self, path: Path) -> list[Path]:
        """What is left out at a path and below since a link led there."""
        below = path + b"/" if path else b""
        return [each for each in self._behind if each == path or each.startswith(below)]

    def forget(self, path: Path) -> None:
        """It is not pending any more."""
        files, size = self._left.pop(path, (0, 0))
        self.problems.pop(path, None)
        self._behind.discard(path)
        self.files -= files
        self.size -= size


def _type_of(row: Row) -> FileType | None:
    """What the path is to be or, if it is to be deleted, is."""
    if row.head is not None and not row.head.value.deleted:
        return _TYPES[row.head.value.kind]
    disk = None if row.placed is None else row.placed.disk
    return None if disk is None else disk.type


def _states(row: Row | None) -> tuple[bool, bool]:
    return (False, False) if row is None else (is_there(row), is_present(row))
