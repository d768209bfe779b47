# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The versions of one path, ordered without naming anyone.

A version's id is a hash over the ids of its parents and its value, so equal
changes made in different places are one version.  A L{History} is what a box
knows of a path: the I{heads}, and the ids of all that they I{superseded}.

 - L{local_change}: the folder holds something else than before.
 - L{join}: two boxes' knowledge in one.  Commutative, associative, idempotent.
 - L{flocknode.box.merge.settling}: several heads become one again.
 - L{flocknode.box.merge.reconcile}: all this for a whole tree.

All are pure functions of values.

What a box must do for its part: remember per path which version its folder
holds (C{placed}), and move that on to the settled head whenever the head's
value equals what the folder holds.  Nothing on disk equals a tombstone.

Why nothing can supersede itself in a circle: whenever one version supersedes
another, its C{(depth, id)} is the greater one.  A parent has less depth than
its children; of heads with equal values the one with the greater C{(depth,
id)} stays; a parentless version has depth 0 and gives way to versions that
have parents.  (L{IMPLIED} gives way to all others and counts as the least.)
So the greatest of all known versions is always a head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from blake3 import blake3

from flocknode.box.values import Head, History, Kind, Value, VersionId

MAX_SUPERSEDED = 4096
"""
Ids that are remembered per path; beyond, those with the least depth go.  A
version whose id was forgotten and that comes back is a conflict, not a loss.
"""

PARENTLESS = bytes(8)
"""The first half of the id of a version that has no parents."""

DIRECTORY = Value(kind=Kind.DIRECTORY, mode=0o700)
"""What the tree rule makes of a path that was something else."""

IMPLIED = Value(kind=Kind.DIRECTORY)
"""
A directory of which nothing is known but that something lives below it: its
own entry is still on its way.  It gives way to any other version of its path.
Its mode of 0 says "unknown": it is placed as 0755.
"""

NOTHING = History()
"""The history of a path that no one has ever heard of."""


class Unseen(msgspec.Struct, frozen=True, gc=False):
    """
    A local change that no one else can have heard of.

    The box keeps it per path, in memory only, from the change until the path's
    entry is handed out to be announced; then it must be dropped, whether or
    not the announcement arrives.  After a restart everything counts as seen.
    With these two rules a version that is taken back was never anywhere else,
    so nothing needs to remember its id.

    @ivar before: the history before the change.
    @ivar placed: what the folder held before the change.
    @ivar after: the history that the change led to, as it was then; when it is
        not the path's history any more, something has been built on it.
    """

    before: History
    placed: VersionId | None
    after: History


class Change(msgspec.Struct, frozen=True, gc=False):
    """
    What a local change makes of a path.

    @ivar history: the new history.  It may have several heads: to be settled.
        Without heads (L{NOTHING}) the path needs no row at all.
    @ivar placed: the version that the folder holds now; L{None}: there is
        nothing, and no one has ever heard of it.
    @ivar unseen: to be given to the next L{local_change} of this path, unless
        the path's entry was handed out in between.
    """

    history: History
    placed: VersionId | None
    unseen: Unseen | None


def value_half(value: Value) -> bytes:
    """The second half of the id of every version with this value."""
    packed = (
        bytes((value.deleted, value.kind))
        + value.mode.to_bytes(2, "big")
        + value.mtime_ns.to_bytes(16, "big", signed=True)
        + value.content
    )
    half: bytes = blake3(packed).digest(length=8)
    return half


def version_id(parents: Iterable[VersionId], value: Value) -> VersionId:
    """The id of the version with these parents (in any order) and this value."""
    ordered = b"".join(sorted(set(parents)))
    first = blake3(ordered).digest(length=8) if ordered else PARENTLESS
    return VersionId(first + value_half(value))


def matches(head: Head) -> bool:
    """Whether a head that came from outside has the value its id speaks of."""
    return len(head.id) == 16 and head.id[8:] == value_half(head.value)


def value_order(value: Value) -> tuple[bool, bool, int, bytes, int, int]:
    """
    A sort key; of several heads the greatest value wins.  Alive before
    deleted, directories before others, newer before older; the rest only
    makes the order total.
    """
    return (
        not value.deleted,
        value.kind is Kind.DIRECTORY,
        value.mtime_ns,
        value.content,
        value.kind,
        value.mode,
    )


def is_directory(value: Value) -> bool:
    """Whether this is an alive directory."""
    return value.kind is Kind.DIRECTORY and not value.deleted


def is_alive(history: History) -> bool:
    """Whether any head says that there is something."""
    heads = history.heads
    if len(heads) == 1:
        return not heads[0].value.deleted
    return any(not head.value.deleted for head in heads)


def first_version(value: Value, size: int) -> History:
    """The history of a path of which nothing was known before this version."""
    return History((Head(VersionId(PARENTLESS + value_half(value)), 0, value, size),))


