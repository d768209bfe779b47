# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What was asked of one member and has not come yet.
"""

from __future__ import annotations

from typing import Final

from flocknode.box.values import Hash, Need
from flocknode.exchange.records import PIECE_SIZE, Piece

FIRST_TARGET: Final = 1_572_864
"""Bytes to have outstanding before anything is known of the link's rate."""

LARGEST_TARGET: Final = 16 * 1_048_576
"""Bytes outstanding on one link at most, whatever its rate."""

AHEAD: Final = 3.0
"""Seconds of a link's rate to have outstanding.  With one, a member that many ask
has little to choose from when wants take a while to arrive, and sends to one what
it has sent to another: 8 members with 0.3 s between them took 1.55 S/U, with three
1.32; more does not help."""

MOST_REQUESTS: Final = 2_048
"""Blocks outstanding on one link at most: what the other side must remember."""

PATIENCE: Final = 5.0
"""Seconds of a round without a piece after which a want is void."""

SILENCE: Final = 1.5
"""Seconds of a round without any piece of all that was asked for, after which
all is asked for again: the want itself was lost.  Longer than the shortest
round, shorter than two of them, so that it is asked for again before rounds
are thought to be of no use (L{flocknode.exchange.backlog})."""

_MOST_TORN: Final = 4 * 1_048_576
"""Bytes of blocks of which some pieces were lost, kept for the next try."""

_WINDOW: Final = 0.2
"""Seconds over which the rate is measured."""

_WEIGHT: Final = 0.5
"""Of the newest measurement in the rate."""


class Request:
    """
    A block that is on its way.

    @ivar boxes: ids of the boxes that it is missing in, at least one.
    @ivar ahead: bytes that were outstanding before it.
    @ivar since: when it was asked for or its last piece came.
    @ivar begun: some of it has come since it was asked for.
    """

    __slots__ = ("_missing", "_parts", "ahead", "begun", "boxes", "need", "since")

    def __init__(self, need: Need) -> None:
        self.boxes: list[bytes] = []
        self.need = need
        self.ahead = 0
        self.since = 0.0
        self.begun = False
        self._missing = -(-need.size // PIECE_SIZE)
        self._parts: list[bytes | None] = []

    def ask(self, box: bytes, ahead: int, now: float) -> None:
        """It is asked for (again)."""
        self.boxes = [box]
        self.ahead = ahead
        self.since = now
        self.begun = False

    @property
    def has_parts(self) -> bool:
        """Has some of it come, now or before?"""
        return bool(self._parts)

    def add(self, piece: Piece) -> bytes | None:
        """
        @return: the block, once it is whole.
        """
        index, uneven = divmod(piece.offset, PIECE_SIZE)
        if uneven or len(piece.data) != min(PIECE_SIZE, self.need.size - piece.offset):
            return None
        self.begun = True
        if not self._parts:
            self._parts = [None] * self._missing
        if self._parts[index] is None:
            self._missing -= 1
            self._parts[index] = piece.data
        if self._missing:
            return None
        return b"".join(part for part in self._parts if part is not None)


class Requests:
    """
    The requests of one link, and how many there should be.

    @ivar outstanding: bytes of all requests.
    @ivar arrived: bytes of pieces that were asked for.
    """

    def __init__(self, target: int = FIRST_TARGET) -> None:
        """
        @param target: bytes to have outstanding until a rate was measured.
        """
        self.outstanding = 0
        self.arrived = 0
        self.rate = 0.0
        self._target = target
        self._requests: dict[Hash, Request] = {}
        self._torn: dict[Hash, Request] = {}
        self._window_start = 0.0
        self._window_bytes = 0
        self._last_piece = 0.0

    def __len__(self) -> int:
        return len(self._requests)

    def get(self, hash: Hash) -> Request | None:
        """The request for a block."""
        return self._requests.get(hash)

    @property
    def full(self) -> bool:
        """No more blocks may be asked for, however small."""
        return len(self._requests) >= MOST_REQUESTS

    def room(self, space: int) -> int:
        """
        Bytes that should be asked for now, if no more than C{space} may be
        outstanding.  One block may always be.
        """
        if not self._requests:
            return max(1, min(self._target, space))
        return min(self._target, space) - self.outstanding

    def ask(self, box: bytes, need: Need, now: float) -> bool:
        """
        @return: whether a want must be sent: not if another box waits for the
            same block.
        """
        known = self._requests.get(need.hash)
        if known is not None:
            known.boxes.append(box)
            return False
        if not self._requests:
            self._last_piece = now
            self._window_start = now
            self._window_bytes = 0
        request = self._torn.pop(need.hash, None)
        if request is None or request.need.size != need.size:
            request = Request(need)
        request.ask(box, self.outstanding, now)
        self._requests[need.hash] = request
        self.outstanding += need.size
        return True

    def piece(self, piece: Piece, now: float) -> tuple[Request, bytes] | None:
        """
        A piece came.

        @return: the request that it completes, which is one no more, and the
            block, still to be verified.
        """
        request = self._requests.get(Hash(piece.hash))
        if request is None:
            return None
        self.arrived += len(piece.data)
        self._window_bytes += len(piece.data)
        self._last_piece = request.since = now
        block = request.add(piece)
        if block is None:
            return None
        self.drop(request.need.hash)
        return request, block

    def drop(self, hash: Hash) -> Request | None:
        """This will not come, or not be used."""
        request = self._requests.pop(hash, None)
        if request is not None:
            self.outstanding -= request.need.size
        return request

    def lose(self, hash: Hash) -> None:
        """
        This will not come as it should have.  What has come of it is kept: if
        it is asked for again, only the rest matters.
        """
        request = self.drop(hash)
        if request is not None and request.has_parts:
            self._torn[hash] = request
            size = sum(torn.need.size for torn in self._torn.values())
            while size > _MOST_TORN:
                size -= self._torn.pop(next(iter(self._torn))).need.size

    def drop_for(self, box: bytes, hash: Hash) -> bool:
        """
        One box does not want it any more.

        @return: whether nobody does: the request is dropped.
        """
        request = self._requests.get(hash)
        if request is None or box not in request.boxes:
            return False
        request.boxes.remove(box)
        if request.boxes:
            return False
        self.drop(hash)
        return True

    def torn(self) -> list[Request]:
        """Requests of which a part has come."""
        return [request for request in self._requests.values() if request.begun]

    def overdue(self, now: float) -> list[Request]:
        """
        Requests to give up (still to be dropped): L{SILENCE} without a piece
        of anything; or of this, when what was asked for before should have
        come twice over.
        """
        if now - self._last_piece > SILENCE:
            return list(self._requests.values())
        rate = max(self.rate, 1.0)
        return [
            request
            for request in self._requests.values()
            if now - request.since > PATIENCE
            and (request.begun or now - request.since > PATIENCE + 2 * request.ahead / rate)
        ]

    def measure(self, now: float) -> None:
        """
        To be called several times a second: estimate what comes in a second.
        A link that had nothing to send says nothing about its rate.
        """
        passed = now - self._window_start
        if passed < _WINDOW or not self._requests:
            return
        rate = self._window_bytes / passed
        self._window_start = now
        self._window_bytes = 0
        if not self.arrived:
            return
        self.rate = rate if not self.rate else self.rate + _WEIGHT * (rate - self.rate)
        self._target = max(1, min(int(AHEAD * self.rate), LARGEST_TARGET))
