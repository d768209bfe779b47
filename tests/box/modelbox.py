# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One box of L{tests.box.model}: a folder, an index and a version store, in
memory, with the rules of L{flocknode.box.merge.history} and
L{flocknode.box.merge.reconcile}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from flocknode.box.merge import forgetting, forward, history, reconcile
from flocknode.box.merge.history import NOTHING, Change, Unseen
from flocknode.box.merge.reconcile import MemoryTree
from flocknode.box.values import TOMBSTONE, Head, History, Path, Value, VersionId

Entries = list[tuple[Path, History]]


@attrs.define
class Rules:
    """What a box does; a mutant replaces some of it."""

    local_change: Callable[..., Change] = history.local_change
    numbering: Callable[[MemoryTree, Iterable[Path]], list[Path]] = reconcile.numbering
    look_before_placing: bool = True
    look_at_what_came_out: bool = True
    announced_is_seen: bool = True
    placed_moves_on: bool = True
    reminds: bool = True
    brings_forward: bool = True
    forgets_unheard: bool = False
    heeds_marker: bool = True
    remembers_superseded: bool = True


def is_directory(value: Value | None) -> bool:
    """Whether there is an alive directory."""
    return value is not None and history.is_directory(value)


def is_sibling(path: Path) -> bool:
    """Whether a path has the name of a conflict sibling."""
    return path.find(b".conflict-") >= 0


def above(path: Path, other: Path) -> bool:
    """Whether C{path} is above C{other}."""
    return other.startswith(path + b"/")


