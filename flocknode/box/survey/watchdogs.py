# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hearing of changes in a folder through the package watchdog, which knows the
ways of macOS and Windows.  The only module that imports it, and imported only
when it is chosen.

watchdog tells in threads of its own; what it told is collected, at most
L{MOST} paths, and handed to the reactor in one go.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from watchdog import events
from watchdog.observers import Observer

from flocknode.box.paths import is_reserved
from flocknode.box.survey.polling import Poller
from flocknode.box.values import Path

MOST = 20_000
"""Paths that wait for the reactor; beyond, the whole folder is scanned."""

_IDLE = frozenset(("opened", "closed_no_write"))
"""Events (of newer versions) that change nothing."""

_CLOSED = frozenset(("closed", "moved"))

_LEFT = frozenset(("deleted", "moved"))


class WatchdogWatcher:
    """
    See L{flocknode.box.survey.watching.Watcher}.

    @param root: the folder's path.
    """

    name = "watchdog"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        root: bytes,
        changed: Callable[[Path, bool], None],
        rescan: Callable[[Path], None],
        scan: Callable[[], Deferred[None]],
    ) -> None:
        self.reason = ""
        self._reactor = reactor
        self._root = os.path.realpath(root)
        self._changed = changed
        self._rescan = rescan
        self._poller = Poller(reactor, scan)
        self._observer: Any = None
        self._lock = Lock()
        self._heard: dict[Path, bool] = {}
        self._scans: set[Path] = set()
        self._called = False

    def start(self) -> None:
        """Begin to listen to everything below the root."""
        observer: Any = Observer()
        try:
            # It only calls dispatch; its own class sorts by kinds of events.
            observer.schedule(self, os.fsdecode(self._root), recursive=True)
            observer.start()
        except Exception as error:  # each system has its own
            self._log.debug("watchdog cannot watch: {error}", error=error)
            self.reason = (
                "watchdog cannot watch this folder (its log says why): it is looked at every"
                " few seconds; set watch = polling if that is all right."
            )
            self._poller.start()
            return
        self._observer = observer

    def add(self, path: Path, descriptor: int) -> None:
        """It watches new directories by itself."""

    def stop(self) -> None:
        """See L{flocknode.box.survey.watching.Watcher.stop}."""
        self._poller.stop()
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
        with self._lock:
            self._heard.clear()
            self._scans.clear()

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """watchdog heard of something.  In a thread of its own."""
        if event.event_type in _IDLE:
            return
        with self._lock:
            for told in (event.src_path, event.dest_path):
                path = self._below(told)
                if path is not None:
                    self._note(path, event, arrived=told is not event.src_path)
            if self._called or not (self._heard or self._scans):
                return
            self._called = True
        self._reactor.callFromThread(self._tell)

    def _note(self, path: Path, event: events.FileSystemEvent, arrived: bool) -> None:
        closed = event.event_type in _CLOSED
        if not path:
            # The root itself: something else in it is told apart from that.
            if event.event_type in _LEFT:
                self._scans.add(path)
        elif len(self._heard) >= MOST:
            self._scans.add(Path(b""))
        else:
            self._heard[path] = self._heard.get(path, False) or closed
            if event.is_directory and (arrived or event.event_type == "created"):
                self._scans.add(path)

    def _below(self, told: bytes | str) -> Path | None:
        """The path in the box; L{None}: it is elsewhere, or our own."""
        full = os.fsencode(told)
        if full == self._root:
            return Path(b"")
        prefix = self._root.rstrip(os.sep.encode()) + os.sep.encode()
        if not full.startswith(prefix):
            return None
        path = full[len(prefix) :].replace(os.sep.encode(), b"/")
        return None if is_reserved(path.partition(b"/")[0]) else Path(path)

    def _tell(self) -> None:
        with self._lock:
            heard, self._heard = self._heard, {}
            scans, self._scans = self._scans, set()
            self._called = False
        if self._observer is None:
            return
        for path, closed in heard.items():
            self._changed(path, closed)
        for path in scans:
            self._rescan(path)
