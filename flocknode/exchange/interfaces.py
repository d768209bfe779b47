# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the exchange needs from its two sides: the links that carry its records,
and the boxes that it exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from flocknode.box.values import BoxListener, Entry, Hash, Holder, Need


class Links(Protocol):
    """What carries records to other members."""

    def send(self, member: bytes, priority: int, data: bytes) -> None:
        """
        Queue whole records, at most L{flocknode.exchange.records.LONGEST}
        bytes with their lengths.  Told when they have left by
        L{flocknode.exchange.exchange.Exchange.consumed}.
        """

    def skip(self, member: bytes) -> None:
        """
        The member's stream makes no sense: let it go on at the start of a record,
        after L{flocknode.exchange.exchange.Exchange.reset}.
        """


class SharedBox(Protocol):
    """
    A box, as far as the exchange knows it; see L{flocknode.box.box.Box}.

    @ivar id: 16 bytes, the same on all members.
    @ivar index_id: of this index; random; may change while running.  0: the
        index is not open (yet, or any more: it went with its medium).
        L{BoxListener.advanced} follows each change.
    @ivar highest: the highest committed number.
    @ivar new_total: bytes of local changes since the process started.
    @ivar surveying: there may be more local changes in a moment.
    @ivar digest: 16 bytes of all entries.
    @ivar is_elsewhere: some member has ever shown that it has it, too.
    """

    listener: BoxListener | None

    @property
    def id(self) -> bytes: ...

    @property
    def index_id(self) -> int: ...

    @property
    def highest(self) -> int: ...

    @property
    def new_total(self) -> int: ...

    @property
    def surveying(self) -> bool: ...

    @property
    def digest(self) -> bytes: ...

    @property
    def is_elsewhere(self) -> bool: ...

    def entries_after(self, number: int, limit: int) -> Deferred[tuple[list[Entry], int]]:
        """Ascending entries, about C{limit} bytes; complete up to the int."""

    def join(
        self, holder: Holder, index_id: int, start: int, to: int, entries: Sequence[Entry]
    ) -> Deferred[bool]:
        """Durable when fired; false: it does not continue what is stored."""

    def stored(self, holder: Holder) -> tuple[int, int]:
        """(their index id, how far it is stored durably); (0, 0) if nothing."""

    def acknowledged(self, holder: Holder, index_id: int, number: int) -> None:
        """They have stored this box's index C{index_id} up to C{number}."""

    def acknowledged_by(self, holder: Holder) -> int:
        """How far they have stored the index."""

    def needs(self) -> list[Need]:
        """All blocks that are missing."""

    def sources(self, content: Hash) -> frozenset[Holder]:
        """Who holds this needed content whole."""

    def read_many(self, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
        """Blocks and block lists, verified; None for what is not here."""

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> Deferred[list[bool]]:
        """Which of these are what they are said to be; those are kept."""

    def lacking(self, holder: Holder) -> int:
        """Bytes that are complete here and that they do not show complete."""

    def counted(self, total: int) -> None:
        """Local changes up to this C{new_total} are part of a round."""
