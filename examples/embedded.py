# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A node inside another Twisted application: C{python examples/embedded.py CONFIG}.

This application does one thing of its own: whenever the state of a box
changes, it prints a line.  Everything else is the node's.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from flocknode import config
from flocknode.node import Node


class Announcer:
    """Prints how the boxes are, once for each change."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._shown: dict[str, str] = {}

    def look(self) -> None:
        """Compare with what was shown last."""
        for box in self._node.status().boxes:
            line = f"box {box.name}: {box.state}, {box.files} files"
            if self._shown.get(box.name) != line:
                self._shown[box.name] = line
                print(line, flush=True)


def main(reactor: Any, path: str) -> Deferred[None]:
    """Run until the reactor is told to stop (Ctrl-C, SIGTERM)."""
    application = MultiService()
    node = Node.from_config(reactor, config.load(path))
    node.setServiceParent(application)
    TimerService(0.1, Announcer(node).look).setServiceParent(application)
    application.startService()
    reactor.addSystemEventTrigger("before", "shutdown", application.stopService)
    return Deferred()  # never fires: the application runs until it is stopped


if __name__ == "__main__":
    react(main, sys.argv[1:2])
