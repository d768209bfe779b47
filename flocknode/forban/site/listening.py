# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Where the site is listened for: on the port of both families, and on endpoints
of any kind besides.  What cannot be listened on is said, and tried again.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger

from flocknode.box.timers import Timers

AGAIN = 10.0
"""Seconds until what failed is tried again."""

BACKLOG = 128
"""Connections that wait to be accepted."""

HOSTS = ("0.0.0.0", "::")
"""All addresses of this machine, by family."""


def urls(scheme: str, host: str, port: int, reached: Sequence[str]) -> list[str]:
    """
    Of what listens there.

    @param reached: this machine's own addresses: what listens on all of a
        family is at these, if there are any.
    """
    own = [each for each in reached if (":" in each) == (":" in host)]
    hosts = own if own and host in HOSTS else [host]
    names = (f"[{each}]" if ":" in each else each for each in hosts)
    return [f"{scheme}://{name}:{port}/" for name in names]


class Listening(Service):
    """
    Lives in the reactor.

    @param hosts: IP addresses, one of a family.
    @param port: TCP; 0: any, another one for each.
    @param endpoints: more, as Twisted writes them.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        factory: IProtocolFactory,
        port: int,
        endpoints: Sequence[str] = (),
        hosts: Iterable[str] = HOSTS,
    ) -> None:
        self._problems: dict[str, str] = {}
        self._reactor = reactor
        self._factory = factory
        self._timers = Timers(reactor)
        self._ports: dict[str, Any] = {}
        self._starting: dict[str, Deferred[None]] = {}
        self._places = {
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}": (host, port) for host in hosts
        }
        self._endpoints = tuple(endpoints)
        self._made: dict[str, IStreamServerEndpoint] = {}

    def sites(self, reached: Sequence[str] = ()) -> tuple[str, ...]:
        """
        URLs of all that are TCP.

        @param reached: this machine's own addresses, for what listens on all.
        """
        found: list[str] = []
        for place, port in self._ports.items():
            host = port.getHost()
            if hasattr(host, "port"):
                scheme = "https" if place.startswith("ssl:") else "http"
                found += urls(scheme, host.host, host.port, reached)
        return tuple(found)

    @property
    def problems(self) -> dict[str, str]:
        """By place: one clause."""
        twice = [place for place, count in Counter(self._endpoints).items() if count > 1]
        return {**dict.fromkeys(twice, "it is named twice, and listened on once"), **self._problems}

    def startService(self) -> None:
        """Listen."""
        super().startService()
        for place in dict.fromkeys((*self._places, *self._endpoints)):
            self._try(place)

    def stopService(self) -> Deferred[None]:
        """
        Accept nobody any more.

        @return: fires when all ports are closed.
        """
        super().stopService()
        self._timers.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for starting in list(self._starting.values()):
            await starting
        ports, self._ports = self._ports, {}
        for port in ports.values():
            await maybeDeferred(port.stopListening)

    def _try(self, place: str) -> None:
        trying = Deferred.fromCoroutine(self._listen(place))
        if not trying.called:
            self._starting[place] = trying
            trying.addCallback(lambda _: self._starting.pop(place))

    async def _listen(self, place: str) -> None:
        try:
            if place in self._places:
                self._ports[place] = self._listen_tcp(*self._places[place])
            else:
                if place not in self._made:
                    # Once: the certificate is to be that of which others are told.
                    self._made[place] = serverFromString(self._reactor, place)
                self._ports[place] = await self._made[place].listen(self._factory)
        except Exception as error:
            # Endpoints of plugins raise what they like.
            reason = getattr(error, "socketError", error)
            reason = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
            if self._problems.get(place) != reason:
                self._log.warn(
                    "the Forban site cannot listen on {place}: {why}", place=place, why=reason
                )
            self._problems[place] = reason
            if self.running:
                self._timers.later(place, AGAIN, self._try, place, again=True)
            return
        self._problems.pop(place, None)

    def _listen_tcp(self, host: str, port: int) -> Any:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as made:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # The other family has a socket of its own.
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((host, port))
            made.listen(BACKLOG)
            return self._reactor.adoptStreamPort(made.fileno(), family, self._factory)
