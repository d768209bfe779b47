# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""Waiting for the end of something that somebody else waits for, too."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred


def end_of(something: Deferred[Any]) -> Deferred[None]:
    """
    @param something: whose result is left to whom it belongs to.
    @return: fires when that has ended, however it did; never fails.
    """
    ended: Deferred[None] = Deferred()

    def pass_on(result: Any) -> Any:
        ended.callback(None)
        return result

    something.addBoth(pass_on)
    return ended
