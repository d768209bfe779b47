# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What people may ask of a running node's boxes through the control socket
(L{flocknode.control}): each method in L{BoxCommands.commands} is one command,
its parameters are the arguments, its result is what C{json} takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from flocknode.box.box import Box
from flocknode.control import Command
from flocknode.errors import FlocknodeError


class BoxCommands:
    """
    The commands about boxes.
    """

    def __init__(self, boxes: Sequence[Box]) -> None:
        """
        @param boxes: all of the node.
        """
        self._boxes = {box.name: box for box in boxes}

    def commands(self) -> dict[str, Command]:
        """By their names."""
        return {"rescan": self.rescan, "confirm": self.confirm}

    def _box(self, name: object) -> Box:
        """
        @raise FlocknodeError: there is no such box.
        """
        box = self._boxes.get(name) if isinstance(name, str) else None
        if box is None:
            known = ", ".join(self._boxes) or "none"
            raise FlocknodeError(f"there is no box {name!s}; this node has {known}")
        return box

    def rescan(self, box: str) -> Deferred[None]:
        """Look at the whole folder; answered when that is done."""
        return self._box(box).rescan()

    def confirm(self, box: str) -> Deferred[int]:
        """What others deleted here was meant; answered with how many files that is."""
        return self._box(box).confirm()
