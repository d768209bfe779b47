# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who is asked for what: the decisions for the missing blocks of one box.

Block lists go first, since nothing of their file can be asked for without
them; then blocks of small files before those of large ones (in octaves); then
the blocks that fewest members have; among equals, at random, so that several
receivers ask one source for different blocks and get the rest from each other.
A block is asked of one member at a time, until only outstanding ones are left.

Pure: no I/O, no clock.  Members are bits: sets of them are ints.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from flocknode.box.values import Hash, Need
from flocknode.exchange.missing import ORDER_BITS, Block, Content, Queues

EARLY: Final = 65_536
"""Blocks of which it is remembered who has them though they are not missing
here yet (their file's index entry or block list is still on its way)."""

PROBES: Final = 1_024
"""Blocks that nobody is known to have, asked of each member until L{forgive}."""

_AT_ONCE: Final = 2
"""Members that an outstanding block is asked of when nothing else is left."""


class Swarm:
    """
    The missing blocks of one box.

    @ivar missing: bytes of them.
    """

    def __init__(self, random: random.Random, sources: Callable[[Hash], int]) -> None:
        """
        @param sources: which of the members that entered hold a content whole;
            asked when its first block is added and when a member enters.
        """
        self.missing = 0
        self._random = random
        self._sources = sources
        self._blocks: dict[Hash, Block] = {}
        self._contents: dict[Hash, Content] = {}
        self._early: dict[Hash, int] = {}
        self._asked: dict[Hash, Block] = {}
        self._orphans: dict[Hash, Block] = {}
        self._probes: dict[int, int] = {}
        self._held = 0
        self._queues = Queues()

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, hash: Hash) -> bool:
        return hash in self._blocks

    @property
    def waiting(self) -> int:
        """How many are neither asked of anybody nor here and being verified."""
        return len(self._blocks) - len(self._asked) - self._held

    # Members

    def enter(self, member: int) -> None:
        """A member can be asked from now on."""
        self._queues.enter(member)
        for hash, content in self._contents.items():
            content.sources = self._sources(hash)
        self._rebuild()

    def leave(self, member: int) -> None:
        """A member cannot be asked any more; what was asked of it is waiting."""
        if not self._queues.leave(member):
            return
        for block in self._blocks.values():
            block.have &= ~member
            block.refused &= ~member
            block.content.sources &= ~member
            if block.asked & member:
                self._unask(block, member)
        for hash in [hash for hash, have in self._early.items() if have & member]:
            self._early[hash] &= ~member
            if not self._early[hash]:
                del self._early[hash]
        self._rebuild()

    def forgive(self) -> None:
        """Members may be asked again for what they could not give."""
        self._probes.clear()
        for block in self._blocks.values():
            if block.refused:
                block.refused = 0
                self._put(block)

    # What is missing

    def add(self, needs: Iterable[Need]) -> None:
        """These are missing from now on."""
        for need in needs:
            if need.hash in self._blocks:
                continue
            content = self._contents.get(need.content)
            if content is None:
                content = self._contents[need.content] = Content(self._sources(need.content))
            have = self._early.pop(need.hash, 0)
            order = self._random.getrandbits(ORDER_BITS)
            block = self._blocks[need.hash] = Block(need, content, have, order)
            content.blocks.add(block)
            self.missing += need.size
            self._put(block)

    def remove(self, hash: Hash) -> int:
        """
        It is not missing any more.

        @return: the members that it is still asked of.
        """
        block = self._blocks.pop(hash, None)
        if block is None:
            return 0
        asked = block.asked
        if asked:
            del self._asked[hash]
        self._orphans.pop(hash, None)
        block.asked = 0
        self._held -= block.held
        block.held = True
        self.missing -= block.need.size
        block.content.blocks.discard(block)
        if not block.content.blocks:
            self._contents.pop(block.need.content, None)
        return asked

    def arrived(self, hash: Hash) -> int:
        """
        All its bytes are here; until L{remove} or L{fail} it is not asked for.

        @return: the members that it was asked of.
        """
        block = self._blocks.get(hash)
        if block is None:
            return 0
        asked = block.asked
        if asked:
            del self._asked[hash]
        block.asked = 0
        self._held += not block.held
        block.held = True
        return asked

    def fail(self, hash: Hash) -> None:
        """What L{arrived} could not be used."""
        block = self._blocks.get(hash)
        if block is not None and block.held:
            self._held -= 1
            block.held = False
            self._put(block)

    # Who has what

    def sources(self, content: Hash, members: int) -> bool:
        """
        These hold all of a content now.

        @return: whether that is news, and of interest.
        """
        known = self._contents.get(content)
        if known is None or known.sources == members:
            return False
        lost = known.sources & ~members
        gained = members & ~known.sources
        known.sources = members
        for block in known.blocks:
            # With fewer holders it became more urgent: put it in anew.
            self._put(block, ~0 if lost else gained)
        return True

    def has(self, member: int, hash: Hash) -> int:
        """
        A member has verified this block.

        @return: the members that it is asked of.
        """
        block = self._blocks.get(hash)
        if block is None:
            early = self._early
            early[hash] = early.pop(hash, 0) | member
            if len(early) > EARLY:
                del early[next(iter(early))]
            return 0
        if not block.have & member:
            block.have |= member
            self._put(block, member)
        return block.asked

    def holders(self, hash: Hash) -> int:
        """Who is known to have this missing block."""
        block = self._blocks.get(hash)
        return 0 if block is None else block.holders()

    def refuse(self, member: int, hash: Hash) -> None:
        """A member cannot give this block: not asked again until L{forgive}."""
        block = self._blocks.get(hash)
        if block is None:
            return
        block.have &= ~member
        block.refused |= member
        if block.asked & member:
            self._unask(block, member)
        if not block.asked:
            self._put(block)

    def release(self, member: int, hash: Hash) -> None:
        """It was asked of this member and will not come."""
        block = self._blocks.get(hash)
        if block is not None and block.asked & member:
            self._unask(block, member)
            if not block.asked:
                self._put(block)

    # Decisions

    def offers(self, member: int) -> bool:
        """Does this member have a block that is waiting?"""
        return self._queues.first(member) is not None

    def next(self, member: int) -> Need | None:
        """The block to ask this member for; counts as asked from now on."""
        block = self._queues.take(member)
        return None if block is None else self._ask(block, member)

    def swap(self, member: int, hash: Hash) -> bool:
        """
        Should this member be asked for another block rather than for this one?
        So if it has one that fewer have: this one has spread meanwhile.  Then
        the block counts as waiting again.
        """
        block = self._blocks.get(hash)
        if block is None or block.asked != member:
            return False
        first = self._queues.first(member)
        if first is None or first.urgency() >= block.urgency():
            return False
        self.release(member, hash)
        return True

    def spares(self, member: int) -> Iterator[Need]:
        """
        If all that any member has is outstanding: what this one could send as
        well, the longest outstanding first.  Each counts as asked when given.
        """
        if self._queues.any():
            return
        for block in self._asked.values():
            if (
                block.holders() & member
                and not block.asked & member
                and block.asked.bit_count() < _AT_ONCE
            ):
                yield self._ask(block, member)

    def orphans(self, member: int) -> Iterator[Need]:
        """
        Blocks that nobody is known to have, and that this member has not
        refused: perhaps it has them, and the others were not there when it said
        so.  Each counts as asked when given.
        """
        probes = self._probes.get(member, 0)
        if probes >= PROBES:
            return
        for hash, block in list(self._orphans.items()):
            if block.asked or block.held or block.holders():
                del self._orphans[hash]
            elif not block.refused & member:
                probes = self._probes[member] = probes + 1
                yield self._ask(block, member)
                if probes >= PROBES:
                    return

    def obtainable(self) -> bool:
        """Is anything missing that a member could send?"""
        return bool(self._asked) or self._queues.any()

    def outstanding(self) -> list[tuple[Hash, int]]:
        """Blocks that were asked for, and the members that are to send them."""
        return [(hash, block.asked) for hash, block in self._asked.items()]

    def _ask(self, block: Block, member: int) -> Need:
        block.asked |= member
        self._asked[block.need.hash] = block
        return block.need

    def _unask(self, block: Block, member: int) -> None:
        block.asked &= ~member
        if not block.asked:
            del self._asked[block.need.hash]

    def _put(self, block: Block, members: int = ~0) -> None:
        """Put a waiting block into the queues of its holders among C{members}."""
        if block.asked or block.held:
            return
        holders = block.holders()
        if not holders:
            # Behind those that were not tried since.
            self._orphans.pop(block.need.hash, None)
            self._orphans[block.need.hash] = block
        if members & holders:
            self._queues.put(block, members & holders)

    def _rebuild(self) -> None:
        waiting = [block for block in self._blocks.values() if not block.asked and not block.held]
        self._orphans = {block.need.hash: block for block in waiting if not block.holders()}
        self._queues.fill(waiting)
