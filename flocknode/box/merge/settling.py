# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
One head in place of several, and a directory where there has to be one.

 - L{settle}: several heads become one, and the losers live on as siblings.
 - L{as_directory}: a path below which something is alive is a directory.

Both are pure functions of the heads, so all boxes that hear of the same
versions make the same of them, and no one needs to be asked.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from flocknode.box.merge.conflict import conflict_path
from flocknode.box.merge.history import (
    DIRECTORY,
    IMPLIED,
    NOTHING,
    is_directory,
    join,
    value_order,
    version_id,
)
from flocknode.box.values import Head, History, Kind, Path, Value


@attrs.frozen
class Sibling:
    """
    A losing version that lives on under another name.

    @ivar path: where: see L{flocknode.box.merge.conflict}.
    @ivar history: one head with the losing value, whose only parent is the
        losing version.  To be joined with what is known of C{path}.
    """

    path: Path
    history: History


def settle(path: Path, history: History) -> tuple[History, tuple[Sibling, ...]]:
    """
    One head in place of several, the same wherever this is done.

    Of heads with equal values the one with the greatest depth and id remains.
    If different values remain, a new version over them takes the greatest,
    and each other one that is alive and has other content becomes a sibling.

    @return: the settled history, and the siblings to join.
    """
    if len(history.heads) < 2:
        return history, ()
    different: dict[Value, Head] = {}
    for head in sorted(history.heads, key=lambda head: (head.depth, head.id)):
        different[head.value] = head
    best, *others = sorted(
        different.values(),
        key=lambda head: value_order(head.value),
        reverse=True,
    )
    if not others:
        return _succeed(history, best), ()
    new = Head(
        version_id((head.id for head in different.values()), best.value),
        max(head.depth for head in different.values()) + 1,
        best.value,
        best.size,
    )
    return _succeed(history, new), _siblings(path, best.value, others)


def as_directory(path: Path, history: History | None) -> tuple[History, tuple[Sibling, ...]]:
    """
    The history of a path below which something is alive: a new L{DIRECTORY}
    over its head, unless that is an alive directory.

    @param history: settled; L{None}: nothing is known, hence L{IMPLIED}.
    @return: as of L{settle}.
    """
    if history is None or not history.heads:
        head = Head(version_id((), IMPLIED), 0, IMPLIED, 0)
        return join(history or NOTHING, History((head,))), ()
    if all(is_directory(head.value) for head in history.heads):
        return history, ()
    new = Head(
        version_id((head.id for head in history.heads), DIRECTORY),
        max(head.depth for head in history.heads) + 1,
        DIRECTORY,
        0,
    )
    return _succeed(history, new), _siblings(path, DIRECTORY, history.heads)


def _succeed(history: History, new: Head) -> History:
    """The history in which C{new} has superseded all other heads."""
    superseded = [(head.id, head.depth) for head in history.heads if head.id != new.id]
    return join(history, History((new,), tuple(superseded)))


def _siblings(path: Path, winner: Value, losers: Iterable[Head]) -> tuple[Sibling, ...]:
    """Siblings for all content that only the losers (greatest first) have."""
    kept = {(winner.kind, winner.content)}
    siblings = []
    for loser in losers:
        value = loser.value
        if value.deleted or value.kind is Kind.DIRECTORY:
            continue
        if (value.kind, value.content) in kept:
            continue
        kept.add((value.kind, value.content))
        head = Head(version_id((loser.id,), value), loser.depth + 1, value, loser.size)
        siblings.append(
            Sibling(
                conflict_path(path, value),
                History((head,), ((loser.id, loser.depth),)),
            )
        )
    return tuple(siblings)
