# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Taking in what one member tells of one box.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.box.values import Entry, Holder
from flocknode.exchange.announcing import WINDOW
from flocknode.exchange.interfaces import SharedBox

LIMIT: Final = 2 * WINDOW
"""Bytes of index that may wait to be joined; the other side sends no more than
L{WINDOW} ahead, and what is dropped here is asked for again."""


class Hearer:
    """
    Joins the index of a member into a box.

    One join at a time: what comes meanwhile is joined in one go afterwards.
    """

    _log = Logger()

    def __init__(
        self,
        box: SharedBox,
        holder: Holder,
        ack: Callable[[int, int], None],
        ask: Callable[[], None],
    ) -> None:
        """
        @param ack: told (index id, number) that is stored durably.
        @param ask: told that index is missing: the member should be shown
            what is stored here.
        """
        self._box = box
        self._holder = holder
        self._ack = ack
        self._ask = ask
        self._index_id = 0
        self._expected = 0
        self._waiting: list[tuple[int, list[Entry]]] = []
        self._waiting_size = 0
        self._joining = False
        self._closed = False

    @property
    def known(self) -> tuple[int, int]:
        """(the member's index id, how far it is stored durably) for a hello."""
        stored_id, number = self._box.stored(self._holder)
        if self._index_id and stored_id != self._index_id:
            return self._index_id, 0
        return stored_id, number

    def close(self) -> None:
        """The link or the box is gone."""
        self._closed = True
        self._forget()

    def hello(self, index_id: int) -> None:
        """The member's index has this id."""
        if index_id != self._index_id:
            self._forget()
            self._index_id = index_id
            self._expected = self.known[1]

    def index(self, start: int, to: int, entries: list[Entry], size: int) -> None:
        """
        A part of the index came.

        @param size: bytes of the record.
        """
        if not self._joining:
            # A join that an earlier link began may have ended meanwhile.
            self._expected = self.known[1]
        if not self._index_id or start > self._expected or self._waiting_size + size > LIMIT:
            self._ask()
            return
        # What was sent again, or had been left out, is joined like the rest.
        self._expected = max(self._expected, to)
        self._waiting.append((self._expected, entries))
        self._waiting_size += size
        self._join()

    def _join(self) -> None:
        if self._joining or not self._waiting:
            return
        self._joining = True
        entries = [entry for _to, part in self._waiting for entry in part]
        to = self._waiting[-1][0]
        index_id, start = self.known
        self._waiting.clear()
        self._waiting_size = 0
        joined = self._box.join(self._holder, index_id, start, to, entries)
        joined.addCallbacks(self._joined, self._failed, (index_id, to))
        joined.addErrback(self._broken)

    def _joined(self, continued: bool, index_id: int, to: int) -> None:
        self._joining = False
        if self._closed:
            return
        if not continued:
            self._forget()
            self._ask()
            return
        self._ack(index_id, to)
        self._join()

    def _failed(self, failure: Failure) -> None:
        self._log.debug("an index cannot be joined: {reason}", reason=failure.value)
        self._joined(False, 0, 0)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("an index cannot be taken in", failure)

    def _forget(self) -> None:
        """Go on where the box is."""
        self._waiting.clear()
        self._waiting_size = 0
        self._expected = self.known[1]
