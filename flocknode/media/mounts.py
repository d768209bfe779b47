# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hearing of media that are mounted and unmounted.

The kernel marks C{/proc/self/mountinfo} with C{POLLERR | POLLPRI} when it has
changed.  It can always be read, so a reactor that waits for that would never
rest: it waits for an epoll descriptor instead, which waits for nothing but
the mark.  That descriptor becomes readable once for each change.  Where there
is no epoll, or no such table, nothing is heard: whoever depends on it looks by
itself as well, now and then.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from flocknode.media.devices import TABLE

SETTLE = 0.1
"""Seconds after a change until it is told: mounting makes several, and udev's
links may come a moment later."""


class Mounts(Service):
    """
    Tells when something was mounted or unmounted.

    Lives in the reactor.  Use it as a service, or start and stop it.
    """

    def __init__(self, reactor: Any, table: str = TABLE) -> None:
        """
        @param table: the file of the table of mounts.
        """
        self._reactor = reactor
        self._table = table
        self._told: list[Callable[[], object]] = []
        self._descriptor: _Marked | None = None
        self._timer: IDelayedCall | None = None

    def tell(self, changed: Callable[[], object]) -> None:
        """Call this after each change."""
        self._told.append(changed)

    def startService(self) -> None:
        """Begin to listen."""
        super().startService()
        self._descriptor = _listen(self._reactor, self._table, self.changed)

    def stopService(self) -> None:
        """Hear nothing any more.  Idempotent."""
        super().stopService()
        if self._descriptor is not None:
            self._descriptor.close()
            self._descriptor = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self) -> None:
        """Something was mounted or unmounted: tell it soon, once for all."""
        if self._timer is None and self.running:
            self._timer = self._reactor.callLater(SETTLE, self._tell)

    def _tell(self) -> None:
        self._timer = None
        for told in self._told:
            told()


class _Marked(FileDescriptor):
    """A descriptor that is readable when the table was marked."""

    def __init__(self, reactor: Any, table: int, changed: Callable[[], object]) -> None:
        super().__init__(reactor)
        self._file = table
        self._changed = changed
        self._epoll = select.epoll()
        self._epoll.register(table, select.EPOLLPRI)
        self.connected = True
        self._writeDisconnected = True
        self.startReading()

    def fileno(self) -> int:
        """What the reactor waits for."""
        return -1 if self._epoll.closed else self._epoll.fileno()

    def doRead(self) -> None:
        """The reactor's own look may have taken the mark away already."""
        self._epoll.poll(0)
        self._changed()

    def connectionLost(self, reason: Any) -> None:
        """The reactor stops."""
        super().connectionLost(reason)
        self.close()

    def close(self) -> None:
        """Give up the descriptors.  Idempotent."""
        if self._epoll.closed:
            return
        self.stopReading()
        self.connected = False
        self._epoll.close()
        os.close(self._file)


def _listen(reactor: Any, path: str, changed: Callable[[], object]) -> _Marked | None:
    try:
        table = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _Marked(reactor, table, changed)
    except (OSError, AttributeError):
        # No epoll, or (a plain file) nothing that can be waited for.
        os.close(table)
        Logger(namespace=__name__).debug("changes of mounts are not heard of")
        return None
