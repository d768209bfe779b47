# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The exchange: boxes on one side, links to the members of the flock on the
other.

It does no I/O and has no timer.  What happens is told by calls: from the flock
(members, rounds, bytes), from the boxes
(L{flocknode.box.values.BoxListener}), and L{Exchange.tick}.  What to do about
it is decided at the end of the outermost call.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import attrs

from flocknode.box.index.rows import COST
from flocknode.box.values import Hash, Holder, Need
from flocknode.exchange.announcing import Shown
from flocknode.exchange.backlog import Backlog
from flocknode.exchange.clock import RoundClock
from flocknode.exchange.fetching import Fetching
from flocknode.exchange.interfaces import Links, SharedBox
from flocknode.exchange.levels import Levels
from flocknode.exchange.members import Members
from flocknode.exchange.offers import Offers
from flocknode.exchange.peer import Peer
from flocknode.exchange.sharing import Sharing
from flocknode.exchange.status import ExchangeState
from flocknode.exchange.turns import Turn

_FORGIVE: Final = 60.0
"""Seconds after which, in a round without end, members are asked again for what
they could not give."""

_MOST_INDEX: Final = 4 * 1_048_576
"""Bytes that an index counts for at most: numbers have gaps."""

_MOST_GIVEN: Final = 65_536
"""Blocks of which it is remembered how often they were served."""

_DIGEST_SIZE: Final = 16

_SELF: Final = b""
"""Stands for this node among the members."""


