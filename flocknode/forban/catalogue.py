# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
All that a node shows through Forban at one moment: the files of its public
boxes, and its index.

With one public box the paths are those in the box; with several each box is a
directory at the top.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Generic, TypeVar

import attrs

from flocknode.box.listing import ListedFile
from flocknode.box.values import Path
from flocknode.forban import items
from flocknode.forban.items import KEY, Item, index_hmac, is_listable

S = TypeVar("S")
"""What names a shelf."""


@attrs.frozen
class Shown(Generic[S]):
    """
    A file of the catalogue.

    @ivar path: in the catalogue.
    @ivar shelf: whose it is.
    @ivar file: what it is there.
    """

    path: Path
    shelf: S
    file: ListedFile


@attrs.frozen(slots=False)
class Catalogue(Generic[S]):
    """
    @ivar files: by path, in the order of paths.
    @ivar key: of the index's hash.
    """

    files: Mapping[Path, Shown[S]]
    key: bytes = KEY

    @cached_property
    def index(self) -> bytes:
        """The text of the index."""
        return items.encode(Item(path, shown.file.size) for path, shown in self.files.items())

    @cached_property
    def hmac(self) -> str:
        """Of the index, for announcements."""
        return index_hmac(self.index, self.key)

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(shown.file.size for shown in self.files.values())


def compile(
    shelves: Mapping[str, tuple[S, Mapping[Path, ListedFile]]], key: bytes = KEY
) -> Catalogue[S]:
    """
    Put together what is on all shelves.  Takes long for many files: not for a
    reactor's thread; nor the first look at the catalogue's index.

    @param shelves: by name.
    """
    found: dict[Path, Shown[S]] = {}
    for name, (shelf, files) in shelves.items():
        top = b"" if len(shelves) == 1 else name.replace("/", "_").encode() + b"/"
        for path, file in files.items():
            shown = Path(top + path)
            if is_listable(shown):
                found[shown] = Shown(shown, shelf, file)
    return Catalogue({path: found[path] for path in sorted(found)}, key)
