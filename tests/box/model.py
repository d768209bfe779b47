# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A model of a few boxes and their users.

Everything that takes time in reality is a step of its own: the user changes
the folder, the box notices, an announcement leaves, arrives (late, twice, or
in parts), content is fetched, content is placed.  When all steps are done, all
boxes exchange all they have, and must come to rest:

 - all indexes and all folders are equal;
 - every content that a user ever wrote is in the folders, unless a user who
   had it before them overwrote or deleted it.

Version stores are only a source of content; being there is not being safe.

At every moment nothing counts as deleted that no user has ever removed.
"""

from __future__ import annotations

import attrs
from msgspec.structs import replace

from flocknode.box.merge.history import is_alive
from flocknode.box.values import TOMBSTONE, Head, Kind, Path, Value
from tests.box.modelbox import Entries, ModelBox, Rules, is_directory, is_sibling

PATHS = (b"a", b"a/b", b"a/b/c", b"d.x")

BY_HAND = frozenset({"write", "touch", "delete", "mkdir", "rename", "recase"})
"""The steps that are the user's: a folder that is not there takes none."""

Step = tuple[str, int, int, int]


class Violated(Exception):
    """The model has found that a promise is broken."""


@attrs.define
class User:
    """
    All users, and what they may expect.

    @ivar owed: (path, content) that must not vanish.
    @ivar excused: those that a user who had them has removed.
    @ivar removed: paths that a user has ever taken away something from.
    """

    ticks: int = 0
    removed: set[bytes] = attrs.Factory(set)
    owed: set[tuple[bytes, bytes]] = attrs.Factory(set)
    excused: set[tuple[bytes, bytes]] = attrs.Factory(set)

    def writes(self, box: ModelBox, path: Path, value: Value) -> None:
        """Put something into the folder, over what is there."""
        self.removes(box, path)
        box.disk[path] = value
        if value.content:
            self.owed.add((path, value.content))

    def removes(self, box: ModelBox, path: Path) -> None:
        """Take a path out of the folder."""
        value = box.disk.pop(path, TOMBSTONE)
        if not value.deleted:
            self.removed.add(path)
        if is_sibling(path):
            # Who looks at a copy knows what it is a copy of.
            self.excused.update(pair for pair in self.owed if pair[1] == value.content)
        self.excused.add((path, value.content))

    def time(self, skew: int) -> int:
        """A modification time, by a clock that may be wrong."""
        self.ticks += 1
        return (self.ticks - (skew % 7) * 3) * 10**9

    def content(self, choice: int) -> bytes:
        """New content, mostly; sometimes what others have in hand as well."""
        number = choice % 3 if choice % 11 == 0 else self.ticks + 10
        return number.to_bytes(32, "little")


