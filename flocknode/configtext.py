# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The lines of a configuration file, and the small values in them.

A line is empty, a C{# comment}, a C{[section]}, a C{[section NAME]} or
C{key = value}.  A C{#} after white space begins a comment; a value with such
a C{#} in it, or with white space at an end, stands in double quotes.  Keys may
be written with C{-} or C{_}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from flocknode.errors import ConfigError

LONGEST = 1 << 20
"""Bytes; a configuration is never so long, a file given by mistake may be."""

_SECTION = re.compile(r"\[\s*(\w+)(?:\s+(.*?))?\s*\]\Z")
_QUOTED = re.compile(r'"([^"]*)"\s*(#.*)?\Z')
_COMMENT = re.compile(r"(^|\s)#.*\Z")


@attrs.frozen
class Setting:
    """
    One C{key = value}.

    @ivar section: C{""} before the first section.
    @ivar name: what stands behind the section's name, for C{[box NAME]}.
    @ivar line: its number, from 1; 0 if it came from an option.
    """

    section: str
    name: str
    key: str
    value: str
    line: int


def settings(data: bytes, file: str) -> Iterator[Setting]:
    """
    @param data: what is in the file: UTF-8, but paths may hold any bytes.
    @param file: its name, for errors.
    @raise ConfigError: at a line that is none of the forms above.
    """
    if len(data) > LONGEST:
        raise ConfigError(f"{file} has more than {LONGEST} bytes, so it is no configuration file")
    section = name = ""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section, name = _section(_COMMENT.sub("", line), f"{file}, line {number}")
            continue
        key, equals, value = line.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise ConfigError(
                f"{file}, line {number}: expected 'key = value' or '[section]', not {line[:60]!r}"
            )
        yield Setting(section, name, key, _value(value.strip()), number)


def _section(line: str, where: str) -> tuple[str, str]:
    match = _SECTION.match(line)
    if match is None:
        raise ConfigError(f"{where}: expected '[section]' or '[section NAME]', not {line[:60]!r}")
    return match[1], match[2] or ""


def _value(text: str) -> str:
    quoted = _QUOTED.match(text)
    return quoted[1] if quoted else _COMMENT.sub("", text).rstrip()


_RATE_UNITS = {
    "bit": 1 / 8,
    "kbit": 1e3 / 8,
    "Mbit": 1e6 / 8,
    "Gbit": 1e9 / 8,
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_RATE = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,6}})?)\s*({'|'.join(_RATE_UNITS)})/s\Z", re.ASCII)

_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,6}})?)\s*({'|'.join(_SIZE_UNITS)})\Z", re.ASCII)

_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_DURATION = re.compile(rf"(\d{{1,6}})\s*([{''.join(_DURATION_UNITS)}])\Z", re.ASCII)


def rate(text: str) -> int:
    """
    @param text: C{100 Mbit/s}, C{12 MB/s}, C{64 KiB/s}.
    @return: bytes per second, between 1 KiB and 1 TiB.
    @raise ValueError: one clause that says what was expected.
    """
    match = _RATE.match(text)
    if match is None:
        raise ValueError("expected a rate such as 100 Mbit/s, 12 MB/s or 64 KiB/s")
    value = round(float(match[1]) * _RATE_UNITS[match[2]])
    if not 1 << 10 <= value <= 1 << 40:
        raise ValueError("expected a rate between 1 KiB/s and 1024 GiB/s")
    return value


def size(text: str) -> int:
    """
    @param text: C{10 GiB}, C{500 MB}.
    @return: bytes, up to 1 EiB.
    @raise ValueError: one clause that says what was expected.
    """
    match = _SIZE.match(text)
    if match is None:
        raise ValueError("expected a size such as 10 GiB or 500 MB, or none")
    value = round(float(match[1]) * _SIZE_UNITS[match[2]])
    if value > 1 << 60:
        raise ValueError("expected a size up to 1048576 TiB")
    return value


def duration(text: str) -> int:
    """
    @param text: C{30d}, C{12h}; s, m, h, d, w and y are the units; C{none}.
    @return: seconds; 0 for none.
    @raise ValueError: one clause that says what was expected.
    """
    if text == "none":
        return 0
    match = _DURATION.match(text)
    if match is None:
        raise ValueError("expected a time such as 30d, 12h or 1y, or none")
    return int(match[1]) * _DURATION_UNITS[match[2]]
