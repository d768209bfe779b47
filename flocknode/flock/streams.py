# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Separate random streams by purpose.

One stream for everything would tie what is visible to what is hidden: a draw
more for the payload would move the next heartbeat.  So everything that a
watcher can see draws from a stream of its own, and only the shaper's side of
the program has these.
"""

from __future__ import annotations

import random
from hashlib import blake2b


class RandomStreams:
    """
    The flock engine's sources of chance.

    @ivar heartbeats: intervals between heartbeats.
    @ivar offsets: private offsets of starts and stops.
    @ivar links: the order of links within a tick.
    @ivar ticks: how much later each tick comes.
    @ivar decoys: when a round is called for nothing.
    @ivar followups: delays of rounds that follow a loss or a return.
    @ivar identity: the link epoch.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        """
        @param seed: makes all streams repeatable (for tests); without it they
            come from the operating system.
        """
        self.heartbeats = _stream(seed, b"heartbeats")
        self.offsets = _stream(seed, b"offsets")
        self.links = _stream(seed, b"links")
        self.ticks = _stream(seed, b"ticks")
        self.decoys = _stream(seed, b"decoys")
        self.followups = _stream(seed, b"followups")
        self.identity = _stream(seed, b"identity")


def _stream(seed: bytes | None, purpose: bytes) -> random.Random:
    if seed is None:
        return random.SystemRandom()
    digest = blake2b(seed, digest_size=32, person=purpose).digest()
    return random.Random(int.from_bytes(digest, "big"))
