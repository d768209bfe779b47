# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which paths of a folder do not belong to its box.

An ignored path is neither scanned nor placed nor read as deleted; what is
known of it stays in the index and is passed on.
"""

from __future__ import annotations

from flocknode.box.disk.folder import FileType
from flocknode.box.paths import is_reserved
from flocknode.box.values import Path


def is_ignored(path: Path, type: FileType) -> bool:
    """
    Is this path our own: the marker, the staging directory, the version store?

    @param type: what is there; patterns for directories only need to know.
    """
    return is_reserved(path.partition(b"/")[0])
