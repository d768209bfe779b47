# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What one member asked for, and how it is served.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.values import Hash
from flocknode.exchange.clock import RoundClock
from flocknode.exchange.outbox import LIMITS, Outbox
from flocknode.exchange.records import BULK, PIECE_SIZE, RUN, encode_pieces

MOST_WANTS: Final = 16_384
"""Blocks that a member may have asked for at a time; the rest is not heard."""

MOST_READS: Final = 64
"""Blocks that are read at the same time for one member."""

TURN: Final = 131_072
"""Bytes of blocks of one box that are read in one go: one block of a large
file, or many small files, each of which alone would wait for a thread."""

_MOST_IN_A_TURN: Final = 32
"""Blocks in one go, however small they are said to be."""

_SHORTEST: Final = 131_072
"""Bytes to have ready on a link, at least."""

_FIRST: Final = 262_144
"""Bytes to have ready on a link of which nothing is known."""

_LONGEST: Final = LIMITS[BULK] - RUN * (PIECE_SIZE + 64)
"""Bytes to have ready, at most: one run more still fits."""

_WINDOW: Final = 1.0
"""Seconds after which what was ready and never needed is thought too much."""

_LOOK: Final = 32
"""Of so many first wants the one goes first that was served least: several
members that ask for the same then get different blocks, and exchange them.  The
very first is passed over at most as often."""


class Serving:
    """
    Reads the blocks that a member wants, in its order, in turns from each
    box, and sends them.

    What is queued cannot be cancelled, so little is; but enough that the queue never
    runs dry before this hears that it is about to.  How long that takes nobody knows
    (a busy machine, a slow disk), so the limit follows what happens, as Linux' byte
    queue limits do: it grows when the queue was found empty, and shrinks by half of
    what was never touched.

    @ivar sent: bytes of blocks sent.
    """

    _log = Logger()

    def __init__(
        self,
        outbox: Outbox,
        clock: RoundClock,
        read: Callable[[bytes, Sequence[Hash]], Deferred[list[bytes | None]]],
        gone: Callable[[Hash], None],
        given: Counter[Hash],
    ) -> None:
        """
        @param read: the blocks of (box id, hashes); L{None} for what is not there.
        @param gone: told what cannot be served.
        @param given: how often each block was served lately, on all links.
        """
        self.sent = 0
        self._outbox = outbox
        self._clock = clock
        self._read = read
        self._gone = gone
        self._given = given
        self._passed_over = 0
        self._wants: dict[bytes, dict[Hash, int]] = {}
        self._turns: deque[bytes] = deque()
        self._count = 0
        self._reading: dict[Hash, int] = {}
        self._reading_size = 0
        self._runs: deque[bytes] = deque()
        self._ahead = _FIRST
        # The least that was ready, of what was seen since then.
        self._least = _LONGEST
        self._since = clock()
        self._pumping = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Blocks that were asked for and not read yet."""
        return self._count

    def close(self) -> None:
        """The link is gone: forget everything."""
        self._closed = True
        self._wants.clear()
        self._turns.clear()
        self._runs.clear()

    def want(self, box: bytes, blocks: Iterable[tuple[bytes, int]]) -> None:
        """The member asked for these, (hash, bytes), behind what it asked for."""
        if self._count >= MOST_WANTS:
            return
        wants = self._wants.get(box)
        if wants is None:
            wants = self._wants[box] = {}
            self._turns.append(box)
        for hash, size in blocks:
            if self._count >= MOST_WANTS:
                break
            if hash not in wants and hash not in self._reading:
                wants[Hash(hash)] = size
                self._count += 1
        self.pump()

    def cancel(self, hashes: Iterable[bytes]) -> None:
        """It wants these no more."""
        for hash in hashes:
            for wants in self._wants.values():
                if wants.pop(Hash(hash), None) is not None:
                    self._count -= 1
            size = self._reading.pop(Hash(hash), None)
            if size is not None:
                self._reading_size -= size

    def consumed(self) -> None:
        """Some of what was sent has left: send more."""
        self._adapt(self._clock(), self._outbox.waiting(BULK))
        self.pump()

    def _adapt(self, now: float, waiting: int) -> None:
        self._least = min(self._least, waiting)
        # That it runs dry when there is no more to send says nothing.
        if self._runs or self._reading or self._count:
            if not waiting:
                self._ahead = min(self._ahead * 3 // 2, _LONGEST)
            elif now - self._since >= _WINDOW:
                self._ahead = max(self._ahead - self._least // 2, _SHORTEST)
            else:
                return
        self._since, self._least = now, _LONGEST

    def pump(self) -> None:
        """Read and send as much as there is room for."""
        if self._pumping or not (self._runs or self._turns):
            return
        self._pumping = True
        try:
            while self._send_runs() and self._read_next():
                pass
        finally:
            self._pumping = False

    def _send_runs(self) -> bool:
        """Send what is ready; false if there is no room for more."""
        while self._runs:
            if self._outbox.waiting(BULK) >= self._ahead:
                return False
            self._outbox.send(BULK, self._runs.popleft())
        return self._outbox.waiting(BULK) + self._reading_size < self._ahead

    def _read_next(self) -> bool:
        """Begin to read a block; false if there is none to be read."""
        if len(self._reading) >= MOST_READS or not self._turns:
            return False
        self._turns.rotate(-1)
        box = self._turns[-1]
        wants = self._wants[box]
        if not wants:
            del self._wants[box]
            self._turns.pop()
            return True
        blocks: list[tuple[Hash, int]] = []
        total = 0
        while (
            wants
            and total < TURN
            and len(blocks) < _MOST_IN_A_TURN
            and len(self._reading) < MOST_READS
        ):
            hash = self._choose(wants)
            size = wants.pop(hash)
            self._count -= 1
            if hash in self._reading:
                continue  # for another box
            self._given[hash] += 1
            self._reading[hash] = size
            blocks.append((hash, size))
            total += size
        self._reading_size += total
        if not blocks:
            return True
        read = self._read(box, [hash for hash, _size in blocks])
        read.addCallbacks(self._done, self._failed, (blocks,), {}, (blocks,), {})
        read.addErrback(self._broken)
        return True

    def _choose(self, wants: dict[Hash, int]) -> Hash:
        first = next(iter(wants))
        if self._passed_over < _LOOK:
            hash = min(islice(wants, _LOOK), key=self._given.__getitem__)
            if hash != first:
                self._passed_over += 1
                return hash
        self._passed_over = 0
        return first

    def _done(self, found: Sequence[bytes | None], blocks: Sequence[tuple[Hash, int]]) -> None:
        if self._closed:
            return
        for (hash, size), data in zip(blocks, found, strict=True):
            if self._reading.pop(hash, None) is None:
                continue  # cancelled
            self._reading_size -= size
            if data is None or len(data) != size:
                self._gone(hash)
            else:
                self.sent += size
                self._runs.extend(encode_pieces(hash, data))
        self.pump()

    def _failed(self, failure: Failure, blocks: Sequence[tuple[Hash, int]]) -> None:
        self._log.debug("blocks cannot be read: {reason}", reason=failure.value)
        self._done([None] * len(blocks), blocks)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("a block cannot be sent", failure)
