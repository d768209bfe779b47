# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hosts to which this node announces itself one by one, since no broadcast
reaches them: C{host}, C{host:port}, C{192.0.2.7}, C{2001:db8::7},
C{[2001:db8::7]:port}, C{fe80::7%eth0}.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IResolutionReceiver
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flocknode.forban.near.interfaces import Target

FOR = 60.0
"""Seconds for which what a name stands for is not asked again."""

AT_MOST = 8
"""Addresses of one name that are announced to."""

_LABEL = r"[a-z0-9_][a-z0-9_-]{0,62}"

_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?", re.IGNORECASE)

_WITH_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")

Resolve = Callable[[str], Deferred[list[str]]]
"""A name to IP addresses; none: nobody is called so."""


@attrs.frozen
class Destination:
    """
    @ivar host: a name or an IP address.
    @ivar port: C{None}: that of this node.
    @ivar interface: behind the C{%} of an address of one link; else empty.
    """

    host: str
    port: int | None = None
    interface: str = ""

    def __str__(self) -> str:
        host = f"{self.host}%{self.interface}" if self.interface else self.host
        if self.port is None:
            return host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def is_name(self) -> bool:
        """Is it no address?"""
        return not _is_address(self.host)


def parse(text: str) -> Destination:
    """
    @raise ValueError: one clause on what was expected.
    """
    expected = ValueError("expected a host, or host:port, or [IPv6 address]:port")
    if text.count(":") > 1 and not text.startswith("["):
        host, port = text, None
    else:
        match = _WITH_PORT.fullmatch(text)
        if match is None:
            raise expected
        host, port = match[1] or match[2], None if match[3] is None else int(match[3])
        if match[1] is not None and ":" not in match[1]:
            raise expected
    host, percent, interface = host.partition("%")
    if port is not None and not 0 < port < 65536:
        raise ValueError("expected a port from 1 to 65535")
    if percent and (not interface or not _is_link_local(host)):
        raise ValueError("expected an interface behind % only of an address such as fe80::7%eth0")
    if _is_link_local(host) and not interface:
        raise ValueError("expected the interface of such an address, as in fe80::7%eth0")
    if _is_address(host):
        return Destination(str(ipaddress.ip_address(host)), port, interface)
    if ":" in host or _NAME.fullmatch(host) is None or host.replace(".", "").isdigit():
        raise expected
    return Destination(host.lower(), port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_link_local(host: str) -> bool:
    return ":" in host and _is_address(host) and ipaddress.ip_address(host).is_link_local


def resolver(reactor: Any) -> Resolve:
    """A L{Resolve} that asks a reactor's resolver of names."""

    def resolve(name: str) -> Deferred[list[str]]:
        receiver = _Receiver()
        reactor.nameResolver.resolveHostName(receiver, name)
        return receiver.done

    return resolve


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self) -> None:
        self.done: Deferred[list[str]] = Deferred()
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """See L{IResolutionReceiver}, as for the others."""

    def addressResolved(self, address: Any) -> None:
        """One of them."""
        self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """That was the last."""
        self.done.callback(self._found)


class Destinations:
    """
    What the configured ones stand for now.  Nothing waits for a name: what it
    stands for is told to those who come later.

    @param known: called when there are addresses that were not there before.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        resolve: Resolve,
        configured: Iterable[Destination],
        known: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._resolve = resolve
        self._configured = list(dict.fromkeys(configured))
        self._known = known
        self._hosts: dict[str, list[str]] = {}
        self._asked: dict[str, float] = {}
        self._asking: set[str] = set()
        self.problems: dict[str, str] = {}

    def targets(self, scopes: Mapping[str, int]) -> list[Target]:
        """
        @param scopes: name of an interface to its index, of those that are there.
        """
        found: dict[Target, None] = {}
        for each in self._configured:
            if each.interface:
                number = each.interface
                scope = scopes.get(number, int(number) if _is_index(number) else 0)
                if scope:
                    found[Target(each.host, scope, each.port)] = None
            else:
                hosts = self._hosts.get(each.host, []) if each.is_name else [each.host]
                found.update(dict.fromkeys(Target(host, 0, each.port) for host in hosts))
        return list(found)

    def ask(self) -> None:
        """Ask for all names that were not asked for lately."""
        now = self._clock.seconds()
        names = {each.host for each in self._configured if each.is_name}
        for name in sorted(names - self._asking):
            if name not in self._asked or now - self._asked[name] >= FOR:
                self._asked[name] = now
                self._asking.add(name)
                asked = Deferred.fromCoroutine(self._ask(name))
                asked.addErrback(self._failed, name)

    async def _ask(self, name: str) -> None:
        try:
            hosts = await self._resolve(name)
        finally:
            self._asking.discard(name)
        # An address that needs a scope cannot come from a name.
        usable = [host for host in hosts if not _is_link_local(host)][:AT_MOST]
        if not usable:
            self.problems[name] = "no address is known for it"
            return
        self.problems.pop(name, None)
        before = self._hosts.get(name, [])
        self._hosts[name] = usable
        if set(usable) - set(before):
            self._known()

    def _failed(self, failure: Failure, name: str) -> None:
        self._log.failure("a destination cannot be looked up", failure)
        self.problems[name] = "it cannot be looked up"


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
