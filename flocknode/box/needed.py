# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a box needs, as known in the reactor: for whoever asks without waiting.
"""

from __future__ import annotations

from collections import Counter

from flocknode.box.events import Events
from flocknode.box.values import BoxListener, Hash, Holder, Need


class Needed:
    """A copy of the engine's needs, kept up to date by its events."""

    def __init__(self) -> None:
        self._needs: dict[Hash, Need] = {}
        self._sources: dict[Hash, frozenset[Holder]] = {}
        self._contents: Counter[Hash] = Counter()
        # How many needs each content has.

    def needs(self) -> list[Need]:
        """All that is needed."""
        return list(self._needs.values())

    def sources(self, content: Hash) -> frozenset[Holder]:
        """Who holds a needed content whole."""
        return self._sources.get(content, frozenset())

    def apply(self, events: Events, box: object, listener: BoxListener | None) -> None:
        """Take over what changed, and tell the listener."""
        unwanted = [hash for hash in events.unwanted if self._forget(hash)]
        self._sources.update(events.sources)
        wanted = list(events.wanted.values())
        for need in wanted:
            self._contents[need.content] += 1
            known = self._needs.get(need.hash)
            self._needs[need.hash] = need
            if known is not None:
                self._leave(known.content)
        if listener is None:
            return
        if unwanted:
            listener.unwanted(box, unwanted)
        for content, holders in events.sources.items():
            listener.sources(box, content, holders)
        if wanted:
            listener.wanted(box, wanted)

    def _forget(self, hash: Hash) -> bool:
        need = self._needs.pop(hash, None)
        if need is None:
            return False
        self._leave(need.content)
        return True

    def _leave(self, content: Hash) -> None:
        self._contents[content] -= 1
        if not self._contents[content]:
            del self._contents[content]
            self._sources.pop(content, None)
