# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Missing blocks: who has each, whom it was asked of, and which goes first.

Members are bits: sets of them are ints.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from flocknode.box.values import Need

_OCTAVE: Final = 17
"""Files up to 2**17 bytes (a block) are all equally small."""

ORDER_BITS: Final = 40
"""Bits of the chance that decides among equals."""


class Content:
    """
    What blocks are parts of.

    @ivar sources: who holds all of it.
    @ivar blocks: the missing ones.
    """

    __slots__ = ("blocks", "sources")

    def __init__(self, sources: int) -> None:
        self.sources = sources
        self.blocks: set[Block] = set()


class Block:
    """
    A missing one.

    @ivar have: members that said they have it; C{refused}: that turned out
        not to, or gave something else.
    @ivar order: C{ORDER_BITS} of chance.
    @ivar asked: members that are to send it.
    @ivar held: all its bytes are here and being verified, or it is not missing
        any more.
    """

    __slots__ = ("asked", "content", "have", "held", "need", "order", "refused")

    def __init__(self, need: Need, content: Content, have: int, order: int) -> None:
        self.need = need
        self.content = content
        self.have = have
        self.order = order
        self.refused = 0
        self.asked = 0
        self.held = False

    def holders(self) -> int:
        """Who may be asked for it."""
        return (self.content.sources | self.have) & ~self.refused

    def urgency(self) -> int:
        """What is asked for first has the least: lists, small files, rare blocks."""
        need = self.need
        octave = 0 if need.listing else 1 + ((need.file_size - 1) >> _OCTAVE).bit_length()
        return (octave << 8) | self.holders().bit_count()

    def key(self) -> int:
        """Its urgency, and chance among equals."""
        return self.urgency() << ORDER_BITS | self.order

    def __lt__(self, other: Block) -> bool:
        return False  # Equal keys, once in 2**40: either may go first.


class Queues:
    """
    For each member the waiting blocks that it has, the first to ask for in
    front.

    Keys in a heap may be out of date.  Rarity mostly falls, so a key is too
    small at worst: it is put right when it comes up.
    """

    def __init__(self) -> None:
        self._heaps: dict[int, list[tuple[int, Block]]] = {}

    def enter(self, member: int) -> None:
        """A member that has nothing yet."""
        self._heaps[member] = []

    def leave(self, member: int) -> bool:
        """@return: whether this one was there."""
        return self._heaps.pop(member, None) is not None

    def put(self, block: Block, members: int) -> None:
        """These may be asked for a block that is waiting."""
        entry = (block.key(), block)
        for member, heap in self._heaps.items():
            if member & members:
                heapq.heappush(heap, entry)

    def fill(self, blocks: Iterable[Block]) -> None:
        """Begin anew with these, each for its holders."""
        for heap in self._heaps.values():
            heap.clear()
        for block in blocks:
            members = block.holders()
            entry = (block.key(), block)
            for member, heap in self._heaps.items():
                if member & members:
                    heap.append(entry)
        for heap in self._heaps.values():
            heapq.heapify(heap)

    def first(self, member: int) -> Block | None:
        """What to ask this member for; it stays where it is."""
        heap = self._heaps[member]
        while heap:
            key, block = heap[0]
            if block.asked or block.held or not block.holders() & member:
                heapq.heappop(heap)
                continue
            now = block.key()
            if now == key:
                return block
            heapq.heapreplace(heap, (now, block))
        return None

    def take(self, member: int) -> Block | None:
        """The same, and it is there no more."""
        block = self.first(member)
        if block is not None:
            heapq.heappop(self._heaps[member])
        return block

    def any(self) -> bool:
        """Is there something to ask anybody for?"""
        return any(self.first(member) is not None for member in self._heaps)
