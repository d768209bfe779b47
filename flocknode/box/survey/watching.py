# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box needs of whoever watches its folder, and which one it gets.

 - L{flocknode.box.survey.watch}: inotify, where there is Linux
 - L{flocknode.box.survey.watchdogs}: the package watchdog, elsewhere
 - L{flocknode.box.survey.polling}: looking again and again, everywhere

C{auto} takes inotify where it can hear everything, else watchdog if that is
installed on a system without inotify, else polling.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred

from flocknode.box.survey.polling import Poller
from flocknode.box.values import Path
from flocknode.media.devices import type_of

AUTO = "auto"

CHOICES = (AUTO, "inotify", "watchdog", "polling")
"""What can be configured."""

DEAF = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "ceph", "davfs"),
        *("lustre", "beegfs", "orangefs", "pvfs2", "glusterfs", "gfs", "gfs2", "ocfs2", "gpfs"),
        *("virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fuse"),
    )
)
"""Types of file systems, as in the table of mounts, that others change as well
without this kernel hearing of it; all C{fuse.*} are taken for such, C{fuseblk}
(NTFS) is not."""


class Watcher(Protocol):
    """
    Hears of changes in one folder.  Lives in the reactor, but L{add}.

    @ivar name: one of L{CHOICES} but C{auto}.
    @ivar reason: one sentence if not everything is heard of at once, else empty.
    """

    @property
    def name(self) -> str: ...

    @property
    def reason(self) -> str: ...

    def start(self) -> None:
        """Begin to listen; a scan follows, and what it enters is L{add}ed."""

    def add(self, path: Path, descriptor: int) -> None:
        """
        This directory is open, and about to be listed.  From any thread;
        never raises.
        """

    def stop(self) -> None:
        """Hear nothing any more, give up all descriptors.  Idempotent."""


@attrs.frozen
class Hearer:
    """
    Whom a watcher tells; all in the reactor.

    @ivar changed: (path, closed): something happened there; C{closed}: the
        file is more likely whole than not.
    @ivar rescan: this directory must be scanned with all below it; b"": the
        watcher may have missed anything.
    @ivar scan: look at everything; its result fires after that.
    """

    changed: Callable[[Path, bool], None]
    rescan: Callable[[Path], None]
    scan: Callable[[], Deferred[None]]


@attrs.frozen
class Ground:
    """
    Where is to be watched.

    @ivar root: the folder's path.
    @ivar type: of its file system; empty if that cannot be told.
    """

    root: bytes
    type: str = ""


Make = Callable[[Any, Ground, Hearer], Watcher]
"""(reactor, what to watch, whom to tell) to a watcher that is not started."""


def is_deaf(type: str) -> bool:
    """Is a file system of this type one that others change unheard?"""
    return type in DEAF or type.startswith("fuse.")


def ground_of(root: bytes, descriptor: int) -> Ground:
    """
    @param descriptor: of the open folder.
    """
    return Ground(root, type_of(descriptor))


def choose(choice: str) -> Make:
    """
    @param choice: one of L{CHOICES}.
    """

    def make(reactor: Any, ground: Ground, hearer: Hearer) -> Watcher:
        return _made(choice, reactor, ground, hearer)

    return make


def _made(choice: str, reactor: Any, ground: Ground, hearer: Hearer) -> Watcher:
    if choice == "polling":
        return Poller(reactor, hearer.scan, "So it is configured (watch = polling).")
    if choice == AUTO and is_deaf(ground.type):
        return Poller(
            reactor,
            hearer.scan,
            f"Changes that others make on this file system ({ground.type}) cannot be heard of.",
        )
    if choice == "watchdog" or (choice == AUTO and not sys.platform.startswith("linux")):
        return _watchdog(reactor, ground, hearer)
    return _inotify(reactor, hearer)


def _inotify(reactor: Any, hearer: Hearer) -> Watcher:
    try:
        from flocknode.box.survey.watch import InotifyWatcher
    except ImportError:
        return Poller(
            reactor, hearer.scan, "There is no inotify here; set watch = auto, or polling."
        )
    return InotifyWatcher(reactor, hearer.changed, hearer.rescan, hearer.scan)


def _watchdog(reactor: Any, ground: Ground, hearer: Hearer) -> Watcher:
    try:
        from flocknode.box.survey.watchdogs import WatchdogWatcher
    except ImportError:
        return Poller(
            reactor,
            hearer.scan,
            "The package watchdog is not installed: pip install 'flocknode[watchdog]'.",
        )
    return WatchdogWatcher(reactor, ground.root, hearer.changed, hearer.rescan, hearer.scan)
