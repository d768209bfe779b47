# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Getting what is missing: asking so much of each member, passing on what comes
to the box, and letting others know what is here now.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from flocknode.box.content import verify
from flocknode.box.values import Hash, Need
from flocknode.errors import ProtocolError
from flocknode.exchange.arrivals import Arrival
from flocknode.exchange.interfaces import SharedBox
from flocknode.exchange.members import Members
from flocknode.exchange.peer import Peer
from flocknode.exchange.requests import Request
from flocknode.exchange.sharing import Sharing

SPACE: Final = 32 * 1_048_576
"""Bytes of blocks that may be on their way here or held until they are written."""

_PAUSE: Final = 5.0
"""Seconds that a box is left alone after blocks could not be written."""


class Fetching:
    """
    Asks members for the missing blocks of boxes.  It is the
    L{flocknode.exchange.peer.PeerUser} of all links.
    """

    _log = Logger()

    def __init__(
        self,
        boxes: Mapping[bytes, Sharing],
        members: Members,
        now: Callable[[], float],
        turn: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """
        @param boxes: what is exchanged, by box id; may change.
        @param now: monotonic seconds.
        @param turn: surrounds what may lead to asking.
        """
        self._boxes = boxes
        self._members = members
        self._now = now
        self._turn = turn
        self._next = 0
        self._strange: set[bytes] = set()

    def share(self, box: SharedBox, random: random.Random) -> Sharing:
        """What is needed to fetch for a box."""
        return Sharing(box, random, self._members.bits, self._written, self._failed)

    # Deciding

    def fill(self, peers: Iterable[Peer]) -> None:
        """Ask these members for as much as they should be asked for."""
        boxes = [sharing for sharing in self._in_need() if sharing.swarm.waiting]
        if not boxes or not len(self._members):
            return
        free = self._free()
        share = self._share()
        for peer in peers:
            # Most are asked for as much as they may be, or have nothing to be asked
            # for: see that quickly.
            if peer.requests.outstanding < share and any(
                sharing.swarm.offers(peer.bit) for sharing in boxes
            ):
                room = self._room(peer, free)
                if room > 0:
                    free -= self._ask(peer, room, self._choices(peer, boxes))

    def fill_up(self) -> None:
        """Ask for what is outstanding elsewhere, and for what nobody showed."""
        free = self._free()
        for sharing in self._in_need():
            swarm = sharing.swarm
            for peer in self._members:
                room = self._room(peer, free)
                if room > 0 and peer.shares(sharing.box.id):
                    needs = chain(swarm.spares(peer.bit), swarm.orphans(peer.bit))
                    free -= self._ask(peer, room, ((sharing, need) for need in needs))

    def _choices(
        self, peer: Peer, boxes: Sequence[Sharing]
    ) -> Iterator[tuple[Sharing, Need]]:
        """What to ask a member for, in turns for each box."""
        idle = 0
        while idle < len(boxes):
            self._next = (self._next + 1) % len(boxes)
            sharing = boxes[self._next]
            need = sharing.swarm.next(peer.bit)
            if need is None:
                idle += 1
            else:
                idle = 0
                yield sharing, need

    def _ask(self, peer: Peer, room: int, choices: Iterator[tuple[Sharing, Need]]) -> int:
        """
        Ask for these until so many bytes are asked for.

        @return: the bytes.
        """
        asked = 0
        # Who is given counts as asked: so look for room first.
        while asked < room and not peer.requests.full:
            choice = next(choices, None)
            if choice is None:
                break
            sharing, need = choice
            asked += need.size
            peer.want(sharing.box.id, need)
        return asked

    def _in_need(self) -> list[Sharing]:
        """Boxes that something should be asked for; none while too much is held."""
        if sum(sharing.arrivals.size for sharing in self._boxes.values()) >= SPACE:
            return []
        now = self._now()
        return [
            sharing
            for sharing in self._boxes.values()
            if len(sharing.swarm) and now >= sharing.paused_until
        ]

    def _free(self) -> int:
        """Bytes that may be asked for now besides what is outstanding."""
        held = sum(sharing.arrivals.size for sharing in self._boxes.values())
        return SPACE - held - sum(peer.requests.outstanding for peer in self._members)

    def _share(self) -> int:
        """Bytes that may be on their way from each member."""
        return SPACE // len(self._members)

    def _room(self, peer: Peer, free: int) -> int:
        """Bytes that one member may be asked for now; one block may always be."""
        most = min(free + peer.requests.outstanding, self._share())
        return peer.requests.room(most)

    def unwant(self, sharing: Sharing, hash: Hash, asked: int) -> None:
        """These members need not send this block."""
        if asked:
            for peer in self._members.at(asked):
                peer.unwant(sharing.box.id, hash)

    # What a link says, see flocknode.exchange.peer.PeerUser

    def read(self, box: bytes, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
        """Read blocks of a box, if there is such a box."""
        sharing = self._boxes.get(box)
        if sharing is None:
            return succeed([None] * len(hashes))
        return sharing.box.read_many(hashes)

    def strange(self, peer: Peer, error: ProtocolError) -> None:
        """Say so once for each member, however often it comes anew."""
        if peer.member not in self._strange:
            self._strange.add(peer.member)
            self._log.warn(
                "member {member} sends what makes no sense, which is dropped: {reason}",
                member=peer.member.hex(),
                reason=error,
            )

    def came(self, peer: Peer, request: Request, block: bytes) -> None:
        """Verify and keep it."""
        hash = request.need.hash
        for sharing in self._concerned(request):
            swarm = sharing.swarm
            if hash in swarm:
                self.unwant(sharing, hash, swarm.arrived(hash))
                sharing.arrivals.add(Arrival(hash, block, peer.bit, swarm.holders(hash)))

    def has(self, peer: Peer, box: bytes, hashes: Iterable[bytes]) -> None:
        """It may be asked for these."""
        sharing = self._boxes.get(box)
        if sharing is None:
            return
        swarm = sharing.swarm
        for hash in map(Hash, hashes):
            for sender in self._members.at(swarm.has(peer.bit, hash)):
                sender.swap(box, hash, swarm)

    def refused(self, peer: Peer, request: Request) -> None:
        """Ask somebody else."""
        for sharing in self._concerned(request):
            sharing.swarm.refuse(peer.bit, request.need.hash)

    def released(self, peer: Peer, request: Request) -> None:
        """Ask anybody."""
        for sharing in self._concerned(request):
            sharing.swarm.release(peer.bit, request.need.hash)

    def _concerned(self, request: Request) -> Iterable[Sharing]:
        return [self._boxes[id] for id in request.boxes if id in self._boxes]

    # What becomes of arrivals

    def _written(
        self, sharing: Sharing, batch: Sequence[Arrival], good: Sequence[bool]
    ) -> None:
        if self._boxes.get(sharing.box.id) is not sharing:
            return
        box = sharing.box.id
        with self._turn():
            peers = [peer for peer in self._members if peer.shares(box)]
            for arrival, right in zip(batch, good, strict=True):
                if right:
                    # The box has said that it needs it no more; if it is still
                    # here, it is needed once more, for another content.
                    sharing.swarm.fail(arrival.hash)
                    for peer in peers:
                        if not arrival.holders & peer.bit:
                            peer.have(box, arrival.hash)
                else:
                    if not _is_right(arrival):
                        for sender in self._members.at(arrival.sender):
                            sender.bad += 1
                    sharing.swarm.refuse(arrival.sender, arrival.hash)
                    sharing.swarm.fail(arrival.hash)

    def _failed(self, sharing: Sharing, batch: Sequence[Arrival]) -> None:
        if self._boxes.get(sharing.box.id) is not sharing:
            return
        with self._turn():
            sharing.paused_until = self._now() + _PAUSE
            for arrival in batch:
                sharing.swarm.fail(arrival.hash)


def _is_right(arrival: Arrival) -> bool:
    """Was it the box that did not want a block which is all right?"""
    return verify(arrival.hash, arrival.data) or verify(arrival.hash, arrival.data, True)
