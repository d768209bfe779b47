# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import attrs

from flocknode.errors import FlocknodeError
from flocknode.flock.messages import FRAME_HEADER
from flocknode.flock.rate import SLOT_SECONDS, slot_payload, uplink_step

MOST_NODES = 250
"""A heartbeat counts members in a byte."""
LARGEST = 2 << 30
"""Bytes of the file, which is kept in memory."""


class ScenarioError(FlocknodeError):
    """There can be no such scenario."""


@attrs.frozen
class Span:
    """
    Something lasts from one time to another: seconds since the change.

    @ivar nodes: that crash; or, in a partition, the groups.
    """

    start: float
    end: float
    groups: tuple[frozenset[int], ...]


@attrs.frozen(kw_only=True)
class Scenario:
    """
    Times are seconds since the change that is to be spread, rates bytes a
    second, nodes counted from 1.

    @ivar source: the node that makes the change.
    @ivar size: bytes of the file that is new.
    @ivar uplink: that each node is configured with.
    @ivar line: that each node really has; None: the same.
    @ivar lines: other lines, by node.
    @ivar latency: on average; each line has its own, between half and one and a
        half of this.
    @ivar jitter: what a message may take longer, at most.
    @ivar loss: share of messages that are lost.
    @ivar drift: most that a clock is too fast or slow, per second.
    @ivar clock_offset: most that a wall clock is wrong, seconds.
    @ivar crashes: of one group each; they start again at the end.
    @ivar partitions: groups of nodes; who is in none, is alone.
    @ivar late: nodes that start only then.
    @ivar return_wait: see L{flocknode.flock.interfaces.FlockSettings}.
    @ivar limit: seconds after the change at which the simulation ends; None: as
        many as it should take at the very most.
    """

    nodes: int = 8
    source: int = 1
    size: int = 64 << 20
    uplink: int = 12_500_000
    line: int | None = None
    lines: Mapping[int, int] = attrs.field(factory=dict)
    latency: float = 0.005
    jitter: float = 0.002
    loss: float = 0.0
    drift: float = 50e-6
    clock_offset: float = 2.0
    crashes: tuple[Span, ...] = ()
    partitions: tuple[Span, ...] = ()
    late: Mapping[int, float] = attrs.field(factory=dict)
    return_wait: tuple[float, float] = (30.0, 300.0)
    seed: int = 1
    limit: float | None = None

    def __attrs_post_init__(self) -> None:
        """@raise ScenarioError: this makes no sense."""
        if not 2 <= self.nodes <= MOST_NODES:
            raise ScenarioError(f"there can be 2 to {MOST_NODES} nodes, not {self.nodes}")
        if self.size > LARGEST:
            raise ScenarioError(f"the file can have up to {LARGEST >> 20} MiB")
        spans = self.crashes + self.partitions
        named = {self.source, *self.late, *self.lines}
        for span in spans:
            named.update(*span.groups)
            if not 0 <= span.start < span.end:
                raise ScenarioError(f"{span.start:g}..{span.end:g} is no time that passes")
        for node in sorted(named):
            if not 1 <= node <= self.nodes:
                raise ScenarioError(f"there is no node {node}: they are 1 to {self.nodes}")
        for span in self.partitions:
            if sum(map(len, span.groups)) != len(frozenset().union(*span.groups)):
                raise ScenarioError("a node is on two sides of a partition")
        ordered = sorted(self.partitions, key=lambda span: span.start)
        for one, other in pairwise(ordered):
            if other.start < one.end:
                raise ScenarioError("a partition begins before another has ended")
        if self.source in self.late:
            raise ScenarioError(f"node {self.source} is the source, so it cannot be late")
        if not 0 <= self.loss < 1:
            raise ScenarioError("the share of lost messages must be at least 0 and below 1")

    @property
    def calm(self) -> bool:
        """Whether nothing but time passes."""
        return not (self.loss or self.crashes or self.partitions or self.late)

    @property
    def last_event(self) -> float:
        """When all is well for good."""
        if self.size > LARGEST:
            raise ScenarioError(f"the file can have up to {LARGEST >> 20} MiB")
        spans = self.crashes + self.partitions
        return max([0.0, *(span.end for span in spans), *self.late.values()])

    @property
    def payload_rate(self) -> float:
        """U: bytes of payload a second that the links of a node carry together."""
        links = self.nodes - 1
        return links * slot_payload(uplink_step(self.uplink, links)) / SLOT_SECONDS

    @property
    def ideal(self) -> float:
        """S/U: seconds that the content takes to leave the source once."""
        return self.size / self.payload_rate

    @property
    def patience(self) -> float:
        """When to give up: news of a node that returned may wait five minutes."""
        if self.limit is not None:
            return self.limit
        slowest = min([self.line or self.uplink, self.uplink, *self.lines.values()])
        share = 1 - FRAME_HEADER.size / 4096
        return self.last_event + 400 + 10 * self.size / (slowest * share * (1 - self.loss))
