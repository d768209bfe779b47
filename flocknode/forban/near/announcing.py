# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Saying by UDP that this node is there, and hearing who else is.

Every ten seconds to everybody on each interface, IPv4 and IPv6, and to the
hosts that are configured; at once when the index is another one.  Neither
family needs the other, and no interface another: whatever cannot be listened on
or sent to is said in the status, and tried again the next time.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from flocknode.errors import ProtocolError
from flocknode.forban.near import datagrams
from flocknode.forban.near.datagrams import Listen, Port
from flocknode.forban.near.destinations import Destination, Destinations, Resolve, resolver
from flocknode.forban.near.interfaces import Interface, Target, interfaces, targets
from flocknode.forban.near.neighbours import Address, Neighbours
from flocknode.forban.protocol.announcement import Announcement, encode, parse
from flocknode.forban.settings import PORT

INTERVAL = 10.0
"""Seconds between announcements, as in both other programs."""

SOONEST = 1.0
"""Seconds between them, however often the index changes."""

EVERYWHERE = ("0.0.0.0", "::")

InThread = Callable[[Callable[[], Any]], Deferred[Any]]
"""Does what waits in a thread, and answers in the reactor's."""


@attrs.frozen
class AnnouncingStatus:
    """
    @ivar listening: IP addresses.
    @ivar problems: sentences on what cannot be listened on or sent to now.
    @ivar sent: datagrams, and C{unsent} those that the system did not take.
    @ivar heard: announcements, this node's own included, which come back.
    @ivar refused: datagrams that were none.
    """

    port: int
    listening: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    sent: int = 0
    unsent: int = 0
    heard: int = 0
    refused: int = 0


