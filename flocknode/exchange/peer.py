# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One link: the state that is shared with one alive member, and what its records
do to it.  Built anew whenever the member appears or its epoch changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from flocknode.box.values import Hash, Holder, Need
from flocknode.errors import ProtocolError
from flocknode.exchange.announcing import Announcer, IndexSource, Shown
from flocknode.exchange.clock import RoundClock
from flocknode.exchange.entries import entries_of
from flocknode.exchange.hearing import Hearer
from flocknode.exchange.interfaces import Links, SharedBox
from flocknode.exchange.outbox import Outbox
from flocknode.exchange.records import (
    BULK,
    CONTROL,
    HASHES,
    VERSION,
    Ack,
    BoxNumbers,
    Cancel,
    Gone,
    Have,
    Hello,
    Index,
    Piece,
    Record,
    Want,
    decode,
    encode,
)
from flocknode.exchange.requests import Request, Requests
from flocknode.exchange.serving import Serving
from flocknode.exchange.status import LinkState
from flocknode.exchange.stream import RecordStream
from flocknode.exchange.swarm import Swarm

_GREETING_PAUSE: Final = 1.0
"""Seconds of a round between two hellos that only ask for what was lost."""


T = TypeVar("T")


class PeerUser(Protocol):
    """Whom a link tells what concerns other links too."""

    def read(self, box: bytes, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
        """Read blocks of a box."""

    def strange(self, peer: Peer, error: ProtocolError) -> None:
        """The member sent what is no record."""

    def came(self, peer: Peer, request: Request, block: bytes) -> None:
        """All bytes of a requested block are here, not verified."""

    def has(self, peer: Peer, box: bytes, hashes: Iterable[bytes]) -> None:
        """The member has these blocks."""

    def refused(self, peer: Peer, request: Request) -> None:
        """The member cannot send this (not requested any more)."""

    def released(self, peer: Peer, request: Request) -> None:
        """It will not come (not requested any more); may be asked for again."""


class Peer:
    """
    One alive member.

    @ivar member: 16 bytes.
    @ivar bit: stands for the member in L{flocknode.exchange.swarm}.
    @ivar met: it has said which boxes it has.
    @ivar errors: records that did not parse.
    @ivar bad: blocks from this member that were not what they should be.
    """

    _log = Logger()

    def __init__(
        self,
        member: bytes,
        bit: int,
        *,
        user: PeerUser,
        links: Links,
        clock: RoundClock,
        given: Counter[Hash],
        shown: Shown,
    ) -> None:
        self.member = member
        self.bit = bit
        self.met = False
        self.errors = 0
        self.bad = 0
        self.outbox = Outbox(links, member)
        self.requests = Requests()
        self.serving = Serving(self.outbox, clock, user.read, self._cannot, given)
        self._user = user
        self._links = links
        self._clock = clock
        self._shown = shown
        self._stream = RecordStream()
        self._boxes: dict[bytes, SharedBox] = {}
        self._announcers: dict[bytes, Announcer] = {}
        self._hearers: dict[bytes, Hearer] = {}
        self._theirs: dict[bytes, BoxNumbers] = {}
        self._unheeded: set[bytes] = set()
        self._greeted = 0.0
        self._greeting_due = False
        self._want: dict[bytes, list[tuple[Hash, int]]] = {}
        self._have: dict[bytes, list[Hash]] = {}
        self._gone: list[Hash] = []
        self._cancel: list[Hash] = []

    # The boxes that this node has

    def add(self, box: SharedBox, source: IndexSource) -> None:
        """Exchange this box, whose index is open, too; L{greet} must follow."""
        holder = Holder(self.member)
        self._boxes[box.id] = box
        self._announcers[box.id] = Announcer(
            box, holder, source, outbox=self.outbox, clock=self._clock, shown=self._shown
        )
        self._hearers[box.id] = Hearer(
            box, holder, lambda id, number: self._ack(box.id, id, number), self._ask
        )
        self._unheeded.add(box.id)

    def remove(self, box: bytes) -> None:
        """This node does not have it any more; L{greet} must follow."""
        if self._boxes.pop(box, None) is None:
            return
        self._announcers.pop(box).close()
        self._hearers.pop(box).close()

    def shares(self, box: bytes) -> bool:
        """Does the member have this box, as far as is known?"""
        announcer = self._announcers.get(box)
        return announcer is not None and announcer.open

    def behind(self, box: bytes) -> int:
        """Numbers of the box's index that the member has not acknowledged."""
        return self._announcers[box].behind

    def close(self) -> None:
        """The link is gone."""
        self.serving.close()
        for announcer in self._announcers.values():
            announcer.close()
        for hearer in self._hearers.values():
            hearer.close()

    # What to send; all but index and pieces leaves at L{flush}

    def greet(self) -> None:
        """Say which boxes this node has, and how far it knows the member's."""
        self._greeting_due = False
        self._greeted = self._clock()
        # Its hello may have come before the index of a box was open here.
        unheeded = self._unheeded & self._theirs.keys() & self._boxes.keys()
        self._unheeded.clear()
        for id in unheeded:
            self._hearers[id].hello(self._theirs[id].index_id)
        numbers = tuple(
            BoxNumbers(id, box.index_id, box.highest, *self._hearers[id].known)
            for id, box in self._boxes.items()
        )
        self.outbox.send(CONTROL, encode(Hello(VERSION, numbers)))
        for id in unheeded:
            self._announcers[id].hello(self._theirs[id].your_id, self._theirs[id].stored)
        self.pump()

    def pump(self) -> None:
        """Announce what there is to announce."""
        for announcer in self._announcers.values():
            announcer.pump()

    def repeat(self) -> None:
        """Announce what was left out since a member that is lost had shown it."""
        for announcer in self._announcers.values():
            announcer.repeat()

    def settled(self, box: bytes) -> None:
        """Nothing is missing in this box."""
        announcer = self._announcers.get(box)
        if announcer is not None:
            announcer.settled()

    def want(self, box: bytes, need: Need) -> None:
        """Ask for a block."""
        if self.requests.ask(box, need, self._clock()):
            self._want.setdefault(box, []).append((need.hash, need.size))

    def have(self, box: bytes, hash: Hash) -> None:
        """Say that a block was verified here."""
        self._have.setdefault(box, []).append(hash)

    def unwant(self, box: bytes, hash: Hash) -> None:
        """A block that was asked for is not missing any more."""
        if self.requests.drop_for(box, hash):
            self._cancel.append(hash)

    def swap(self, box: bytes, hash: Hash, swarm: Swarm) -> None:
        """Ask for a rarer block in place of this one, if it has not begun to come."""
        request = self.requests.get(hash)
        if (
            request is not None
            and not request.begun
            and request.boxes == [box]
            and swarm.swap(self.bit, hash)
        ):
            self.unwant(box, hash)

    def flush(self) -> None:
        """Send what was gathered."""
        if not (self._cancel or self._want or self._gone or self._have):
            return
        records: list[Record] = [Cancel(hashes) for hashes in _parts(self._cancel)]
        for box, blocks in self._want.items():
            records += [Want(box, part) for part in _parts(blocks)]
        records += [Gone(hashes) for hashes in _parts(self._gone)]
        for box, had in self._have.items():
            records += [Have(box, hashes) for hashes in _parts(had)]
        self._cancel.clear()
        self._want.clear()
        self._gone.clear()
        self._have.clear()
        for record in records:
            self.outbox.send(CONTROL, encode(record))

    def tick(self) -> None:
        """To be called several times a second."""
        self.requests.measure(self._clock())
        self.serving.pump()
        if self._greeting_due:
            self._ask()
        for announcer in self._announcers.values():
            announcer.tick()

    def overdue(self) -> bool:
        """Give up what has not come in time; false if there was nothing."""
        late = self.requests.overdue(self._clock())
        for request in late:
            self.requests.lose(request.need.hash)
            self._cancel.append(request.need.hash)
            self._user.released(self, request)
        return bool(late)

    def _ask(self) -> None:
        """Let the member know that something of its index is missing here."""
        if self._clock() - self._greeted >= _GREETING_PAUSE:
            self.greet()
        else:
            self._greeting_due = True

    def _ack(self, box: bytes, index_id: int, number: int) -> None:
        self.outbox.send(CONTROL, encode(Ack(box, index_id, number)))

    def _cannot(self, hash: Hash) -> None:
        self._gone.append(hash)

    def consumed(self, priority: int, size: int) -> None:
        """So many bytes have left."""
        self.outbox.consumed(priority, size)
        if priority == BULK:
            self.serving.consumed()
        self.pump()

    def state(self, lacking: int) -> LinkState:
        """What is going on on this link."""
        return LinkState(
            self.member,
            lacking,
            self.requests.outstanding,
            int(self.requests.rate),
            self.serving.sent,
            self.requests.arrived,
            self.bad,
            self.errors,
        )

    # What comes

    def reset(self) -> None:
        """Bytes are missing; what follows begins at the start of a record."""
        self._stream.restart()
        # The blocks of which a part was here were in the middle of coming.
        for request in self.requests.torn():
            self.requests.lose(request.need.hash)
            self._user.released(self, request)
        self._ask()

    def received(self, data: bytes) -> None:
        """The next bytes of the stream."""
        try:
            for body in self._stream.feed(data):
                try:
                    record = decode(body)
                    if record is not None:
                        self._take(record, len(body))
                except ProtocolError as error:
                    self._error(error)
        except ProtocolError as error:
            self._error(error)
            self._links.skip(self.member)

    def _error(self, error: ProtocolError) -> None:
        self.errors += 1
        self._log.debug("a record is dropped: {reason}", reason=error)
        self._user.strange(self, error)

    def _take(self, record: Record, size: int) -> None:
        match record:
            case Piece():
                done = self.requests.piece(record, self._clock())
                if done is not None:
                    self._user.came(self, *done)
            case Hello():
                self._hello(record)
            case Index():
                self._index(record, size)
            case Ack():
                announcer = self._announcers.get(record.box)
                if announcer is not None:
                    announcer.ack(record.index_id, record.number)
            case Want():
                self.serving.want(record.box, record.blocks)
            case Have():
                self._user.has(self, record.box, record.hashes)
            case Gone():
                for hash in record.hashes:
                    request = self.requests.drop(Hash(hash))
                    if request is not None:
                        self._user.refused(self, request)
            case Cancel():
                self.serving.cancel(record.hashes)

    def _hello(self, hello: Hello) -> None:
        if hello.version != VERSION:
            raise ProtocolError(f"A hello of version {hello.version}; update the older node.")
        self.met = True
        self._theirs = {numbers.box: numbers for numbers in hello.boxes}
        known = True
        for id, box in self._boxes.items():
            numbers = self._theirs.get(id)
            if numbers is None:
                self._announcers[id].absent()
                continue
            known = known and numbers.your_id == box.index_id
            self._hearers[id].hello(numbers.index_id)
            self._announcers[id].hello(numbers.your_id, numbers.stored)
        if not known:
            # It has not heard of this node's index: an index would say nothing.
            self._ask()

    def _index(self, index: Index, size: int) -> None:
        hearer = self._hearers.get(index.box)
        if hearer is None:
            return
        entries = entries_of(index)
        self._shown.add(entries)
        hearer.index(index.start, index.to, entries, size)


def _parts(items: list[T]) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(items), HASHES):
        yield tuple(items[start : start + HASHES])
