# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is to be fetched of an index, and what is left.  Pure.

Nothing is ever replaced, and nothing comes back:

 - What is shown here with the same size (and hash, where that was said) is here.
 - Something else of the same name is fetched beside it, at most
     L{BESIDE} versions of a path: a log that grows at a neighbour's shall not
     fill a box with its past.
 - What was deleted here, or was brought in once and is not here any more, is
   left until a person asks for it.
 - What is on its way, or cannot be in the box, is left.

Whoever watches sees what a node fetches.  So it goes by what the node shows
(L{flocknode.forban.catalogue}): of a box that a flock shares, a change that was
made here and was in no round yet must not show in what is fetched.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence

import attrs

from flocknode.box.listing import Known, ListedFile
from flocknode.box.patterns import Patterns
from flocknode.box.values import Path
from flocknode.forban.protocol.remote import RemoteFile

BESIDE = 3
"""Other versions of a path that are brought in."""


@attrs.frozen
class Rules:
    """
    What the owner wants.

    @ivar include: only what these match; L{None}: everything.
    @ivar exclude: not what these match; they win.
    @ivar largest: bytes of a file.
    """

    include: Patterns | None = None
    exclude: Patterns | None = None
    largest: int = 1 << 50

    def allow(self, file: RemoteFile) -> bool:
        """May it be fetched without being asked for?"""
        if file.size > self.largest:
            return False
        text = file.path.decode("utf-8")
        if self.exclude is not None and matches(self.exclude, text):
            return False
        return self.include is None or matches(self.include, text)


@attrs.frozen
class Limits:
    """
    @ivar rules: which files are fetched.
    @ivar quota: bytes that are brought in on a day; 0: no limit.
    @ivar reserve: bytes of a disk to those of them that stay free; L{None}: the
        usual, see L{flocknode.forban.fetch.transfers}.
    """

    rules: Rules = Rules()
    quota: int = 0
    reserve: Callable[[int], int] | None = None


def matches(patterns: Patterns, path: str) -> bool:
    """Do they match this file, or a directory above it?  As git reads them."""
    parts = path.split("/")
    for count in range(1, len(parts)):
        if patterns.says("/".join(parts[:count]), True):
            return True
    return bool(patterns.says(path, False))


@attrs.frozen
class Version:
    """
    A file as an index showed it.

    @ivar content: its hash, or empty where none was said.
    """

    size: int
    content: bytes = b""


@attrs.frozen
class Wanted:
    """
    A file that may be wanted.

    @ivar file: at the neighbour.
    @ivar shelf: name of the box; C{path}: in it.
    @ivar shown: what this node shows there; L{None}: nothing.
    """

    file: RemoteFile
    shelf: str
    path: Path
    shown: ListedFile | None = None

    @property
    def version(self) -> Version:
        """As it is noted when it was brought in."""
        return Version(self.file.size, self.file.content or b"")


class Verdict(enum.Enum):
    """
    C{FETCH}: it is wanted; C{LEAVE}: it is not; C{LATER}: perhaps later.
    """

    FETCH = "fetch"
    LEAVE = "leave"
    LATER = "later"


def is_same(file: RemoteFile, shown: ListedFile) -> bool:
    """Is it the same file, as far as the index says?"""
    return file.size == shown.size and file.content in (None, shown.content)


def candidates(
    files: Mapping[Path, RemoteFile],
    place: Mapping[str, str],
    default: str,
    shown: Mapping[Path, ListedFile],
    rules: Rules,
) -> list[Wanted]:
    """
    What of an index is not here already, small files first.

    @param place: the first component of a path to the name of the box that it
        stands for, where there are several; then it is no part of the path.
    @param default: name of the box for everything else.
    @param shown: what this node shows, by the name of the box, a slash and the
        path.
    """
    found = []
    for file in files.values():
        if not rules.allow(file):
            continue
        wanted = placed(file, place, default, shown)
        if wanted.shown is None or not is_same(file, wanted.shown):
            found.append(wanted)
    found.sort(key=lambda wanted: (wanted.file.size, wanted.file.path))
    return found


def placed(
    file: RemoteFile,
    place: Mapping[str, str],
    default: str,
    shown: Mapping[Path, ListedFile],
) -> Wanted:
    """Where a file of an index belongs; see L{candidates}."""
    shelf, path = where(file.path, place, default)
    return Wanted(file, shelf, path, shown.get(Path(shelf.encode() + b"/" + path)))


def where(path: Path, place: Mapping[str, str], default: str) -> tuple[str, Path]:
    """@return: the name of the box, and the path in it; see L{candidates}."""
    top, slash, rest = path.partition(b"/")
    shelf = place.get(top.decode("utf-8", "replace")) if slash else None
    return (default, path) if shelf is None else (shelf, Path(rest))


def judge(
    wanted: Wanted, known: Known, versions: Sequence[Version], unsettled: bool = False
) -> Verdict:
    """
    Is it fetched without being asked for?

    @param known: what the box knows of the path.
    @param versions: what was brought in to it.
    @param unsettled: what the box knows of it is a change made here that was in
        no round yet.
    """
    if wanted.shown is not None:
        if is_same(wanted.file, wanted.shown):
            return Verdict.LEAVE
        known_already = any(_may_be(wanted.version, version) for version in versions)
        is_fresh = len(versions) < BESIDE and not known_already
        return Verdict.FETCH if is_fresh else Verdict.LEAVE
    if known is Known.REFUSED or versions:
        return Verdict.LEAVE
    if unsettled:
        # As a node that does not know of the change would do.
        return Verdict.FETCH
    if known is Known.UNKNOWN:
        return Verdict.FETCH
    # What is held and not shown yet is compared when it is.
    return Verdict.LEAVE if known is Known.DELETED else Verdict.LATER


def _may_be(one: Version, other: Version) -> bool:
    """Not every index says a hash."""
    is_equal = not one.content or not other.content or one.content == other.content
    return one.size == other.size and is_equal
