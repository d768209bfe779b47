# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A search over several views, within bounds: L{search}.  Pure but for the clock
that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flocknode.forban.site.views import Found, View

MOST = 500
"""Files that a search finds, of all nodes together."""

MOST_OF_ONE = 100
"""Files that it finds of one node."""

LONGEST = 1.0
"""Seconds that it takes."""


def search(
    views: Iterable[tuple[str, View]], words: Sequence[bytes], clock: Callable[[], float]
) -> tuple[dict[str, Found], bool]:
    """
    @param views: with the uuid of each, those looked at first first.
    @param words: from L{flocknode.forban.site.views.words_of}; none: nothing is found.
    @param clock: seconds.
    @return: by uuid what was found, where anything was; and whether all were
        looked at.
    """
    until = clock() + LONGEST
    is_over = lambda: clock() > until  # noqa: E731
    left = MOST
    results: dict[str, Found] = {}
    if not words:
        return results, True
    for uuid, view in views:
        if not left:
            return results, False
        found = view.search(words, min(left, MOST_OF_ONE), is_over)
        if found.files:
            results[uuid] = found
            left -= len(found.files)
        if is_over():
            return results, False
    return results, True
