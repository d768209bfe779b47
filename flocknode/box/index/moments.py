# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Many small reads of an index in few transactions: to begin and to end one, with
the locks that it takes, costs as much as reading some rows.
"""

from __future__ import annotations

import contextlib

from flocknode.box.index.database import Index

READS = 64
"""Of the same moment, at most: what is written meanwhile is seen soon."""


class Moments:
    """
    Belongs to the index's thread.

    @param index: opened for reading.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._moment = contextlib.ExitStack()
        self._left = 0

    def read(self) -> Index:
        """The index, for one read: of this moment, or of one shortly before."""
        if self._left == 0:
            self.end()
            self._moment.enter_context(self._index.moment())
            self._left = READS
        self._left -= 1
        return self._index

    def end(self) -> None:
        """What is read next is of now.  Idempotent."""
        self._left = 0
        self._moment.close()
