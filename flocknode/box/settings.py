# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""How a box is kept."""

from __future__ import annotations

import attrs

from flocknode.box import retention
from flocknode.box.retention import Policy
from flocknode.box.values import Holder


@attrs.frozen
class BoxSettings:
    """
    @ivar versions: which replaced and deleted content is kept.
    @ivar versions_size: bytes that it may take in all; L{None}: as many as it takes.
    @ivar rescan: seconds between full scans, beside those that the watcher
        asks for: no watcher hears everything (network file systems, mmap).
    @ivar poll: seconds between looks whether the folder is (still) there.
    @ivar batch: files that are put in place together, at most; of small ones
        some more (L{flocknode.box.receive.tasks.LARGER}).
    @ivar gather: seconds that a batch waits for more files at most.
    @ivar alone: seconds after which a box whose index was lost announces what
        it found, although nobody has told it what they know.
    @ivar symlinks: C{copy}: a link is copied as one; C{follow}: one made here
        that leads to something in the box is read as that; C{ignore}: links
        do not belong to the box.
    @ivar watch: one of L{flocknode.box.survey.watching.CHOICES}.
    @ivar members: all that may hold the box, whose acknowledgements count before
        anything is forgotten; L{None}: all that ever did.
    @ivar confirm_deletes: share of the files (0.0 to 1.0); if others delete more
        at a time, it waits until somebody confirms it.  L{None}: it never waits.
    """

    versions: Policy = retention.DEFAULT
    versions_size: int | None = None
    rescan: float = 3600.0
    poll: float = 3.0
    batch: int = 256
    gather: float = 0.1
    alone: float = 60.0
    symlinks: str = "copy"
    watch: str = "auto"
    members: frozenset[Holder] | None = None
    confirm_deletes: float | None = None
