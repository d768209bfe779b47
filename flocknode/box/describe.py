# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What a box is doing, for people.  Pure."""

from __future__ import annotations

import os
import sqlite3

from flocknode.box.engine import Snapshot
from flocknode.errors import BoxError
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


def fault_of(error: BaseException | None) -> tuple[str, bool]:
    """@return: one sentence on what does not work, and whether it is a bug."""
    if isinstance(error, BoxError):
        return str(error), False
    if isinstance(error, sqlite3.Error | OSError):
        return f"The index or the disk fails: {error}.", False
    return "It failed in a way that is a bug; the log says more.", True
