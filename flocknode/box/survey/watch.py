# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hearing of changes in a folder, by inotify.  The only module that imports
pyinotify.

Watches are set by whoever lists a directory, before it is listed::

    scanner = Scanner(folder, ignored, entering=watcher.add)

so nothing falls between.  A directory that appears is told as C{rescan},
and scanning it sets its watches.

Of pyinotify only the system calls and constants are used: its reader dies of
a name that is not UTF-8, and its paths are not those of an open directory.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import attrs
import pyinotify
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.paths import is_reserved
from flocknode.box.survey.polling import Poller
from flocknode.box.values import Path

_WATCHES = "not every directory can be watched; raise fs.inotify.max_user_watches"

_INSTANCES = "nothing can be watched; raise fs.inotify.max_user_instances"

_NONE = "this system has no inotify; set watch = polling if that is all right"

_MASK: int = (
    pyinotify.IN_CREATE
    | pyinotify.IN_MODIFY
    | pyinotify.IN_CLOSE_WRITE
    | pyinotify.IN_ATTRIB
    | pyinotify.IN_MOVED_FROM
    | pyinotify.IN_MOVED_TO
    | pyinotify.IN_MOVE_SELF
    | pyinotify.IN_DELETE
    | pyinotify.IN_DELETE_SELF
    | pyinotify.IN_ONLYDIR
)

_CLOSED: int = pyinotify.IN_CLOSE_WRITE | pyinotify.IN_MOVED_TO
"""After these a file is more likely whole than not."""

_ARRIVED: int = pyinotify.IN_CREATE | pyinotify.IN_MOVED_TO

_SELF_GONE: int = (
    pyinotify.IN_DELETE_SELF | pyinotify.IN_MOVE_SELF | pyinotify.IN_UNMOUNT
)

_EVENT = struct.Struct("iIII")
"""C{struct inotify_event} without its name: watch, mask, cookie, length."""

_READ = 65536
"""Bytes of events read in one turn of the reactor."""

_PAUSE = 0.005
"""Seconds between two turns: a writer causes an event with each write, and
many at once cost less than one after the other."""


@attrs.frozen
class _Event:
    watch: int
    mask: int
    name: bytes


def _parse(data: bytes) -> Iterator[_Event]:
    offset = 0
    while offset + _EVENT.size <= len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        name = data[offset : offset + length].split(b"\0", 1)[0]
        offset += length
        yield _Event(watch, mask, name)


