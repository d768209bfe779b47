# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Every key of the configuration file: its section, what it takes, and whether
this version does what it says.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from flocknode import addresses, configtext
from flocknode.box.patterns import parse as patterns_of
from flocknode.box.retention import KeepFor, KeepLast, KeepNone, Policy, Staggered
from flocknode.forban.near import destinations
from flocknode.forban.near.destinations import Destination
from flocknode.forban.site import certificates
from flocknode.media import names

MOST_VERSIONS = 999_999
"""Versions of one file, at most, that C{keep} can ask for."""

Parser = Callable[[str, str], object]
"""(value, folder) to what it means; ValueError: one clause on what was expected."""


@attrs.frozen
class Key:
    """
    @ivar instead: what this version does, whatever the key says; empty if it
        does as it is told.
    @ivar same: values for which that makes no difference.
    """

    parse: Parser
    repeats: bool = False
    instead: str = ""
    same: tuple[object, ...] = ()


def _choice(*words: str) -> Parser:
    def parse(value: str, folder: str) -> str:
        if value not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return value

    return parse


def _number(low: int, high: int) -> Callable[[str, str], int]:
    def parse(value: str, folder: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise ValueError(f"expected a whole number from {low} to {high}")
        if not low <= int(value) <= high:
            raise ValueError(f"expected a number from {low} to {high}")
        return int(value)

    return parse


def _yes(value: str, folder: str) -> bool:
    return _choice("yes", "no")(value, folder) == "yes"


def _hostname(value: str, folder: str) -> str:
    endpoint = addresses.normal(value, folder)
    addresses.check_listen(endpoint)
    return endpoint


def _node(value: str, folder: str) -> str:
    endpoint = addresses.normal(value, folder)
    if endpoint.startswith("tcp://") and addresses.host_of(endpoint) in ("0.0.0.0", "::"):
        raise ValueError("expected the address of one machine")
    return endpoint


def _name(value: str, folder: str) -> str:
    if not value or not value.isprintable() or len(value.encode()) > 255:
        raise ValueError("expected a name of 1 to 255 bytes, without control characters")
    return value


def _box(value: str, folder: str) -> tuple[str, str]:
    name, separator, path = value.partition("@")
    path = path.lstrip()
    if not separator or not path:
        raise ValueError("expected <name>@<path>")
    if names.is_spot(path):
        return _name(name.strip(), folder), str(names.parse(path))
    return _name(name.strip(), folder), addresses.expand(path, folder)


def _endpoint(value: str, folder: str) -> str:
    kind, separator, rest = value.partition(":")
    if not separator or not kind.isalnum() or not rest or not value.isprintable():
        raise ValueError("expected a Twisted endpoint such as tcp:12556:interface=127.0.0.1")
    return value


def _listen(value: str, folder: str) -> str | None:
    if value == "off":
        return None
    try:
        return _endpoint(value, folder)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def _site(value: str, folder: str) -> str:
    return certificates.normal(_endpoint(value, folder), folder)


def _destination(value: str, folder: str) -> Destination:
    return destinations.parse(value)


def _pattern(value: str, folder: str) -> str:
    patterns, trouble = patterns_of(value.encode())
    if trouble or not len(patterns):
        raise ValueError("expected a pattern as in .gitignore, such as *.pdf")
    return value


def _rate(value: str, folder: str) -> int:
    return configtext.rate(value)


def _versions(value: str, folder: str) -> Policy:
    if value == "staggered":
        return Staggered()
    word, _, count = value.partition(" ")
    if word == "keep":
        return KeepLast(_number(1, MOST_VERSIONS)(count.strip(), folder))
    try:
        seconds = configtext.duration(value)
    except ValueError:
        raise ValueError(
            "expected none, keep and a number, staggered, or a time such as 30d, 12h or 1y"
        ) from None
    return KeepFor(float(seconds)) if seconds else KeepNone()


def _size(value: str, folder: str) -> int | None:
    return None if value == "none" else configtext.size(value)


def _share(value: str, folder: str) -> float | None:
    if value == "off":
        return None
    number = value[:-1].strip()
    if not (value.endswith("%") and number.isascii() and number.isdigit() and len(number) < 4):
        raise ValueError("expected a share of the files such as 50%, or off")
    if int(number) > 100:
        raise ValueError("expected 0% to 100%, or off")
    return int(number) / 100


_NO_CONSOLE = "has no console yet"

KEYS: dict[str, dict[str, Key]] = {
    "": {
        "hostname": Key(_hostname, repeats=True),
        "node": Key(_node, repeats=True),
        "box": Key(_box, repeats=True),
        "keystore": Key(addresses.expand),
        "privatekey": Key(addresses.expand),
        "state": Key(addresses.expand),
    },
    "box": {
        "forban": Key(_yes),
        "versions": Key(_versions),
        "versions_size": Key(_size),
        "confirm_deletes": Key(_share),
        "symlinks": Key(_choice("copy", "follow", "ignore")),
        "watch": Key(_choice("auto", "inotify", "watchdog", "polling")),
        "media": Key(_choice("auto", "off")),
    },
    "flock": {
        "protocol": Key(
            _choice("auto", "2", "1.0"), instead="speaks Flock 2 only", same=("auto", "2")
        ),
        "cover": Key(_choice("rounds", "constant")),
        "uplink": Key(_rate),
        "cover_rate": Key(_rate),
        "min_members": Key(_number(2, 255)),
        "decoys": Key(_number(0, 720)),
    },
    "forban": {
        "mode": Key(_choice("opportunistic", "shared", "off")),
        "name": Key(_name),
        "port": Key(_number(1, 65535)),
        "destination": Key(_destination, repeats=True),
        "listen": Key(_site, repeats=True),
        "key": Key(_name),
        "include": Key(_pattern, repeats=True),
        "exclude": Key(_pattern, repeats=True),
        "largest": Key(_size),
        "quota": Key(_size),
        "rate": Key(_rate),
        "into": Key(_name),
        "media": Key(_choice("import", "export", "both", "off")),
    },
    "console": {
        "listen": Key(_listen, instead=_NO_CONSOLE, same=(None,)),
    },
}
"""Section to key to what it takes."""
