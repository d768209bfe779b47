# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The contents of a L{flocknode.testing.boxes.MemoryBox}: blocks held, blocks
needed, and who has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from flocknode.box import content
from flocknode.box.values import BoxListener, Hash, Head, Holder, Need, Path


class _Wanted:
    """
    A content that is not whole.

    @ivar missing: hashes of its blocks (or of its list) that are not held.
    """

    __slots__ = ("missing", "paths", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.paths: set[Path] = set()
        self.missing: set[Hash] = set()


class MemoryContents:
    """
    Blocks in memory; tells the listener of the box what is needed.
    """

    def __init__(self, pool: dict[Hash, bytes] | None = None) -> None:
        """
        @param pool: blocks that were verified, by whichever box: what is equal
            to one of these is right, and not kept a second time.
        """
        self._pool = pool
        self._box: object = None
        self._listener: BoxListener | None = None
        self._blocks: dict[Hash, bytes] = {}
        self._whole: set[Hash] = set()
        self._wanted: dict[Hash, _Wanted] = {}
        self._content_of: dict[Path, Hash] = {}
        self._needs: dict[Hash, Need] = {}
        self._users: dict[Hash, set[Hash]] = {}
        self._sources: dict[Hash, Counter[Holder]] = {}

    def listen(self, box: object, listener: BoxListener | None) -> None:
        """Whom to tell."""
        self._box = box
        self._listener = listener

    def forget(self) -> None:
        """Nothing is wanted any more, and nobody known to have anything."""
        self._wanted.clear()
        self._content_of.clear()
        self._needs.clear()
        self._users.clear()
        self._sources.clear()

    # What is held

    def keep(self, data: bytes) -> tuple[Hash, int, int]:
        """
        Hold a whole content.

        @return: its name, size and block size.
        """
        size = len(data)
        block_size = content.block_size_for(size)
        hashes = []
        for start in range(0, size, block_size):
            block = data[start : start + block_size]
            hashes.append(content.block_hash(block))
            self._blocks[hashes[-1]] = self._pooled(hashes[-1], block)
        name = content.content_hash(size, block_size, hashes)
        if len(hashes) > 1:
            listed = content.encode_list(block_size, size, hashes)
            self._blocks[name] = self._pooled(name, listed)
        self._whole.add(name)
        return name, size, block_size

    def _pooled(self, hash: Hash, data: bytes) -> bytes:
        """A block that is right, or the same one that another box keeps."""
        return data if self._pool is None else self._pool.setdefault(hash, data)

    def holds(self, head: Head) -> bool:
        """Is the content of this head here, all of it?"""
        return not head.size or Hash(head.value.content) in self._whole

    def block(self, hash: Hash) -> bytes | None:
        """A block or a list that is held."""
        return self._blocks.get(hash)

    def data(self, name: Hash, size: int) -> bytes:
        """A whole content."""
        if not size or not name:
            return b""
        block = self._blocks[name]
        if size <= content.block_size_for(size):
            return block
        return b"".join(self._blocks[hash] for hash in content.decode_list(block).hashes)

    # What is needed

    def needs(self) -> list[Need]:
        """All that is missing."""
        return list(self._needs.values())

    def want(
        self, wanted: Iterable[tuple[Path, Head]], settled: Iterable[Path]
    ) -> list[Path]:
        """
        @param wanted: paths, and the heads whose content they lack.
        @param settled: paths that lack nothing.
        @return: paths that do not lack it after all, since all the blocks are
            here.
        """
        for path in settled:
            self._leave(path)
        fresh = []
        for path, head in wanted:
            name = Hash(head.value.content)
            if self._content_of.get(path) != name:
                self._leave(path)
                self._content_of[path] = name
            if name not in self._wanted:
                self._wanted[name] = _Wanted(head.size)
                fresh.append(name)
            self._wanted[name].paths.add(path)
        needs: list[Need] = []
        whole: list[Path] = []
        for name in fresh:
            if self._listener is not None:
                self._listener.sources(self._box, name, self.sources(name))
            needs += self._begin(name)
            if not self._wanted[name].missing:
                whole += self._finish(name)
        if needs and self._listener is not None:
            self._listener.wanted(self._box, needs)
        return whole

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> tuple[list[bool], list[Path]]:
        """
        @return: which of the blocks are right, and the paths whose content is
            whole now.
        """
        good = []
        arrived = []
        needs: list[Need] = []
        whole: list[Path] = []
        for hash, data in blocks:
            need = self._needs.get(hash)
            if need is None:
                good.append(content.verify(hash, data) or content.verify(hash, data, True))
                continue
            known = self._pool.get(hash) if self._pool is not None else None
            good.append(content.verify_block(need, data) if known is None else known == data)
            if not good[-1]:
                continue
            self._blocks[hash] = self._pooled(hash, data)
            del self._needs[hash]
            arrived.append(hash)
            for name in self._users.pop(hash):
                wanted = self._wanted[name]
                wanted.missing.discard(hash)
                if need.listing:
                    needs += self._begin(name)
                if not wanted.missing:
                    whole += self._finish(name)
        if self._listener is not None:
            if arrived:
                self._listener.unwanted(self._box, arrived)
            if needs:
                self._listener.wanted(self._box, needs)
        return good, whole

    def _begin(self, name: Hash) -> list[Need]:
        """Need the list of a content, or all its blocks; what is new of them."""
        wanted = self._wanted[name]
        size = wanted.size
        block_size = content.block_size_for(size)
        if size <= block_size:
            parts = [Need(name, size, name, size)]
        elif name not in self._blocks:
            parts = [Need(name, content.list_size(size, block_size), name, size, True)]
        else:
            blocks = content.decode_list(self._blocks[name])
            parts = [
                Need(hash, content.block_length(size, blocks.block_size, index), name, size)
                for index, hash in enumerate(blocks.hashes)
                if hash not in self._blocks
            ]
        fresh = []
        for need in parts:
            wanted.missing.add(need.hash)
            self._users.setdefault(need.hash, set()).add(name)
            if need.hash not in self._needs:
                self._needs[need.hash] = need
                fresh.append(need)
        return fresh

    def _finish(self, name: Hash) -> list[Path]:
        self._whole.add(name)
        paths = self._wanted.pop(name).paths
        for path in paths:
            self._content_of.pop(path, None)
        return list(paths)

    def _leave(self, path: Path) -> None:
        """A path does not want the content any more that it lacked."""
        name = self._content_of.pop(path, None)
        if name is None:
            return
        wanted = self._wanted[name]
        wanted.paths.discard(path)
        if wanted.paths:
            return
        del self._wanted[name]
        unwanted = []
        for hash in wanted.missing:
            users = self._users[hash]
            users.discard(name)
            if not users:
                del self._users[hash], self._needs[hash]
                unwanted.append(hash)
        if unwanted and self._listener is not None:
            self._listener.unwanted(self._box, unwanted)

    # Who has it

    def sources(self, name: Hash) -> frozenset[Holder]:
        """Who holds all of a content."""
        return frozenset(self._sources.get(name, ()))

    def source(self, name: Hash, holder: Holder) -> None:
        """A holder shows a content once more."""
        if not name:
            return
        counts = self._sources.setdefault(name, Counter())
        counts[holder] += 1
        if counts[holder] == 1:
            self._tell_sources(name)

    def unsource(self, name: Hash, holder: Holder) -> None:
        """A holder shows a content once less."""
        if not name:
            return
        counts = self._sources[name]
        counts[holder] -= 1
        if not counts[holder]:
            del counts[holder]
            self._tell_sources(name)

    def _tell_sources(self, name: Hash) -> None:
        if self._listener is not None and name in self._wanted:
            self._listener.sources(self._box, name, self.sources(name))
