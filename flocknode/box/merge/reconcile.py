# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The histories of a whole box: joined, settled, and a tree.

What L{flocknode.box.merge.history} does for one path has consequences for others: a
losing version becomes a sibling, which may meet something that is there; and a
path with an alive descendant has to be a directory.  L{join_delta} and
L{settle_paths} follow these until nothing changes any more.  Afterwards, and
before the next call, this holds for every path of the tree:

 - it has exactly one head;
 - if it is alive, every path above it is an alive directory.

The outcome is a function of the tree and of the set of entries, not of their
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from flocknode.box.merge.conflict import MARK
from flocknode.box.merge.history import NOTHING, is_alive, is_directory, join
from flocknode.box.merge.settling import Sibling, as_directory, settle
from flocknode.box.values import History, Path


class Tree(Protocol):
    """
    What a box knows of all its paths.  What was L{set} is seen at once by
    L{get} and L{alive_below}.
    """

    def get(self, path: Path) -> History | None:
        """The history of a path; L{None} if it has no row."""

    def set(self, path: Path, history: History) -> None:
        """Store a history; one without heads removes the path's row."""

    def alive_below(self, path: Path) -> bool:
        """
        Whether any path that starts with C{path + b"/"} is alive (a head that
        is not deleted).  In SQL, with a partial index on alive rows: C{path >
        :path || '/' AND path < :path || '0'}.
        """


class MemoryTree:
    """A L{Tree} in memory."""

    def __init__(self) -> None:
        self._histories: dict[Path, History] = {}
        self._present: dict[Path, int] = {}
        # Path -> how many of the names in it are alive or have something alive
        # below them; no zeros.

    def __len__(self) -> int:
        return len(self._histories)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._histories)

    def items(self) -> Iterable[tuple[Path, History]]:
        """All paths with their histories."""
        return self._histories.items()

    def get(self, path: Path) -> History | None:
        """See L{Tree.get}."""
        return self._histories.get(path)

    def set(self, path: Path, history: History) -> None:
        """See L{Tree.set}."""
        before = self._is_present(path)
        if history.heads:
            self._histories[path] = history
        else:
            self._histories.pop(path, None)
        change = self._is_present(path) - before
        if not change:
            return
        for above in paths_above(path):
            before = self._is_present(above)
            count = self._present.get(above, 0) + change
            if count:
                self._present[above] = count
            else:
                del self._present[above]
            if self._is_present(above) == before:
                break

    def _is_present(self, path: Path) -> bool:
        return path in self._present or is_alive(self._histories.get(path, NOTHING))

    def alive_below(self, path: Path) -> bool:
        """See L{Tree.alive_below}."""
        return path in self._present


def join_delta(tree: Tree, entries: Iterable[tuple[Path, History]]) -> set[Path]:
    """
    Join what another box announced, all of it, then settle, then see that it
    is a tree.

    The entries should be a whole delta (everything from one number to the
    announcer's highest).  In a part of it a directory may be missing or
    deleted while something below still seems alive; then the tree rule brings
    the directory (back) to life.  No content is ever lost by that.

    @return: the paths whose history is another one now.
    """
    return _Reconciliation(tree).run(entries)


def settle_paths(tree: Tree, paths: Iterable[Path]) -> set[Path]:
    """
    Settle these paths, whose histories were L{set<Tree.set>} (or removed)
    after local changes, and see that the tree is one.

    @param paths: all that were set since the tree was last settled.  What
        belongs together must come together: a directory that is none any more
        with all that was in it, a new path with all that is new above it.
    @return: the paths whose history is now another one than before this call.
    """
    reconciliation = _Reconciliation(tree)
    paths = sorted(set(paths))
    reconciliation.suspect(paths)
    return reconciliation.run((path, NOTHING) for path in paths)


