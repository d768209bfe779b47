# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The machine's network interfaces, and where on each of them everybody hears an
announcement: the broadcast addresses of its IPv4 networks, and C{ff02::1}, all
nodes, if it has IPv6.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

import attrs
import ifaddr

ALL_NODES = "ff02::1"
"""All nodes on a link, RFC 4291, 2.7.1."""

EVERYBODY = "255.255.255.255"
"""All nodes on one link of the system's choice, RFC 919."""


@attrs.frozen
class Interface:
    """
    @ivar name: C{eth0}.
    @ivar index: its number, which IPv6 calls a scope; another one when it comes
        again; 0: not known.
    @ivar broadcasts: of its IPv4 networks.
    @ivar multicast: it has an IPv6 address of its own link.
    """

    name: str
    index: int
    broadcasts: tuple[str, ...] = ()
    multicast: bool = False


@attrs.frozen
class Target:
    """
    Where a datagram is sent.

    @ivar host: an IP address, without a scope.
    @ivar scope: the index of the interface, for addresses of one link; else 0.
    @ivar port: C{None}: that of this node.
    """

    host: str
    scope: int = 0
    port: int | None = None

    @property
    def is_ipv6(self) -> bool:
        """Which family?"""
        return ":" in self.host


def interfaces(
    adapters: Callable[[], Iterable[ifaddr.Adapter]] = ifaddr.get_adapters,
) -> tuple[Interface, ...]:
    """
    Those that there are now, without the one that leads back to this machine.
    It takes little, but is nothing for a reactor's thread.

    @raise OSError: that cannot be told.
    """
    try:
        there = [_interface(adapter) for adapter in adapters()]
    except ValueError as error:
        raise OSError(f"an interface with a name or address that is none ({error})") from None
    return tuple(each for each in there if each.broadcasts or each.multicast)


def addresses(
    adapters: Callable[[], Iterable[ifaddr.Adapter]] = ifaddr.get_adapters,
) -> tuple[str, ...]:
    """
    Under which this machine can be reached from others, those first that are
    easiest to type.  For a thread, as L{interfaces}.

    @raise OSError: that cannot be told.
    """
    found = [
        ipaddress.ip_address(each.ip if isinstance(each.ip, str) else each.ip[0])
        for adapter in adapters()
        for each in adapter.ips
    ]
    useful = [each for each in found if not each.is_loopback and not each.is_link_local]
    return tuple(str(each) for each in sorted(useful, key=lambda each: each.version))


def targets(there: Iterable[Interface]) -> list[Target]:
    """Where everybody hears, each once."""
    there = list(there)
    broadcasts = dict.fromkeys(host for each in there for host in each.broadcasts)
    scopes = dict.fromkeys(each.index for each in there if each.multicast and each.index)
    return [
        *(Target(host) for host in broadcasts or (EVERYBODY,)),
        *(Target(ALL_NODES, scope) for scope in scopes),
    ]


def _interface(adapter: ifaddr.Adapter) -> Interface:
    broadcasts: dict[str, None] = {}
    scope = 0
    multicast = False
    for each in adapter.ips:
        if isinstance(each.ip, str):
            host = _broadcast(each.ip, each.network_prefix)
            if host is not None:
                broadcasts[host] = None
        elif ipaddress.IPv6Address(each.ip[0]).is_link_local:
            multicast = True
            scope = scope or each.ip[2]
    return Interface(adapter.name, adapter.index or scope, tuple(broadcasts), multicast)


def _broadcast(address: str, prefix: int) -> str | None:
    network = ipaddress.IPv4Network((address, prefix), strict=False)
    # A network of one or two addresses has none, RFC 3021.
    if network.is_loopback or prefix > 30:
        return None
    return str(network.broadcast_address)
