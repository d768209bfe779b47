# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box is doing, for people.
"""

from __future__ import annotations

import os
import sqlite3

from flocknode.box.engine import Snapshot
from flocknode.box.presence import Presence
from flocknode.errors import BoxError
from flocknode.status import BoxStatus


def describe(
    name: str,
    place: str,
    numbers: Snapshot,
    presence: Presence,
    *,
    fault: str,
    note: str,
    scanned: int,
    known: bool,
) -> BoxStatus:
    """
    @param place: where the folder is to be found, as configured.
    @param fault: what fails, one sentence; C{note}: what else should be known.
        Both may be empty.
    @param scanned: entries looked at by the scan that is going on.
    @param known: all that is in the folder has been seen.
    """
    site = presence.site
    watcher, watching = presence.watching
    return BoxStatus(
        name=name,
        path=place if site is None else os.fsdecode(site.folder.root),
        state=_state(presence, numbers, fault, known),
        reason=fault or presence.absence or _question(name, numbers) or note,
        files=numbers.files,
        size=numbers.size,
        needed=numbers.needed,
        needed_bytes=numbers.needed_bytes,
        conflicts=tuple(os.fsdecode(path) for path in numbers.conflicts),
        problems=tuple((os.fsdecode(path), reason) for path, reason in numbers.problems),
        scanned=scanned,
        watcher=watcher,
        watching=watching,
    )


def _state(presence: Presence, numbers: Snapshot, fault: str, known: bool) -> str:
    if fault:
        return "error"
    if presence.site is None:
        return "offline" if presence.absence else "starting"
    if not known:
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


def fault_of(error: BaseException | None) -> tuple[str, bool]:
    """@return: one sentence on what does not work, and whether it is a bug."""
    if isinstance(error, BoxError):
        return str(error), False
    if isinstance(error, sqlite3.Error | OSError):
        return f"The index or the disk fails: {error}.", False
    return "It failed in a way that is a bug; the log says more.", True
