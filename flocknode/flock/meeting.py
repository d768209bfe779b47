# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When two flocks of different time meet, which of the two goes over to the other's:
the smaller one; of equal ones, that whose lowest id is higher.
"""

from __future__ import annotations

import math
from typing import Final

from flocknode.flock.flocktime import FlockTime
from flocknode.flock.interfaces import MemberId
from flocknode.flock.members import Member, Membership

STEP_PAUSE: Final = 1.0
"""Seconds between two steps of flock time."""


class Meeting:
    """One member's part in it."""

    def __init__(self, me: MemberId, membership: Membership, time: FlockTime) -> None:
        self._me = me
        self._membership = membership
        self._time = time
        self._stepped = -math.inf

    def follow(self, member: Member, now: float) -> bool:
        """
        Go over to this member's time, if that is to be; ask only outside rounds.

        @param member: has just been heard.
        @return: whether flock time is another now.
        """
        own, hears = self._membership.current.heard, member.hears()
        goes = (
            self._me not in hears  # else it has come over to this time itself
            and member.estimate.certain
            and self._time.may_adopt(member.estimate, now)
            and prefers((member.count, min(hears)), (len(own), own[0]))
            and (len(own) == 1 or now >= self._stepped + STEP_PAUSE)
        )
        if goes:
            self._time.adopt(member.estimate)
            self._stepped = now
        return goes


def prefers(theirs: tuple[int, bytes], mine: tuple[int, bytes]) -> bool:
    """
    Of two flocks that meet: the larger set's time, then that with the lower id.

    @param theirs: the number of members that share that time, and the lowest
        id among them.
    @param mine: likewise.
    """
    return theirs[0] > mine[0] or (theirs[0] == mine[0] and theirs[1] < mine[1])