class Exchange:
    """
    Announces, asks, serves.
    """

    def __init__(
        self,
        links: Links,
        now: Callable[[], float],
        random: random.Random,
        offer: Callable[[int, int, int, bytes], None],
    ) -> None:
        """
        @param now: monotonic seconds.
        @param random: for choices among equals; not used by anything whose
            times others can see.
        @param offer: told (new_total, backlog, remaining, digest), see
            L{flocknode.exchange.offers.Offer}, whenever one of them changed.
        """
        self._links = links
        self._random = random
        self._clock = RoundClock(now)
        self._offers = Offers(offer, now)
        self._backlog = Backlog(now)
        self._levels = Levels()
        self._boxes: dict[bytes, Sharing] = {}
        self._members = Members()
        self._turns = Turn(self._decide)
        self._fetching = Fetching(self._boxes, self._members, now, self._turn)
        self._shown = Shown()
        self._given: Counter[Hash] = Counter()
        self._forgiven = 0.0
        self._ended = ExchangeState()
        self._stale = True

    # Boxes

    def add(self, box: SharedBox) -> None:
        """Exchange this box with whoever has it, and listen to it."""
        with self._turn(stale=True):
            sharing = self._fetching.share(box, self._random)
            self._boxes[box.id] = sharing
            box.listener = self
            for peer in self._members:
                sharing.swarm.enter(peer.bit)
            sharing.swarm.add(box.needs())
            self._identify(sharing)

    def remove(self, box: SharedBox) -> None:
        """Do not exchange this box any more."""
        with self._turn(stale=True):
            sharing = self._boxes.pop(box.id)
            self._offers.removed(sharing.offered())
            box.listener = None
            for hash, asked in sharing.swarm.outstanding():
                self._fetching.unwant(sharing, hash, asked)
            for peer in self._members:
                peer.remove(box.id)
                peer.greet()

    # What the flock says, see flocknode.flock.interfaces.Observer

    def alive(self, member: bytes, epoch: int) -> None:
        """A member appeared, or its links begin anew."""
        with self._turn(stale=True):
            self._close(member)
            peer = Peer(
                member,
                self._members.free_bit(),
                user=self._fetching,
                links=self._links,
                clock=self._clock,
                given=self._given,
                shown=self._shown,
            )
            self._members.add(peer)
            for sharing in self._boxes.values():
                sharing.swarm.enter(peer.bit)
                if sharing.index_id:
                    peer.add(sharing.box, sharing.source)
            peer.greet()

    def lost(self, member: bytes) -> None:
        """A member is silent."""
        with self._turn(stale=True):
            self._close(member)
            self._shown.clear()
            for peer in self._members:
                peer.repeat()

    def received(self, member: bytes, data: bytes) -> None:
        """The next bytes of a member's stream of records."""
        peer = self._members.get(member)
        if peer is not None:
            with self._turns:
                peer.received(data)

    def digest(self, member: bytes, digest: bytes) -> None:
        """What a member shows of its boxes, outside rounds."""
        if self._members.get(member) is None:
            return
        with self._turn(stale=True):
            self._levels.show(member, digest)

    def reset(self, member: bytes) -> None:
        """Bytes are missing in it; what follows begins a record."""
        peer = self._members.get(member)
        if peer is not None:
            with self._turns:
                peer.reset()

    def consumed(self, member: bytes, priority: int, size: int) -> None:
        """So many bytes have left."""
        peer = self._members.get(member)
        if peer is not None:
            with self._turns:
                peer.consumed(priority, size)

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        """
        Records flow from now on.

        @param counted: a C{new_total} offered before.
        @param budget: 0: under constant cover, which costs the same whether it
            helps or not; so nothing that it has not changed is written off.
        """
        with self._turn(stale=True):
            self._clock.start()
            for id, offered in self._offers.counted(counted).items():
                sharing = self._boxes.get(id)
                if sharing is not None:
                    sharing.counted = offered + sharing.withheld
                    sharing.box.counted(sharing.counted)
            self._forgive()
            for peer in self._members:
                peer.greet()
            if budget:
                self._backlog.round_started(self._outstanding(), self._missing())

    def round_stopped(self, round_id: int) -> None:
        """Records do not flow any more."""
        with self._turn(stale=True):
            self._clock.stop()
            self._backlog.round_stopped(self._outstanding(), self._missing())
            self._levels.forget_all()

    # What a box says, see flocknode.box.values.BoxListener

    def advanced(self, box: object) -> None:
        """There is more to announce, perhaps under another index id."""
        with self._turns:
            sharing = self._sharing(box)
            if sharing is not None:
                self._identify(sharing)
            for peer in self._members:
                peer.pump()

    def wanted(self, box: object, needs: Sequence[Need]) -> None:
        """Blocks are missing."""
        sharing = self._sharing(box)
        if sharing is not None:
            with self._turn(stale=True):
                sharing.swarm.add(needs)

    def unwanted(self, box: object, hashes: Sequence[Hash]) -> None:
        """Blocks are not missing any more."""
        sharing = self._sharing(box)
        if sharing is not None:
            with self._turn(stale=True):
                for hash in hashes:
                    self._fetching.unwant(sharing, hash, sharing.swarm.remove(hash))

    def sources(self, box: object, content: Hash, holders: frozenset[Holder]) -> None:
        """Others hold all of a content."""
        sharing = self._sharing(box)
        # Most of these are about contents of which nothing is missing yet.
        if sharing is not None and sharing.swarm.sources(content, self._members.bits(holders)):
            with self._turns:
                pass

    def measured(self, box: object) -> None:
        """Sizes changed, or an index that holds nothing yet was opened."""
        with self._turn(stale=True):
            sharing = self._sharing(box)
            if sharing is not None:
                self._identify(sharing)

    # Time

    def together(self) -> AbstractContextManager[None]:
        """Around several calls that are made at the same moment: it is decided
        once what to do about all of them."""
        return self._turns

    def tick(self) -> None:
        """To be called four times a second."""
        with self._turn(stale=True):
            for id, sharing in self._boxes.items():
                if not len(sharing.swarm):
                    for peer in self._members:
                        peer.settled(id)
            late = []
            for peer in self._members:
                peer.tick()
                if peer.overdue():
                    late.append(peer)
            # Others go first in getting what these did not give.
            self._fetching.fill(peer for peer in self._members if peer not in late)
            if self._clock.running:
                self._fetching.fill_up()
                if self._clock() - self._forgiven > _FORGIVE:
                    self._forgive()
        self._offers.tick()

    def is_level(self) -> bool:
        """Does nobody who is alive lack anything that rounds can help with?"""
        return not self._backlog.most(self._outstanding())

    def is_spread(self, box: object) -> bool:
        """
        Is what rounds have brought of this box not here alone, nor still on its
        way to anybody?
        """
        sharing = self._sharing(box)
        return sharing is not None and self.is_level() and sharing.is_spread(self._members)

    def status(self) -> ExchangeState:
        """What is going on."""
        lacking = self._lacking()
        links = tuple(peer.state(lacking[peer.member]) for peer in self._members)
        return self._ended.plus(links, self._missing())

    # Inside

    def _turn(self, stale: bool = False) -> AbstractContextManager[None]:
        """
        Around all that may lead to asking, writing or offering; where nothing is
        stale, and much happens, the same as L{_turns}.

        @param stale: what is offered may have changed.
        """
        self._stale = self._stale or stale
        return self._turns

    def _decide(self) -> None:
        for sharing in self._boxes.values():
            sharing.arrivals.flush()
        self._fetching.fill(self._members)
        for peer in self._members:
            peer.flush()
        if self._stale:
            self._refresh()

    def _identify(self, sharing: Sharing) -> None:
        """If the index has been opened or closed, or got another id: say so."""
        index_id = sharing.box.index_id
        if index_id == sharing.index_id:
            return
        for peer in self._members:
            if not index_id:
                peer.remove(sharing.box.id)
            elif not sharing.index_id:
                peer.add(sharing.box, sharing.source)
        sharing.index_id = index_id
        for peer in self._members:
            peer.greet()

    def _refresh(self) -> None:
        self._stale = False
        lacking, missing = self._outstanding(), self._missing()
        if not missing and not self._clock.running:
            for member, size in lacking.items():
                if not size:
                    self._levels.level(member)
        digest = 0
        for sharing in self._boxes.values():
            if sharing.is_private(self._members):
                sharing.withhold()
            else:
                digest += int.from_bytes(sharing.box.digest, "big")
        self._offers.update(
            {id: sharing.offered() for id, sharing in self._boxes.items()},
            self._backlog.most(lacking),
            missing,
            (digest % (1 << 8 * _DIGEST_SIZE)).to_bytes(_DIGEST_SIZE, "big"),
            more=any(sharing.box.surveying for sharing in self._boxes.values()),
        )

    def _missing(self) -> int:
        return sum(sharing.swarm.missing for sharing in self._boxes.values())

    def _lacking(self) -> dict[bytes, int]:
        """
        What each member lacks, in bytes: content and index.  New changes, and
        hence an index with new changes in it, are not counted here.  Whoever
        lacks nothing and has changed without a round is to be heard again; one
        that is on is just for that.
        """
        lacking = {}
        for peer in self._members:
            total = 0
            for id, sharing in self._boxes.items():
                if peer.shares(id):
                    size = sharing.box.lacking(Holder(peer.member))
                    if sharing.counted == sharing.box.new_total:
                        size = max(size, min(COST * peer.behind(id), _MOST_INDEX))
                    total += size
            if not total and not self._clock.running and self._levels.differs(peer.member):
                total = COST
            lacking[peer.member] = total
        return lacking

    def _outstanding(self) -> dict[bytes, int]:
        """
        The same, and what this node itself lacks and some member could send:
        whoever holds it may have given up meanwhile.
        """
        outstanding = self._lacking()
        swarms = [sharing.swarm for sharing in self._boxes.values()]
        if outstanding:
            outstanding[_SELF] = sum(swarm.missing for swarm in swarms if swarm.obtainable())
        return outstanding

    def _close(self, member: bytes) -> None:
        self._backlog.forget(member)
        self._levels.forget(member)
        peer = self._members.remove(member)
        if peer is None:
            return
        peer.close()
        for sharing in self._boxes.values():
            sharing.swarm.leave(peer.bit)
        self._ended = attrs.evolve(self._ended.plus((peer.state(0),), 0), links=())

    def _forgive(self) -> None:
        self._forgiven = self._clock()
        if len(self._given) > _MOST_GIVEN:
            self._given.clear()
        for sharing in self._boxes.values():
            sharing.swarm.forgive()

    def _sharing(self, box: object) -> Sharing | None:
        return self._boxes.get(getattr(box, "id", b""))
