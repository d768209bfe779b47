# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who is who: packets by node.  On a network a node is an address.  On loopback it
is an endpoint that listens; who the other end of its connections is remains
unknown, but ZeroMQ's publishers send on connections that they accepted.
"""

from __future__ import annotations

import ipaddress
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import attrs

from flocknode.observe.packets import Endpoint, ObserveError, Segment

UNKNOWN: Final = ""
MOST_ENDPOINTS: Final = 65_536


@attrs.frozen(eq=False)
class Flow:
    """
    What one node sends, or what it gets, in the order of time.

    @ivar times: seconds.
    @ivar sizes: bytes of payload.
    @ivar others: the other node of each, an index; -1: unknown.
    @ivar windows: as announced by the sender.
    """

    times: array[float] = attrs.field(factory=lambda: array("d"))
    sizes: array[int] = attrs.field(factory=lambda: array("L"))
    others: array[int] = attrs.field(factory=lambda: array("i"))
    windows: array[int] = attrs.field(factory=lambda: array("L"))

    def between(self, begin: float, end: float) -> range:
        """The places of what was sent from C{begin} to before C{end}."""
        return range(bisect_left(self.times, begin), bisect_left(self.times, end))

    def bytes(self, places: range) -> int:
        """Payload of these."""
        return sum(self.sizes[places.start : places.stop])

    def without(self, other: int) -> Flow:
        """What has nothing to do with that node."""
        kept = [place for place, who in enumerate(self.others) if who != other]
        return Flow(
            array("d", map(self.times.__getitem__, kept)),
            array("L", map(self.sizes.__getitem__, kept)),
            array("i", map(self.others.__getitem__, kept)),
            array("L", map(self.windows.__getitem__, kept)),
        )


@attrs.frozen(eq=False)
class Traffic:
    """
    All that was seen.

    @ivar nodes: their names, sorted.
    @ivar sent: and C{got}, by node.
    """

    nodes: tuple[str, ...]
    sent: tuple[Flow, ...]
    got: tuple[Flow, ...]

    def without(self, node: int) -> Traffic:
        """What the others send each other."""
        return Traffic(
            self.nodes,
            *(
                tuple(Flow() if place == node else flow.without(node) for place, flow in each)
                for each in (enumerate(self.sent), enumerate(self.got))
            ),
        )


def traffic(segments: Iterable[Segment]) -> Traffic:
    """
    @raise ObserveError: nothing, or of fewer than two nodes.
    """
    numbers: dict[Endpoint, int] = {}
    rows: list[tuple[float, int, int, int, int]] = []
    partners: defaultdict[Endpoint, set[Endpoint]] = defaultdict(set)
    for time, source, target, size, window in segments:
        if source not in numbers or target not in numbers or target not in partners[source]:
            partners[source].add(target)
            partners[target].add(source)
            for end in (source, target):
                numbers.setdefault(end, len(numbers))
            if len(numbers) > MOST_ENDPOINTS:
                raise ObserveError("There are too many connections: capture the flock's only.")
        rows.append((time, numbers[source], numbers[target], size, window))
    names = name_nodes(partners)
    nodes = tuple(sorted({name for name in names.values() if name != UNKNOWN}))
    if len(nodes) < 2:
        raise ObserveError("There is no traffic between two nodes or more in it.")
    places = {name: place for place, name in enumerate(nodes)} | {UNKNOWN: -1}
    of = [places[names[end]] for end in numbers]
    rows.sort()
    sent = tuple(Flow() for _ in nodes)
    got = tuple(Flow() for _ in nodes)
    for time, source_number, target_number, size, window in rows:
        sender, receiver = of[source_number], of[target_number]
        if sender >= 0:
            _add(sent[sender], time, size, receiver, window)
        if receiver >= 0:
            _add(got[receiver], time, size, sender, window)
    return Traffic(nodes, sent, got)


def _add(flow: Flow, time: float, size: int, other: int, window: int) -> None:
    flow.times.append(time)
    flow.sizes.append(size)
    flow.others.append(other)
    flow.windows.append(window)


def name_nodes(partners: dict[Endpoint, set[Endpoint]]) -> dict[Endpoint, str]:
    """
    @param partners: each endpoint's other ends.
    @return: the name of the node that each belongs to.
    """
    if not all(_is_loopback(end.address) for end in partners):
        return {end: UNKNOWN if end.address == "*" else end.address for end in partners}
    listening = set()
    for end, others in partners.items():
        if len(others) > 1 or all(
            len(partners[other]) == 1 and end.port < other.port for other in others
        ):
            listening.add(end)
    return {end: f"{end.address}:{end.port}" if end in listening else UNKNOWN for end in partners}


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