class Model:
    """
    Some boxes, and the announcements between them.

    @ivar whole: announcements are not cut into parts.
    @ivar forgetful: some box has forgotten something.
    @ivar underway: announcements: (from, its incarnation, to, start, reached,
        entries).
    """

    def __init__(self, boxes: int, rules: Rules | None = None, whole: bool = False) -> None:
        self.whole = whole
        self.forgetful = False
        self.boxes = [ModelBox(rules or Rules()) for _ in range(boxes)]
        self.user = User()
        self.underway: list[tuple[int, int, int, int, int, Entries]] = []

    def do(self, step: Step) -> None:
        """One step; one that makes no sense just now does nothing."""
        name, which, first, second = step
        if name in BY_HAND and self.boxes[which % len(self.boxes)].away:
            return
        getattr(self, "do_" + name)(which % len(self.boxes), first, second)

    # The user.

    def _choose(self, box: ModelBox, choice: int) -> Path:
        """A path to do something with."""
        paths = sorted({*PATHS, *box.disk})
        return Path(paths[choice % len(paths)])

    def do_write(self, which: int, first: int, second: int) -> None:
        """A new file, or new content for one."""
        box = self.boxes[which]
        path = self._choose(box, first)
        if not self._has_folder(box, path) or any(box.below(path)):
            return
        mtime = self.user.time(second)
        kind = Kind.SYMLINK if second % 13 == 0 else Kind.FILE
        mode = 0 if kind is Kind.SYMLINK else 0o644
        content = self.user.content(second)
        if second % 11 == 0:
            mtime = 10**9
        self.user.writes(box, path, Value(False, kind, mode, mtime, content))

    def do_touch(self, which: int, first: int, second: int) -> None:
        """Another time or mode."""
        box = self.boxes[which]
        path = self._choose(box, first)
        value = box.disk.get(path)
        if value is None or value.kind is Kind.SYMLINK:
            return
        if second % 2 and value.kind is Kind.FILE:
            box.disk[path] = replace(value, mtime_ns=self.user.time(second))
        else:
            box.disk[path] = replace(value, mode=value.mode ^ 0o055)

    def do_delete(self, which: int, first: int, second: int) -> None:
        """A file, an empty folder, or a full one with all that is in it."""
        box = self.boxes[which]
        path = self._choose(box, first)
        below = list(box.below(path))
        if path not in box.disk or (below and second % 2):
            return
        for other in [*below, path]:
            self.user.removes(box, other)

    def do_mkdir(self, which: int, first: int, second: int) -> None:
        """A new folder, perhaps where a file was."""
        box = self.boxes[which]
        path = self._choose(box, first)
        if is_directory(box.disk.get(path)) or not self._has_folder(box, path):
            return
        mode = 0o700 if second % 3 == 0 else 0o755
        self.user.writes(box, path, Value(kind=Kind.DIRECTORY, mode=mode))

    def do_rename(self, which: int, first: int, second: int) -> None:
        """A file or a folder with all that is in it, perhaps over a file."""
        box = self.boxes[which]
        self._move(box, self._choose(box, first), self._choose(box, second))

    def do_recase(self, which: int, first: int, second: int) -> None:
        """The same name in capitals, or in small letters again."""
        box = self.boxes[which]
        old = self._choose(box, first)
        folder, slash, name = old.rpartition(b"/")
        self._move(box, old, Path(folder + slash + name.swapcase()))

    def _move(self, box: ModelBox, old: Path, new: Path) -> None:
        if old not in box.disk or old == new or new.startswith(old + b"/"):
            return
        if not self._has_folder(box, new) or any(box.below(new)):
            return
        moved = {path: box.disk[path] for path in [old, *box.below(old)]}
        for path in moved:
            self.user.removes(box, path)
        for path, value in moved.items():
            self.user.writes(box, Path(new + path[len(old) :]), value)

    def _has_folder(self, box: ModelBox, path: Path) -> bool:
        folder = Path(path.rpartition(b"/")[0])
        return not folder or is_directory(box.disk.get(folder))

    # The boxes.

    def do_scan(self, which: int, first: int, second: int) -> None:
        """Notice all, or one path only."""
        box = self.boxes[which]
        paths = sorted(box.differing())
        if paths:
            box.scan(paths if first % 2 else [paths[second % len(paths)]])

    def do_announce(self, which: int, first: int, second: int) -> None:
        """An announcement leaves, from where the other was."""
        box, to = self.boxes[which], first % len(self.boxes)
        if to == which:
            return
        start = self.boxes[to].heard.get((which, box.incarnation), 0)
        limit = len(box.numbers) if self.whole else second % 6
        reached, entries = box.announce(start, limit + 1)
        self.underway.append((which, box.incarnation, to, start, reached, entries))

    def do_gossip(self, which: int, first: int, second: int) -> None:
        """Any part of an index leaves, in disregard of all numbers."""
        to = first % len(self.boxes)
        entries = [
            entry
            for place, entry in enumerate(self.boxes[which].everything())
            if (second >> place % 8) & 1
        ]
        self.underway.append((which, -1, to, 0, 0, entries))

    def do_arrive(self, which: int, first: int, second: int) -> None:
        """Something that is underway arrives; it may arrive again."""
        if not self.underway:
            return
        place = first % len(self.underway)
        sender, incarnation, to, start, reached, entries = self.underway[place]
        if second % 4:
            del self.underway[place]
        box = self.boxes[to]
        if incarnation >= 0:
            if box.heard.get((sender, incarnation), 0) != start:
                return
            box.heard[sender, incarnation] = reached
        box.hear(entries, self.boxes[sender].heard.get((to, box.incarnation), 0))

    def do_fetch(self, which: int, first: int, second: int) -> None:
        """Content that is needed arrives from a box that has it."""
        box = self.boxes[which]
        needed = box.needed()
        if needed:
            self._fetch(box, needed[first % len(needed)])

    def _fetch(self, box: ModelBox, path: Path) -> bool:
        content = box.head(path).value.content
        if box.away or not content or content in box.contents():
            return False
        found = any(content in other.contents() for other in self.boxes)
        if found:
            box.fetched.add(content)
        return found

    def do_place(self, which: int, first: int, second: int) -> None:
        """Place one path, or all that can be."""
        box = self.boxes[which]
        needed = box.needed()
        if needed and first % 3:
            box.place(needed[first // 3 % len(needed)], late=bool(second % 2))
            return
        for path in needed:
            if path in box.needed():
                box.place(path, late=bool(second % 2))

    def do_sync(self, which: int, first: int, second: int) -> None:
        """Two boxes talk to each other for a while, without being disturbed."""
        pair = which, first % len(self.boxes)
        for to, sender in (pair, pair[::-1]):
            box, other = self.boxes[to], self.boxes[sender]
            if second % 3:
                box.scan()
            if box is not other:
                box.hear(other.everything())
                box.heard[sender, other.incarnation] = other.number
        for each in pair:
            self._place_all(self.boxes[each])

    def _place_all(self, box: ModelBox) -> bool:
        """Fetch and place whatever can be."""
        steps = [self._fetch(box, path) | box.place(path) for path in box.needed()]
        if not any(steps):
            return False
        self._place_all(box)
        return True

    def do_away(self, which: int, first: int, second: int) -> None:
        """A folder is not there for a while: a medium, another machine's disk."""
        box = self.boxes[which]
        box.away = not box.away

    def do_restart(self, which: int, first: int, second: int) -> None:
        """A box ends and starts again."""
        self.boxes[which].restart()

    def do_lose(self, which: int, first: int, second: int) -> None:
        """
        A box loses its index: it scans, and joins what another has before it
        says anything.
        """
        other = self.boxes[first % len(self.boxes)]
        box = self.boxes[which]
        if first % 5 or other is box or box.away:
            return
        # What came out by surprise and was not placed anew has a name nowhere
        # but in this index; now it is in the version store only.
        self.user.excused.update(pair for pair in self.user.owed if pair[1] in box.surprises)
        box.forget_all()
        box.scan()
        box.hear(other.everything())

    def do_forget(self, which: int, first: int, second: int) -> None:
        """So much time goes by that nothing is underway, then a box forgets."""
        self.forgetful = True
        self.underway.clear()
        box = self.boxes[which]
        box.forget(
            box.number
            if box.rules.forgets_unheard
            else min(
                other.heard.get((which, box.incarnation), 0)
                for other in self.boxes
                if other is not box
            )
        )

    # The end.

    def finish(self, rounds: int = 12) -> None:
        """
        Everybody tells everybody everything, until nothing moves.

        @raise Violated: it does not end, or not as promised.
        """
        for box in self.boxes:
            box.away = False
        for _ in range(rounds):
            if not self._round():
                break
        else:
            raise Violated("it never rests")
        self.check()

    def _round(self) -> bool:
        moved = False
        for box in self.boxes:
            moved |= box.scan()
        for to, box in enumerate(self.boxes):
            for sender, other in enumerate(self.boxes):
                if other is box:
                    continue
                if self.forgetful:
                    moved |= self._tell(sender, to)
                else:
                    moved |= box.hear(other.everything())
        for box in self.boxes:
            moved |= self._place_all(box)
        return moved

    def _tell(self, sender: int, to: int) -> bool:
        """Announce what is new: nothing else may be needed."""
        box, other = self.boxes[to], self.boxes[sender]
        key = sender, other.incarnation
        reached, entries = other.announce(box.heard.get(key, 0), len(other.numbers) + 1)
        if reached == box.heard.get(key, 0):
            return False
        box.heard[key] = reached
        box.hear(entries, other.heard.get((to, box.incarnation), 0))
        return True

    def check(self) -> None:
        """
        All that must hold at the end.

        @raise Violated: something does not.
        """
        first = self.boxes[0]
        gone = self.gone()
        for box in self.boxes:
            if self.forgetful:
                if box_heads(box) != box_heads(first):
                    raise Violated("what is alive differs")
            elif dict(box.tree.items()) != dict(first.tree.items()):
                raise Violated("indexes differ")
            if {**box.disk, **gone} != {**first.disk, **gone}:
                raise Violated("folders differ")
            self.check_tree(box)
        present = {value.content for value in first.disk.values()}
        for path, content in self.user.owed - self.user.excused:
            if content not in present:
                raise Violated(f"content of {path!r} is lost")

    def gone(self) -> dict[Path, Value]:
        """
        What was announced, then overwritten before anybody had fetched it, by
        a box that lost its index before it could announce that as well.  It
        stays needed, and each folder keeps what it had there.
        """
        contents = set().union(*(box.contents() for box in self.boxes))
        heads = ((path, known.heads[0].value) for path, known in self.boxes[0].tree.items())
        return {path: value for path, value in heads if value.content not in {b"", *contents}}

    def check_tree(self, box: ModelBox) -> None:
        """What must hold of an index at any time."""
        for path, known in box.tree.items():
            if len(known.heads) != 1:
                raise Violated(f"{path!r} is not settled")
            folder = Path(path.rpartition(b"/")[0])
            if known.heads[0].value.deleted and path not in self.user.removed:
                raise Violated(f"nobody has deleted {path!r}")
            if known.heads[0].value.deleted or not folder:
                continue
            above = box.tree.get(folder)
            if above is None or not is_directory(above.heads[0].value):
                raise Violated(f"{path!r} is in no directory")


def box_heads(box: ModelBox) -> dict[Path, tuple[Head, ...]]:
    """What an index says that there is."""
    return {path: known.heads for path, known in box.tree.items() if is_alive(known)}
