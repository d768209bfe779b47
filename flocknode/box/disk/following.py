# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A folder as it is to whoever follows the symbolic links in it that lead to
something in it.

Only for reading: what is placed goes through real directories, so nothing is
ever written through a link.
"""

from __future__ import annotations

import os
from threading import Lock

from flocknode.box.disk.folder import FileType, Folder, Stat, is_reserved, split

HOPS = 8
"""Links followed on the way to one path, at most: names that are many ways to
the same directory multiply."""

REMEMBERED = 10_000
"""Links of which is remembered where they lead, at most."""

_ALIASES = 100
"""Other ways to a path that are told, at most."""


class FollowingFolder(Folder):
    """
    Reads through links.  Those that lead out of the folder, to nothing, to
    what is ours, or back to a directory on the way are links here, too.

    Used by several threads.

    @param folder: the same without following; it is not closed by this.
    @ivar keep: paths of links that are not to be followed: others have them
        as links.
    """

    def __init__(self, folder: Folder) -> None:
        # All that is opened goes through the other one's descriptor.
        self.root = folder.root
        self.root_fd = folder.root_fd
        self.keep: set[bytes] = set()
        self._device = folder._device
        self._numbered = folder._numbered
        self._capabilities = folder.capabilities
        self._strict = folder
        self._lock = Lock()
        self._leads: dict[bytes, bytes] = {}
        self._ways: dict[bytes, set[bytes]] = {}

    def lstat(self, path: bytes) -> Stat | None:
        """See L{Folder.lstat}; of what a link leads to, if it is followed."""
        return self._strict.lstat(self.resolve(path))

    def readlink(self, path: bytes) -> bytes:
        """Of a link that is not followed."""
        return self._strict.readlink(self.resolve(path))

    def seen(self, path: bytes, stat: Stat) -> Stat | None:
        """See L{Folder.seen}."""
        if stat.type is not FileType.SYMLINK:
            return stat
        try:
            return self.lstat(path)
        except OSError:
            return stat

    def resolve(self, path: bytes) -> bytes:
        """
        Where a path really lies, all links on the way and at its end followed.

        @raise OSError: it cannot be told.
        """
        if path in (b"", b"."):
            return path
        real, logical = b"", b""
        way = [b""]
        hops = 0
        for name in path.split(b"/"):
            logical = _joined(logical, name)
            there = _joined(real, name)
            target = None if hops >= HOPS else self._target(logical, there, way)
            if target is not None:
                hops += 1
                self._remember(logical, target)
            real = there if target is None else target
            way.append(real)
        return real

    def is_followed(self, path: bytes) -> bool:
        """Is this path, or one above it, a link that is followed?"""
        try:
            return self.resolve(path) != path
        except OSError:
            return False

    def others(self, path: bytes) -> set[bytes]:
        """Other ways to this path, through links that were met so far."""
        if not self._ways:
            return set()
        found: set[bytes] = set()
        waiting = [path]
        while waiting and len(found) < _ALIASES:
            at = waiting.pop()
            above, rest = at, b""
            while above:
                with self._lock:
                    links = tuple(self._ways.get(above, ()))
                for link in links:
                    other = link + rest
                    if other not in found and other != path:
                        found.add(other)
                        waiting.append(other)
                above = split(above)[0]
                rest = at[len(above) :] if above else b""
        return found

    def _open(self, path: bytes, flags: int) -> int:
        return self._strict._open(self.resolve(path), flags)

    def _target(self, logical: bytes, there: bytes, way: list[bytes]) -> bytes | None:
        """
        Where a link leads that is to be followed; L{None}: it is none.

        @param logical: how the box knows the path.
        @param there: where it lies.
        @param way: where all lies that is above it.
        """
        stat = self._strict.lstat(there)
        if stat is None or stat.type is not FileType.SYMLINK or logical in self.keep:
            return None
        target = self._lead(there)
        found = None if not target else self._strict.lstat(target)
        if target is None or found is None:
            return None
        if found.type is FileType.FILE:
            return target
        if found.type is not FileType.DIRECTORY:
            return None
        below = target + b"/"
        if any(each == target or each.startswith(below) for each in way):
            return None
        return target

    def _lead(self, link: bytes) -> bytes | None:
        """Where a link leads, all links on the way followed; L{None}: out of the folder."""
        waiting = [link]
        real: list[bytes] = []
        for _ in range(40 * HOPS):
            if not waiting:
                break
            head, _, rest = waiting.pop().partition(b"/")
            if rest:
                waiting.append(rest)
            if head in (b"", b"."):
                continue
            if head == b"..":
                if not real:
                    return None
                real.pop()
                continue
            real.append(head)
            there = b"/".join(real)
            stat = self._strict.lstat(there)
            if stat is None or (waiting and stat.type is FileType.FILE):
                return None
            if stat.type is not FileType.SYMLINK:
                continue
            target = self._strict.readlink(there)
            real.pop()
            if target.startswith(b"/"):
                root = os.path.realpath(self.root) + b"/"
                if not (target + b"/").startswith(root):
                    return None
                real, target = [], target[len(root) :]
            waiting.append(target)
        if waiting or not real or is_reserved(real[0]):
            return None
        return b"/".join(real)

    def _remember(self, link: bytes, target: bytes) -> None:
        with self._lock:
            before = self._leads.get(link)
            if before == target:
                return
            if before is not None:
                self._ways[before].discard(link)
            if before is None and len(self._leads) >= REMEMBERED:
                return
            self._leads[link] = target
            self._ways.setdefault(target, set()).add(link)


def _joined(parent: bytes, name: bytes) -> bytes:
    return parent + b"/" + name if parent else name
