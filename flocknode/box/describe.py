# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box is doing, in words.  Pure.
"""

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
    is_there: bool,
    is_scanned: bool,
    scanned: int,
) -> BoxStatus:
    """
    @param fault: one sentence, or empty; C{absence}: why the folder is not
        there, likewise.
    @param is_there: the folder is; C{is_scanned}: all in it is known.
    @param scanned: see L{BoxStatus}.
    """
    return BoxStatus(
        name,
        root,
        _state(numbers, fault, absence, is_there, is_scanned),
        fault or absence or _question(name, numbers),
        numbers.files,
        numbers.size,
        numbers.needed,
        numbers.needed_bytes,
        tuple(os.fsdecode(path) for path in numbers.conflicts),
        tuple((os.fsdecode(path), reason) for path, reason in numbers.problems),
        scanned,
    )


def _state(numbers: Snapshot, fault: str, absence: str, is_there: bool, is_scanned: bool) -> str:
    if fault:
        return "error"
    if not is_there:
        return "offline" if absence else "starting"
    if not is_scanned:
        return "scanning"
    if numbers.unconfirmed:
        return "waiting"
    return "receiving" if numbers.needed else "in sync"


def _question(name: str, numbers: Snapshot) -> str:
    count = numbers.unconfirmed
    if not count:
        return ""
    return (
        f"Others have deleted {count} of the {numbers.files} files that are here: if that was"
        f" meant, run 'flocknode confirm {name}'; else put them back there."
    )
