# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What people may ask of a running node's boxes through the control socket
(L{flocknode.control}): each method in L{BoxCommands.commands} is one command,
its parameters are the arguments, its result is what C{json} takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from flocknode.box.box import Box
from flocknode.box.requests import Answer
from flocknode.control import Command, text_argument
from flocknode.errors import FlocknodeError
from flocknode.plugged import PluggedMedia


class BoxCommands:
    """
    The commands about boxes.
    """

    def __init__(self, boxes: Sequence[Box], plugged: PluggedMedia) -> None:
        """
        @param boxes: all of the node.
        @param plugged: media that joined some of them.
        """
        self._plugged = plugged
        self._boxes = {box.name: box for box in boxes}

    def commands(self) -> dict[str, Command]:
        """By their names."""
        return {
            "rescan": self.rescan,
            "eject": self.eject,
            "versions": self.versions,
            "restore": self.restore,
            "conflicts": self.conflicts,
            "resolve": self.resolve,
            "confirm": self.confirm,
            "check": self.check,
            "check_stop": self.check_stop,
        }

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
        return self._box(box).desk.confirm()

    def check(self, box: str, repair: bool = False) -> Deferred[dict[str, Any]]:
        """Read all of it; answered with a L{flocknode.box.checking.Report}."""
        return self._box(box).desk.check(repair).addCallback(attrs.asdict)

    def check_stop(self, box: str) -> None:
        """Break off a check."""
        self._box(box).desk.stop_check()

    def eject(self, box: str) -> Deferred[None]:
        """Close everything of it, so that its medium can be unmounted; then answered."""
        return Deferred.fromCoroutine(self._eject(self._box(box)))

    async def _eject(self, box: Box) -> None:
        # What joined by itself leaves first; the box itself may be no medium.
        if not await self._plugged.eject(box.name):
            await box.eject()

    def versions(self, box: str, path: str) -> Deferred[list[Answer]]:
        """What is kept of a path; see L{flocknode.box.requests.Requests.versions}."""
        return self._box(box).desk.versions(text_argument(path))

    def restore(
        self, box: str, path: str, at: str | float, to: str | None = None
    ) -> Deferred[Answer]:
        """Put kept content back; see L{flocknode.box.requests.Requests.restore}."""
        if isinstance(at, bool) or not isinstance(at, (str, int, float)):
            raise FlocknodeError("the command takes other arguments")
        target = None if to is None else text_argument(to)
        return self._box(box).desk.restore(text_argument(path), at, target)

    def conflicts(self, box: str | None = None) -> Deferred[Answer]:
        """
        C{boxes}: by name, what L{flocknode.box.requests.Requests.conflicts}
        says; C{problems}: of other boxes, why they cannot say anything.
        """
        if box is None:
            return Deferred.fromCoroutine(_conflicts(self._boxes))
        asked = self._box(box).desk.conflicts()
        return asked.addCallback(lambda found: {"boxes": {box: found}, "problems": []})

    def resolve(self, box: str, keep: str, path: str) -> Deferred[Answer]:
        """End a conflict; see L{flocknode.box.requests.Requests.resolve}."""
        return self._box(box).desk.resolve(text_argument(keep), text_argument(path))


async def _conflicts(boxes: Mapping[str, Box]) -> Answer:
    found, problems = {}, []
    for name, box in boxes.items():
        try:
            found[name] = await box.desk.conflicts()
        except FlocknodeError as error:
            problems.append(f"box {name}: {error}")
    return {"boxes": found, "problems": problems}
