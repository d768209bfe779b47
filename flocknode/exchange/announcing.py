# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Telling others what a box holds: its index, from the number that each has
stored durably.

 - L{IndexSource} reads the index of a box in chunks, once for all members that
   are at the same number.
 - L{Announcer} sends them on one link, so many bytes ahead of the
   acknowledgement, and again what was not acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

import attrs
import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.values import Entry, Holder
from flocknode.exchange.clock import RoundClock
from flocknode.exchange.entries import record_of
from flocknode.exchange.interfaces import SharedBox
from flocknode.exchange.outbox import Outbox
from flocknode.exchange.records import CONTROL, INDEX_SIZE, EncodedIndex, encode, encode_entry

WINDOW: Final = 1_048_576
"""Bytes of index that may be sent and not acknowledged, per link and box."""

_AHEAD: Final = 262_144
"""Bytes that may wait to leave: what is more urgent must not wait behind."""

_GRACE: Final = 0.5
"""Seconds of a round that what has left gets to be heard of in a hello."""

_PATIENCE: Final = 3.0
"""Seconds of a round without acknowledgement after which all is sent again."""

_CHUNKS: Final = 8
"""Chunks of a box that are kept for the next member that needs them."""

_SHOWN: Final = 65_536
"""Entries of other members that are remembered so as not to repeat them."""


@attrs.frozen
class Chunk:
    """
    A part of an index.

    @ivar start: the number after which it begins, C{to} the one up to which
        it is complete.
    @ivar entries: (L{fingerprint}, or 0 if it must be sent in any case;
        encoded).
    """

    index_id: int
    start: int
    to: int
    entries: tuple[tuple[int, msgspec.Raw], ...]


def fingerprint(entry: Entry) -> int:
    """Equal for entries that say the same of a path, never 0."""
    history = entry.history
    return hash((entry.path, tuple([head.id for head in history.heads]), history.superseded)) or 1


class Shown:
    """
    What alive members have shown of any box, while it is not complete here.

    There is no use in repeating it: whoever is alive hears it from them, and
    it is announced from here once it is complete.  When one of them is lost,
    what was left out is announced after all.
    """

    def __init__(self) -> None:
        self._marks: dict[int, None] = {}

    def __contains__(self, mark: int) -> bool:
        return mark in self._marks

    def add(self, entries: Iterable[Entry]) -> None:
        """A member has shown these."""
        marks = self._marks
        for entry in entries:
            marks[fingerprint(entry)] = None
        while len(marks) > _SHOWN:
            del marks[next(iter(marks))]

    def clear(self) -> None:
        """A member is lost."""
        self._marks.clear()


class IndexSource:
    """
    The index of one box, in chunks.
    """

    def __init__(self, box: SharedBox) -> None:
        self._box = box
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._reading: dict[int, list[Deferred[Chunk]]] = {}

    def chunk(self, start: int) -> Deferred[Chunk]:
        """The chunk that begins after the number C{start}."""
        known = self._chunks.get(start)
        if known is not None:
            if known.index_id == self._box.index_id:
                return succeed(known)
            self._chunks.clear()
        waiting: Deferred[Chunk] = Deferred()
        if start in self._reading:
            self._reading[start].append(waiting)
        else:
            self._reading[start] = [waiting]
            read = self._box.entries_after(start, INDEX_SIZE)
            chunk = read.addCallback(self._encode, self._box.index_id, start)
            chunk.addCallbacks(self._done, self._failed, (start,), {}, (start,), {})
        return waiting

    def _encode(self, read: tuple[list[Entry], int], index_id: int, start: int) -> Chunk:
        entries, to = read
        chunk = Chunk(
            index_id,
            start,
            to,
            tuple(
                [
                    (0 if entry.complete else fingerprint(entry), encode_entry(record_of(entry)))
                    for entry in entries
                ]
            ),
        )
        if to > start:
            self._chunks[start] = chunk
            if len(self._chunks) > _CHUNKS:
                self._chunks.popitem(last=False)
        return chunk

    def _done(self, chunk: Chunk, start: int) -> None:
        for waiting in self._reading.pop(start):
            waiting.callback(chunk)

    def _failed(self, failure: Failure, start: int) -> None:
        for waiting in self._reading.pop(start):
            waiting.errback(failure)


@attrs.define
class _Span:
    """
    Index that was sent and not acknowledged.

    @ivar end: where in the outbox it ends.
    @ivar left: when it was seen to have left.
    """

    start: int
    to: int
    size: int
    end: int
    left: float | None = None


