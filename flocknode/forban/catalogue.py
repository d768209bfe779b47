# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
All that a node shows through Forban at one moment: the files of its public
boxes, and its index.

With one public box the paths are those in the box; with several each box is a
directory at the top.  Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Generic, TypeVar

import attrs

from flocknode.box.listing import ListedFile
from flocknode.box.paths import LONGEST_PATH
from flocknode.box.values import Path
from flocknode.forban.protocol import items
from flocknode.forban.protocol.items import KEY, Item, index_hmac, is_listable

S = TypeVar("S")
"""What names a shelf."""

_TOP = 240
# Bytes of a directory's name: 255, with room for what makes it another one.


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


def tops(names: Collection[str]) -> dict[str, bytes]:
    """
    Where the boxes of these names are in a catalogue.

    @return: by name, what stands before the paths of the box: nothing, if it is
        the only one; else a directory with a slash, such as an index can list.
    """
    if len(names) == 1:
        return dict.fromkeys(names, b"")
    found: dict[str, bytes] = {}
    taken: set[bytes] = set()
    for name in sorted(names):
        text = "".join(c if c.isprintable() and c != "/" else "_" for c in name)
        plain = text.encode()[:_TOP].decode("utf-8", "ignore").encode()
        if not is_listable(plain):
            plain = b"_" + plain
        top, number = plain, 1
        while top in taken:
            number += 1
            top = b"%s-%d" % (plain, number)
        taken.add(top)
        found[name] = top + b"/"
    return found


def compile(
    shelves: Mapping[str, tuple[S, Mapping[Path, ListedFile]]], key: bytes = KEY
) -> Catalogue[S]:
    """
    Put together what is on all shelves.  Takes long for many files: not for a
    reactor's thread; nor the first look at the catalogue's index.

    @param shelves: by name.
    """
    found: dict[Path, Shown[S]] = {}
    above = tops(shelves)
    for name, (shelf, files) in shelves.items():
        top = above[name]
        for path, file in files.items():
            shown = Path(top + path)
            if is_listable(shown) and len(shown) <= LONGEST_PATH:
                found[shown] = Shown(shown, shelf, file)
    return Catalogue({path: found[path] for path in sorted(found)}, key)