class ModelBox:
    """
    A folder and its index.

    @ivar disk: what is in the folder.
    @ivar placed: the version that the folder holds, as the index has it.
    @ivar fetched: contents that lie in staging.
    @ivar away: the folder is not there; what is seen in its place is empty, and
        has no marker.
    @ivar store: contents that were replaced.
    @ivar numbers: path -> sequence number.
    @ivar heard: whose announcements were joined up to which number.
    @ivar gone: the superseded versions that were forgotten.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.disk: dict[Path, Value] = {}
        self.away = False
        self.store: set[bytes] = set()
        self.surprises: set[bytes] = set()
        self.number = 0
        self.incarnation = 0
        self.forget_all()

    def forget_all(self) -> None:
        """The index is lost."""
        self.tree = MemoryTree()
        self.placed: dict[Path, tuple[VersionId, Value]] = {}
        self.unseen: dict[Path, Unseen] = {}
        self.fetched: set[bytes] = set()
        self.numbers: dict[Path, int] = {}
        self.heard: dict[tuple[int, int], int] = {}
        self.gone: dict[Path, frozenset[VersionId]] = {}
        self.incarnation += 1

    def restart(self) -> None:
        """The process ends and starts again."""
        self.unseen.clear()

    # What the folder tells.

    def differing(self) -> set[Path]:
        """Paths where the folder differs from what the index says it holds."""
        if self.away and self.rules.heeds_marker:
            return set()
        seen = self.seen()
        return {
            path
            for path in seen.keys() | self.placed.keys()
            if seen.get(path, TOMBSTONE) != self.held(path)
        }

    def seen(self) -> dict[Path, Value]:
        """What is to be seen where the folder should be."""
        return {} if self.away else self.disk

    def held(self, path: Path) -> Value:
        """What the index says that the folder holds."""
        return self.placed[path][1] if path in self.placed else TOMBSTONE

    def scan(self, paths: Iterable[Path] | None = None) -> bool:
        """
        Notice what the user did (only at C{paths}, and at what is above and
        below them, which shows in the same look).
        """
        found = self.differing()
        if paths is not None:
            looked = set(paths)
            looked |= {path for path in found if any(above(path, other) for other in looked)}
            found = {
                path
                for path in found
                if path in looked
                or any(
                    above(other, path)
                    for other in looked
                    if not is_directory(self.seen().get(other))
                )
            }
        for path in sorted(found):
            value = self.seen().get(path, TOMBSTONE)
            placed = self.placed[path][0] if path in self.placed else None
            version = self.change(path, placed, value, self.unseen.pop(path, None))
            if version is None:
                self.placed.pop(path, None)
            else:
                self.placed[path] = (version, value)
        self.settled(found)
        return bool(found)

    def change(
        self, path: Path, placed: VersionId | None, value: Value, unseen: Unseen | None
    ) -> VersionId | None:
        """A local version, not yet settled."""
        known = self.tree.get(path) or NOTHING
        size = 1 if value.content else 0
        change = self.rules.local_change(known, placed, value, size, unseen)
        self.tree.set(path, change.history)
        if change.unseen is not None:
            self.unseen[path] = change.unseen
        return change.placed

    def settled(self, paths: Iterable[Path]) -> None:
        """Settle what was set, and number it."""
        paths = set(paths)
        self.changed(reconcile.settle_paths(self.tree, paths) | paths)

    def changed(self, paths: set[Path]) -> None:
        """Number these anew; move C{placed} on where nothing is to be placed."""
        for path in self.rules.numbering(self.tree, paths):
            self.number += 1
            self.numbers[path] = self.number
            known = self.tree.get(path)
            if known is None:
                del self.numbers[path]
            elif self.rules.placed_moves_on and known.heads[0].value == self.held(path):
                self.placed[path] = (known.heads[0].id, self.held(path))

    # What is told to others.

    def announce(self, after: int, limit: int) -> tuple[int, Entries]:
        """Up to C{limit} entries after a number; the number reached."""
        rows = sorted((number, path) for path, number in self.numbers.items() if number > after)
        reached = rows[limit - 1][0] if len(rows) > limit else self.number
        page = [path for _, path in rows[:limit]]
        if self.rules.brings_forward:
            page += forward.brought_forward(
                [(path, self.known(path)) for path in page],
                lambda path: self.numbers.get(path, 0) > reached,
                lambda path: [
                    other
                    for other, number in self.numbers.items()
                    if number > reached and above(path, other)
                ],
            )
        entries: Entries = []
        for path in page:
            entries.append((path, self.tree.get(path) or NOTHING))
            if self.rules.announced_is_seen:
                self.unseen.pop(path, None)
            if not self.rules.remembers_superseded:
                self.tree.set(path, History((self.tree.get(path) or NOTHING).heads))
        return reached, entries

    def everything(self) -> Entries:
        """The whole index, announced."""
        return self.announce(0, len(self.numbers) + 1)[1]

    def hear(self, entries: Entries, acknowledged: int = 0) -> bool:
        """
        Join what another box announced.

        @param acknowledged: what the other has stored of this one.
        """
        heads = {head.id for _, known in entries for head in known.heads}
        entries = [
            (path, forgetting.unlearned(known, self.known(path), self.gone[path], heads))
            if path in self.gone
            else (path, known)
            for path, known in entries
        ]
        changed = reconcile.join_delta(self.tree, entries)
        if self.rules.reminds:
            for path, known in entries:
                number = self.numbers.get(path)
                if number is None or number > acknowledged or path in changed:
                    continue
                if self.known(path).heads != known.heads:
                    changed.add(path)
        self.changed(changed)
        return bool(changed)

    def known(self, path: Path) -> History:
        """What is known of a path."""
        return self.tree.get(path) or NOTHING

    def forget(self, acknowledged: int) -> None:
        """Forget all that can be: much time has gone by."""
        for path, known in list(self.tree.items()):
            number = self.numbers[path]
            old = forgetting.aging(known, number, 0)
            if old is None or known.heads[0].value != self.held(path):
                continue
            if not forgetting.is_due(old, acknowledged, forgetting.AGE):
                continue
            left = forgetting.forgotten(known, number, old, acknowledged)
            self.tree.set(path, left)
            if left.heads:
                self.gone[path] = self.gone.get(path, frozenset()) | old.ids
            else:
                del self.numbers[path]
                self.placed.pop(path, None)
                self.gone.pop(path, None)

    # What is put into the folder.

    def needed(self) -> list[Path]:
        """Paths where the folder should hold something else than it does."""
        return [
            path
            for path, known in sorted(self.tree.items())
            if known.heads[0].value != self.held(path)
        ]

    def contents(self) -> set[bytes]:
        """All that this box could serve."""
        if self.away:
            return set()
        return {value.content for value in self.disk.values()} | self.store | self.fetched

    def place(self, path: Path, late: bool = False) -> bool:
        """
        Put the settled version of a path into the folder, if it can be.

        @param late: what the user did there meanwhile shows only in what comes
            out, as with RENAME_EXCHANGE.
        """
        if self.away:
            return False
        head = self.head(path)
        there, expected = self.disk.get(path, TOMBSTONE), self.held(path)
        if not self.may_place(path, head.value):
            return False
        self.place_siblings(there)
        surprise = there != expected and self.rules.look_before_placing
        if surprise and not (late and there.content and not expected.deleted):
            return self.scan([path])
        if there.content:
            self.store.add(there.content)
        before = self.placed[path][0] if path in self.placed else None
        if head.value.deleted:
            self.disk.pop(path, None)
        else:
            self.disk[path] = head.value
        self.placed[path] = (head.id, head.value)
        if surprise and self.rules.look_at_what_came_out:
            self.surprises.add(there.content)
            self.change(path, before, there, None)
            self.unseen.pop(path, None)
            self.settled([path])
        return True

    def place_siblings(self, going: Value) -> None:
        """
        What is about to go may be what a sibling needs: then that is placed
        first, so that the content is in the folder at every moment.
        """
        for path in self.needed():
            head = self.head(path)
            there = {self.disk.get(path, TOMBSTONE), self.held(path)}
            if not head.value.content or head.value.content != going.content:
                continue
            if there == {TOMBSTONE} and self.may_place(path, head.value):
                self.disk[path] = head.value
                self.placed[path] = (head.id, head.value)

    def head(self, path: Path) -> Head:
        """The one head of a path."""
        known = self.tree.get(path)
        assert known is not None
        return known.heads[0]

    def may_place(self, path: Path, value: Value) -> bool:
        """Whether the folder is ready for this."""
        if value.content and value.content not in self.contents():
            return False
        folder = Path(path.rpartition(b"/")[0])
        if not value.deleted and folder and not is_directory(self.disk.get(folder)):
            return False
        # A directory with something in it can not go.
        return is_directory(value) or not any(self.below(path))

    def below(self, path: Path) -> Iterator[Path]:
        """What is in the folder below a path."""
        return (other for other in self.disk if other.startswith(path + b"/"))