class Announcer:
    """
    Sends the index of one box on one link.

    It begins where the member is known to have stored it, and only once the
    member is known to have this box.  The window is counted in bytes not
    acknowledged; whatever is lost on the way is sent again, from there.
    """

    _log = Logger()

    def __init__(
        self,
        box: SharedBox,
        holder: Holder,
        source: IndexSource,
        *,
        outbox: Outbox,
        clock: RoundClock,
        shown: Shown,
    ) -> None:
        self._box = box
        self._holder = holder
        self._source = source
        self._outbox = outbox
        self._clock = clock
        self._index_id = box.index_id
        self._acked = box.acknowledged_by(holder)
        self._sent = self._acked
        self._open = self._acked > 0
        self._spans: deque[_Span] = deque()
        self._unacked = 0
        self._progress = 0.0
        self._reading = False
        self._closed = False
        self._shown = shown
        self._left_out: int | None = None
        self._repeated = 0

    @property
    def open(self) -> bool:
        """Is the member known to have this box?"""
        return self._open

    @property
    def behind(self) -> int:
        """Numbers that the member has not acknowledged."""
        return max(0, self._box.highest - self._acked)

    def close(self) -> None:
        """The link or the box is gone."""
        self._closed = True

    def repeat(self) -> None:
        """Announce what was left out because others had shown it."""
        if self._left_out is not None:
            self._repeated = max(self._repeated, self._sent)
            self._sent = min(self._sent, self._left_out)
            self._spans.clear()
            self._unacked = 0
        self._left_out = None
        self.pump()

    def settled(self) -> None:
        """Nothing is missing here: all that was left out was announced since."""
        self._left_out = None

    def absent(self) -> None:
        """The member does not have this box (any more)."""
        self._open = False

    def hello(self, index_id: int, stored: int) -> None:
        """The member says what it has stored of this index."""
        self._box.acknowledged(self._holder, index_id, stored)
        self._open = True
        if index_id != self._box.index_id:
            stored = 0
        if self._index_id != self._box.index_id:
            self._restart(stored)
        else:
            self._advance(stored)
            begun = self._spans[0].start if self._spans else self._sent
            behind = self._repeated <= self._sent < stored
            if begun > stored or behind or self._is_lost(_GRACE):
                self._restart(stored)
        self.pump()

    def ack(self, index_id: int, number: int) -> None:
        """The member has stored more."""
        if index_id != self._box.index_id:
            return
        self._box.acknowledged(self._holder, index_id, number)
        if index_id == self._index_id == self._box.index_id:
            self._advance(number)
        self.pump()

    def tick(self) -> None:
        """To be called several times a second."""
        if self._is_lost(_PATIENCE):
            self._restart(self._acked)
        self.pump()

    def pump(self) -> None:
        """Send what there is to send and room for."""
        if not self._open or self._closed or self._reading:
            return
        if self._index_id != self._box.index_id:
            self._restart(0)
        if (
            self._sent < self._box.highest
            and self._unacked < WINDOW
            and self._outbox.waiting(CONTROL) < _AHEAD
        ):
            self._reading = True
            chunk = self._source.chunk(self._sent)
            chunk.addCallbacks(self._send, self._failed)
            chunk.addErrback(self._broken)

    def _send(self, chunk: Chunk) -> None:
        self._reading = False
        if self._closed or not self._open:
            return
        if chunk.index_id == self._index_id and chunk.start == self._sent:
            if chunk.to <= chunk.start:
                return
            shown = self._shown
            entries = [encoded for mark, encoded in chunk.entries if mark not in shown]
            if len(entries) < len(chunk.entries) and self._left_out is None:
                self._left_out = chunk.start
            data = encode(EncodedIndex(self._box.id, chunk.start, chunk.to, entries))
            self._outbox.send(CONTROL, data)
            if not self._spans:
                self._progress = self._clock()
            self._spans.append(_Span(chunk.start, chunk.to, len(data), self._outbox.sent(CONTROL)))
            self._unacked += len(data)
            self._sent = chunk.to
        self.pump()

    def _failed(self, failure: Failure) -> None:
        self._reading = False
        self._log.debug("an index cannot be read: {reason}", reason=failure.value)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("an index cannot be announced", failure)

    def _advance(self, number: int) -> None:
        """The member has stored everything up to here."""
        if number != self._acked:
            self._acked = number
            self._progress = self._clock()
        while self._spans and self._spans[0].to <= number:
            self._unacked -= self._spans.popleft().size

    def _restart(self, number: int) -> None:
        """Go on after this number, whatever was sent."""
        self._index_id = self._box.index_id
        self._acked = self._sent = number
        self._repeated = 0
        self._spans.clear()
        self._unacked = 0

    def _is_lost(self, patience: float) -> bool:
        """Should the first that was not acknowledged have been by now?"""
        if not self._spans:
            return False
        first = self._spans[0]
        now = self._clock()
        if first.left is None:
            if first.end <= self._outbox.left(CONTROL):
                first.left = now
            return False
        return now - max(first.left, self._progress) > patience
