# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who sees all that leaves any machine, counts it, and finds what must not be.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from flocknode.flock.heartbeat import Trailer, parse_heartbeat
from flocknode.simulation.network import Line, Machine
from flocknode.simulation.traces import TraceWriter

SEGMENT: Final = 1448
"""Bytes of payload of a full TCP packet on Ethernet, with time stamps."""


@attrs.define
class Tally:
    """
    What went over all lines.

    @ivar frames: and how many of them were C{filled}: had any payload.
    @ivar heartbeats: each one counted as often as it was sent.
    @ivar packets: full TCP packets that the messages fill; what libzmq joins is
        not joined here.
    """

    frames: int = 0
    filled: int = 0
    frame_bytes: int = 0
    heartbeats: int = 0
    heartbeat_bytes: int = 0
    packets: int = 0
    refused: int = 0


@attrs.define
class RoundSeen:
    """
    One round, node by node.

    @ivar started: and C{stopped}: when, by node.
    @ivar stops: the stop slot that each showed last before it stopped.
    @ivar budget: bytes per link that it has room for.
    @ivar unfinished: at its end some node lacked something.
    """

    started: dict[int, float] = attrs.field(factory=dict)
    stopped: dict[int, float] = attrs.field(factory=dict)
    stops: dict[int, int] = attrs.field(factory=dict)
    budget: int = 0
    unfinished: bool = False


class Witness:
    """
    @ivar tally: of all.
    @ivar rounds: by id.
    @ivar shown: the trailer that each node showed last, by number.
    @ivar outside: frames that left outside of rounds: (time, node).
    @ivar counts: (round, slot, node) -> frames -> links that carried so many.
    @ivar hindered: (slot, node): not all frames could leave, or the node died.
    """

    def __init__(self, writer: TraceWriter | None = None) -> None:
        self.tally = Tally()
        self.rounds: dict[int, RoundSeen] = {}
        self.shown: dict[int, Trailer] = {}
        self.outside: list[tuple[float, int]] = []
        self.counts: dict[tuple[int, int, int], Counter[int]] = {}
        self.hindered: set[tuple[int, int]] = set()
        self._writer = writer
        self._round_of: dict[int, int] = {}

    # flocknode.simulation.network.Watcher

    def heartbeat(self, time: float, sender: Machine, message: bytes) -> None:
        """See L{flocknode.simulation.network.Watcher}, as all of these."""
        trailer = parse_heartbeat(message).trailer
        assert trailer is not None
        self.shown[sender.number] = trailer
        tally = self.tally
        tally.heartbeats += len(sender.lines)
        tally.heartbeat_bytes += len(sender.lines) * len(message)
        tally.packets += len(sender.lines)
        if self._writer is not None:
            for line in sender.lines.values():
                self._writer.message(time, sender.number, line.receiver.number, len(message))

    def frame(self, time: float, sender: Machine, line: Line) -> None:
        if not sender.in_round:
            self.outside.append((time, sender.number))
        if self._writer is not None:
            self._writer.message(time, sender.number, line.receiver.number, line.size)

    def slot(self, sender: Machine, line: Line) -> None:
        if not line.slot:
            return
        tally = self.tally
        tally.frames += line.frames
        tally.filled += line.filled
        tally.frame_bytes += line.frames * line.size
        tally.packets += line.frames * -(-line.size // SEGMENT)
        round_id = self._round_of.get(sender.number, 0)
        key = round_id, int.from_bytes(line.slot, "big"), sender.number
        self.counts.setdefault(key, Counter())[line.frames] += 1

    def refused(self, sender: Machine, slot: bytes) -> None:
        self.tally.refused += 1
        self.hindered.add((int.from_bytes(slot, "big"), sender.number))

    # What members and the course of things tell

    def started(self, machine: Machine, round_id: int, budget: int, time: float) -> None:
        """A member's engine says that a round has started."""
        self._round_of[machine.number] = round_id
        seen = self.rounds.setdefault(round_id, RoundSeen())
        seen.started[machine.number] = time
        seen.budget = max(seen.budget, budget)

    def stopped(self, machine: Machine, round_id: int, lacks: bool, time: float) -> None:
        """It has stopped; and whether that member lacks anything."""
        self._settle(machine)
        seen = self.rounds.setdefault(round_id, RoundSeen())
        seen.stopped[machine.number] = time
        seen.unfinished = seen.unfinished or lacks
        trailer = self.shown.get(machine.number)
        if trailer is not None and trailer.stop_slot:
            seen.stops[machine.number] = trailer.stop_slot

    def crashed(self, machine: Machine) -> None:
        """It is gone in the middle of whatever it did."""
        self.hinder(machine)
        self._settle(machine)
        self.shown.pop(machine.number, None)

    def hinder(self, machine: Machine) -> None:
        """It cannot send what it should in this slot."""
        for line in machine.lines.values():
            if line.slot:
                self.hindered.add((int.from_bytes(line.slot, "big"), machine.number))

    def _settle(self, machine: Machine) -> None:
        """Count what is not counted yet."""
        for line in machine.lines.values():
            self.slot(machine, line)
            line.slot = b""
            line.frames = line.filled = 0
        self._round_of.pop(machine.number, None)
