# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What may be lacking after somebody was lost in a round.

If the source is cut off, the others lack something, and nobody can send it until
it is back.  If another is cut off, it lacks something, and perhaps the others do
for a while.  Were rounds to follow as they are needed, their number and length
would tell the one from the other.  So what is planned for is what may be lacking
in any case: once for those who are left, and once more when the lost one is back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from flocknode.flock.ceremony import CALM, Agenda, recent
from flocknode.flock.interfaces import MemberId
from flocknode.flock.members import Member
from flocknode.flock.rounds import Round


class Owing:
    """What is owed to members who were lost in a round and are not back yet."""

    def __init__(self, agenda: Agenda) -> None:
        """@param agenda: of the rounds that follow a loss."""
        self._agenda = agenda
        self._owed: dict[MemberId, int] = {}
        self._doubtful_since = -CALM
        self._last: Round | None = None
        self._stopped_at = -math.inf

    def most(self, members: Iterable[MemberId]) -> int:
        """
        To any of these.  Once they are heard there is a round for it, needed or not.

        @return: bytes.
        """
        return max((self._owed.get(member, 0) for member in members), default=0)

    def doubts(self, members: Iterable[MemberId], slot: int) -> bool:
        """
        Whether a round of these members may be one for what was in doubt, which needs
        time more than room.
        """
        return recent(self._doubtful_since, slot) or self.most(members) > 0

    def passed(self, current: Round) -> None:
        """
        A round is in its last slot.  It may have been the one for that; what counts
        is how long it was, since who leads may have seen another reason for it.
        """
        for member in current.from_start & self._owed.keys():
            if current.had_time(self._owed[member]):
                del self._owed[member]

    def stopped(self, current: Round, at: float, now: float) -> None:
        """A round that had started has stopped."""
        self._last, self._stopped_at = current, at
        if current.lost:
            self._agenda.lost(current.owed, now)

    def lost(self, member: Member, current: Round | None, slot: int, now: float) -> None:
        """
        It fell silent.  Who already was when the last round stopped, though not for
        long enough to be missed, was lost in that one.

        @param current: the round that is on, if any.
        """
        last = self._last
        if current is not None and current.started and member.id in current.members:
            self._owe(member.id, current.doubtful(slot), slot)
        elif last is not None and member.id in last.members and member.heard < self._stopped_at:
            self._owe(member.id, last.doubtful(slot), slot)
            if not last.lost:
                last.lose(slot)
                self._agenda.lost(last.owed, now)

    def returned(self, slot: int) -> None:
        """This node is the one who was away: it is the others who know what is owed."""
        self.forget()
        self._doubtful_since = slot

    def forget(self) -> None:
        """There are no rounds any more."""
        self._owed.clear()
        self._last = None

    def _owe(self, member: MemberId, size: int, slot: int) -> None:
        self._owed[member] = max(size, self._owed.get(member, 0))
        self._doubtful_since = slot
