# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box's folder while it is there, with all that works in it.

Threads: made and closed in the box's worker thread; reading through
C{folder}, C{versions} and L{Staging.read} is fine anywhere meanwhile.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from flocknode.box.disk import marker
from flocknode.box.disk.folder import Folder
from flocknode.box.disk.following import FollowingFolder
from flocknode.box.disk.ignoring import Ignored
from flocknode.box.disk.perform import no_step
from flocknode.box.disk.placer import Placer
from flocknode.box.disk.staging import Staging
from flocknode.box.disk.versions import VersionStore
from flocknode.box.values import Path
from flocknode.errors import BoxError


class Site:
    """
    An open folder that carries its marker.

    @param folder: which the site now closes.
    @param folder_id: what its marker says.
    @param step: see L{Placer}.
    @param symlinks: C{copy}, C{follow} or C{ignore}.
    @ivar view: the folder for reading what is in it: links are followed there,
        if they are to be.
    @ivar following: the same, if they are.
    @ivar ignored: what does not belong to the box; asked from any thread.
    """

    def __init__(
        self,
        folder: Folder,
        folder_id: bytes,
        step: Callable[[str, Path], None] = no_step,
        symlinks: str = "copy",
    ) -> None:
        self.folder = folder
        self.folder_id = folder_id
        self.staging = Staging(folder)
        self.versions = VersionStore(folder)
        self.placer = Placer(folder, self.staging, self.versions, step=step)
        self.capabilities = folder.capabilities
        self.following = FollowingFolder(folder) if symlinks == "follow" else None
        self.view = self.following or folder
        self.ignored = Ignored(self.view, symlinks == "ignore")

    def in_place(self) -> bool:
        """Is it still there under its path, and still marked as this box?"""
        try:
            return self.folder.in_place() and marker.read(self.folder) == self.folder_id
        except (BoxError, OSError):
            return False

    def close(self) -> None:
        """Give up all descriptors and threads.  Idempotent."""
        with contextlib.ExitStack() as closing:
            # All of them, also if one says that its disk is gone.
            for each in (self.folder, self.versions, self.staging, self.placer):
                closing.callback(each.close)


def open_site(
    root: str,
    folder_id: bytes | None,
    step: Callable[[str, Path], None] = no_step,
    symlinks: str = "copy",
    check: Callable[[Folder], None] | None = None,
) -> tuple[Site, bool]:
    """
    Open the folder of a box.

    @param folder_id: what its marker must say.  L{None}: the index is new;
        the folder and its marker are made if they are not there.
    @param check: told the open folder before anything is done in it; it raises
        L{BoxError} if that is a wrong one.  With it no folder is made.
    @return: the site; and whether its marker was there before.
    @raise BoxError: it is not there, is another box's folder, or cannot be
        used; says so in one sentence.
    """
    if folder_id is None and check is None:
        try:
            os.makedirs(root, exist_ok=True)
        except OSError as error:
            raise BoxError(
                f"The folder {root} cannot be made ({os.strerror(error.errno or 0)});"
                " make it, or name another one."
            ) from error
    folder = Folder(root)
    try:
        if check is not None:
            check(folder)
        found = marker.read(folder)
        if folder_id is None:
            site = Site(folder, marker.write(folder), step, symlinks)
        elif found is None:
            raise BoxError(
                f"The folder {root} has no marker (.flocknode/box): it is not mounted or"
                " was emptied; put it back, or configure it as a new box."
            )
        elif found != folder_id:
            raise BoxError(
                f"The folder {root} belongs to another box or another index; put the"
                " right one back, or configure it as a new box."
            )
        else:
            site = Site(folder, folder_id, step, symlinks)
    except OSError as error:
        folder.close()
        raise BoxError(
            f"The folder {root} cannot be used ({os.strerror(error.errno or 0)})."
        ) from error
    except BoxError:
        folder.close()
        raise
    return site, found is not None