def local_change(
    history: History,
    placed: VersionId | None,
    value: Value,
    size: int,
    unseen: Unseen | None = None,
) -> Change:
    """
    The folder holds C{value} now, and held the version C{placed} before.

    The new version's only parent is C{placed}: whoever made the change had
    seen that, and nothing newer that may have been heard of since.

    If the last change is still L{Unseen} and nothing was built on it, this one
    takes its place, as if it had never been; a path that was created and
    deleted meanwhile leaves nothing, one that is as before is as before.

    @param placed: L{None} if the folder held nothing here, and no tombstone.
    @param size: bytes of content.
    @param unseen: of the last L{Change} of this path, if its entry was never
        handed out since.
    """
    if unseen is not None and unseen.after == history:
        history, placed = unseen.before, unseen.placed
    if placed is None and value.deleted:
        return Change(history, None, None)
    if placed is not None and placed[8:] == value_half(value):
        return Change(history, placed, None)
    if placed is None and history == NOTHING:
        # What follows would come to the same: most paths of a first scan.
        created = first_version(value, size)
        return Change(created, created.heads[0].id, Unseen(history, None, created))
    known = dict(_known(history))
    superseded: tuple[tuple[VersionId, int], ...] = ()
    if placed is not None:
        # A parent that was forgotten counts as deep as whatever was not.
        superseded = ((placed, known.get(placed, max(known.values(), default=0))),)
    new = version_id((id for id, _ in superseded), value)
    depth = max((depth + 1 for _, depth in superseded), default=0)
    changed = join(history, History((Head(new, depth, value, size),), superseded))
    if new not in known and [head.id for head in changed.heads] == [new]:
        return Change(changed, new, Unseen(history, placed, changed))
    return Change(changed, _same(changed, new), None)


def _same(history: History, version: VersionId) -> VersionId:
    """
    Which known version a box holds that found the parentless C{version}: the
    latest with the same value, a head before all others.
    """
    for head in history.heads:
        if head.id[8:] == version[8:]:
            return head.id
    if version[:8] != PARENTLESS:
        return version
    return max((depth, id) for id, depth in _known(history) if id[8:] == version[8:])[1]


def _known(history: History) -> list[tuple[VersionId, int]]:
    """All known ids and their depths."""
    return [(head.id, head.depth) for head in history.heads] + list(history.superseded)


def join(mine: History, theirs: History) -> History:
    """
    What both know together: the union of the heads without the union of the
    superseded.  A semilattice: any order and any repetition give the same.

    A parentless head whose value some known version with parents has or had
    I{is} that version: equal folders met for the first time, or an index was
    lost and built anew.  L{IMPLIED} gives way to every other version.

    Beyond L{MAX_SUPERSEDED} ids the laws end, but no head is ever lost.
    """
    if mine == theirs:
        theirs = NOTHING
    if theirs == NOTHING and _is_first(mine):
        return mine
    if mine == NOTHING and _is_first(theirs):
        return theirs
    heads = {head.id: head for head in mine.heads}
    for head in theirs.heads:
        other = heads.get(head.id)
        # The same version has the same depth and size, unless somebody lies.
        if other is None or (other.depth, other.size) < (head.depth, head.size):
            heads[head.id] = head
    superseded = dict(mine.superseded)
    for id, depth in theirs.superseded:
        superseded[id] = max(depth, superseded.get(id, 0))
    return _history(heads, superseded)


def _is_first(history: History) -> bool:
    """A single version that superseded nothing, as most paths have: it is in normal form."""
    return len(history.heads) == 1 and not history.superseded


def _history(heads: Mapping[VersionId, Head], superseded: dict[VersionId, int]) -> History:
    """
    The normal form: parentless heads identified, superseded ones removed,
    sorted, and capped.
    """
    known = heads.keys() | superseded.keys()
    alive = []
    for id, head in heads.items():
        if id in superseded:
            superseded[id] = max(superseded[id], head.depth)
        elif (
            id[:8] == PARENTLESS
            and len(known) > 1
            and (
                head.value == IMPLIED or any(other[8:] == id[8:] and other != id for other in known)
            )
        ):
            superseded[id] = head.depth
        else:
            alive.append(head)
    if heads and not alive:
        # Only somebody who lies about depths or parents can lead here.
        last = max(heads.values(), key=lambda head: (head.depth, head.id))
        del superseded[last.id]
        alive = [last]
    ids: Iterable[tuple[VersionId, int]] = superseded.items()
    if len(superseded) > MAX_SUPERSEDED:
        ids = sorted(ids, key=lambda item: (item[1], item[0]))
        ids = ids[-MAX_SUPERSEDED:]
    return History(tuple(sorted(alive, key=lambda head: head.id)), tuple(sorted(ids)))


def forget(history: History, ids: Iterable[VersionId]) -> History:
    """
    The history without these superseded ids.  Only for ids that everyone who
    may ever speak of this path has acknowledged as superseded.
    """
    gone = frozenset(ids)
    return History(
        history.heads,
        tuple(item for item in history.superseded if item[0] not in gone),
    )
