# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which content is missing, and which blocks of it.  Pure bookkeeping: who asks
for what is decided elsewhere.

A content is wanted by one or more paths.  First it is looked for in what is
here; then its block list is needed, if it has one; then its blocks.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import attrs

from flocknode.box.content import (
    BlockList,
    block_length,
    block_size_for,
    list_size,
)
from flocknode.box.values import Hash, Holder, Need, Path

WINDOW = 4096
"""Blocks of one content that are needed at the same time, at most: what is
known of a need takes some 500 bytes, and a large file has a million blocks."""


_FIRST = (0,)
# The positions of content that is one block.


class Stage(enum.Enum):
    """How far a wanted content is."""

    SEEK = "to be looked for in what is here"
    LIST = "waiting for its block list"
    BLOCKS = "waiting for blocks"
    STALLED = "cannot be received now"
    WHOLE = "all of it is in the staging directory"


@attrs.define(eq=False)
class Want:
    """
    A content that paths wait for.

    @ivar paths: who wants it, and which others hold it whole as they show
        for that path.
    @ivar blocks: its block list, if it has one and that is known.
    @ivar asked: it is one block, and that is needed now.
    @ivar missing: block -> its positions, of those that are needed now, if it
        is several.
    @ivar stalled: the last that was tried could not be written.
    @ivar later: (block, positions) that become needed when there is room, the
        next one last.
    @ivar promised: how many bytes of it are needed, if it is several blocks.
    """

    content: Hash
    size: int
    paths: dict[Path, frozenset[Holder]] = attrs.field(factory=dict)
    stage: Stage = Stage.SEEK
    blocks: BlockList | None = None
    asked: bool = False
    missing: dict[Hash, Sequence[int]] = attrs.field(factory=dict)
    later: list[tuple[Hash, Sequence[int]]] = attrs.field(factory=list)
    stalled: bool = False
    promised: int = 0

    @property
    def single(self) -> bool:
        """Whether it is one block, named by its own hash."""
        return self.size <= block_size_for(self.size)

    @property
    def holders(self) -> frozenset[Holder]:
        """Who holds it whole."""
        if len(self.paths) == 1:
            # Most contents: no second set for each of a hundred thousand.
            return next(iter(self.paths.values()))
        return frozenset().union(*self.paths.values())


class Wants:
    """
    All contents that are missing.

    @ivar needs: what is needed right now, by hash.
    @ivar promised: bytes of disk that are not free: those which content of
        several blocks still needs.
    """

    def __init__(self) -> None:
        self.needs: dict[Hash, Need] = {}
        self.promised = 0
        self._wants: dict[Hash, Want] = {}
        self._askers: dict[Hash, Want | list[Want]] = {}
        # Mostly one, and a list takes as much memory as all the rest of it.

    def __len__(self) -> int:
        return len(self._wants)

    def get(self, content: bytes) -> Want | None:
        """The want of a content, or L{None}."""
        return self._wants.get(Hash(content))

    def all(self) -> Iterable[Want]:
        """All of them."""
        return self._wants.values()

    def add(self, content: Hash, size: int, path: Path, holders: frozenset[Holder]) -> Want:
        """C{path} wants this content.  A new want is at L{Stage.SEEK}."""
        want = self._wants.get(content)
        if want is None:
            want = self._wants[content] = Want(content, size)
        want.paths[path] = holders
        return want

    def remove(self, path: Path, want: Want) -> list[Hash]:
        """
        C{path} does not want it any more.

        @return: what is not needed any more.
        """
        want.paths.pop(path, None)
        if want.paths:
            return []
        del self._wants[want.content]
        return self.stop(want, want.stage)

    def stop(self, want: Want, stage: Stage) -> list[Hash]:
        """
        Nothing of it is needed for now.

        @param stage: which it is at from now on.
        @return: what is not needed any more.
        """
        hashes = [*want.missing]
        if want.asked or want.stage is Stage.LIST:
            hashes.append(want.content)
        want.asked = False
        want.missing.clear()
        want.later.clear()
        want.stage = stage
        self._promise(want, 0)
        return [hash for hash in hashes if self._unask(hash, want)]

    def need_list(self, want: Want) -> list[Need]:
        """Its block list is needed.  @return: what is needed newly."""
        want.stage = Stage.LIST
        size = list_size(want.size, block_size_for(want.size))
        need = Need(want.content, size, want.content, want.size, True)
        return [need] if self._ask(need, want) else []

    def need_blocks(self, want: Want, positions: Iterable[int]) -> list[Need]:
        """These blocks of it are needed.  @return: what is needed newly."""
        want.stage = Stage.BLOCKS
        if want.blocks is None:
            # No dictionary for each of a hundred thousand small files.
            want.asked = True
            need = Need(want.content, want.size, want.content, want.size)
            return [need] if self._ask(need, want) else []
        missing: dict[Hash, list[int]] = {}
        for position in positions:
            missing.setdefault(want.blocks.hashes[position], []).append(position)
        want.later = [*missing.items()]
        want.later.reverse()
        self._promise(want, sum(_length(want.blocks, each) for each in missing.values()))
        return self._fill(want)

    def arrived(self, hash: Hash) -> list[tuple[Want, Sequence[int]]]:
        """
        A needed block is here.

        @return: where it belongs: contents, and the positions in them.  Those
            have one need less.
        """
        self.needs.pop(hash, None)
        found = []
        for want in _each(self._askers.pop(hash, None)):
            positions = want.missing.pop(hash, None)
            if want.asked and hash == want.content:
                want.asked = False
                positions = _FIRST
            if positions is not None:
                found.append((want, positions))
                if want.blocks is not None:
                    self._promise(want, want.promised - _length(want.blocks, positions))
        return found

    def refill(self, want: Want) -> list[Need]:
        """More blocks of it may be needed now.  @return: those newly."""
        if not want.later or len(want.missing) > WINDOW // 2:
            return []
        return self._fill(want)

    def asks_for_list(self, hash: Hash) -> Want | None:
        """The content whose block list has this hash and is needed."""
        want = self._wants.get(hash)
        return want if want is not None and want.stage is Stage.LIST else None

    def _promise(self, want: Want, size: int) -> None:
        self.promised += size - want.promised
        want.promised = size

    def _fill(self, want: Want) -> list[Need]:
        new: list[Need] = []
        blocks = want.blocks
        if blocks is None:
            return new
        while want.later and len(want.missing) < WINDOW:
            hash, positions = want.later.pop()
            want.missing[hash] = positions
            size = block_length(want.size, blocks.block_size, positions[0])
            need = Need(hash, size, want.content, want.size)
            if self._ask(need, want):
                new.append(need)
        return new

    def _ask(self, need: Need, want: Want) -> bool:
        askers = self._askers.get(need.hash)
        self._askers[need.hash] = want if askers is None else [*_each(askers), want]
        if need.hash in self.needs:
            return False
        self.needs[need.hash] = need
        return True

    def _unask(self, hash: Hash, want: Want) -> bool:
        askers = [asker for asker in _each(self._askers.get(hash)) if asker is not want]
        if askers:
            self._askers[hash] = askers
            return False
        self._askers.pop(hash, None)
        return self.needs.pop(hash, None) is not None


def _length(blocks: BlockList, positions: Iterable[int]) -> int:
    return sum(block_length(blocks.size, blocks.block_size, each) for each in positions)


def _each(askers: Want | list[Want] | None) -> Sequence[Want]:
    if isinstance(askers, list):
        return askers
    return () if askers is None else (askers,)
