# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The node: builds the parts and wires them together; nothing else.  This is also
the embedding API::

    from flocknode import config
    from flocknode.node import Node

    node = Node.from_config(reactor, config.load("node1"))
    node.setServiceParent(application)

The parts, in the order of the data's way: L{flocknode.box.box.Box} (one for
each folder), L{flocknode.exchange.exchange.Exchange}, and
L{flocknode.wire.child.WireProcess}, behind which flock and wire run in a
process of their own.
"""

from __future__ import annotations

import os
from random import Random, SystemRandom
from typing import Any

import attrs
from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from flocknode import __version__, keys
from flocknode.box.box import Box
from flocknode.box.settings import BoxSettings
from flocknode.box.values import Holder
from flocknode.boxcommands import BoxCommands
from flocknode.config import Config
from flocknode.control import ControlServer
from flocknode.exchange.exchange import Exchange
from flocknode.flock.interfaces import FlockState, MemberId, Priority
from flocknode.flock.rate import rate
from flocknode.flock.status import CALLING, Status
from flocknode.forban.service import Forban
from flocknode.forbancommands import ForbanCommands
from flocknode.lock import StateLock
from flocknode.media.mounts import Mounts
from flocknode.media.places import Place, place
from flocknode.plugged import PluggedMedia
from flocknode.socketpath import ShortWays
from flocknode.status import BoxStatus, MemberStatus, NodeStatus
from flocknode.wire.child import WireProcess
from flocknode.wire.messages import Start

TICK = 0.25
"""Seconds between two looks at the clock by the exchange: wants that nobody
answers are noticed within this time of their limit."""


class _Links:
    """The links as the exchange sees them, which knows no flock."""

    def __init__(self, wire: WireProcess) -> None:
        self._wire = wire

    def skip(self, member: bytes) -> None:
        """See L{Links<flocknode.exchange.interfaces.Links>}."""
        self._wire.skip(MemberId(member))

    def send(self, member: bytes, priority: int, data: bytes) -> None:
        """Queue records for a member."""
        self._wire.send(MemberId(member), Priority(priority), data)


class Node(MultiService):
    """
    One peer of a flock: a service to start, stop and ask for its status.

    @ivar boxes: the boxes, in the order of the configuration.
    """

    _log = Logger()

    def __init__(self, reactor: Any, config: Config, credentials: keys.Credentials) -> None:
        """
        @param reactor: provides time, threads, file descriptors and processes.
        @param credentials: this node's key pair and its peers' public keys.
        @raise FlocknodeError: another node uses the state folder, or it cannot
            be used.
        """
        super().__init__()
        self._config = config
        # Taken here and not only at the start, so that somebody who starts a
        # daemon is told; what is forked off keeps it.
        self._lock = StateLock(config.state)
        self._lock.acquire()
        self._ways = ShortWays(os.path.join(config.state, "endpoints.way"))
        self._addresses = {
            MemberId(keys.member_id(public)): endpoint for endpoint, public in credentials.peers
        }
        self._alive: set[MemberId] = set()
        self._state = FlockState()
        # Under constant cover rounds are none that people would want to hear of.
        self._endless = False
        self._last_error = ""
        self._wire = WireProcess(
            reactor,
            Start(
                listen=tuple(map(self._ways.endpoint, config.hostnames)),
                public=credentials.own.public,
                secret=credentials.own.secret,
                peers=tuple(
                    (self._ways.endpoint(endpoint), public)
                    for endpoint, public in credentials.peers
                ),
                uplink=config.flock.uplink,
                constant_cover=config.flock.cover == "constant",
                cover_rate=config.flock.cover_rate,
                min_members=config.flock.min_members,
                decoys=config.flock.decoys,
            ),
            self,
            fault=self.failed,
        )
        self._wire.ready.addErrback(lambda _reported: None)
        clock: IReactorTime = reactor
        # What is asked of whom needs no secrecy from members, but must not be
        # predictable for a meddler; the shaper's randomness is the child's own.
        self._exchange = Exchange(
            _Links(self._wire),
            clock.seconds,
            Random(SystemRandom().getrandbits(128)),
            self._wire.offer,
        )
        holders = frozenset(map(Holder, self._addresses))
        settings = {
            box.name: BoxSettings(
                versions=box.versions,
                versions_size=box.versions_size,
                symlinks=box.symlinks,
                watch=box.watch,
                members=holders,
                confirm_deletes=box.confirm_deletes,
            )
            for box in config.boxes
        }

        def make(name: str, place: Place) -> Box:
            return Box(reactor, name, place, config.state, settings[name])

        self.boxes = tuple(make(box.name, place(box.path)) for box in config.boxes)
        joined = frozenset(box.name for box in config.boxes if box.media == "auto")
        self._plugged = PluggedMedia(reactor, self.boxes, joined, make)
        self._plugged.setServiceParent(self)
        mounts = Mounts(reactor)
        mounts.setServiceParent(self)
        mounts.tell(self._plugged.mounts_changed)
        for box in self.boxes:
            self._exchange.add(box)
            box.setServiceParent(self)
            mounts.tell(box.mounts_changed)
        ticker = TimerService(TICK, self._tick)
        ticker.clock = reactor
        ticker.setServiceParent(self)
        self._public = frozenset(box.name for box in config.boxes if box.forban)
        self._forban: Forban | None = None
        if self._public and config.forban.mode != "off":
            self._forban = Forban(
                reactor,
                config.forban,
                {box.name: box.public for box in self.boxes if box.name in self._public},
                os.path.join(config.state, "forban"),
                shared=bool(self._addresses),
                level=self._is_spread,
                places=config.places,
            )
            self._forban.setServiceParent(self)
            mounts.tell(self._forban.mounts_changed)
        commands = {
            "status": lambda: attrs.asdict(self.status()),
            "process": os.getpid,
            **BoxCommands(self.boxes, self._plugged).commands(),
            **ForbanCommands(self._forban).commands(),
        }
        ControlServer(reactor, config.state, commands).setServiceParent(self)
        self._wire.setServiceParent(self)

    @classmethod
    def from_config(cls, reactor: Any, config: Config) -> Node:
        """
        @raise KeyFileError: a key is missing, or a key file is not as it must be.
        """
        return cls(reactor, config, keys.credentials(config))

    def startService(self) -> None:
        """
        Take the lock of the state folder, then start all parts.

        @raise FlocknodeError: another node uses this state folder.
        """
        self._lock.acquire()
        for note in self._config.notes:
            self._log.warn("{note}", note=note)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop all parts; fires when nothing is left."""

        def unlock(_result: object) -> None:
            self._ways.close()
            self._lock.release()

        stopped: Deferred[None] = super().stopService()
        return stopped.addBoth(unlock)

    def _tick(self) -> None:
        try:
            self._exchange.tick()
        except Exception:
            # A timer service whose call fails once never calls again.
            self._log.failure("the exchange failed")

    def status(self) -> NodeStatus:
        """What the node is doing now."""
        state, exchange = self._state, self._exchange.status()
        lacking = {link.member: link.lacking for link in exchange.links}
        return NodeStatus(
            version=__version__,
            members=tuple(
                MemberStatus(
                    address=endpoint,
                    id=member.hex(),
                    alive=member in self._alive,
                    lacking=lacking.get(member, 0),
                )
                for member, endpoint in self._addresses.items()
            ),
            boxes=tuple(map(self._box_status, self.boxes)) + self._plugged.statuses(),
            crowd=1 + len(self._alive),
            cover="constant" if state.constant else "rounds",
            code=state.status,
            round_id=state.round_id,
            rate=int(rate(state.step)),
            narrowest=self._narrowest(state.narrowest),
            rounds=state.rounds,
            unfinished=state.unfinished,
            filled=state.frames_filled / state.frames_sent if state.frames_sent else 0.0,
            lateness_ms=state.lateness_ms,
            content_sent=exchange.content_sent,
            content_received=exchange.content_received,
            last_error=self._last_error,
        )

    def _narrowest(self, member: MemberId | None) -> str:
        if member is None or not self._alive:
            return ""
        return self._addresses.get(member, "this node")

    def _is_spread(self, name: str) -> bool:
        return any(box.name == name and self._exchange.is_spread(box) for box in self.boxes)

    def _box_status(self, box: Box) -> BoxStatus:
        is_public = self._forban is not None and box.name in self._public
        return attrs.evolve(box.status, public=is_public)

    # What the wire process tells (flocknode.flock.interfaces.Observer).

    def alive(self, member: MemberId, epoch: int) -> None:
        """A member is heard of (again)."""
        if member not in self._alive:
            self._alive.add(member)
            self._log.info(
                "{address} is here: {crowd} members are alive",
                address=self._addresses.get(member, member.hex()),
                crowd=1 + len(self._alive),
            )
        self._exchange.alive(member, epoch)

    def lost(self, member: MemberId) -> None:
        """A member is silent."""
        self._alive.discard(member)
        self._log.info(
            "{address} is gone: {crowd} members are alive",
            address=self._addresses.get(member, member.hex()),
            crowd=1 + len(self._alive),
        )
        self._exchange.lost(member)

    def round_started(self, round_id: int, counted: int, budget: int) -> None:
        """The flock begins to send; or under constant cover, some time has passed."""
        self._endless = not budget
        if budget:
            self._log.info(
                "round {round_id} starts: {crowd} members, room for {budget} bytes a link",
                round_id=round_id,
                crowd=1 + len(self._alive),
                budget=budget,
            )
        self._exchange.round_started(round_id, counted, budget)
        if self._forban is not None:
            self._forban.round_started()

    def round_stopped(self, round_id: int) -> None:
        """The flock is idle again."""
        self._exchange.round_stopped(round_id)
        if self._forban is not None:
            self._forban.round_stopped()
        if self._endless:
            return
        self._log.info("round {round_id} is over", round_id=round_id)
        for box in self.boxes:
            # Nothing here may say who had news: only what is still missing.
            self._log.info(
                "box {name}: {state}, {needed} files still to come",
                name=box.name,
                state=box.status.state,
                needed=box.status.needed,
            )

    def digest(self, member: MemberId, digest: bytes) -> None:
        """What a member shows of its boxes."""
        self._exchange.digest(member, digest)

    def received(self, member: MemberId, data: bytes) -> None:
        """Bytes of a member's records."""
        self._exchange.received(member, data)

    def reset(self, member: MemberId) -> None:
        """Bytes of a member's records are missing."""
        self._exchange.reset(member)

    def consumed(self, member: MemberId, priority: Priority, size: int) -> None:
        """There is room again in a link's queue."""
        self._exchange.consumed(member, priority, size)

    def state(self, state: FlockState) -> None:
        """The engine's state changed."""
        before, self._state = self._state, state
        if state.constant != before.constant:
            self._log.info(
                "constant cover begins" if state.constant else "constant cover is over"
            )
        if state.status != before.status:
            if state.status in CALLING and before.status not in CALLING:
                self._log.info("a round is called")
            elif state.status == Status.STOPPING:
                self._log.info("round {round_id} is about to stop", round_id=state.round_id)

    def failed(self, reason: str) -> None:
        """The wire process cannot do its work; it is tried again."""
        self._last_error = reason
        self._log.error("{reason}", reason=reason)
