# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box in memory: what L{flocknode.box.box.Box} is to the exchange, without a
folder, a disk or a thread.  Change it with L{MemoryBox.put} and the like, look
at it with L{MemoryBox.files}.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from blake3 import blake3
from twisted.internet.defer import Deferred, fail, succeed

from flocknode.box import content
from flocknode.box.index.rows import COST
from flocknode.box.merge.history import NOTHING, Change, Unseen, local_change
from flocknode.box.merge.reconcile import MemoryTree, join_delta, numbering, settle_paths
from flocknode.box.values import (
    TOMBSTONE,
    BoxListener,
    Entry,
    Hash,
    Head,
    History,
    Holder,
    Kind,
    Need,
    Path,
    Value,
)
from flocknode.errors import BoxError
from flocknode.testing.contents import MemoryContents

T = TypeVar("T")


class MemoryBox:
    """
    A box in memory.

    @ivar id: made of the name as for every box.
    @ivar broken: while true, nothing can be read, joined or written.
    """

    def __init__(
        self,
        name: str = "box",
        random: random.Random | None = None,
        later: Callable[[Callable[[], None]], object] | None = None,
        pool: dict[Hash, bytes] | None = None,
    ) -> None:
        """
        @param random: for index ids.
        @param pool: blocks that several boxes keep once for all of them, so
            that many boxes may hold the same large content.
        @param later: calls what it is given after a while, in order: then
            results come as late as those of a box with threads do.
        """
        self.name = name
        self.id: bytes = blake3(
            name.encode(), derive_key_context="flocknode 2026 box id"
        ).digest(length=16)
        self.broken = self.surveying = False
        self._random = random or _unseeded()
        self._later = later
        self._listener: BoxListener | None = None
        self._contents = MemoryContents(pool)
        self._placed: dict[Path, Head] = {}
        self._begin()

    def _begin(self) -> None:
        """With an empty index."""
        self.highest = 0
        self.new_total = 0
        self.index_id = self._random.getrandbits(63) | 1
        self._tree = MemoryTree()
        self._unseen: dict[Path, Unseen] = {}
        self._numbers: dict[Path, int] = {}
        self._log: list[tuple[int, bytes]] = []
        self._stored: dict[Holder, tuple[int, int]] = {}
        self._acknowledged: dict[Holder, int] = {}
        self._shown: dict[Path, dict[Holder, tuple[Head, bool]]] = {}
        self._uncounted: dict[Path, int] = {}
        self._costs: dict[Path, tuple[int, tuple[Holder, ...], int]] = {}
        self._complete_cost = 0
        self._shown_cost: dict[Holder, int] = {}
        self._digest = 0

    @property
    def listener(self) -> BoxListener | None:
        """Whom to tell."""
        return self._listener

    @listener.setter
    def listener(self, listener: BoxListener | None) -> None:
        self._listener = listener
        self._contents.listen(self, listener)

    # The folder

    def put(self, path: bytes, data: bytes, mtime_ns: int = 1, mode: int = 0o644) -> None:
        """Write a file."""
        name, size, _block_size = self._contents.keep(data)
        self._change(Path(path), Value(False, Kind.FILE, mode, mtime_ns, name), size)

    def link(self, path: bytes, target: bytes, mtime_ns: int = 1) -> None:
        """Make a symbolic link."""
        name, size, _block_size = self._contents.keep(target)
        self._change(Path(path), Value(False, Kind.SYMLINK, 0, mtime_ns, name), size)

    def make_directory(self, path: bytes, mode: int = 0o755) -> None:
        """Make a directory."""
        self._change(Path(path), Value(False, Kind.DIRECTORY, mode), 0)

    def remove(self, path: bytes) -> None:
        """Remove whatever is there."""
        self._change(Path(path), TOMBSTONE, 0)

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file."""
        head = self._placed[Path(old)]
        self._change(Path(new), head.value, head.size)
        self.remove(old)

    def files(self) -> dict[bytes, tuple[Value, bytes]]:
        """What the folder holds: path -> (value, content)."""
        return {
            path: (head.value, self._contents.data(Hash(head.value.content), head.size))
            for path, head in self._placed.items()
            if not head.value.deleted
        }

    def values(self) -> dict[Path, Value]:
        """What the folder holds, without the content: that is named in the value."""
        return {path: head.value for path, head in self._placed.items() if not head.value.deleted}

    def restart(self) -> None:
        """What a new process would know: nobody listens, nothing is new."""
        self.listener = None
        self.new_total = 0
        self._unseen.clear()
        uncounted = list(self._uncounted)
        self._uncounted.clear()
        for path in uncounted:
            self._account(path)

    def lose_index(self) -> None:
        """The index is lost, and a new process builds it anew from the folder."""
        self.listener = None
        files, self._placed = self._placed, {}
        self._contents.forget()
        self._begin()
        for path, head in files.items():
            if not head.value.deleted:
                self._change(path, head.value, head.size)

    # What the exchange reads

    @property
    def digest(self) -> bytes:
        """16 bytes of all entries."""
        return self._digest.to_bytes(16, "big")

    def entries_after(self, number: int, limit: int) -> Deferred[tuple[list[Entry], int]]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""

        def read() -> tuple[list[Entry], int]:
            entries: list[Entry] = []
            size = 0
            for at in range(bisect_left(self._log, (number + 1, b"")), len(self._log)):
                current, path = self._log[at][0], Path(self._log[at][1])
                if self._numbers.get(path) != current:
                    continue
                if size >= limit:
                    return entries, entries[-1].number
                entries.append(self._entry(path))
                size += 96 + len(path) + 24 * len(entries[-1].history.superseded)
                self._unseen.pop(path, None)
            return entries, self.highest
        return self._result(read)

    def join(
        self, holder: Holder, index_id: int, start: int, to: int, entries: Sequence[Entry]
    ) -> Deferred[bool]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""

        def join() -> bool:
            stored_id, number = self._stored.get(holder, (0, 0))
            if stored_id != index_id:
                number = 0
            if start > number:
                return False
            if stored_id != index_id:
                self._forget_shown(holder)
            self._stored[holder] = (index_id, max(number, to))
            self._join(holder, entries)
            return True
        return self._result(join)

    @property
    def is_elsewhere(self) -> bool:
        """See L{SharedBox<flocknode.exchange.interfaces.SharedBox>}."""
        return bool(self._stored or self._acknowledged)

    def stored(self, holder: Holder) -> tuple[int, int]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        return self._stored.get(holder, (0, 0))

    def acknowledged(self, holder: Holder, index_id: int, number: int) -> None:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        if index_id == self.index_id and number > self.highest:
            self.index_id = self._random.getrandbits(63) | 1
            self._acknowledged.clear()
            self._tell("advanced")
        else:
            self._acknowledged[holder] = number if index_id == self.index_id else 0

    def acknowledged_by(self, holder: Holder) -> int:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        return self._acknowledged.get(holder, 0)

    def needs(self) -> list[Need]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        return self._contents.needs()

    def sources(self, content: Hash) -> frozenset[Holder]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        return self._contents.sources(content)

    def read_many(self, hashes: Sequence[Hash]) -> Deferred[list[bytes | None]]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        return self._result(lambda: [self._contents.block(hash) for hash in hashes])

    def write(self, blocks: Sequence[tuple[Hash, bytes]]) -> Deferred[list[bool]]:
        """See L{flocknode.exchange.interfaces.SharedBox}."""

        def write() -> list[bool]:
            good, whole = self._contents.write(blocks)
            self._place(whole)
            return good
        return self._result(write)

    def lacking(self, holder: Holder) -> int:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        return self._complete_cost - self._shown_cost.get(holder, 0)

    def counted(self, total: int) -> None:
        """See L{flocknode.exchange.interfaces.SharedBox}."""
        for path in [path for path, at in self._uncounted.items() if at <= total]:
            del self._uncounted[path]
            self._account(path)
        self._tell("measured")

    # How changes are made

    def _result(self, work: Callable[[], T]) -> Deferred[T]:
        if self.broken:
            return fail(BoxError("The box is offline."))
        if self._later is None:
            return succeed(work())
        done: Deferred[T] = Deferred()
        self._later(lambda: done.callback(work()))
        return done

    def _tell(self, event: str) -> None:
        if self._listener is not None:
            getattr(self._listener, event)(self)

    def _entry(self, path: Path) -> Entry:
        history = self._tree.get(path) or NOTHING
        head = history.heads[0]
        return Entry(
            path,
            self._numbers[path],
            history,
            content.block_size_for(head.size),
            self._is_complete(head),
        )

    def _is_complete(self, head: Head) -> bool:
        value = head.value
        return value.deleted or value.kind is Kind.DIRECTORY or self._contents.holds(head)

    def _change(self, path: Path, value: Value, size: int) -> None:
        placed = self._placed.get(path)
        change: Change = local_change(
            self._tree.get(path) or NOTHING,
            None if placed is None else placed.id,
            value,
            size,
            self._unseen.pop(path, None),
        )
        if change.placed is None:
            self._placed.pop(path, None)
        else:
            self._placed[path] = Head(change.placed, 0, value, size)
        if change.unseen is not None:
            self._unseen[path] = change.unseen
        self._tree.set(path, change.history)
        self.new_total += size + COST
        self._uncounted[path] = self.new_total
        self._changed({path} | settle_paths(self._tree, [path]))

    def _join(self, holder: Holder, entries: Iterable[Entry]) -> None:
        touched = set()
        for entry in entries:
            touched.add(entry.path)
            head = entry.history.heads[0]
            shown = self._shown.setdefault(entry.path, {})
            before = shown.get(holder)
            if before is not None and before[1]:
                self._contents.unsource(Hash(before[0].value.content), holder)
            shown[holder] = (head, entry.complete)
            if entry.complete:
                self._contents.source(Hash(head.value.content), holder)
        changed = join_delta(self._tree, [(entry.path, entry.history) for entry in entries])
        self._changed(changed)
        for path in touched - changed:
            self._account(path)
        self._tell("measured")

    def _forget_shown(self, holder: Holder) -> None:
        for path, shown in self._shown.items():
            known = shown.pop(holder, None)
            if known is not None:
                if known[1]:
                    self._contents.unsource(Hash(known[0].value.content), holder)
                self._account(path)

    def _changed(self, paths: set[Path]) -> None:
        """These have another history: place, number, want, tell."""
        lacking: list[tuple[Path, Head]] = []
        settled: list[Path] = []
        for path in paths:
            history = self._tree.get(path)
            if history is None:
                settled.append(path)
            elif self._is_complete(history.heads[0]):
                settled.append(path)
                self._placed[path] = history.heads[0]
            else:
                lacking.append((path, history.heads[0]))
        self._number(paths)
        self._place(self._contents.want(lacking, settled))

    def _place(self, paths: Iterable[Path]) -> None:
        """The content of these has become whole."""
        placed = set(paths)
        for path in placed:
            self._placed[path] = (self._tree.get(path) or NOTHING).heads[0]
        if placed:
            self._number(placed)
        self._tell("measured")

    def _number(self, paths: set[Path]) -> None:
        for path in numbering(self._tree, paths):
            if self._tree.get(path) is None:
                self._numbers.pop(path, None)
            else:
                self.highest += 1
                self._numbers[path] = self.highest
                self._log.append((self.highest, path))
            self._account(path)
        self._tell("advanced")

    def _account(self, path: Path) -> None:
        """Bring the sums up to date: the digest, and what others lack."""
        cost, holders, digest = self._costs.pop(path, (0, (), 0))
        self._complete_cost -= cost
        for holder in holders:
            self._shown_cost[holder] -= cost
        self._digest -= digest
        history: History | None = self._tree.get(path)
        if history is not None and path in self._numbers:
            head = history.heads[0]
            complete = self._is_complete(head)
            cost = head.size + COST if complete and path not in self._uncounted else 0
            holders = tuple(
                holder
                for holder, (shown, whole) in self._shown.get(path, {}).items()
                if whole and shown.id == head.id
            )
            packed = blake3(path + b"\0" + head.id + bytes([complete])).digest(length=16)
            digest = int.from_bytes(packed, "big")
            self._costs[path] = (cost, holders, digest)
            self._complete_cost += cost
            for holder in holders:
                self._shown_cost[holder] = self._shown_cost.get(holder, 0) + cost
            self._digest += digest
        self._digest %= 1 << 128


def _unseeded() -> random.Random:
    return random.Random()

