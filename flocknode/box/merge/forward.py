# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What has to be announced together.

An index is announced in pages, by its numbers.  Paths get new numbers when they
change, so a page may end between a path and what is above or below it: whoever
joins it would see something alive where a file is, and make a directory and a
conflict of that; or he would imply a directory that nobody has announced, and
that nobody takes back.  So what belongs to a page is brought forward into it,
whatever its number: it comes again in its place, and changes nothing then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flocknode.box.merge.history import is_alive, is_directory
from flocknode.box.merge.reconcile import paths_above
from flocknode.box.values import History, Path


def brought_forward(
    page: Iterable[tuple[Path, History]],
    is_later: Callable[[Path], bool],
    later_below: Callable[[Path], Iterable[Path]],
) -> set[Path]:
    """
    What belongs to a page and is not in it.

    @param page: settled entries.
    @param is_later: is this path known, and announced after the page?
    @param later_below: all such paths below one.
    @return: directories above what is alive, and what is (no more) alive below
        what is no directory (any more).
    """
    found: set[Path] = set()
    checked: set[Path] = set()
    for path, history in page:
        if is_alive(history):
            for above in paths_above(path):
                if above in checked:
                    break
                checked.add(above)
                if is_later(above):
                    found.add(above)
        # What never was anything else has never had anything below it.
        if history.superseded and not any(is_directory(head.value) for head in history.heads):
            found.update(later_below(path))
    return found
