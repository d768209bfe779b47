# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the exchange keeps for one box of this node.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from flocknode.box.values import Hash, Holder
from flocknode.exchange.announcing import IndexSource
from flocknode.exchange.arrivals import Arrival, Arrivals
from flocknode.exchange.interfaces import SharedBox
from flocknode.exchange.peer import Peer
from flocknode.exchange.swarm import Swarm


class Sharing:
    """
    A box, what is missing in it, and what is on its way into it.

    @ivar paused_until: (monotonic) before that nothing is asked for, since it
        could not be written.
    @ivar index_id: the box's as it was told to others; 0: its index is not
        open yet.
    @ivar counted: the box's C{new_total} that rounds have counted.
    @ivar withheld: of its C{new_total}, what was changed while nobody else had
        the box: that is no news.
    """

    def __init__(
        self,
        box: SharedBox,
        random: random.Random,
        members: Callable[[Iterable[bytes]], int],
        written: Callable[[Sharing, Sequence[Arrival], Sequence[bool]], None],
        failed: Callable[[Sharing, Sequence[Arrival]], None],
    ) -> None:
        """
        @param members: the bits of those of these members who are alive.
        """
        self.box = box
        self.source = IndexSource(box)
        self.swarm = Swarm(random, self._sources)
        self.paused_until = float("-inf")
        self.counted = 0
        self.withheld = 0
        self._seen = 0
        self.index_id = 0
        self.arrivals = Arrivals(
            box,
            lambda batch, good: written(self, batch, good),
            lambda batch: failed(self, batch),
        )
        self._members = members

    def is_private(self, peers: Iterable[Peer]) -> bool:
        """
        Has nobody else this box?  As long as a member was not heard out, it may
        have it; and with nobody there, nobody is asked.
        """
        peers = list(peers)
        return (
            bool(peers)
            and not self.box.is_elsewhere
            and all(peer.met and not peer.shares(self.box.id) for peer in peers)
        )

    def is_spread(self, peers: Iterable[Peer]) -> bool:
        """
        Has one of these all that rounds have brought of this box?  Who is cut off
        in a round hears of nobody who lacks anything, and has sent it to nobody.
        A box that nobody else has is as spread as can be.
        """
        peers = list(peers)
        return self.is_private(peers) or any(
            peer.shares(self.box.id) and not self.box.lacking(Holder(peer.member))
            for peer in peers
        )

    def withhold(self) -> None:
        """Nobody else has the box: what was changed is no news, and is counted."""
        total = self.box.new_total
        self.withheld += total - self._seen
        if self.counted != total:
            self.counted = total
            self.box.counted(total)

    def offered(self) -> int:
        """Of C{new_total}, what is news or was."""
        self._seen = self.box.new_total
        return self._seen - self.withheld

    def _sources(self, content: Hash) -> int:
        return self._members(self.box.sources(content))
