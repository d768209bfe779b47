# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What a box is doing, for people.  Pure."""

from __future__ import annotations

import os

from flocknode.box.engine import Snapshot
from flocknode.status import BoxStatus


def describe(
    name: str,
    root: str,
    numbers: Snapshot,
    *,
    fault: str,
    absence: str,
    note: str,
    is_there: bool,
    is_scanned: bool,
    scanned: int,
) -> BoxStatus:
    """
    @param fault: what does not work at all, one sentence; C{absence}: why the
        folder is not there; C{note}: what else should be known.  Each may be
        empty.
    @param scanned: paths looked at by the scan that is going on.
    """
    if fault:
        state = "error"
    elif not is_there:
        state = "offline" if absence else "starting"
    elif not is_scanned:
        state = "scanning"
    else:
        state = "receiving" if numbers.needed else "in sync"
    return BoxStatus(
        name,
        root,
        state,
        fault or absence or note,
        numbers.files,
        numbers.size,
        numbers.needed,
        numbers.needed_bytes,
        tuple(os.fsdecode(path) for path in numbers.conflicts),
        tuple((os.fsdecode(path), reason) for path, reason in numbers.problems),
        scanned,
    )
