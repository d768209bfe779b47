# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Pending paths that are not placed here: the folder ignores them.  What is
known of them is passed on all the same.
"""

from __future__ import annotations

from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.index.rows import Row
from flocknode.box.values import Kind, Path

_TYPES = {
    Kind.FILE: FileType.FILE,
    Kind.DIRECTORY: FileType.DIRECTORY,
    Kind.SYMLINK: FileType.SYMLINK,
}


class LeftOut:
    """
    Which pending paths of one site are ignored.

    @ivar files: how many files and links; C{size}: bytes of theirs that are
        not here.  They count as needed in the index's sums, and are not.
    """

    def __init__(self, site: Site) -> None:
        self.files = self.size = 0
        self._site = site
        self._left: dict[Path, tuple[int, int]] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._left

    def leaves(self, row: Row) -> bool:
        """Is this pending row left out?  It is remembered."""
        self.forget(row.path)
        type = _type_of(row)
        head = row.head
        if head is None or type is None or not self._site.ignored(row.path, type):
            return False
        files = size = 0
        if not head.value.deleted and head.value.kind is not Kind.DIRECTORY:
            files, size = 1, 0 if row.complete else head.size
        self._left[row.path] = files, size
        self.files += files
        self.size += size
        return True

    def forget(self, path: Path) -> None:
        """It is not pending any more."""
        files, size = self._left.pop(path, (0, 0))
        self.files -= files
        self.size -= size


def _type_of(row: Row) -> FileType | None:
    """What the path is to be or, if it is to be deleted, is."""
    if row.head is not None and not row.head.value.deleted:
        return _TYPES[row.head.value.kind]
    disk = None if row.placed is None else row.placed.disk
    return None if disk is None else disk.type