class Announcing(Service):
    """
    Lives in the reactor.

    @param said: what to announce now.
    @param neighbours: told of everybody who is heard.
    @param interval: seconds between announcements.
    @param binds: IP addresses to listen on, and to send from: one of a family.
    @param look: which interfaces there are; waits a little.
        @raise OSError: that cannot be told.
    @param in_thread: for that; by default the reactor's threads.
    @param resolve: what a name stands for; by default the reactor's resolver.
    @param name_of: the name of the interface of an index.  @raise OSError: none.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        said: Callable[[], Announcement],
        neighbours: Neighbours,
        port: int = PORT,
        destinations: Iterable[Destination] = (),
        *,
        interval: float = INTERVAL,
        binds: Iterable[str] = EVERYWHERE,
        look: Callable[[], tuple[Interface, ...]] = interfaces,
        listen: Listen = datagrams.listen,
        in_thread: InThread | None = None,
        resolve: Resolve | None = None,
        name_of: Callable[[int], str] = socket.if_indextoname,
    ) -> None:
        self._reactor = reactor
        self._said = said
        self._neighbours = neighbours
        self._port = port
        self._interval = interval
        self._binds = tuple(binds)
        self._look = look
        self._listen = listen
        self._in_thread = in_thread or partial(_in_thread, reactor)
        self._destinations = Destinations(
            reactor, resolve or resolver(reactor), destinations, self._soon_again
        )
        self._name_of = name_of
        self._ports: dict[str, Port] = {}
        self._deaf: dict[str, str] = {}
        self._mute: dict[Target, str] = {}
        self._interfaces: tuple[Interface, ...] = ()
        self._blind = ""
        self._looking = False
        self._names: dict[int, str] = {}
        self._joined: set[tuple[Port, int]] = set()
        self._next: IDelayedCall | None = None
        self._soon: IDelayedCall | None = None
        self._last: tuple[str, float] | None = None
        self._sent = self._unsent = self._heard = self._refused = 0

    @property
    def status(self) -> AnnouncingStatus:
        """What it is doing."""
        problems = [f"{host} cannot be listened on: {why}" for host, why in self._deaf.items()]
        if self._blind:
            problems.append(f"The network interfaces are not known: {self._blind}")
        problems += [
            f"Nothing can be sent to {self._written(target)}: {why}"
            for target, why in self._mute.items()
        ]
        problems += [
            f"Nothing can be sent to {name}: {why}"
            for name, why in self._destinations.problems.items()
        ]
        return AnnouncingStatus(
            self._port,
            tuple(self._ports),
            tuple(problem + "." for problem in problems),
            self._sent,
            self._unsent,
            self._heard,
            self._refused,
        )

    def startService(self) -> None:
        """Listen, and announce at once."""
        super().startService()
        self._again()

    def stopService(self) -> None:
        """Neither any more.  Idempotent."""
        super().stopService()
        for call in (self._next, self._soon):
            if call is not None and call.active():
                call.cancel()
        self._next = self._soon = self._last = None
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        self._joined.clear()

    def changed(self) -> None:
        """What is announced may be another: if the index is, say so soon."""
        if self._last is not None and self._said().hmac != self._last[0]:
            self._soon_again()

    def _soon_again(self) -> None:
        # Before the first time there is nothing to repeat.
        if self.running and self._last is not None and self._soon is None:
            wait = max(0.0, self._last[1] + SOONEST - self._reactor.seconds())
            self._soon = self._reactor.callLater(wait, self._send_soon)

    def _send_soon(self) -> None:
        self._soon = None
        self._send()

    # Every ten seconds

    def _again(self) -> None:
        self._next = self._reactor.callLater(self._interval, self._again)
        self._open()
        self._destinations.ask()
        if self._looking:
            # The system takes its time: what was known must do.
            if self._last is not None:
                self._send()
            return
        self._looking = True
        looked = Deferred.fromCoroutine(self._announce())
        looked.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("this node cannot announce itself", failure)

    async def _announce(self) -> None:
        try:
            self._interfaces = await self._in_thread(self._look)
            self._blind = ""
        except OSError as error:
            self._blind = _reason(error)
        finally:
            self._looking = False
        self._names = {each.index: each.name for each in self._interfaces}
        if self.running:
            self._join()
            self._send()

    def _open(self) -> None:
        for host in self._binds:
            if host in self._ports:
                continue
            try:
                self._ports[host] = self._listen(self._reactor, host, self._port, self._hear)
                self._deaf.pop(host, None)
            except OSError as error:
                why = f"{_reason(error)} (port {self._port})"
                if self._deaf.get(host) != why:
                    self._log.warn("{host} cannot be listened on: {why}", host=host, why=why)
                self._deaf[host] = why

    def _join(self) -> None:
        """Where the system does not take every node for one of all nodes."""
        wanted = {
            (port, each.index)
            for host, port in self._ports.items()
            for each in self._interfaces
            if ":" in host and each.multicast and each.index
        }
        for port, scope in wanted - self._joined:
            try:
                port.join(scope)
            except OSError as error:
                # It has been joined already, or just left.
                self._log.debug("scope {scope}: {error}", scope=scope, error=error)
        # What comes again has another index.
        self._joined = wanted

    def _send(self) -> None:
        said = self._said()
        self._last = said.hmac, self._reactor.seconds()
        datagram = encode(said)
        ports = {":" in host: port for host, port in self._ports.items()}
        scopes = {each.name: each.index for each in self._interfaces}
        everybody = targets(self._interfaces) + self._destinations.targets(scopes)
        mute = {}
        for target in dict.fromkeys(everybody):
            port = ports.get(target.is_ipv6)
            if port is None:
                continue
            try:
                port.send(datagram, target.host, target.port or self._port, target.scope)
                self._sent += 1
            except OSError as error:
                self._unsent += 1
                mute[target] = _reason(error)
                if target not in self._mute:
                    where = self._written(target)
                    self._log.info("nothing can be sent to {to}: {why}", to=where, why=mute[target])
        self._mute = mute

    # Whoever is heard

    def _hear(self, datagram: bytes, host: str, scope: int) -> None:
        try:
            said = parse(datagram)
        except ProtocolError:
            self._refused += 1
            return
        self._heard += 1
        self._neighbours.heard(said, Address(self._scoped(host, scope), self._port))

    def _scoped(self, host: str, scope: int) -> str:
        if not scope:
            return host
        if scope not in self._names:
            try:
                self._names[scope] = self._name_of(scope)
            except OSError:
                return f"{host}%{scope}"
        return f"{host}%{self._names[scope]}"

    def _written(self, target: Target) -> str:
        return str(Address(self._scoped(target.host, target.scope), target.port or self._port))


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _in_thread(reactor: Any, work: Callable[[], Any]) -> Deferred[Any]:
    return deferToThreadPool(reactor, reactor.getThreadPool(), work)
