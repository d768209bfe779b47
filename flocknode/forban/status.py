# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What Forban is doing, as frozen values."""

from __future__ import annotations

import attrs

from flocknode.box.values import Path
from flocknode.forban.fetch.status import FetchStatus
from flocknode.forban.media.medium import MediumStatus
from flocknode.forban.near.announcing import AnnouncingStatus


@attrs.frozen
class NeighbourStatus:
    """
    @ivar address: where it is asked.
    @ivar silent: seconds since it was heard last.
    @ivar files: of its index; L{None}: that is not here.
    @ivar tampered: its index was not made with the key agreed upon.
    @ivar error: one sentence on why its index or its files do not come, or an empty
        string.
    @ivar tls: its files are fetched by TLS.
    """

    uuid: str
    name: str
    address: str
    silent: float
    files: int | None = None
    tampered: bool = False
    error: str = ""
    tls: bool = False


@attrs.frozen
class ForbanStatus:
    """
    @ivar mode: C{opportunistic} or C{shared}.
    @ivar boxes: names of the public ones.
    @ivar files: that are shown now, with C{size} bytes.
    @ivar sites: URLs that the site has.
    @ivar problems: sentences on where it cannot be, and what else is wrong.
    @ivar neighbours: how many are there.
    """

    uuid: str
    name: str
    mode: str
    boxes: tuple[str, ...]
    files: int
    size: int
    sites: tuple[str, ...]
    problems: tuple[str, ...]
    announcing: AnnouncingStatus
    neighbours: int
    fetching: FetchStatus
    media: tuple[MediumStatus, ...] = ()


@attrs.frozen
class Hit:
    """
    What a search has found.

    @ivar uuid: of the node that has it, and its C{name}.
    @ivar path: in its index.
    @ivar size: bytes.
    """

    uuid: str
    name: str
    path: Path
    size: int
