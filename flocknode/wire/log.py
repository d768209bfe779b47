# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The wire process's log lines, on their way through its standard error to the
node's log: C{level namespace text}, one line each.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    globalLogBeginner,
)
from zope.interface import implementer

LINE_LIMIT: Final = 4_096
"""Bytes of a line; the rest of a longer one is dropped."""

_LEVELS: Final = {level.name.encode(): level for level in LogLevel.iterconstants()}


@implementer(ILogObserver)
class LineObserver:
    """
    Writes events to a descriptor that takes them at once, or loses them: the
    wire process waits for nobody.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def __call__(self, event: LogEvent) -> None:
        """See L{ILogObserver}."""
        level = event.get("log_level", LogLevel.info)
        namespace = str(event.get("log_namespace", "-")).replace(" ", "_")
        if level is LogLevel.debug or (
            # What Twisted says of its own comings and goings.
            level is LogLevel.info and namespace.startswith("twisted.")
        ):
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        head = f"{level.name} {namespace} "
        lines = [(head + line)[: LINE_LIMIT - 1] for line in text.splitlines() if line]
        with contextlib.suppress(OSError):
            os.write(self._descriptor, "".join(f"{line}\n" for line in lines).encode())


def log_to_node() -> None:
    """Send this process's log to its standard error."""
    globalLogBeginner.beginLoggingTo(
        [LineObserver(2)], redirectStandardIO=False, discardBuffer=True
    )


class LineForwarder:
    """
    The node's end: turns bytes from the process's standard output and error
    into log events.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:LINE_LIMIT]
        for line in lines:
            self._forward(line[:LINE_LIMIT])

    def end(self) -> None:
        """No more comes."""
        rest, self._rest = self._rest, b""
        self._forward(rest)

    def _forward(self, line: bytes) -> None:
        if not line.strip():
            return
        level, _space, text = line.partition(b" ")
        if level not in _LEVELS:
            # Not from our observer: the interpreter, or libzmq.
            level, text = b"warn", line
        self._log.emit(_LEVELS[level], "wire process: {line}", line=text.decode("utf-8", "replace"))
