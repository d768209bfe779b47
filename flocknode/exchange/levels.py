# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whether members still show what they showed when they were level with this node.

Two nodes are level when neither lacks anything that the other holds.  What a
member shows of its boxes then is recorded; if it shows something else later,
without any round in between, there is a reason for a round, whatever it is.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = bytes(16)
"""Shown by who does not say, see L{flocknode.flock.interfaces.Observer.digest}."""


class Levels:
    """
    Digests of members: as shown, and as recorded when level.

    Records do not outlive the process: a member that is heard of anew is met
    with a round anyway.
    """

    def __init__(self) -> None:
        self._shown: dict[bytes, bytes] = {}
        self._recorded: dict[bytes, bytes] = {}

    def show(self, member: bytes, digest: bytes) -> None:
        """A member shows this now."""
        self._shown[member] = digest
        if digest == UNKNOWN:
            self._recorded.pop(member, None)

    def level(self, member: bytes) -> None:
        """A member is level with this node now; recorded once until L{forget_all}."""
        shown = self._shown.get(member, UNKNOWN)
        if shown != UNKNOWN:
            self._recorded.setdefault(member, shown)

    def differs(self, member: bytes) -> bool:
        """Does it show something else than when it was level?"""
        recorded = self._recorded.get(member)
        return recorded is not None and recorded != self._shown.get(member)

    def forget(self, member: bytes) -> None:
        """A member is gone."""
        self._shown.pop(member, None)
        self._recorded.pop(member, None)

    def forget_all(self) -> None:
        """There was a round: what is shown after it counts anew."""
        self._shown.clear()
        self._recorded.clear()
