# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the exchange is doing, as frozen values.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class LinkState:
    """
    @ivar member: 16 bytes.
    @ivar lacking: bytes held complete here that it does not show complete.
    @ivar outstanding: bytes asked of it.
    @ivar rate: bytes of content a second that it sends, as last measured.
    @ivar sent: bytes of content sent on this link since it began.
    @ivar received: and received.
    @ivar bad: blocks it sent that were not what they should be.
    @ivar errors: records it sent that did not parse.
    """

    member: bytes
    lacking: int
    outstanding: int
    rate: int
    sent: int
    received: int
    bad: int
    errors: int


@attrs.frozen
class ExchangeState:
    """
    @ivar links: of the members that are alive.
    @ivar missing: bytes of blocks missing in all boxes.
    @ivar content_sent: bytes of content sent since the start, and
        C{content_received}.
    @ivar bad: blocks received since the start that were not what they should
        be.
    """

    links: tuple[LinkState, ...] = ()
    missing: int = 0
    content_sent: int = 0
    content_received: int = 0
    bad: int = 0

    def plus(self, links: tuple[LinkState, ...], missing: int) -> ExchangeState:
        """These links, and the totals of this state and theirs."""
        return ExchangeState(
            links,
            missing,
            self.content_sent + sum(link.sent for link in links),
            self.content_received + sum(link.received for link in links),
            self.bad + sum(link.bad for link in links),
        )
