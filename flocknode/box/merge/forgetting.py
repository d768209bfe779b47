# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
When a box may forget that a version was superseded, or that a path was deleted.

What is remembered keeps old versions from coming back.  So it may go only when
nobody has the old version any more: everyone who holds the box has
acknowledged a number at which it was superseded, and that was L{AGE} ago.

Once a day each path's superseded ids are written down with its number, as its
L{Aging}; when that is old enough and acknowledged, they go and the next ones
are written down.  So each id is remembered for one to two times L{AGE}.

A path that was deleted is forgotten as a whole or not at all: as long as its
tombstone is there, all old versions of it are known for what they are.

Forgetting changes no head, so nothing of it is announced, and boxes that
forget at different times still agree.  What others still speak of is not
learned again, see L{unlearned}: else two boxes that edit a path in turn would
remind each other for ever.

What an index that was restored or lost brings back after all is a conflict or
a file come back to life, never a loss.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import attrs

from flocknode.box.merge.history import NOTHING, forget, is_alive
from flocknode.box.values import History, VersionId

AGE = 30 * 86_400
"""Seconds that everything is remembered at least: backups that are restored,
and copies that are brought along, are mostly younger."""

UNLEARNED = 6 * AGE
"""Seconds that is known what was forgotten, since others last spoke of it:
they forget it as well, mostly within two times L{AGE}."""


@attrs.frozen
class Aging:
    """
    What was superseded of a path at some time.

    @ivar number: the path's number then.
    @ivar since: seconds since the epoch.
    @ivar ids: the superseded versions, and the tombstone if there was one.
    """

    number: int
    since: int
    ids: frozenset[VersionId]


def aging(history: History, number: int, now: int) -> Aging | None:
    """
    What there is to be forgotten of a path some day.

    @param history: settled.
    @param now: seconds since the epoch.
    @return: L{None}: nothing.
    """
    ids = {id for id, _ in history.superseded}
    if not is_alive(history):
        ids.update(head.id for head in history.heads)
    return Aging(number, now, frozenset(ids)) if ids else None


def is_due(old: Aging, heard: int, now: int) -> bool:
    """
    May this be forgotten?

    @param heard: the number that all others have acknowledged.
    """
    return heard >= old.number and now - old.since >= AGE


def forgotten(history: History, number: int, old: Aging, heard: int) -> History:
    """
    The history without what is L{is_due}; L{NOTHING}: the path is forgotten.

    @param number: of the path by now.
    """
    if is_alive(history):
        return forget(history, old.ids)
    if heard >= number and all(head.id in old.ids for head in history.heads):
        return NOTHING
    return history


def unlearned(
    heard: History, mine: History, gone: AbstractSet[VersionId], heads: AbstractSet[VersionId]
) -> History:
    """
    What another says of a path, without what was forgotten here.  Everyone has
    acknowledged that those versions are superseded, so nobody needs to be told
    again; unless one of them has come back, or the path is deleted.

    @param gone: the versions that were forgotten here.
    @param heads: all heads that are spoken of now.
    """
    if not (is_alive(heard) and is_alive(mine)):
        return heard
    return forget(heard, gone - heads - {head.id for head in mine.heads})