class InotifyWatcher(FileDescriptor):
    """
    See L{flocknode.box.survey.watching.Watcher}.

    At the system's limit of watches, what is watched stays watched, and the
    whole folder is looked at again and again besides.  Each such look tries to
    watch the rest; when one could watch everything, they end.

    @param changed: (path, closed): something happened there; for
        C{Settler.event}.
    @param rescan: this directory and all below it must be scanned; b"" after
        an overflow.
    @param scan: looks at everything; its result fires after that.
    @ivar reason: why not everything is watched, or empty.
    """

    name = "inotify"
    reason: str = ""
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        changed: Callable[[Path, bool], None],
        rescan: Callable[[Path], None],
        scan: Callable[[], Deferred[None]],
    ) -> None:
        super().__init__(reactor)
        self._reactor = reactor
        self._changed = changed
        self._rescan = rescan
        self._poller = Poller(reactor, scan, before=self._looking, after=self._looked)
        self._missed = False
        self._descriptor = -1
        self._inotify: Any = None
        self._paths: dict[int, Path] = {}
        self._watches: dict[Path, int] = {}
        self._lock = Lock()
        self._pause: IDelayedCall | None = None
        self._stopped = False

    def start(self) -> None:
        """
        Begin to listen.  Nothing is watched before it is L{add}ed: scan then.
        """
        self._inotify = pyinotify.INotifyWrapper.create()
        descriptor = -1 if self._inotify is None else self._inotify.inotify_init()
        if descriptor < 0:
            self._limit(_NONE if self._inotify is None else _INSTANCES)
            return
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self.connected = True
        self._writeDisconnected = True
        self.startReading()

    def add(self, path: Path, descriptor: int) -> None:
        """
        Watch the open directory, known by this path from now on.  Thread-safe;
        never raises.
        """
        with self._lock:
            if self._descriptor < 0:
                return
            # By its descriptor: the path may be too long, not UTF-8, or lead
            # elsewhere by now.
            watch = self._inotify.inotify_add_watch(
                self._descriptor, f"/proc/self/fd/{descriptor}", _MASK
            )
            if watch >= 0:
                self._name(watch, path)
                return
            number = self._inotify.get_errno()
        if number != errno.ENOENT:
            self._log.debug("A directory cannot be watched: {reason}", reason=os.strerror(number))
            self._missed = True
            self._reactor.callFromThread(self._limit, _WATCHES)

    def stop(self) -> None:
        """Hear nothing any more.  Idempotent."""
        self._stopped = True
        self._poller.stop()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._descriptor < 0:
            return
        self.stopReading()
        self.connected = False
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            self._paths.clear()
            self._watches.clear()
        os.close(descriptor)

    def fileno(self) -> int:
        """The inotify descriptor; -1 if there is none."""
        return self._descriptor

    def doRead(self) -> None:
        """Read what has happened, at most 64 KiB of it."""
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return
        except OSError:
            self._log.failure("Events are lost")
            self._rescan(Path(b""))
            return
        self.stopReading()
        self._pause = self._reactor.callLater(_PAUSE, self._resume)
        for event in _parse(data):
            self._handle(event)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""
        super().connectionLost(reason)
        self.stop()

    def _resume(self) -> None:
        self._pause = None
        self.startReading()

    def _handle(self, event: _Event) -> None:
        if event.mask & pyinotify.IN_Q_OVERFLOW:
            self._log.info("Too many changes at once: the whole folder is scanned")
            self._rescan(Path(b""))
            return
        with self._lock:
            directory = self._paths.get(event.watch)
            if event.mask & pyinotify.IN_IGNORED:
                self._forget(event.watch)
        if directory is None or event.mask & pyinotify.IN_IGNORED:
            return
        if not event.name:
            self._handle_self(directory, event.mask)
            return
        if not directory and is_reserved(event.name):
            return
        path = Path(directory + b"/" + event.name if directory else event.name)
        if event.mask & pyinotify.IN_ISDIR:
            if event.mask & pyinotify.IN_MOVED_FROM:
                self._drop_below(path)
            if event.mask & _ARRIVED:
                self._rescan(path)
        self._changed(path, bool(event.mask & _CLOSED))

    def _handle_self(self, directory: Path, mask: int) -> None:
        if not mask & _SELF_GONE:
            # Its attributes: of any but the root, its parent tells as well.
            return
        if not directory:
            # Maybe not this box any more: whoever scans looks at the marker.
            self._rescan(directory)

    def _name(self, watch: int, path: Path) -> None:
        old = self._paths.get(watch)
        if old is not None and self._watches.get(old) == watch:
            del self._watches[old]
        self._paths[watch] = path
        self._watches[path] = watch

    def _forget(self, watch: int) -> None:
        path = self._paths.pop(watch, None)
        if path is not None and self._watches.get(path) == watch:
            del self._watches[path]

    def _drop_below(self, path: Path) -> None:
        """A directory was moved away; where it is now, it is scanned."""
        prefix = path + b"/"
        with self._lock:
            gone = [
                (at, watch)
                for at, watch in self._watches.items()
                if at == path or at.startswith(prefix)
            ]
            for at, watch in gone:
                del self._watches[at]
                if self._paths.get(watch) == at:
                    del self._paths[watch]
                    self._inotify.inotify_rm_watch(self._descriptor, watch)

    def _limit(self, why: str) -> None:
        if self._stopped or self.reason:
            return
        self.reason = f"The folder is looked at again and again: {why}."
        self._log.warn("A folder is looked at again and again: {why}", why=why)
        self._poller.start()

    def _looking(self) -> None:
        self._missed = False

    def _looked(self) -> None:
        """If this look could watch everything, it was the last."""
        if not self._missed and self._descriptor >= 0:
            self.reason = ""
            self._poller.stop()
