# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What a box's engine has to tell after it did something."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from flocknode.box.values import Hash, Holder, Need, Path


@attrs.define
class Events:
    """
    Collected until somebody takes them.

    @ivar wanted: blocks that are needed from now on.
    @ivar unwanted: those that are not any more.
    @ivar sources: content -> who holds it whole.
    @ivar look: paths to be looked at.
    @ivar afresh: paths to be hashed again even if they look unchanged.
    @ivar rescan: directories to be scanned, with all that is in them.
    """

    wanted: dict[Hash, Need] = attrs.field(factory=dict)
    unwanted: dict[Hash, None] = attrs.field(factory=dict)
    sources: dict[Hash, frozenset[Holder]] = attrs.field(factory=dict)
    look: set[Path] = attrs.field(factory=set)
    afresh: set[Path] = attrs.field(factory=set)
    rescan: set[Path] = attrs.field(factory=set)

    def want(self, needs: Iterable[Need]) -> None:
        """These are needed."""
        for need in needs:
            if need.hash in self.unwanted:
                del self.unwanted[need.hash]
            self.wanted[need.hash] = need

    def unwant(self, hashes: Iterable[Hash]) -> None:
        """These are not needed any more."""
        for hash in hashes:
            self.wanted.pop(hash, None)
            self.unwanted[hash] = None
