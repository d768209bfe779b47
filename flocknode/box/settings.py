# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""How a box is kept."""

from __future__ import annotations

import attrs

DAY = 86_400.0
"""Seconds."""


@attrs.frozen
class BoxSettings:
    """
    @ivar versions: seconds for which replaced and deleted content is kept.
    @ivar rescan: seconds between full scans, beside those that the watcher
        asks for: no watcher hears everything (network file systems, mmap).
    @ivar poll: seconds between looks whether the folder is (still) there.
    @ivar batch: files that are put in place together, at most.
    @ivar gather: seconds that a batch waits for more files at most.
    @ivar alone: seconds after which a box whose index was lost announces what
        it found, although nobody has told it what they know.
    @ivar confirm_deletes: share of the files (0.0 to 1.0); if others delete more
        at a time, it waits until somebody confirms it.  L{None}: it never waits.
    """

    versions: float = 30 * DAY
    rescan: float = 3600.0
    poll: float = 3.0
    batch: int = 256
    gather: float = 0.1
    alone: float = 60.0
    confirm_deletes: float | None = None
