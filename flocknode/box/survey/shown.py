# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a disk that does not tell case or accents apart shows, under the names by
which the index knows it: that C{Case} is shown where C{case} is known is no
renaming.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from typing import TypeAlias

from flocknode.box.disk.folder import Folder
from flocknode.box.disk.naming import Naming
from flocknode.box.index.database import Index
from flocknode.box.index.rows import joined
from flocknode.box.values import Path

ANOTHER = "This disk shows another file by this name: rename one of the two on another node."

_Listed: TypeAlias = tuple[dict[str, bytes], set[bytes], dict[bytes, bytes]]
"""Of a directory: key -> name shown, all names shown, L{Shown.known_as} of them."""


class Shown:
    """
    Translates names of one folder.

    @param index: opened for reading.
    """

    def __init__(self, folder: Folder, index: Index, names: Naming) -> None:
        self._folder = folder
        self._index = index
        self._names = names

    @property
    def exact(self) -> bool:
        """Whatever is shown is what it is known by."""
        return self._names.exact

    def known_as(self, parent: Path, shown: Collection[bytes]) -> dict[bytes, bytes]:
        """
        @param shown: all names that a directory shows.
        @return: the name by which each is known, where that is another one.
        """
        if self.exact:
            return {}
        known = {name: there for name, _, there in self._index.names(parent)}
        unknown = [name for name in shown if not known.get(name)]
        if not unknown or not known:
            return {}
        by_key: dict[str, list[bytes]] = {}
        for name in known:
            by_key.setdefault(self._names.key(name), []).append(name)
        listed = set(shown)
        counts = Counter(self._names.key(name) for name in shown)
        found = {}
        for name in unknown:
            key = self._names.key(name)
            if counts[key] > 1:
                # This disk does tell them apart.
                continue
            others = [each for each in by_key.get(key, ()) if each not in listed]
            held = [each for each in others if known[each]]
            if held:
                found[name] = min(held)
            elif name not in known and others:
                found[name] = min(others)
        return found

    def same(self, names: Collection[bytes], shown: Collection[bytes]) -> set[bytes]:
        """Those names that this disk shows, if in another way."""
        if self.exact or not names:
            return set()
        keys = {self._names.key(name) for name in shown}
        return {name for name in names if self._names.key(name) in keys}

    def paths(self, paths: Iterable[Path]) -> set[Path]:
        """How what is at these paths, as they are shown or known, is known."""
        if self.exact:
            return set(paths)
        listed: dict[Path, _Listed] = {}
        return {self._known_path(path, listed) for path in paths}

    def _known_path(self, path: Path, listed: dict[Path, _Listed]) -> Path:
        known = Path(b"")
        components = path.split(b"/")
        for number, name in enumerate(components):
            if known not in listed:
                shown = self._list(known)
                listed[known] = (
                    {self._names.key(each): each for each in shown},
                    set(shown),
                    self.known_as(known, shown),
                )
            by_key, names, known_as = listed[known]
            there = name if name in names else by_key.get(self._names.key(name))
            if there is None:
                return joined(known, b"/".join(components[number:]))
            known = joined(known, known_as.get(there, there))
        return known

    def _list(self, path: Path) -> list[bytes]:
        try:
            directory = self._folder.open_directory(path)
        except OSError:
            return []
        try:
            return [os.fsencode(name) for name in os.listdir(directory)]
        except OSError:
            return []
        finally:
            os.close(directory)
