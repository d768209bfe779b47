# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The index that a removable medium carries: C{.flocknode/index.sqlite} beside
the marker, so that the history of the box travels with it, from machine to
machine.

It has a rollback journal: a write-ahead log needs shared memory, which not
every file system can map, and leaves files that must not be lost.

That the index lies on the medium also says when the medium is believed.  Some
file systems (FAT) read a device that was pulled out as empty directories.
What seems deleted becomes a version only by a commit, and a commit to a device
that is gone fails.
"""

from __future__ import annotations

import os

from flocknode.box.disk import marker
from flocknode.box.disk.folder import PRIVATE, FileType, Folder
from flocknode.errors import BoxError
from flocknode.media.places import Found, Place

NAME = "index.sqlite"


def prepare(place: Place, found: Found, name: str) -> tuple[str, bool]:
    """
    Make the box's folder on the medium a box, if it is none.

    @param name: of the box; the marker will say it.
    @return: the path of the index, which may not be there yet, and whether
        the folder was a box before.
    @raise BoxError: the folder cannot be used; says so in one sentence.
    """
    place.make(found)
    folder = Folder(found.path)
    try:
        check(folder, found)
        try:
            known = [_is_file(folder, NAME + suffix) for suffix in ("", "-journal", "-wal")]
        except OSError as error:
            raise BoxError(f"The folder {found.path} cannot be read ({error.strerror}).") from None
        was_marked = marker.read(folder) is not None
        if known[0] and not was_marked:
            raise BoxError(
                f"The folder {found.path} has an index but no marker (.flocknode/box); put it"
                " back, or remove .flocknode to make the folder a new box."
            )
        there = marker.read_name(folder)
        if there is not None and there != name:
            raise BoxError(
                f"The folder {found.path} belongs to the box {there!a}; name this box so, or"
                " another folder."
            )
        marker.write(folder, name=name)
    finally:
        folder.close()
    return f"{found.path}/.flocknode/{NAME}", was_marked


def check(folder: Folder, found: Found) -> None:
    """
    @raise BoxError: what was opened is not on the medium (any more).
    """
    if not found.holds(folder.root_fd):
        raise BoxError(
            f"The folder {found.path} does not lie on its medium: a link leads away from it, or"
            " it was unmounted just now."
        )


def _is_file(folder: Folder, name: str) -> bool:
    """
    A medium comes from anywhere: no link in it may lead an index elsewhere.

    @return: is it there?
    """
    stat = folder.lstat(PRIVATE + b"/" + name.encode("ascii"))
    if stat is not None and (stat.type is not FileType.FILE or stat.links > 1):
        raise BoxError(
            f"In {os.fsdecode(folder.root)}, .flocknode/{name} is no file of its own: remove it."
        )
    return stat is not None