def numbering(tree: Tree, paths: Iterable[Path]) -> list[Path]:
    """
    The order in which to number changed paths, so that whoever has heard of
    only the first of them neither misses nor misunderstands anything:

     1. conflict siblings, before the paths that they come from;
     2. what is created or changed, directories before what is in them;
     3. what is deleted, directories after what was in them;
     4. what took the place of a directory, hence after what was in it.
    """
    siblings: list[Path] = []
    created: list[Path] = []
    deleted: list[Path] = []
    replacing: list[Path] = []
    emptied: set[Path] = set()
    # Paths with something deleted below.
    for path in sorted(paths, reverse=True):
        history = tree.get(path) or NOTHING
        if not is_alive(history):
            deleted.append(path)
            emptied.update(paths_above(path))
        elif path in emptied and not is_directory(history.heads[0].value):
            replacing.append(path)
        elif MARK in path.rpartition(b"/")[2]:
            siblings.append(path)
        else:
            created.append(path)
    return siblings[::-1] + created[::-1] + deleted + replacing


class _Reconciliation:
    """
    One run to the fixpoint.

    @ivar changed: paths whose history was set.
    """

    def __init__(self, tree: Tree) -> None:
        self.changed: set[Path] = set()
        self._tree = tree
        self._suspects: set[Path] = set()
        # No directories (any more), with perhaps something alive below.
        self._alive: set[Path] = set()
        # Alive, with perhaps something that is no directory above.

    def suspect(self, paths: Iterable[Path]) -> None:
        """Check these paths against what is above and below them."""
        self._suspects.update(paths)
        self._alive.update(path for path in paths if is_alive(self._tree.get(path) or NOTHING))

    def run(self, entries: Iterable[tuple[Path, History]]) -> set[Path]:
        """Join these, and all that follows from it."""
        wave = list(entries)
        while wave:
            siblings = self._join(wave)
            if not siblings:
                siblings = self._make_tree()
            wave = [(sibling.path, sibling.history) for sibling in siblings]
        return self.changed

    def _join(self, wave: Iterable[tuple[Path, History]]) -> list[Sibling]:
        """Join all, then settle each; the siblings that this makes."""
        old: dict[Path, History | None] = {}
        joined: dict[Path, History] = {}
        for path, history in wave:
            if path not in joined:
                before = old[path] = self._tree.get(path)
                joined[path] = join(before or NOTHING, history)
            else:
                joined[path] = join(joined[path], history)
        siblings: list[Sibling] = []
        for path in sorted(joined):
            settled, more = settle(path, joined[path])
            self._set(path, old[path], settled)
            siblings += more
        return siblings

    def _set(self, path: Path, old: History | None, new: History) -> None:
        """Store a settled history if it is another one."""
        if new == (old or NOTHING):
            return
        self._tree.set(path, new)
        self.changed.add(path)
        if is_alive(new):
            self._alive.add(path)
        # A path that was no directory had nothing alive below it before this
        # run, and what this run brings to life below looks up by itself.
        if any(is_directory(head.value) for head in (old or NOTHING).heads):
            self._suspects.add(path)

    def _make_tree(self) -> list[Sibling]:
        """Make directories of all that must be; the siblings of the losers."""
        directories = {path for path in self._suspects if self._tree.alive_below(path)}
        above_all: set[Path] = set()
        for path in self._alive | directories:
            for above in paths_above(path):
                if above in above_all:
                    break
                above_all.add(above)
        directories |= above_all
        self._suspects.clear()
        siblings: list[Sibling] = []
        for path in sorted(directories):
            old = self._tree.get(path)
            new, more = as_directory(path, old)
            self._set(path, old, new)
            siblings += more
        # All that is above these was among them.
        self._alive.clear()
        return siblings


def paths_above(path: Path) -> Iterator[Path]:
    """The paths above this one, the nearest first."""
    end = path.rfind(b"/")
    while end > 0:
        yield Path(path[:end])
        end = path.rfind(b"/", 0, end)
