# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is being fetched, as frozen values, see L{flocknode.forban.fetch.fetching}.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class VisitStatus:
    """
    @ivar state: C{"visited"}, C{"waiting"} for its turn, or C{"left alone"}.
    @ivar wait: seconds until it is visited again, at the earliest.
    @ivar error: one sentence on the last visit, or an empty string.
    """

    uuid: str
    state: str
    wait: float = 0.0
    error: str = ""


@attrs.frozen
class TransferStatus:
    """
    A file that is being fetched.

    @ivar path: as text.
    @ivar received: of its C{size} bytes.
    """

    uuid: str
    path: str
    size: int
    received: int


@attrs.frozen
class FetchStatus:
    """
    What is being fetched.

    @ivar opportunistic: files are fetched without being asked for.
    @ivar fetched: files since the start; C{today}: bytes of this day (UTC), of
        C{quota}.
    @ivar waiting: files that are to be put into their boxes later.
    @ivar error: one sentence on what is wrong here, or an empty string.
    """

    opportunistic: bool
    transfers: tuple[TransferStatus, ...] = ()
    visits: tuple[VisitStatus, ...] = ()
    fetched: int = 0
    today: int = 0
    quota: int = 0
    waiting: int = 0
    error: str = ""
