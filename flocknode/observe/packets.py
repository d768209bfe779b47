# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What all parts of the observer speak of: one TCP segment, as seen by somebody
who cannot read it.
"""

from __future__ import annotations

from typing import NamedTuple

from flocknode.errors import FlocknodeError


class ObserveError(FlocknodeError):
    """What shall be observed cannot be: the file is no capture, or holds too little."""


class Endpoint(NamedTuple):
    """
    One end of a connection.

    @ivar address: as text.
    @ivar port: 0 in a simulated flock, where nodes have names only.
    """

    address: str
    port: int


class Segment(NamedTuple):
    """
    @ivar time: seconds since any moment that all segments share.
    @ivar size: bytes of payload; 0 is a bare acknowledgement.
    @ivar window: as its sender announces it, not scaled.
    """

    time: float
    source: Endpoint
    target: Endpoint
    size: int
    window: int = 0
