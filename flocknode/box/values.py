# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The values that the box layer is made of, and that cross its border.

 - L{Value}: what a path is (a file with this content, a directory, deleted …).
 - L{Head}, L{History}: the versions of a path, ordered without naming anyone.
 - L{Entry}: a path with its history, as it is announced to others.
 - L{Need}: a block that this folder lacks.

All are frozen; none does I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NewType, Protocol

import attrs
import msgspec

Path = NewType("Path", bytes)
"""A path below a box: components joined by C{b"/"}, neither first nor last."""

VersionId = NewType("VersionId", bytes)
"""16 bytes: BLAKE3(sorted parent ids)[:8] + BLAKE3(value)[:8]; a parentless
version has eight zero bytes in front."""

Hash = NewType("Hash", bytes)
"""32 bytes of BLAKE3."""

Holder = NewType("Holder", bytes)
"""16 opaque bytes that stand for somebody else who holds this box."""


class Kind(enum.IntEnum):
    """What a path is.  The numbers are stored and travel: never renumber."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2


class Value(msgspec.Struct, frozen=True, gc=False):
    """
    What a path is at one version.

    A directory has C{mtime_ns} 0 and no content, a tombstone is all zero, a
    symlink's content is the hash of its target and its mode is 0.

    @ivar mode: permission bits, C{0 <= mode <= 0o777}.
    @ivar mtime_ns: nanoseconds since the epoch; may be negative.
    @ivar content: 32 bytes of content hash for files and symlinks, else empty.
    """

    deleted: bool = False
    kind: Kind = Kind.FILE
    mode: int = 0
    mtime_ns: int = 0
    content: bytes = b""


TOMBSTONE = Value(deleted=True)


class Head(msgspec.Struct, frozen=True, gc=False):
    """
    One version of a path that nothing has superseded yet.

    @ivar depth: length of the longest chain of parents; 0 has none.
    @ivar size: bytes of content (0 for directories and tombstones).  It is
        bound by the content hash, so a lie in it is found when verifying.
    """

    id: VersionId
    depth: int
    value: Value
    size: int


class History(msgspec.Struct, frozen=True, gc=False):
    """
    All that is known of the versions of a path.

    @ivar heads: sorted by id; exactly one once settled.
    @ivar superseded: (id, depth), sorted by id; disjoint from the heads' ids.
    """

    heads: tuple[Head, ...] = ()
    superseded: tuple[tuple[VersionId, int], ...] = ()


@attrs.frozen
class Entry:
    """
    A path as announced.

    @ivar number: the announcer's sequence number, > 0.
    @ivar block_size: size of the blocks its (settled) content is cut into.
    @ivar complete: the announcer holds the whole content of the settled head
        and can serve it (always true for directories and tombstones).
    """

    path: Path
    number: int
    history: History
    block_size: int
    complete: bool


@attrs.frozen
class Need:
    """
    A block that is missing here.

    @ivar hash: what to ask for: the hash of a block, or the content hash of a
        file of several blocks, whose content is then its block list.
    @ivar size: its size in bytes.
    @ivar content: content hash of the file that it is (first) needed for; who
        holds that content whole can serve the block.
    @ivar file_size: size of that file; small files go first.
    @ivar listing: it is a block list, not a block.
    """

    hash: Hash
    size: int
    content: Hash
    file_size: int
    listing: bool = False


class BoxListener(Protocol):
    """What a box tells whoever exchanges it.  Called in the reactor's thread."""

    def advanced(self, box: object) -> None:
        """C{box.highest} rose (already committed): there is more to announce."""

    def wanted(self, box: object, needs: Sequence[Need]) -> None:
        """These blocks are needed from now on."""

    def unwanted(self, box: object, hashes: Sequence[Hash]) -> None:
        """These are not needed any more: arrived, found here, or superseded."""

    def sources(
        self, box: object, content: Hash, holders: frozenset[Holder]
    ) -> None:
        """
        Who holds this needed content whole.  Told before the content's first
        L{wanted}, and again whenever it changes while it is needed.
        """

    def measured(self, box: object) -> None:
        """C{new_total}, C{lacking()}, C{digest} or C{surveying} may have changed."""
