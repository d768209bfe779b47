# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What Forban is told."""

from __future__ import annotations

import attrs

from flocknode.forban.near.destinations import Destination

PORT = 12555
"""UDP and TCP, of both other programs."""


@attrs.frozen
class ForbanSettings:
    """
    @ivar mode: C{opportunistic}, C{shared} or C{off}.
    @ivar name: how this node calls itself; empty: the machine's name.
    @ivar port: of UDP and of TCP.
    @ivar destination: hosts that announcements are sent to beside all that are
        in reach.
    @ivar listen: more endpoints of the site, as Twisted writes them.
    @ivar key: which all nodes agree upon; empty: none.
    @ivar include: patterns of what is fetched, as in C{.flockignore}; none:
        everything.
    @ivar exclude: patterns of what is not.
    @ivar largest: bytes of a file that is fetched, at most; L{None}: any.
    @ivar quota: bytes that may be fetched in a day (UTC); L{None}: any.
    @ivar rate: bytes per second that are fetched, at most; L{None}: any.
    @ivar into: the public box for what is fetched; empty: the first.
    @ivar media: what is done with the directory C{FORBAN} of a medium:
        C{import}, C{export}, C{both} or C{off}.
    """

    mode: str = "opportunistic"
    name: str = ""
    port: int = PORT
    destination: tuple[Destination, ...] = ()
    listen: tuple[str, ...] = ()
    key: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    largest: int | None = None
    quota: int | None = None
    rate: int | None = None
    into: str = ""
    media: str = "off"
