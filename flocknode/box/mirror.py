# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is known of a box in the reactor, for whoever asks without waiting.
"""

from __future__ import annotations

from flocknode.box.core import Told
from flocknode.box.engine import Snapshot
from flocknode.box.needed import Needed
from flocknode.box.values import BoxListener, Holder


class Mirror:
    """
    A copy of what the engine knows, as of the last thing that it did.

    @ivar numbers: its numbers.
    @ivar needed: the blocks that it needs.
    """

    def __init__(self) -> None:
        self.numbers = Snapshot()
        self.needed = Needed()
        self._total_before = 0

    @property
    def new_total(self) -> int:
        """Bytes of all local changes since the start, with all indexes."""
        return self._total_before + self.numbers.new_total

    def total_in_index(self, total: int) -> int:
        """@return: how much of a L{new_total} is in the present index; may be negative."""
        return total - self._total_before

    @property
    def is_elsewhere(self) -> bool:
        """See L{flocknode.box.box.Box.is_elsewhere}."""
        return bool(self.numbers.stored or self.numbers.acknowledged)

    def stored(self, holder: Holder) -> tuple[int, int]:
        """See L{flocknode.box.box.Box.stored}."""
        return self.numbers.stored.get(holder, (0, 0))

    def acknowledged_by(self, holder: Holder) -> int:
        """See L{flocknode.box.box.Box.acknowledged_by}."""
        return self.numbers.acknowledged.get(holder, 0)

    def lacking(self, holder: Holder) -> int:
        """See L{flocknode.box.box.Box.lacking}."""
        return self.numbers.lacking.get(holder, self.numbers.lacking_all)

    def take(self, told: Told, box: object, listener: BoxListener | None) -> bool:
        """
        Take over what the engine told, and tell the listener of the box.

        @return: whether the box may hold something else.
        """
        old, new = self.numbers, told.numbers
        self.numbers = new
        if old.index_id and not new.index_id:
            # Its index went with its medium; what was new in it was told.
            self._total_before += old.new_total
        self.needed.apply(told.events, box, listener)
        advanced = new.highest > old.highest or new.index_id != old.index_id
        if listener is not None and advanced:
            listener.advanced(box)
        if listener is not None and new.measures != old.measures:
            listener.measured(box)
        # What is deleted before anybody was told of it leaves no number.
        before, after = ((each.digest, each.files, each.size) for each in (old, new))
        return advanced or before != after
