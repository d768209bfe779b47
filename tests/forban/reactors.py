# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A reactor whose time and turns are the test's.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock


class Turns(Clock):
    """Real descriptors, which are read when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[Any, None] = {}

    def addReader(self, reader: Any) -> None:
        """It waits."""
        self.readers[reader] = None

    def removeReader(self, reader: Any) -> None:
        """It does not wait any more."""
        self.readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        """Nobody ever waits to write."""

    def turn(self) -> None:
        """All that wait read once, as if there were something."""
        for reader in list(self.readers):
            reader.doRead()
